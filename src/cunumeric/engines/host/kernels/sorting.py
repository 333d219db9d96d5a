"""Sorting, searching sorted data, distinct values.

A long 1-D sort into other memory is a sample sort (Frazer and McKellar, "Samplesort", 1970): pivots from a sample cut
the values into buckets; elements are dealt to the buckets, which lie in the result one after another, and each is
sorted in place. It needs a byte an element beside the result. The outcome of a comparison is a number there, not a
branch: dealing to 256 buckets costs less than the eight rounds of a quicksort that it saves, where NumPy's takes 2 ns
a round and an element; where it takes less than half of one, threads have four buckets each, or one, to which the
processor deals a register at a time (`native.sort_split`: all of it in C). Elements are dealt in their order, so that a
stable sort stays stable.

Where the buckets would be uneven (few distinct values), for complex numbers and without C, sorted runs are merged (Shi
and Schaeffer, "Parallel sorting by regular sampling", 1992): each thread sorts one run; cuts at equal ranks are found
by bisection in every run; each thread then merges its share of all runs, for which NumPy's stable sort (which finds
runs and merges them) is the fastest tool at hand. Equal values are cut in the order of the runs, so heavy duplicates
stay balanced and a stable sort stays stable to the bit.

N-D: the lanes are split. Strided lanes are transposed into contiguous scratch first.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable

import numpy as np

from cunumeric.runtime import memory, threads

from .. import native
from .gather import getitem_mask
from .support import INTEGERS, NUMBERS, REALS, crew, normal_axis, plain, run, run_blocks

# Elements for which a thread is worth starting: one long lane, many lanes, needles to be searched.
LONG_LEAST = 65536
LANES_LEAST = 8192
PARTED_LEAST = 65536  # elements of lanes that are partitioned
SEARCH_LEAST = 16384
UNIQUE_LEAST = 4096
# Elements of a block of lanes or needles.
BLOCK = 16384
# Samples of each run from which the cuts are chosen.
SAMPLES = 256
# Elements that a bucket should have, samples for each, and the most buckets (what a byte can name).
BUCKET, SAMPLED, BUCKETS_MOST = 4096, 16, 256
# Seconds an element in which NumPy sorts so many at best, where many buckets do not pay. Its vectors need compressed
# stores, which AMD's Zen 4 does in microcode: 20 ns, and 53 of millions; on Intel's processors 4, and 10 of millions.
QUICK, MEASURED = 10e-9, 4096
QUICK_LEAST = 1 << 20  # elements of a lane for which threads are worth it there, if not by `native.sort_split`

_INTP = np.dtype(np.intp)
_KINDS = (None, "quicksort", "heapsort", "mergesort", "stable")
# NumPy sorts these by radix when asked for a stable sort: several times faster, and equal values are identical.
_RADIX = "?bBhH"


def _kind(kind: object, stable: object) -> str | None:
    """'quicksort' or 'stable', or None where NumPy has to judge the arguments."""
    if stable is not None:
        return None if kind is not None or type(stable) is not bool else "stable" if stable else "quicksort"
    if kind is not None and type(kind) is not str:
        return None
    if kind not in _KINDS:
        return None
    return "stable" if kind in ("stable", "mergesort") else "quicksort"


def _cuts(runs: list[np.ndarray], parts: int) -> list[list[int]]:
    """For each of `parts + 1` cuts, the position in every sorted run; the shares between two cuts are about equal."""
    sample = np.concatenate([run[:: max(1, run.size // SAMPLES)] for run in runs])
    sample.sort()
    total = sum(run.size for run in runs)
    cuts = [[0] * len(runs)]
    for part in range(1, parts):
        rank = total * part // parts
        pivot = sample[sample.size * part // parts]
        low = [int(np.searchsorted(run, pivot, "left")) for run in runs]
        high = [int(np.searchsorted(run, pivot, "right")) for run in runs]
        # Of the elements equal to the pivot, as many as the rank asks for, from the first runs first.
        wanted = rank - sum(low)
        cut = []
        for first, last in zip(low, high, strict=True):
            taken = min(max(wanted, 0), last - first)
            wanted -= taken
            cut.append(first + taken)
        cuts.append(cut)
    cuts.append([run.size for run in runs])
    return cuts


class _Buckets:
    """The elements of the 1-D `a` of real numbers in buckets, one after the other: `edges` are where they begin."""

    def __init__(self, a: np.ndarray, pivots: np.ndarray, parts: int) -> None:
        self.ranges = threads.split(a.size, parts)
        counts = np.zeros((parts, pivots.size + 1), _INTP)  # of each thread's elements, in each bucket
        self.ids = memory.empty(a.shape, np.dtype(np.uint8))

        def classify(part: int) -> None:
            start, stop = self.ranges[part]
            native.classify(a[start:stop], pivots, self.ids[start:stop], counts[part])

        run(classify, parts)
        sizes = counts.sum(0)
        self.largest = int(sizes.max())
        self.edges = [0, *np.cumsum(sizes).tolist()]
        self.places = self.edges[:-1] + np.cumsum(counts, 0) - counts

    def deal(self, part: int, elements: np.ndarray, out: np.ndarray) -> None:
        """A thread's elements to its places in the buckets of `out`, in their order."""
        start, stop = self.ranges[part]
        native.deal(elements, self.ids[start:stop], self.places[part], out)

    def each(self, body: Callable[[slice], object]) -> None:
        """`body(bucket)` for all of them; a free thread takes the next."""

        def several(start: int, stop: int) -> None:
            for k in range(start, stop):
                body(slice(self.edges[k], self.edges[k + 1]))

        run_blocks(several, len(self.edges) - 1, 4, len(self.ranges))


