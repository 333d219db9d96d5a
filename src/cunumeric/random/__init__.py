"""NumPy's `random` over our arrays: NumPy's own generators, so that seeds mean what they mean in NumPy."""

import numpy.random as _numpy

from ..api.build import fill as _fill
from .generators import Generator, RandomState, default_rng  # noqa: F401

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
