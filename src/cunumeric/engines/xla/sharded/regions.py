"""Reading and writing part of an array that is cut, at a place that is known only when the program runs.

*A thin part* (a row, a few columns): each device looks whether it has some of it. For a read, what they have is added
up as bits, so that NaN and zeros keep theirs; a write changes a window of the owner's memory in place.

*A thick one* is moved by whole devices, in log2(devices) steps of which each is taken or not, and then by less than a
device's part, from the neighbour; then it lies at a place that is known. Memory is twice the share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .movement import window
from .spread import Spread, cropped, is_cut, mapped, rank

# A part below this share of a device's is thin.
_THIN = 4
# The same where the place is known, and a thicker part is cheap.
_FEW = 64


def _thin(value: Any, sizes: Sequence[int], spread: Spread) -> bool:
    """Whether every device may have all that lies along the axes of which a part is meant."""
    block = [-(-n // parts) for n, parts in zip(value.shape, spread.parts, strict=True)]
    part = [b if size == n else size for b, n, size in zip(block, value.shape, sizes, strict=True)]
    fits = all(size <= b for size, b in zip(part, block, strict=True))
    return fits and (_THIN * math.prod(part) <= math.prod(block) or math.prod(part) <= 1024)


def cuts(jx: Any, shape: tuple[int, ...], sizes: Sequence[int]) -> bool:
    """Whether a part of such sizes is a part of an axis that is cut."""
    return any(size != n and is_cut(jx, shape, k) for k, (n, size) in enumerate(zip(shape, sizes, strict=True)))


def few(jx: Any, part: Any, whole: tuple[int, ...]) -> Any:
    """A part of an array of shape `whole`; if it is a thin part of what is cut, it is on every device along that side,
    and cut along the other. Left to itself XLA's partitioner would cut the whole array as it wants to have a row of
    it."""
    spread = Spread.at_rest(jx, whole)
    sides = [names if 2 * size >= n else () for names, n, size in zip(spread.sides, whole, part.shape, strict=True)]
    result = Spread(jx, sides)
    if _FEW * math.prod(part.shape) * math.prod(spread.parts) > math.prod(whole) * math.prod(result.parts):
        return part
    return jx.lax.with_sharding_constraint(part, jx.mesh.named(tuple(result.spec)))


def _windows(jx: Any, x: Any, starts: Sequence[Any], sizes: Sequence[int], spread: Spread, moving: list[int]) -> Any:
    """In a kernel: where on this device's block the part's window begins, and for each cut axis the numbers, in the
    part, of the window's elements."""
    begin: list[Any] = [jx.np.zeros((), np.int64)] * x.ndim
    numbers = {}
    for k in moving:
        start = jx.np.asarray(starts[k]).astype(np.int64)
        if spread.parts[k] > 1:
            first = rank(jx, spread.sides[k]).astype(np.int64) * x.shape[k]
            begin[k] = jx.np.clip(start - first, 0, x.shape[k] - sizes[k])
            numbers[k] = jx.lax.iota(np.int64, sizes[k]) + (begin[k] + first - start)
        else:
            begin[k] = start
    return begin, numbers


def _inside(jx: Any, numbers: dict[int, Any], shape: Sequence[int], sizes: Sequence[int]) -> Any:
    found = np.bool_(True)
    for k, number in numbers.items():
        found = found & jx.lax.broadcast_in_dim((number >= 0) & (number < sizes[k]), shape, (k,))
    return found


def read(jx: Any, value: Any, starts: Sequence[Any], sizes: Sequence[int]) -> Any:
    """`dynamic_slice`."""
    spread = Spread.at_rest(jx, value.shape)
    moving = [k for k, n in enumerate(value.shape) if sizes[k] != n]
    if not _thin(value, sizes, spread):
        return _thick_read(jx, value, starts, sizes)
    cut = [k for k in moving if spread.parts[k] > 1]
    names = sum([spread.sides[k] for k in cut], ())
    result = Spread(jx, [() if k in cut else sides for k, sides in enumerate(spread.sides)])

    def kernel(x: Any, starts: Any) -> Any:
        begin, numbers = _windows(jx, x, starts, sizes, spread, moving)
        shape = [sizes[k] if k in moving else n for k, n in enumerate(x.shape)]
        part = jx.lax.dynamic_slice(x, begin, shape)
        for k, number in numbers.items():  # the window may begin before the part
            wanted = jx.lax.iota(np.int64, sizes[k]) - number[0]
            part = jx.np.take(part, jx.np.clip(wanted, 0, sizes[k] - 1), k, mode="clip")
            numbers[k] = jx.np.where((wanted >= 0) & (wanted < sizes[k]), 0, -1)
        inside = _inside(jx, numbers, shape, sizes)
        return _of_bits(jx, [jx.lax.psum(jx.np.where(inside, b, 0), names) for b in _bits(jx, part)], x.dtype)

    fitted = spread.fitted(value)
    whole = Spread(jx, [()])
    at = jx.np.stack([jx.np.asarray(s).astype(np.int64) for s in starts])
    found = mapped(jx, kernel, [spread, whole], result)(fitted, at)
    return cropped(jx, found, sizes)


