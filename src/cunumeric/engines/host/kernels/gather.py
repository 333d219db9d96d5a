"""Gather and scatter: `take`, `a[index]`, `a[mask]`, their assignments, `nonzero`, `compress`.

Work is dealt in blocks whose index stays in the core's cache between the bounds check and the gather.
`np.take(..., out=, mode='wrap')` is NumPy's fastest gather (`mode='raise'` buffers its output), so bounds are checked
first; 'wrap' then does exactly what negative indices mean.
"""

from __future__ import annotations

import math

import numpy as np

from cunumeric.runtime import memory

from .. import native
from .support import INTEGERS, crew, normal_axis, plain, run_blocks, writable

# Elements of a block, and the fewest elements for which a thread is worth starting.
BLOCK = 32768
TAKE_LEAST = 65536
ALONE_LEAST = 65536  # elements that one thread gathers in C sooner than NumPy does for `a[index]`
MASK_LEAST = 65536
NONZERO_LEAST = 262144
COMPRESS_LEAST = 1 << 22  # NumPy's has no branch either
# NumPy tests a mask element by element, which is slow where the branch is mispredicted: between these densities.
SPARSE, DENSE = 0.07, 0.85
# Outside of them it runs at memory's speed: only four threads or more are worth starting, for so many elements each.
EASY_MASK_LEAST = 1_000_000
SET_LEAST = 262144

_INTP = np.dtype(np.intp)


def _index(index: object) -> bool:
    """Whether NumPy takes `index` as positions and every value of its dtype fits intp."""
    return plain(index, INTEGERS) and index.dtype.char not in "LQ"  # type: ignore[attr-defined]


def _in_c(a: np.ndarray) -> bool:
    """Whether elements of `a` are gathered in C, where checked positions cost nothing more."""
    return native.available() and a.ndim == 1 and a.flags.c_contiguous and a.itemsize in (1, 2, 4, 8, 16)


