"""Contiguous slices of each device's block go to other devices, and stand there one behind the other.

XLA's `all_to_all` has slices of one length, the data decide the lengths here. So slices travel in rounds, as many as
the longest slice needs; what stays on its device does not travel. Slices of usual length, a block over the number of
devices, take two rounds: what is on the way is then one block, beside the source and the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .spread import rank, rotated

# What is computed for each element of a block is computed for an eighth of them at a time: where XLA does not fuse, the
# intermediate values are as small. Below so many elements at once.
_PIECES = 8
_PIECES_FROM = 1 << 14


def by_pieces(jx: Any, f: Callable[..., list[Any]], into: list[Any], beside: list[Any] | None = None) -> list[Any]:
    """Arrays whose elements at the positions i are `f(i, old)`, or with `beside` `f(i, old, others)`; these are the
    elements there of `into` and `beside`. f may be called twice for a position."""
    n = into[0].shape[0]
    if n < _PIECES_FROM:
        return f(jx.lax.iota(np.int32, n), into, *([] if beside is None else [beside]))
    size = -(-n // _PIECES)
    kind = np.int32 if n < 2**30 else np.int64

    def piece(k: Any, arrays: list[Any]) -> list[Any]:
        first = jx.np.minimum(k * size, n - size)
        given = [arrays] if beside is None else [arrays, beside]
        parts = [[jx.lax.dynamic_slice_in_dim(x, first, size) for x in group] for group in given]
        new = f(first + jx.lax.iota(kind, size), *parts)
        return [jx.lax.dynamic_update_slice_in_dim(x, y, first, 0) for x, y in zip(arrays, new, strict=True)]

    return jx.lax.fori_loop(np.asarray(0, kind), np.asarray(_PIECES, kind), piece, into)


def emptied(jx: Any, blocks: list[Any], length: int) -> list[Any]:
    """Arrays to be filled, of so many rows like those of `blocks`."""
    return [jx.np.zeros((length, *x.shape[1:]), x.dtype) for x in blocks]


def cumulated(jx: Any, counts: Any) -> Any:
    """Where runs of these lengths begin that stand one behind the other, and where the last one ends."""
    return jx.np.concatenate([jx.np.zeros((1,), counts.dtype), jx.np.cumsum(counts, dtype=counts.dtype)])


def exchanged(jx: Any, blocks: list[Any], begin: Any, count: Any, length: int) -> list[Any]:
    """For each device its slices of all blocks, by the order of the devices, in `length` rows; what lies behind them is
    anything. Device s gives `count[s, d]` rows from row `begin[s, d]` on to device d; both tables are known to all.
    """
    names, parts = jx.mesh.names, jx.mesh.size
    me, rows = rank(jx, names), blocks[0].shape[0]
    usual = -(-rows // (2 * parts))
    width = min(rows, usual + 8 * math.isqrt(usual))
    room = min(width, length)
    starts = cumulated(jx, jx.lax.dynamic_index_in_dim(count, me, 1, keepdims=False))[:-1]

    def own(i: Any, _: list[Any]) -> list[Any]:
        at = jx.np.clip(begin[me, me] + i - starts[me], 0, rows - 1)
        return [block[at] for block in blocks]

    far = jx.np.where(jx.np.eye(parts, dtype=bool), 0, count).max()

    def one_round(state: tuple[Any, list[Any]]) -> tuple[Any, list[Any]]:
        r, found = state
        done = r * width
        first = jx.np.clip(begin + done, 0, rows - width)  # a slice that would pass the end begins earlier
        late = (begin + done - first)[:, me]
        came = []
        for block in blocks:
            slices = [jx.lax.dynamic_slice_in_dim(block, first[me, d], width) for d in range(parts)]
            flat = jx.lax.all_to_all(jx.np.stack(slices), names, 0, 0)
            came.append(flat.reshape((parts * width, *block.shape[1:])))

        def placed(k: Any, found: list[Any]) -> list[Any]:
            source = (me + 1 + k) % parts
            start = starts[source] + done
            window = jx.np.clip(start, 0, length - room)
            within = window - start + jx.lax.iota(begin.dtype, room)
            here = (within >= 0) & (within < jx.np.minimum(count[source, me] - done, width))
            at = source * width + jx.np.clip(within + late[source], 0, width - 1)
            new = []
            for x, y in zip(came, found, strict=True):
                old = jx.lax.dynamic_slice_in_dim(y, window, room)
                row = jx.np.where(here.reshape((-1,) + (1,) * (x.ndim - 1)), x[at], old)
                new.append(jx.lax.dynamic_update_slice_in_dim(y, row, window, 0))
            return new

        return r + 1, jx.lax.fori_loop(0, parts - 1, placed, found)

    state = jx.np.zeros((), begin.dtype), by_pieces(jx, own, emptied(jx, blocks, length))
    return jx.lax.while_loop(lambda s: s[0] * width < far, one_round, state)[1]


def handed(jx: Any, block: Any, begin: Any, count: Any, length: int, fill: Any) -> Any:
    """Like `exchanged`, for slices of one block in any order, with `fill` behind them: this device's own slice first.
    One round, where no slice for another device is longer than usual."""
    lax, names, parts = jx.lax, jx.mesh.names, jx.mesh.size
    me, rows = rank(jx, names), block.shape[0]
    usual = -(-rows // parts)
    width = min(rows, usual + (usual >> 4) + 8)
    room = min(width, length)
    turns = lax.iota(np.int32, parts)
    source, target = (me - turns) % parts, (me + turns) % parts  # so many places before this device, and behind it
    counts = count[source, me]
    starts = cumulated(jx, counts)
    far = jx.np.where(jx.np.eye(parts, dtype=bool), 0, count).max()

    def one_round(state: tuple[Any, Any]) -> tuple[Any, Any]:
        done, found = state
        first = jx.np.clip(begin + done, 0, rows - width)  # a window that would pass the end begins earlier
        late = begin + done - first
        windows = [lax.dynamic_slice_in_dim(block, first[me, target[k]], width) for k in range(1, parts)]
        for k, window in enumerate(rotated(jx, windows, names, parts), 1):
            start = starts[k] + done
            at = jx.np.clip(start, 0, length - room)
            within = at - start + lax.iota(begin.dtype, room)
            here = (within >= 0) & (within < jx.np.minimum(counts[k] - done, width))
            came = window[jx.np.clip(within + late[source[k], me], 0, width - 1)]
            old = lax.dynamic_slice_in_dim(found, at, room)
            found = lax.dynamic_update_slice_in_dim(found, jx.np.where(here, came, old), at, 0)
        return done + width, found

    i = lax.iota(begin.dtype, length)
    own = block[jx.np.clip(begin[me, me] + i, 0, rows - 1)]
    own = jx.np.where(i < counts[0], own, np.asarray(fill, block.dtype))
    # Not one with what comes from the others, for which it would wait.
    state = one_round((jx.np.zeros((), begin.dtype), lax.optimization_barrier(own)))
    return lax.while_loop(lambda s: s[0] < far, one_round, state)[1]
