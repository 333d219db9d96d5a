"""NumPy's `ma.extras` over our arrays."""

import numpy.ma.extras as _numpy

from ..api.build import fill as _fill
from ..api.indexing_tricks import Grid as _Grid

mr_ = _Grid(_numpy.mr_)
__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
