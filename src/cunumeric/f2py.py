"""NumPy's own `f2py`: it has no arrays of ours to know about."""

from numpy import f2py as _numpy


def __getattr__(name):
    return getattr(_numpy, name)
