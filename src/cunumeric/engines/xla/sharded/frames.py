"""Thin parts of what is cut, in the block of the device that needs them.

A row that is computed from rows of the same device's block (`p[0] = p[1]`, a wall) concerns that device alone, and one
that is computed from another device's row concerns those two. So each device takes elements of its own block, as many
as are meant and from the same place; those of the owner are the ones that count, and all others are thrown away when
the result is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .spread import Spread, cropped, mapped, padded, passed, rank


def _even(jx: Any, a: Any, spread: Spread) -> Any:
    """`a`, padded to parts of one length."""
    return padded(jx, a, [-(-n // parts) * parts for n, parts in zip(a.shape, spread.parts, strict=True)])


def held(jx: Any, value: Any, spread: Spread, axis: int, start: int, size: int, to: int) -> Any:
    """Elements `start` to `start + size` of a cut axis, which lie on one device, on the one that has element `to`. The
    result has `size` elements for each device; those of the others are not to be looked at."""
    names, parts = spread.sides[axis], spread.parts[axis]
    block = -(-value.shape[axis] // parts)

    def kernel(x: Any) -> Any:
        part = jx.lax.slice_in_dim(x, start % block, start % block + size, axis=axis)
        if start // block == to // block:
            return part
        return jx.lax.ppermute(part, names, [(start // block, to // block)])

    found = mapped(jx, kernel, [spread], spread)(_even(jx, value, spread))
    return cropped(jx, found, [parts * size if k == axis else n for k, n in enumerate(value.shape)])


def spanned(jx: Any, value: Any, spread: Spread, axis: int, start: int, n: int) -> Any:
    """What each device has along `axis`, in its block of an axis of length `n`, where the owner's part begins at
    `start`. Padded, not repeated: XLA would compute what is repeated for every element."""
    size, block = value.shape[axis] // spread.parts[axis], -(-n // spread.parts[axis])
    low = start % block

    def kernel(x: Any) -> Any:
        widths = [(low, block - low - size, 0) if k == axis else (0, 0, 0) for k in range(x.ndim)]
        return jx.lax.pad(x, np.zeros((), x.dtype), widths)

    found = mapped(jx, kernel, [spread], spread)(_even(jx, value, spread))
    return cropped(jx, found, [n if k == axis else m for k, m in enumerate(value.shape)])


def shifted(jx: Any, value: Any, spread: Spread, axis: int, by: int) -> Any:
    """`value` with each element `by` places further along a cut axis, by no more than a block: each device gets a few
    elements from one neighbour. They are joined with the rest, which is faster to compute on than a selection between
    the two (a stencil of 16384² on two H200 0.89 ms and 1.48)."""
    names, parts = spread.sides[axis], spread.parts[axis]
    block = -(-value.shape[axis] // parts)

    def kernel(x: Any) -> Any:
        keep, send = (0, block - by) if by > 0 else (-by, 0)
        rest = jx.lax.slice_in_dim(x, keep, keep + block - abs(by), axis=axis)
        near = jx.lax.slice_in_dim(x, send, send + abs(by), axis=axis)
        near = passed(jx, near, names, parts, 1 if by > 0 else -1)
        return jx.lax.concatenate([near, rest] if by > 0 else [rest, near], axis)

    found = mapped(jx, kernel, [spread], spread)(_even(jx, value, spread))
    return cropped(jx, found, value.shape)


def repeated(jx: Any, value: Any, axis: int, times: int) -> Any:
    """`value` for each of so many devices."""
    shape: Sequence[int] = value.shape
    wide = jx.np.broadcast_to(jx.lax.expand_dims(value, [axis]), (*shape[:axis], times, *shape[axis:]))
    return wide.reshape(*shape[:axis], times * shape[axis], *shape[axis + 1 :])


def put(
    jx: Any, old: Any, value: Any, spread: Spread, starts: Sequence[int], sizes: Sequence[int], held: Sequence[int]
) -> Any:
    """`old` with a thin part changed in its place. `value` has of the axes `held` what each device has, along other cut
    axes of which a part is meant all that there is, and along those that are not cut the part itself."""
    shape = old.shape

    def kernel(x: Any, value: Any) -> Any:
        mine, at = jx.np.ones(value.shape, bool), []
        for k, (start, size, n) in enumerate(zip(starts, sizes, shape, strict=True)):
            block, cut = x.shape[k], spread.parts[k] > 1
            at.append(start % block if k in held or not cut else 0)
            if cut and size < n:
                here = jx.lax.broadcasted_iota(np.int64, value.shape, k) + at[k] + rank(jx, spread.sides[k]) * block
                mine &= (here >= start) & (here < start + size)
        was = jx.lax.slice(x, at, [a + n for a, n in zip(at, value.shape, strict=True)])
        return jx.lax.dynamic_update_slice(x, jx.lax.select(mine, value, was), at)

    found = mapped(jx, kernel, [spread, spread], spread)(_even(jx, old, spread), _even(jx, value, spread))
    return cropped(jx, found, shape)
