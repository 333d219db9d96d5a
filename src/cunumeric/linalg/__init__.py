"""NumPy's `linalg` over our arrays."""

import numpy.linalg as _numpy

from ..api.build import fill as _fill
from . import recorded as _recorded

__all__ = _fill(globals(), _numpy, (_recorded,))


def __getattr__(name):
    return getattr(_numpy, name)
