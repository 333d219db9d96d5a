"""Parallel kernels for what NumPy does with one thread.

Each takes plain `np.ndarray`s and NumPy's own arguments, and either gives NumPy's result, bit for bit, or returns
`NotImplemented` before anything has changed: the case is not supported, too small to win, or an error or a warning
that NumPy itself has to report. The caller then calls NumPy.

`random` is not imported here: it needs `numpy.random`, which NumPy itself imports only when it is used.
"""

from . import count, gather, scan, transforms
from .choose import where3
from .count import bincount, digitize, histogram
from .gather import compress, flatnonzero, getitem_index, getitem_mask, nonzero, put, setitem_index, setitem_mask, take
from .scan import accumulate, cumprod, cumsum
from .select import argmax, argmin
from .sorting import argpartition, argsort, partition, searchsorted, sort, sort_into, unique
from .transforms import fft, fft2, fftn, ifft, ifft2, ifftn, irfft, irfft2, irfftn, rfft, rfft2, rfftn

# Elements from which on a kernel answers at all, where the largest array says so: a call below is NumPy's from C.
LEAST = {
    "bincount": 3 * count.COUNT_LEAST,
    "compress": 2 * gather.COMPRESS_LEAST,
    "flatnonzero": 2 * gather.NONZERO_LEAST,
    "histogram": 2 * count.LEAST,
    "nonzero": 2 * gather.NONZERO_LEAST,
    "take": 2 * gather.TAKE_LEAST,
    **dict.fromkeys(("fft", "ifft", "rfft", "fft2", "ifft2", "rfft2", "fftn", "ifftn", "rfftn"), 2 * transforms.LEAST),
    **dict.fromkeys(("irfft", "irfft2", "irfftn"), transforms.LEAST),  # twice as much comes of it
}

# Dtypes of which a kernel takes an array of one axis, where that is not all that it takes.
LANES = {"cumsum": scan.SUMS_OF_LANES, "cumprod": ""}

__all__ = [
    "accumulate",
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "bincount",
    "compress",
    "cumprod",
    "cumsum",
    "digitize",
    "fft",
    "fft2",
    "fftn",
    "flatnonzero",
    "getitem_index",
    "getitem_mask",
    "histogram",
    "ifft",
    "ifft2",
    "ifftn",
    "irfft",
    "irfft2",
    "irfftn",
    "nonzero",
    "partition",
    "put",
    "rfft",
    "rfft2",
    "rfftn",
    "searchsorted",
    "setitem_index",
    "setitem_mask",
    "sort",
    "sort_into",
    "take",
    "unique",
    "where3",
]
