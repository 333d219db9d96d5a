"""NumPy's own `core`: it has no arrays of ours to know about."""

from numpy import core as _numpy


def __getattr__(name):
    return getattr(_numpy, name)
