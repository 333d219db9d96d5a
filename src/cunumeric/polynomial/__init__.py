"""NumPy's `polynomial` over our arrays."""

import numpy.polynomial as _numpy

from ..api.build import fill as _fill
from . import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial  # noqa: F401

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
