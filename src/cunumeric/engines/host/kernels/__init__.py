"""Parallel kernels for what NumPy does with one thread.

Each takes plain `np.ndarray`s and NumPy's own arguments, and either gives NumPy's result, bit for bit, or returns
`NotImplemented` before anything has changed: the case is not supported, too small to win, or an error or a warning
that NumPy itself has to report. The caller then calls NumPy.
"""

from .gather import (
    compress,
    flatnonzero,
    getitem_index,
    getitem_mask,
    nonzero,
    put,
    setitem_index,
    setitem_mask,
    take,
    where3,
)
from .transforms import fft, fft2, fftn, ifft, ifft2, ifftn, irfft, irfft2, irfftn, rfft, rfft2, rfftn

__all__ = [
    "compress",
    "fft",
    "fft2",
    "fftn",
    "flatnonzero",
    "getitem_index",
    "getitem_mask",
    "ifft",
    "ifft2",
    "ifftn",
    "irfft",
    "irfft2",
    "irfftn",
    "nonzero",
    "put",
    "rfft",
    "rfft2",
    "rfftn",
    "setitem_index",
    "setitem_mask",
    "take",
    "where3",
]
