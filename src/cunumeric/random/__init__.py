"""NumPy's `random` over our arrays: NumPy's own generators, so that seeds mean what they mean in NumPy."""

import numpy.random as _numpy

from ..api.build import fill as _fill
from .generators import (  # noqa: F401
    MT19937,
    PCG64,
    PCG64DXSM,
    SFC64,
    Generator,
    Philox,
    RandomState,
    SeedSequence,
    default_rng,
    shuffle,
)

__all__ = _fill(globals(), _numpy)


def __getattr__(name):
    return getattr(_numpy, name)