def _bits(jx: Any, x: Any) -> list[Any]:
    if x.dtype.kind == "c":
        return [b for v in (x.real, x.imag) for b in _bits(jx, v)]
    if x.dtype.kind == "b":
        return [x.astype(np.uint8)]
    return [x if x.dtype.kind in "iu" else jx.lax.bitcast_convert_type(x, np.dtype(f"u{x.dtype.itemsize}"))]


def _of_bits(jx: Any, bits: list[Any], dtype: np.dtype) -> Any:
    if dtype.kind == "c":
        half = np.dtype(f"f{dtype.itemsize // 2}")
        return jx.lax.complex(*[_of_bits(jx, [b], half) for b in bits])
    if dtype.kind == "b":
        return bits[0] != 0
    return bits[0] if dtype.kind in "iu" else jx.lax.bitcast_convert_type(bits[0], dtype)


def write(jx: Any, value: Any, source: Any, starts: Sequence[Any]) -> Any:
    """`dynamic_update_slice`."""
    spread = Spread.at_rest(jx, value.shape)
    sizes = source.shape
    moving = [k for k, n in enumerate(value.shape) if sizes[k] != n]
    if not _thin(value, sizes, spread):
        return _thick_write(jx, value, source, starts)
    given = Spread(jx, [() if k in moving else sides for k, sides in enumerate(spread.sides)])

    def kernel(x: Any, source: Any, starts: Any) -> Any:
        begin, numbers = _windows(jx, x, starts, sizes, spread, moving)
        shape = source.shape
        old = jx.lax.dynamic_slice(x, begin, shape)
        for k, number in numbers.items():
            source = jx.np.take(source, jx.np.clip(number, 0, sizes[k] - 1), k, mode="clip")
        new = jx.lax.select(jx.np.broadcast_to(_inside(jx, numbers, shape, sizes), shape), source, old)
        return jx.lax.dynamic_update_slice(x, new, begin)

    whole = Spread(jx, [()])
    at = jx.np.stack([jx.np.asarray(s).astype(np.int64) for s in starts])
    found = mapped(jx, kernel, [spread, given, whole], spread)(spread.fitted(value), given.fitted(source), at)
    return cropped(jx, found, value.shape)


# -- thick parts -------------------------------------------------------------------------------------------------------


def _turned(jx: Any, a: Any, axis: int, by: Any) -> Any:
    """`a` with elements `by` and after of a cut axis moved to its beginning; those before come last, behind padding."""
    spread = Spread.at_rest(jx, a.shape)
    names, parts = spread.sides[axis], spread.parts[axis]

    def kernel(x: Any, by: Any) -> Any:
        block = x.shape[axis]
        devices, rest = by // block, by % block
        step = 1
        while step < parts:
            moved = jx.lax.ppermute(x, names, [(k, (k - step) % parts) for k in range(parts)])
            x = jx.np.where(devices // step % 2 == 1, moved, x)
            step *= 2
        following = jx.lax.ppermute(x, names, [(k, (k - 1) % parts) for k in range(parts)])
        place = jx.lax.iota(np.int64, block) + rest
        own = jx.np.take(x, jx.np.minimum(place, block - 1), axis, mode="clip")
        other = jx.np.take(following, jx.np.maximum(place - block, 0), axis, mode="clip")
        mine = jx.lax.broadcast_in_dim(place < block, x.shape, (axis,))
        return jx.lax.select(mine, own, other)

    whole = Spread(jx, [])
    found = mapped(jx, kernel, [spread, whole], spread)(spread.fitted(a), jx.np.asarray(by).astype(np.int64))
    return cropped(jx, found, [found.shape[k] if k == axis else n for k, n in enumerate(a.shape)])


def _thick_read(jx: Any, value: Any, starts: Sequence[Any], sizes: Sequence[int]) -> Any:
    for k, size in enumerate(sizes):
        n = value.shape[k]
        if size == n:
            continue
        if is_cut(jx, value.shape, k):
            value = window(jx, _turned(jx, value, k, starts[k]), k, 0, size)
        else:
            value = jx.lax.dynamic_slice_in_dim(value, starts[k], size, k)
    return value


def _thick_write(jx: Any, value: Any, source: Any, starts: Sequence[Any]) -> Any:
    inside: Any = np.bool_(True)
    for k, n in enumerate(value.shape):
        size = source.shape[k]
        if size == n:
            continue
        start = jx.np.asarray(starts[k]).astype(np.int64)
        place = jx.lax.broadcasted_iota(np.int64, value.shape, k)
        inside = inside & (place >= start) & (place < start + size)
        shape = (*source.shape[:k], n, *source.shape[k + 1 :])
        if is_cut(jx, shape, k):
            source = window(jx, source, k, 0, n)
            length = -(-n // jx.mesh.parts(shape)[k]) * jx.mesh.parts(shape)[k]
            source = window(jx, _turned(jx, source, k, length - start), k, 0, n)
        else:
            source = jx.lax.dynamic_update_slice_in_dim(jx.np.zeros(shape, source.dtype), source, start, k)
    return jx.np.where(inside, source, value)
