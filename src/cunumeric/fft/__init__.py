"""NumPy's `fft` over our arrays; batches and several axes are transformed on every core."""

import numpy.fft as _numpy

from ..api.build import fill as _fill
from . import transforms as _transforms

__all__ = _fill(globals(), _numpy, (_transforms,))


def __getattr__(name):
    return getattr(_numpy, name)
