"""NumPy's `lib.npyio` over our arrays."""

import numpy.lib.npyio as _numpy

from ..api.build import fill as _fill

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
