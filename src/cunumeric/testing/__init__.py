"""NumPy's `testing` over our arrays."""

import numpy.testing as _numpy

from ..api.build import fill as _fill
from . import overrides  # noqa: F401

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
