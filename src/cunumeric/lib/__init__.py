"""NumPy's `lib` over our arrays."""

import numpy.lib as _numpy

from ..api.build import fill as _fill
from . import array_utils, format, introspect, mixins, npyio, scimath, stride_tricks  # noqa: F401

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