def _gather(rows: np.ndarray, index: np.ndarray, out: np.ndarray, mode: str, parts: int) -> bool:
    """`out[k] = rows[index[k]]`; False when a position is out of bounds (`out` is then in part written)."""
    n = len(rows)
    outside: list[int] = []
    check = mode == "raise"
    contiguous = rows.flags.c_contiguous
    plainly = check and _in_c(rows) and out.flags.c_contiguous

    def body(start: int, stop: int) -> None:
        block = index[start:stop]
        if plainly:
            if outside or not native.gather(rows, block.astype(_INTP, copy=False), out[start:stop]):
                outside.append(start)
        elif check and (outside or block.min() < -n or block.max() >= n):
            outside.append(start)
        elif contiguous:
            np.take(rows, block.astype(_INTP, copy=False), 0, out[start:stop], "wrap" if check else mode)  # type: ignore[call-overload]
        else:
            # np.take would first copy the whole of `rows`.
            out[start:stop] = rows[block]

    width = max(1, out.size // max(1, len(out)))
    run_blocks(body, len(index), max(1, BLOCK // width), parts)
    return not outside


def _inside(index: np.ndarray, n: int, parts: int) -> bool:
    """Whether every position of the 1-D `index` is one of `n`."""
    outside: list[int] = []

    def body(start: int, stop: int) -> None:
        block = index[start:stop]
        if outside or block.min() < -n or block.max() >= n:
            outside.append(start)

    run_blocks(body, len(index), BLOCK, parts)
    return not outside


def take(a, indices, axis=None, out=None, mode="raise"):
    """`np.take(a, indices, axis, out, mode)` for C-contiguous `a` and an array of positions."""
    if not (plain(a) and _index(indices) and a.flags.c_contiguous and a.ndim and a.size):
        return NotImplemented
    if mode not in ("raise", "wrap", "clip"):
        return NotImplemented
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis = normal_axis(axis, a.ndim)
    if axis is None:
        return NotImplemented
    before = math.prod(a.shape[:axis])
    parts = crew(before * indices.size * math.prod(a.shape[axis + 1 :]), TAKE_LEAST)
    if parts == 1:
        return NotImplemented
    shape = a.shape[:axis] + indices.shape + a.shape[axis + 1 :]
    index = indices.reshape(-1)
    if out is not None and not (
        writable(out, shape, a.dtype, a, indices) and (mode != "raise" or _inside(index, a.shape[axis], parts))
    ):
        return NotImplemented
    if out is None:
        result = memory.empty(shape, a.dtype)
    else:
        result = out
    if before == 1:
        rows = a.reshape(a.shape[axis], -1) if a.ndim > axis + 1 else a.reshape(-1)
        flat = result.reshape(index.size, *rows.shape[1:])
        return result if _gather(rows, index, flat, mode, parts) else NotImplemented
    if mode == "raise":
        if out is None and not _inside(index, a.shape[axis], parts):
            return NotImplemented
        mode = "wrap"
    index = index.astype(_INTP, copy=False)
    source = a.reshape(before, a.shape[axis], -1)
    target = result.reshape(before, index.size, -1)

    def body(start: int, stop: int) -> None:
        np.take(source[start:stop], index, 1, target[start:stop], mode)

    run_blocks(body, before, max(1, BLOCK // (target.shape[1] * target.shape[2])), parts)
    return result


def getitem_index(a, index):
    """`a[index]` for one array of positions along the first axis."""
    if not _index(index) or (index.size < ALONE_LEAST and a.ndim == 1):
        return NotImplemented
    if not (plain(a) and index.ndim and index.flags.c_contiguous and a.size):
        return NotImplemented
    if not (a.ndim == 1 or (a.ndim and a.flags.c_contiguous)):
        return NotImplemented
    width = a.size // len(a)
    parts = crew(index.size * width, TAKE_LEAST)
    if parts == 1 and not _in_c(a):
        return NotImplemented
    result = memory.empty(index.shape + a.shape[1:], a.dtype)
    if parts == 1:
        flat = index.reshape(-1).astype(_INTP, copy=False)
        return result if native.gather(a, flat, result.reshape(-1)) else NotImplemented
    rows = a if a.ndim == 1 else a.reshape(len(a), width)
    flat = result.reshape(index.size, *rows.shape[1:])
    return result if _gather(rows, index.reshape(-1), flat, "raise", parts) else NotImplemented


def _offsets(mask: np.ndarray, size: int) -> list[int]:
    """How many True come before each block of `size`, and the total last."""
    offsets = [0]
    for start in range(0, len(mask), size):
        offsets.append(offsets[-1] + int(np.count_nonzero(mask[start : start + size])))
    return offsets


def _mask_rows(a: np.ndarray, mask: object) -> tuple[np.ndarray, np.ndarray] | None:
    """`a` as rows (elements when the mask covers every axis) and the mask as 1-D, where no copy is needed."""
    if not (plain(a) and plain(mask, "?") and a.flags.c_contiguous and mask.flags.c_contiguous):  # type: ignore
        return None
    if mask.ndim == 0 or a.shape[: mask.ndim] != mask.shape or not a.size:  # type: ignore[attr-defined]
        return None
    flat = mask.reshape(-1)  # type: ignore[attr-defined]
    rows = a.reshape(-1) if a.ndim == mask.ndim else a.reshape(flat.size, -1)  # type: ignore[attr-defined]
    return rows, flat


def _mask_crew(elements: int, flat: np.ndarray) -> int:
    """Threads for reading or writing `elements` under the mask; 0 means: leave it to NumPy."""
    if elements < MASK_LEAST or flat.size < 2:
        return 0
    sample = flat[:: max(1, flat.size // 1024)]
    density = np.count_nonzero(sample) / sample.size
    if SPARSE < density < DENSE:
        # Positions have no branch to mispredict, and win on one thread too, unless rows are long.
        parts = crew(elements, MASK_LEAST)
        return parts if parts > 1 or elements < 16 * flat.size else 0
    parts = crew(elements, EASY_MASK_LEAST)
    return parts if parts >= 4 and density else 0


def _positions_win(chosen: int, length: int) -> bool:
    """Whether a block is read faster through the positions of its True than by its mask."""
    return SPARSE * length < chosen < DENSE * length


def getitem_mask(a, mask):
    """`a[mask]` for a boolean mask over the leading axes.

    Each block by the way that is faster for its density.
    """
    pair = _mask_rows(a, mask)
    parts = 0 if pair is None else _mask_crew(a.size, pair[1])
    if pair is None or not parts:
        return NotImplemented
    rows, flat = pair
    width = rows.size // len(rows)
    size = max(1, BLOCK // width)
    offsets = _offsets(flat, size)
    result = memory.empty((offsets[-1], *a.shape[mask.ndim :]), a.dtype)
    target = result.reshape(offsets[-1], *rows.shape[1:])

    def body(start: int, stop: int) -> None:
        low, high = offsets[start // size], offsets[start // size + 1]
        if high - low == stop - start:
            target[low:high] = rows[start:stop]
        elif _positions_win(high - low, stop - start):
            np.take(rows[start:stop], np.flatnonzero(flat[start:stop]), 0, target[low:high], "wrap")
        elif high > low:
            target[low:high] = rows[start:stop][flat[start:stop]]

    run_blocks(body, len(rows), size, parts)
    return result


def compress(condition, a, axis=None, out=None):
    """`np.compress` along the first axis (or of a flat array) for a boolean condition as long as that axis."""
    if not (plain(a) and plain(condition, "?") and condition.ndim == 1 and a.ndim and out is None):
        return NotImplemented
    if axis is None and a.flags.c_contiguous:
        a = a.reshape(-1)
    elif axis is None or normal_axis(axis, a.ndim) != 0:
        return NotImplemented
    if crew(a.size, COMPRESS_LEAST) == 1:
        return NotImplemented
    return getitem_mask(a, condition)


def flatnonzero(a):
    """`np.flatnonzero(a)` for C-contiguous `a`."""
    if not (plain(a) and a.flags.c_contiguous):
        return NotImplemented
    parts = crew(a.size, NONZERO_LEAST)
    # NumPy finds the positions in booleans at a rate that two threads, which must count first, do not reach.
    if parts == 1 or (a.dtype.char == "?" and parts < 4):
        return NotImplemented
    flat = a.reshape(-1)
    if flat.dtype.char != "?":
        # One pass of comparisons, after which counting and finding are both many times faster.
        truth = memory.empty(flat.shape, np.dtype(bool))
        numbers = flat

        def test(start: int, stop: int) -> None:
            np.not_equal(numbers[start:stop], 0, out=truth[start:stop])

        run_blocks(test, flat.size, BLOCK, parts)
        flat = truth
    offsets = _offsets(flat, BLOCK)
    result = memory.empty((offsets[-1],), _INTP)

    def body(start: int, stop: int) -> None:
        low, high = offsets[start // BLOCK], offsets[start // BLOCK + 1]
        np.add(np.flatnonzero(flat[start:stop]), start, out=result[low:high])

    run_blocks(body, flat.size, BLOCK, parts)
    return result


def nonzero(a):
    """`a.nonzero()`: 1-D; for more axes NumPy's result is one block of rows, which is left to it."""
    if not (plain(a) and a.ndim == 1):
        return NotImplemented
    found = flatnonzero(a)
    return found if found is NotImplemented else (found,)


def _constant(value: object, dtype: np.dtype) -> np.ndarray | None:
    """`value` as a 0-d array of `dtype`, where NumPy would cast it without a word."""
    if type(value) not in (bool, int, float, complex) and not isinstance(value, np.generic):
        return None
    try:
        with np.errstate(all="raise"):
            exact = np.asarray(value)
            if exact.dtype.kind not in "biufc" or (exact.dtype.kind == "c" and dtype.kind != "c"):
                return None
            constant = np.empty((), dtype)
            constant[()] = value
            return constant
    except Exception:
        return None


def setitem_index(a, index, value):
    """`a[index] = value` for a scalar value, where the order of the writes does not matter. None when done."""
    if not _index(index) or index.size < 2 * SET_LEAST:
        return NotImplemented
    if not (plain(a) and a.ndim == 1 and a.flags.writeable and a.size):
        return NotImplemented
    if np.may_share_memory(a, index):
        return NotImplemented
    parts = crew(index.size, SET_LEAST)
    constant = _constant(value, a.dtype)
    if parts == 1 or constant is None or not index.flags.c_contiguous:
        return NotImplemented
    flat = index.reshape(-1)
    if not _inside(flat, a.size, parts):
        return NotImplemented

    def body(start: int, stop: int) -> None:
        a[flat[start:stop]] = constant

    run_blocks(body, flat.size, BLOCK, parts)
    return None


def put(a, ind, v, mode="raise"):
    """`np.put(a, ind, v)` for a scalar `v` and C-contiguous `a`. None when done."""
    if mode != "raise" or not (plain(a) and a.flags.c_contiguous and a.ndim):
        return NotImplemented
    return setitem_index(a.reshape(-1), ind, v)


def setitem_mask(a, mask, value):
    """`a[mask] = value` for a scalar, or for a 1-D array of `a`'s dtype with one value for each True.

    None when done.
    """
    pair = _mask_rows(a, mask)
    if pair is None or a.ndim != mask.ndim or not a.flags.writeable:
        return NotImplemented
    parts = _mask_crew(a.size, pair[1])
    if not parts:
        return NotImplemented
    if np.may_share_memory(a, mask):
        return NotImplemented
    flat, chosen = pair
    constant = _constant(value, a.dtype)
    if constant is None and not (
        plain(value) and value.ndim == 1 and value.dtype == a.dtype and not np.may_share_memory(a, value)
    ):
        return NotImplemented
    offsets = _offsets(chosen, BLOCK)
    if constant is None and offsets[-1] != value.size:
        return NotImplemented

    def body(start: int, stop: int) -> None:
        low, high = offsets[start // BLOCK], offsets[start // BLOCK + 1]
        where = chosen[start:stop]
        if _positions_win(high - low, stop - start):
            where = np.flatnonzero(where)
        flat[start:stop][where] = value[low:high] if constant is None else constant

    run_blocks(body, flat.size, BLOCK, parts)
    return None