@functools.cache
def _sorts_quickly(dtype: np.dtype) -> bool:
    """Whether NumPy sorts these so quickly that threads should have a few buckets each, and no more."""
    x = (np.arange(MEASURED, dtype=np.uint32) * np.uint32(2654435761) >> np.uint32(8)).astype(dtype)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        np.sort(x)
        times.append(time.perf_counter() - start)
    return min(times) < QUICK * x.size


def _pivots(a: np.ndarray, count: int) -> np.ndarray | None:
    """Values that cut `a` into so many parts about equal; None where there are none, or buckets are not C's."""
    if a.dtype.kind not in "fiu" or a.itemsize not in (4, 8) or not native.available():
        return None
    sample = np.sort(a[:: max(1, a.size // (SAMPLED * max(count, SAMPLES)))])
    if sample[-1] != sample[-1]:
        sample = sample[sample == sample]
    return sample[[sample.size * k // count for k in range(1, count)]] if sample.size else None


def _buckets(a: np.ndarray, parts: int, quick: bool) -> _Buckets | None:
    """Buckets for so many threads, few if they are sorted quickly; None where they would be uneven, or not C's."""
    least = 1 << (4 * parts - 1).bit_length()
    count = min(BUCKETS_MOST, least if quick else max(least, 1 << (a.size // BUCKET).bit_length()))
    pivots = _pivots(a, count)
    if pivots is None:
        return None
    found = _Buckets(a, pivots, parts)
    return found if found.largest * parts <= 1.25 * a.size else None


def _beside(a: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Where `a` may be dealt to while it is read: `out`, or memory of its own where the two share theirs."""
    return memory.empty(a.shape, a.dtype) if np.may_share_memory(a, out) else out


def _dealt(a: np.ndarray, out: np.ndarray, kind: str, parts: int) -> bool:
    """Sort the 1-D `a` into the contiguous `out`, which may be `a`; False, with nothing done, where that is not by
    buckets."""
    quick = kind != "stable" and _sorts_quickly(a.dtype)
    if quick and parts <= native.split_most():
        pivots = _pivots(a, parts)
        return pivots is not None and native.sort_split(a, pivots, _beside(a, out), out)
    buckets = _buckets(a, parts, quick)
    if buckets is None:
        return False
    dealt = _beside(a, out)
    run(lambda part: buckets.deal(part, a[slice(*buckets.ranges[part])], dealt), parts)

    def sort_bucket(bucket: slice) -> None:
        dealt[bucket].sort(kind=kind)  # type: ignore[arg-type]
        if dealt is not out:
            out[bucket] = dealt[bucket]

    buckets.each(sort_bucket)
    return True


def _dealt_argsort(a: np.ndarray, parts: int) -> np.ndarray | None:
    """The stable order of the 1-D `a`; None where that is not found by buckets."""
    buckets = _buckets(a, parts, False)
    if buckets is None:
        return None
    values, before, order = (memory.empty(a.shape, dtype) for dtype in (a.dtype, _INTP, _INTP))

    def deal(part: int) -> None:
        start, stop = buckets.ranges[part]
        buckets.deal(part, a[start:stop], values)
        buckets.deal(part, np.arange(start, stop), before)

    run(deal, parts)
    buckets.each(lambda k: np.take(before[k], values[k].argsort(kind="stable"), 0, order[k], "wrap"))
    return order


def _long(a: np.ndarray, out: np.ndarray, kind: str, parts: int) -> None:
    """Sort the 1-D `a` into the contiguous `out`, which may be `a`."""
    work = memory.empty(a.shape, a.dtype)
    runs = [work[start:stop] for start, stop in threads.split(a.size, parts)]
    edges = [0]
    for block in runs:
        edges.append(edges[-1] + block.size)

    def sort_run(part: int) -> None:
        runs[part][...] = a[edges[part] : edges[part + 1]]
        runs[part].sort(kind=kind)  # type: ignore[arg-type]

    run(sort_run, parts)
    cuts = _cuts(runs, parts)
    starts = [sum(cut) for cut in cuts]

    def merge(part: int) -> None:
        share = out[starts[part] : starts[part + 1]]
        pieces = [run[low:high] for run, low, high in zip(runs, cuts[part], cuts[part + 1], strict=True)]
        np.concatenate(pieces, out=share)
        share.sort(kind="stable")

    run(merge, parts)


def _lanes(method: str, args: tuple, kind: dict, a: np.ndarray, axis: int, out: np.ndarray, parts: int) -> None:
    """`out[lane] = a[lane].method(*args, **kind)` for every lane of C-contiguous arrays along `axis`; `sort` and
    `partition` work in place on a copy, the `arg` methods return."""
    m = a.shape[axis]
    before, after = math.prod(a.shape[:axis]), math.prod(a.shape[axis + 1 :])
    source, target = a.reshape(before, m, after), out.reshape(before, m, after)
    inner = min(max(1, BLOCK // m), after)
    outer = max(1, BLOCK // (m * inner)) if inner == after else 1
    across, down = -(-after // inner), -(-before // outer)

    def body(start: int, stop: int) -> None:
        for block in range(start, stop):
            i, j = divmod(block, across)
            rows, columns = slice(i * outer, (i + 1) * outer), slice(j * inner, (j + 1) * inner)
            lanes = source[rows, :, columns].transpose(0, 2, 1)
            if method.startswith("arg"):
                lanes = getattr(np.ascontiguousarray(lanes), method)(*args, axis=-1, **kind)
            else:
                lanes = lanes.copy()
                getattr(lanes, method)(*args, axis=-1, **kind)
            target[rows, :, columns] = lanes.transpose(0, 2, 1)

    run_blocks(body, across * down, 1, parts)


def _sort(a, axis, kind, out):
    """Sort C-contiguous `a` into `out` (None: new memory; may be `a`), or NotImplemented."""
    lanes = a.size // a.shape[axis] if a.size else 0
    if lanes == 1:
        a_flat = a.reshape(-1)
        if a.dtype.char in _RADIX:
            if a.size < UNIQUE_LEAST or (kind == "stable" and out is None):
                return NotImplemented
            if out is None:
                out = memory.empty(a.shape, a.dtype)
                out[...] = a
            out.reshape(-1).sort(kind="stable")
            return out
        parts = crew(a.size, LONG_LEAST)
        if parts == 1:
            return NotImplemented
        if a.dtype.kind in "iu":
            # Equal integers are identical: the unstable sort is stable.
            kind = "quicksort"
        few = native.available() and parts > native.split_most() and a.size < QUICK_LEAST
        if kind != "stable" and few and _sorts_quickly(a.dtype):
            return NotImplemented
        if out is None:
            out = memory.empty(a.shape, a.dtype)
        if not _dealt(a_flat, out.reshape(-1), kind, parts):
            _long(a_flat, out.reshape(-1), kind, parts)
        return out
    if a.dtype.char in _RADIX and a.size and a.shape[axis] > 256:
        kind = "stable"
    parts = min(crew(a.size, LANES_LEAST), lanes)
    if parts <= 1 or a.shape[axis] < 2:
        return NotImplemented
    if out is None:
        out = memory.empty(a.shape, a.dtype)
    _lanes("sort", (), {"kind": kind}, a, axis, out, parts)
    return out


def sort(a, axis=-1, kind=None, *, stable=None):
    """`np.sort(a, axis, kind, stable=stable)`. Equal values that differ in their bits (0.0 and -0.0, NaNs) keep
    their order in a stable sort; in others it is as undefined as NumPy's."""
    name = _kind(kind, stable)
    if name is None or not plain(a, NUMBERS) or a.ndim == 0:
        return NotImplemented
    if axis is None and a.flags.c_contiguous:
        a, axis = a.reshape(-1), 0
    axis = normal_axis(axis, a.ndim)
    if axis is None:
        return NotImplemented
    if a.flags.c_contiguous:
        return _sort(a, axis, name, None)
    if a.flags.f_contiguous:
        # NumPy's copy keeps the order of memory.
        result = _sort(a.T, a.ndim - 1 - axis, name, None)
        return result if result is NotImplemented else result.T
    return NotImplemented


def sort_into(a, axis=-1, kind=None, *, stable=None):
    """`a.sort(axis, kind, stable=stable)`; None when done."""
    name = _kind(kind, stable)
    if name is None or not plain(a, NUMBERS) or a.ndim == 0 or not a.flags.writeable:
        return NotImplemented
    axis = normal_axis(axis, a.ndim)
    if axis is None:
        return NotImplemented
    if a.flags.c_contiguous:
        result = _sort(a, axis, name, a)
    elif a.flags.f_contiguous:
        result = _sort(a.T, a.ndim - 1 - axis, name, a.T)
    else:
        result = NotImplemented
    return result if result is NotImplemented else None


def _long_argsort(a: np.ndarray, parts: int) -> np.ndarray:
    """The stable order of the 1-D `a`."""
    edges = threads.split(a.size, parts)
    values, order = memory.empty(a.shape, a.dtype), memory.empty(a.shape, _INTP)
    runs = [values[start:stop] for start, stop in edges]

    def sort_run(part: int) -> None:
        start, stop = edges[part]
        found = a[start:stop].argsort(kind="stable")
        np.take(a[start:stop], found, 0, values[start:stop], "wrap")
        np.add(found, start, out=order[start:stop])

    run(sort_run, parts)
    cuts = _cuts(runs, parts)
    starts = [sum(cut) for cut in cuts]
    result = memory.empty(a.shape, _INTP)

    def merge(part: int) -> None:
        spans = [slice(edges[k][0] + cuts[part][k], edges[k][0] + cuts[part + 1][k]) for k in range(parts)]
        found = np.concatenate([values[span] for span in spans]).argsort(kind="stable")
        before = np.concatenate([order[span] for span in spans])
        np.take(before, found, 0, result[starts[part] : starts[part + 1]], "wrap")

    run(merge, parts)
    return result


def argsort(a, axis=-1, kind=None, *, stable=None):
    """`np.argsort`: many lanes of any kind, one long lane of a stable kind (ties are otherwise NumPy's to break)."""
    name = _kind(kind, stable)
    if name is None or not (plain(a, NUMBERS) and a.ndim and a.flags.c_contiguous):
        return NotImplemented
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis = normal_axis(axis, a.ndim)
    if axis is None or not a.size:
        return NotImplemented
    lanes = a.size // a.shape[axis]
    if lanes == 1:
        parts = crew(a.size, LONG_LEAST)
        if parts == 1 or name != "stable" or a.dtype.char in _RADIX:
            return NotImplemented
        order = _dealt_argsort(a.reshape(-1), parts)
        return memory.shaped(_long_argsort(a.reshape(-1), parts) if order is None else order, a.shape)
    parts = min(crew(a.size, LANES_LEAST), lanes)
    if parts == 1 or a.shape[axis] < 2:
        return NotImplemented
    result = memory.empty(a.shape, _INTP)
    _lanes("argsort", (), {"kind": name}, a, axis, result, parts)
    return result


def _partition(method: str, a, kth, axis, kind, dtype):
    if type(kth) is not int or kind != "introselect" or not (plain(a, NUMBERS) and a.ndim and a.flags.c_contiguous):
        return NotImplemented
    axis = normal_axis(axis, a.ndim)
    if axis is None or not a.size or not -a.shape[axis] <= kth < a.shape[axis]:
        return NotImplemented
    parts = min(crew(a.size, PARTED_LEAST), a.size // a.shape[axis])
    if parts == 1:
        return NotImplemented
    result = memory.empty(a.shape, dtype or a.dtype)
    _lanes(method, (kth,), {"kind": kind}, a, axis, result, parts)
    return result


def partition(a, kth, axis=-1, kind="introselect"):
    """`np.partition` of several lanes about one position."""
    return _partition("partition", a, kth, axis, kind, None)


def argpartition(a, kth, axis=-1, kind="introselect"):
    """`np.argpartition` of several lanes about one position."""
    return _partition("argpartition", a, kth, axis, kind, _INTP)


def searchsorted(a, v, side="left", sorter=None):
    """`np.searchsorted(a, v, side, sorter)` for an array of needles."""
    if not (plain(a, NUMBERS) and plain(v, NUMBERS) and a.ndim == 1 and a.size and v.flags.c_contiguous):
        return NotImplemented
    parts = crew(v.size, SEARCH_LEAST)
    if parts == 1 or side not in ("left", "right"):
        return NotImplemented
    if sorter is not None and not (
        plain(sorter, INTEGERS) and sorter.shape == a.shape and sorter.dtype == _INTP and sorter.flags.c_contiguous
        and sorter.min() >= 0 and sorter.max() < a.size
    ):  # fmt: skip
        return NotImplemented
    dtype = np.promote_types(a.dtype, v.dtype)
    if dtype.char not in NUMBERS:
        return NotImplemented
    # Once here, not again for every block.
    haystack = np.ascontiguousarray(a, dtype)
    needles, result = v.reshape(-1), memory.empty(v.shape, _INTP)
    flat = result.reshape(-1)

    def body(start: int, stop: int) -> None:
        flat[start:stop] = haystack.searchsorted(needles[start:stop].astype(dtype, copy=False), side, sorter)

    run_blocks(body, needles.size, BLOCK, parts)
    return result


def _distinct_integers(a: np.ndarray) -> np.ndarray | None:
    """Distinct values of integers that span a range not much larger than their number: marked in a table."""
    low, high = int(a.min()), int(a.max())
    span = high - low + 1
    if span > 2 * a.size:
        return None
    table = np.zeros(span, bool)
    for start in range(0, a.size, BLOCK):
        # Wraps around for the far ends of the widest types, which is still the right distance.
        table[np.subtract(a[start : start + BLOCK], low, dtype=_INTP, casting="unsafe")] = True
    return np.add(np.flatnonzero(table), low, dtype=np.intp).astype(a.dtype, copy=False)


def unique(
    ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True, sorted=True
):
    """`np.unique`: the distinct values alone, sorted, of integers and real numbers."""
    if return_index or return_inverse or return_counts or axis is not None or sorted is not True:
        return NotImplemented
    if not plain(ar, INTEGERS + REALS) or not ar.flags.c_contiguous or type(equal_nan) is not bool:
        return NotImplemented
    a = ar.reshape(-1)
    if a.size < UNIQUE_LEAST:
        return NotImplemented
    if a.dtype.kind in "iu":
        if a.dtype.char not in "LQ":
            found = _distinct_integers(a)
            if found is not None:
                return found
        sample = a[:: max(1, a.size // 4096)]
        if np.unique(sample).size * 2 < sample.size:
            return NotImplemented
        # NumPy's hash table loses to a sort by far when most values are distinct.
        ordered = sort(a)
        if ordered is NotImplemented:
            ordered = np.sort(a)
    else:
        ordered = sort(a)
        if ordered is NotImplemented:
            return NotImplemented
        if equal_nan and ordered[-1] != ordered[-1]:
            ordered = ordered[: int(np.searchsorted(ordered, ordered[-1], "left")) + 1]
    fresh = np.empty(ordered.shape, bool)
    fresh[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    found = getitem_mask(ordered, fresh)
    return np.compress(fresh, ordered) if found is NotImplemented else found
