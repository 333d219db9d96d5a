"""Scans: `ufunc.accumulate`, `cumsum`, `cumprod`.

N-D: the other axes are split, each lane runs in NumPy's order, so every bit is NumPy's. Along an axis that is not the
last, whole rows are combined (`out[i] = out[i-1] op a[i]`): the same operations in the same order as NumPy's walk down
each column, but contiguous.

1-D: two passes. Each part's start needs the reduction of all that comes before, which NumPy's unrolled reductions give
several times faster than a scan. Integers, extrema and logic are exact. Floating-point sums begin each part from a
pairwise sum, whose rounding error is below a running sum's, and are the same on every run with as many threads.
"""

from __future__ import annotations

import math

import numpy as np

from cunumeric.runtime import memory, threads

from .support import INTEGERS, NUMBERS, crew, normal_axis, plain, run, run_blocks, writable

# Elements for which a thread is worth starting, and those of a block that passes through scratch.
LEAST = 65536
BLOCK = 16384
# Along an axis that is not the last: shorter rows, and smaller arrays, cost more in calls than they save.
ROW = 512
ROWS_LEAST = 16384
# With two threads the second also reduces the first one's share (a tenth of the time of its scan), and carries a value
# from block to block (another tenth): the first gets so much of the array.
FIRST_SHARE = 0.55

# Of one lane, parts are added up apart: numbers that round (NumPy adds up integers at memory's speed).
SUMS_OF_LANES = "fdFD"
_SUMS = SUMS_OF_LANES + INTEGERS
_EXTREMA = (np.maximum, np.minimum, np.fmax, np.fmin)
_BITS = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)
_LOGIC = (np.logical_and, np.logical_or, np.logical_xor)


def _result_dtype(ufunc: np.ufunc, dtype: np.dtype, wanted: object) -> np.dtype | None:
    """The dtype in which NumPy accumulates, or None where it is not one that a kernel takes."""
    if ufunc is np.add or ufunc is np.multiply:
        if wanted is not None:
            try:
                result = np.dtype(wanted)  # type: ignore[call-overload]
            except TypeError:
                return None
            fits = result.isnative and result.char in "e" + _SUMS and np.can_cast(dtype, result, "safe")
            return result if fits else None
        if dtype.kind in "bi" and dtype.itemsize < np.dtype(np.int_).itemsize:
            return np.dtype(np.int_)
        if dtype.kind == "u" and dtype.itemsize < np.dtype(np.uint).itemsize:
            return np.dtype(np.uint)
        return dtype
    if wanted is not None:
        return None
    if ufunc in _EXTREMA:
        return dtype
    if (ufunc in _BITS and dtype.char in "?" + INTEGERS) or (ufunc in _LOGIC and dtype.char == "?"):
        return dtype
    return None


def _splits(ufunc: np.ufunc, dtype: np.dtype) -> bool:
    """Whether parts of one lane may be combined, exactly or at least as accurately as a running sum, to any gain.

    Floating-point products overflow and underflow by their order. NumPy adds up integers, and combines their bits, at
    memory's speed.
    """
    if ufunc is np.add:
        return dtype.char in SUMS_OF_LANES
    if ufunc in _EXTREMA:
        return dtype.char not in "eFD"
    return ufunc is np.logical_and or ufunc is np.logical_or


def _edges(n: int, parts: int) -> list[int]:
    """Where to cut `n` items."""
    if parts == 2:
        return [0, int(n * FIRST_SHARE), n]
    return [0, *(stop for _start, stop in threads.split(n, parts))]


def _continued(ufunc: np.ufunc, a: np.ndarray, out: np.ndarray, carry: np.generic | None) -> None:
    """Accumulate `a` into `out` as the continuation of a scan whose last value is `carry`."""
    if carry is None:
        ufunc.accumulate(a, out=out, dtype=out.dtype)
        return
    scratch = np.empty(min(BLOCK, a.size), out.dtype)
    first = np.empty(1, out.dtype)
    for start in range(0, a.size, BLOCK):
        block = scratch[: min(BLOCK, a.size - start)]
        block[...] = a[start : start + block.size]
        first[0] = carry
        ufunc(first, block[:1], out=block[:1])
        target = out[start : start + block.size]
        ufunc.accumulate(block, out=target)
        carry = target[-1]


