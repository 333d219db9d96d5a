"""Sorts along a cut axis.

Each device sorts its own block, once. Where the blocks have to be split so that every device ends with as many elements
as before is found exactly (`runs.split`), the pieces change places (`exchange`), and each device merges what it got
(`runs.merged`). Nothing depends on chance or on how the keys are distributed, there is no second sort, and the result
is stable.

Where a radix sort is faster than a merge, and nothing has to follow the keys, the blocks are not sorted before they are
split but afterwards: a sample tells about where to split, and what is near goes to both sides (`_overlapping`). That is
as exact, and where the sample tells wrong, or many elements near a split are equal, the blocks are sorted before as
well.

Where another axis is long enough, that one is cut instead: two transposes between the devices, and local sorts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....ops.lowering.radix import arranged, by_digits
from .exchange import cumulated, exchanged, handed
from .runs import merged, place_in, split
from .spread import Spread, mapped, rank

# Elements of each device from which where to split is guessed, and blocks so long that it is.
_SAMPLE = 1 << 15
_SAMPLED_FROM = 1 << 8


def last(dtype: Any) -> Any:
    """What no key of `dtype` comes behind."""
    return np.iinfo(dtype).max


def in_order(jx: Any, operands: list[Any], num_keys: int, axis: int) -> list[Any]:
    """Operands of one shape, sorted along an axis by the first `num_keys` of them, unsigned: `lax.sort`,
    stable."""
    shape, parts = operands[0].shape, jx.mesh.size
    others = [k for k in range(len(shape)) if k != axis]
    longest = max(others, key=lambda k: shape[k], default=None)
    if longest is not None and shape[longest] >= parts:
        return _beside(jx, operands, num_keys, axis, longest)
    if not shape[axis]:
        return operands
    order = [*others, axis]
    line = Spread.line(jx, 2, 1)
    rows = [line.laid(jx.lax.transpose(x, order).reshape(-1, shape[axis])) for x in operands]
    if rows[0].shape[0] >= parts:
        found = [line.laid(x) for x in _beside(jx, rows, num_keys, 1, 0)]
    else:
        found = _across(jx, rows, num_keys)
    back = [order.index(k) for k in range(len(shape))]
    return [jx.lax.transpose(x.reshape([shape[k] for k in order]), back) for x in found]


def _beside(jx: Any, operands: list[Any], num_keys: int, axis: int, other: int) -> list[Any]:
    """With the axis `other` cut instead."""
    spread = Spread.line(jx, operands[0].ndim, other)

    def kernel(*blocks: Any) -> Any:
        return tuple(arranged(jx, list(blocks), num_keys, axis))

    every = [spread] * len(operands)
    found = mapped(jx, kernel, every, every)(*[spread.fitted(x) for x in operands])
    return [spread.taken(x, operands[0].shape) for x in found]


def _across(jx: Any, operands: list[Any], num_keys: int) -> list[Any]:
    """Rows, fewer than devices, each over all devices."""
    spread = Spread.line(jx, 2, 1)

    def kernel(*blocks: Any) -> Any:
        if blocks[0].shape[0] == 1:
            return tuple([x[None] for x in sorted_part(jx, [x[0] for x in blocks], num_keys)])
        return jx.lax.map(lambda row: tuple(sorted_part(jx, list(row), num_keys)), blocks)

    every = [spread] * len(operands)
    # Padding is behind all elements, and so it stays there.
    given = [spread.fitted(x, last(x.dtype) if k < num_keys else 0) for k, x in enumerate(operands)]
    return [spread.taken(x, operands[0].shape) for x in mapped(jx, kernel, every, every)(*given)]


def sorted_part(jx: Any, blocks: list[Any], num_keys: int) -> list[Any]:
    """This device's part of all devices' blocks sorted together; to be called inside of a kernel."""
    n, alone = blocks[0].shape[0], len(blocks) == 1 and blocks[0].dtype.itemsize > 2
    if alone and n >= _SAMPLED_FROM and 2 * jx.mesh.size < 256 and by_digits(jx):
        return [_overlapping(jx, blocks[0])]
    return _split_exactly(jx, blocks, num_keys)


def _split_exactly(jx: Any, blocks: list[Any], num_keys: int) -> list[Any]:
    n, parts, names = blocks[0].shape[0], jx.mesh.size, jx.mesh.names
    blocks = arranged(jx, blocks, num_keys, 0)
    cuts = split(jx, blocks[:num_keys], jx.np.arange(1, parts, dtype=np.int64) * n)
    kind = np.int32 if n < 2**30 else np.int64
    ends = jx.np.concatenate([jx.np.zeros(1, np.int64), cuts, jx.np.full(1, n, np.int64)]).astype(kind)
    table = jx.lax.all_gather(ends, names)
    begin, count = table[:, :-1], table[:, 1:] - table[:, :-1]
    came = exchanged(jx, blocks, begin, count, n)
    if len(blocks) == 1 and by_digits(jx):
        return arranged(jx, came, num_keys, 0)
    bounds = cumulated(jx, jx.lax.dynamic_index_in_dim(count, rank(jx, names), 1, keepdims=False))
    return merged(jx, came, num_keys, bounds)


def _overlapping(jx: Any, codes: Any) -> Any:
    """This device's part of all devices' codes.

    Of a sample of all devices' codes two are chosen around each split, a few standard deviations of its rank apart. The
    codes are brought in order by where they lie among these, which is one digit. What lies between the two goes to the
    devices on both sides, each of which has, when it has sorted what it got, its own part and a little on either
    side."""
    lax, n, parts, names = jx.lax, codes.shape[0], jx.mesh.size, jx.mesh.names
    taken = min(_SAMPLE, n >> 4)
    far = min(taken - 1, 2 * math.isqrt(parts * taken))
    # Fractions of multiples of the golden ratio: even, and in step with nothing that is in the data.
    steps = lax.iota(np.uint64, taken) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
    sample = codes[(steps * np.uint64(n) >> np.uint64(32)).astype(np.int32)]
    sample = arranged(jx, [lax.all_gather(sample, names).reshape(-1)], 1, 0)[0]
    middle = np.arange(1, parts) * taken
    low, high = sample[middle - far], sample[middle + far]
    digit = jx.np.zeros(codes.shape, np.uint8)
    for k in range(parts - 1):
        digit = digit + (codes >= low[k]).astype(np.uint8) + (codes > high[k]).astype(np.uint8)
    digit, codes = arranged(jx, [digit, codes], 1, 0)
    kind = np.int32 if n < 2**30 else np.int64
    begin = place_in(jx, [digit], [jx.np.arange(2 * parts, dtype=np.uint8)], False).astype(kind)
    table = lax.all_gather(begin, names)  # each device's codes below each digit
    below = table.sum(0, dtype=np.int64)
    ranks = np.arange(parts)
    begin = table[:, np.maximum(2 * ranks - 1, 0)]
    count = table[:, np.minimum(2 * ranks + 2, 2 * parts - 1)] - begin
    goals = ranks[1:] * n
    # Between two are more codes on the one side than on the other, but seldom by half.
    room = n + max(1, min(parts - 1, 2) * 3 * far * n // (2 * taken))
    around = (below[1:-1:2] <= goals) & (goals <= below[2::2])
    sound = around.all() & (high[:-1] < low[1:]).all() & (count.sum(0, dtype=np.int64) <= room).all()

    def overlapped(codes: Any) -> tuple[Any, Any]:
        came = handed(jx, codes, begin, count, room, last(codes.dtype))
        me = rank(jx, names)
        first = me.astype(np.int64) * n - below[jx.np.maximum(2 * me - 1, 0)]
        return arranged(jx, [came], 1, 0)[0], first

    def exactly(codes: Any) -> tuple[Any, Any]:
        return lax.pad(_split_exactly(jx, [codes], 1)[0], np.zeros((), codes.dtype), [(0, room - n, 0)]), np.int64(0)

    found, first = lax.cond(sound, overlapped, exactly, codes)
    return lax.dynamic_slice_in_dim(found, first, n)
