"""NumPy's `ma` over our arrays."""

import numpy.ma as _numpy

from ..api.build import fill as _fill
from . import core, extras  # noqa: F401
from .extras import mr_  # noqa: F401

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