def _lane(ufunc: np.ufunc, a: np.ndarray, out: np.ndarray, parts: int) -> bool:
    """One lane in two passes; False when NumPy has to do (and report) it."""
    edges = _edges(a.size, parts)
    totals: list[np.generic | None] = [None] * parts
    # A running sum of nothing but -0.0 is -0.0; from the identity 0.0 it would be 0.0.
    zero = {"f": -0.0, "c": complex(-0.0, -0.0)}.get(out.dtype.kind, 0)

    def reduce(part: int) -> None:
        block = a[edges[part] : edges[part + 1]]
        if ufunc is np.add:
            totals[part] = ufunc.reduce(block, dtype=out.dtype, initial=zero)
        else:
            totals[part] = ufunc.reduce(block, dtype=out.dtype)

    def accumulate(part: int) -> None:
        carry = None
        if part:
            if parts == 2:
                reduce(0)
            carry = totals[0]
            for before in range(1, part):
                carry = ufunc(carry, totals[before])
            if ufunc in _EXTREMA and out.dtype.kind == "f" and carry == 0:
                signed_zero.append(part)
                return
        _continued(ufunc, a[edges[part] : edges[part + 1]], out[edges[part] : edges[part + 1]], carry)

    # The sign of a zero among the extrema depends on the order of comparisons.
    signed_zero: list[int] = []
    if parts > 2 and not run(reduce, parts - 1):
        return False
    return run(accumulate, parts) and not signed_zero


def _rows(ufunc: np.ufunc, a: np.ndarray, out: np.ndarray, parts: int) -> bool:
    """Along the middle axis of `(before, lane, after)`, a band of columns at a time."""
    before, length, after = a.shape
    bands = max(1, min(-(-before * parts // before), after // ROW)) if before < parts else 1
    width = -(-after // bands)

    def body(start: int, stop: int) -> None:
        for band in range(start, stop):
            outer, column = divmod(band, bands)
            columns = slice(column * width, min((column + 1) * width, after))
            source, target = a[outer, :, columns], out[outer, :, columns]
            target[0] = source[0]
            for i in range(1, length):
                ufunc(target[i - 1], source[i], out=target[i], dtype=out.dtype)

    return run_blocks(body, before * bands, 1, parts)


def accumulate(ufunc, a, axis=0, dtype=None, out=None):
    """`ufunc.accumulate(a, axis, dtype, out)` for sums, products, extrema, logical and bitwise ufuncs."""
    if not (plain(a, NUMBERS) and a.ndim and type(ufunc) is np.ufunc):
        return NotImplemented
    axis = normal_axis(axis, a.ndim)
    parts = crew(a.size, LEAST)
    if axis is None:
        return NotImplemented
    result_dtype = _result_dtype(ufunc, a.dtype, dtype)
    if result_dtype is None or not (a.ndim == 1 or a.flags.c_contiguous):
        return NotImplemented
    if out is not None and (not writable(out, a.shape, result_dtype, a) or (dtype is None and result_dtype != a.dtype)):
        return NotImplemented
    before, after = math.prod(a.shape[:axis]), math.prod(a.shape[axis + 1 :])
    if before * after == 1:
        # A strided lane is slower to reduce than it is worth.
        if parts == 1 or not a.flags.c_contiguous or not _splits(ufunc, result_dtype):
            return NotImplemented
        if result_dtype.char in SUMS_OF_LANES and result_dtype != a.dtype:
            return NotImplemented
        result = memory.empty(a.shape, result_dtype) if out is None else out
        done = _lane(ufunc, a.reshape(-1), result.reshape(-1), parts)
        return result if done else NotImplemented
    source_shape = (before, a.shape[axis], after)
    # NumPy's complex product of rows fuses a multiplication and an addition, its scan does not.
    by_rows = after >= ROW and a.size >= ROWS_LEAST and not (ufunc is np.multiply and result_dtype.kind == "c")
    if not by_rows and min(parts, before) == 1:
        return NotImplemented
    result = memory.empty(a.shape, result_dtype) if out is None else out
    source, target = a.reshape(source_shape), result.reshape(source_shape)
    if by_rows:
        done = _rows(ufunc, source, target, parts)
    else:

        def body(start: int, stop: int) -> None:
            ufunc.accumulate(source[start:stop], 1, result_dtype, target[start:stop])

        size = max(1, min(BLOCK // (a.shape[axis] * after), -(-before // parts)))
        done = run_blocks(body, before, size, min(parts, before))
    return result if done else NotImplemented


def _flat(ufunc, a, axis, dtype, out):
    if axis is None and plain(a):
        if not a.flags.c_contiguous:
            return NotImplemented
        a, axis = a.reshape(-1), 0
    return accumulate(ufunc, a, axis, dtype, out)


def cumsum(a, axis=None, dtype=None, out=None):
    """`np.cumsum`."""
    return _flat(np.add, a, axis, dtype, out)


def cumprod(a, axis=None, dtype=None, out=None):
    """`np.cumprod`."""
    return _flat(np.multiply, a, axis, dtype, out)
