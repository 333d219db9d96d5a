"""Counting values into bins.

Each thread counts its own blocks; integer counts add up exactly. Sums of weights are kept by block, in NumPy's order.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .sorting import searchsorted
from .support import INTEGERS, REALS, crew, plain, run, run_blocks

# Elements for which a thread is worth starting, and NumPy's block: weights are summed by block, and in what order
# shows in the last bit.
LEAST = 1 << 18
BLOCK = 65536
# More bins than this, and the partial counts of the blocks no longer fit the cache.
MOST_BINS = 8192
# The same for `bincount`, where every block is added to the counts of its thread.
COUNT_LEAST = 262144
COUNT_BLOCK = 131072
MOST_COUNTS = 16384

_SOURCES = INTEGERS + REALS


def _outer_edges(a: np.ndarray, given: object, parts: int) -> tuple | None:
    """The lowest and the highest edge, as NumPy takes them from `range` or from the data; None where it raises."""
    low: Any
    high: Any
    if given is not None:
        if type(given) not in (tuple, list) or len(given) != 2:  # type: ignore[arg-type]
            return None
        low, high = given  # type: ignore[misc]
        if not all(type(edge) in (int, float, np.float64) for edge in (low, high)):
            return None
    else:
        extrema = []

        def body(start: int, stop: int) -> None:
            block = a[start:stop]
            extrema.append((block.min(), block.max()))

        if not run_blocks(body, a.size, BLOCK, parts):
            return None
        lows, highs = zip(*extrema, strict=True)
        # NaN in any block must show here.
        low, high = np.min(lows), np.max(highs)
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        return None
    if low == high:
        low, high = low - 0.5, high + 0.5
    return low, high


def _span(low, high):
    """`high - low`, without overflow of integers and in the dtype that NumPy gives it."""
    dtype = np.result_type(low, high)
    if dtype.kind in "iu":
        return np.dtype(dtype.char.upper()).type(int(high) - int(low))
    return np.subtract(high, low, dtype=dtype)


def bincount(x, weights=None, minlength=0):
    """`np.bincount(x, minlength=minlength)` without weights: a sum of floats shows its order in the last bit."""
    if weights is not None or not plain(x, INTEGERS) or x.ndim != 1 or x.dtype.char in "LQ":
        return NotImplemented
    parts = crew(x.size, COUNT_LEAST)
    # Threads read the data twice where NumPy keeps it in cache: two of them gain next to nothing.
    if parts < 3 or type(minlength) is not int or not 0 <= minlength <= MOST_COUNTS:
        return NotImplemented
    starts = iter(range(0, x.size, COUNT_BLOCK))
    sums: list[np.ndarray] = []
    unfit: list[int] = []

    def body(_part: int) -> None:
        total = np.zeros(minlength, np.intp)
        for start in starts:
            block = x[start : start + COUNT_BLOCK]
            if unfit or block.max() >= MOST_COUNTS:
                unfit.append(start)
                return
            try:
                counts = np.bincount(block, minlength=total.size)
            except ValueError:
                # A negative number.
                unfit.append(start)
                return
            counts[: total.size] += total
            total = counts
        sums.append(total)

    run(body, parts)
    if unfit:
        return NotImplemented
    result = max(sums, key=len)
    for counts in sums:
        if counts is not result:
            result[: counts.size] += counts
    return result


def histogram(a, bins=10, range=None, density=None, weights=None):
    """`np.histogram(a, bins, range, density, weights)` for a number of equal bins; weights of float64 or none."""
    if not (plain(a, _SOURCES) and a.flags.c_contiguous):
        return NotImplemented
    parts = crew(a.size, LEAST)
    if parts == 1 or type(bins) is bool or isinstance(bins, (str, np.ndarray)):
        return NotImplemented
    try:
        count = operator.index(bins)
    except TypeError:
        return NotImplemented
    if not 1 <= count <= MOST_BINS:
        return NotImplemented
    if weights is not None and not (plain(weights, "d") and weights.shape == a.shape and weights.flags.c_contiguous):
        return NotImplemented
    values = a.reshape(-1)
    outer = _outer_edges(values, range, parts)
    if outer is None:
        return NotImplemented
    low, high = outer
    try:
        with np.errstate(all="raise"):
            edges = np.histogram_bin_edges(values[:1], count, (low, high))
            span = _span(low, high)
    except (ValueError, OverflowError, FloatingPointError):
        return NotImplemented
    if edges.dtype.char not in "efd":
        return NotImplemented
    weighted = None if weights is None else weights.reshape(-1)
    partial: list[np.ndarray | None] = [None] * (-(-values.size // BLOCK))

    def body(start: int, stop: int) -> None:
        block = values[start:stop]
        share = None if weighted is None else weighted[start:stop]
        inside = block >= low
        inside &= block <= high
        if not inside.all():
            chosen = np.flatnonzero(inside)
            block = block.take(chosen)
            share = None if share is None else share.take(chosen)
        block = block.astype(edges.dtype, copy=False)
        # The scaled distance from the lowest edge says the bin, up to one at the edges.
        scaled = np.subtract(block, low)
        scaled = scaled / span
        scaled *= count
        bin_ = scaled.astype(np.intp)
        np.minimum(bin_, count - 1, out=bin_)
        bin_ -= block < edges.take(bin_)
        above = block >= edges.take(bin_ + 1)
        above &= bin_ != count - 1
        bin_ += above
        partial[start // BLOCK] = np.bincount(bin_, share, count)

    if not run_blocks(body, values.size, BLOCK, parts):
        return NotImplemented
    total = np.zeros(count, np.intp if weights is None else np.float64)
    for counts in partial:
        total += counts  # type: ignore[arg-type]
    if density:
        widths = np.array(np.diff(edges), float)
        return total / widths / total.sum(), edges
    return total, edges


def digitize(x, bins, right=False):
    """`np.digitize(x, bins, right)` for monotonic bins, which is a search among them."""
    if not (plain(x, "?" + _SOURCES) and plain(bins, _SOURCES) and bins.ndim == 1 and type(right) is bool):
        return NotImplemented
    if bins.size == 0:
        return NotImplemented
    side = "left" if right else "right"
    if (bins[1:] >= bins[:-1]).all():
        return searchsorted(bins, x, side)
    if not (bins[1:] <= bins[:-1]).all():
        return NotImplemented
    found = searchsorted(bins[::-1], x, side)
    if found is not NotImplemented:
        np.subtract(bins.size, found, out=found)
    return found
