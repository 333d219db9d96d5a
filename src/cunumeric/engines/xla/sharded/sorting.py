"""Sorts along a cut axis.

Each device sorts its own block, once. Where the blocks have to be split so that every device ends with as many elements
as before is found exactly (`runs.split`), the pieces change places (`exchange`), and each device merges what it got
(`runs.merged`). Nothing depends on chance or on how the keys are distributed, there is no second sort, and the result
is stable.

Where a radix sort is faster than a merge, and nothing has to follow the keys, the blocks are not sorted before they are
split but afterwards: a sample tells about where to split, and only what is near is sorted (`_bracketed`). Here, too,
every device ends with as many elements as before; that is exact, and where the sample tells wrong, or many elements are
equal, the whole block is sorted instead.

Where another axis is long enough, that one is cut instead: two transposes between the devices, and local sorts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....ops.lowering.radix import arranged, by_digits
from .exchange import cumulated, exchanged
from .runs import merged, place_in, split
from .spread import Spread, mapped, rank

# Elements of each device from which where to split is guessed, and blocks so long that it is.
_SAMPLE = 1 << 16
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
    n, parts, names = blocks[0].shape[0], jx.mesh.size, jx.mesh.names
    goals = jx.np.arange(1, parts, dtype=np.int64) * n
    alone = len(blocks) == 1 and blocks[0].dtype.itemsize > 2 and n >= _SAMPLED_FROM and 2 * parts < 256
    late = alone and by_digits(jx)
    blocks, near = _bracketed(jx, blocks[0], goals) if late else (arranged(jx, blocks, num_keys, 0), None)
    cuts = split(jx, blocks[:num_keys], goals, near)
    kind = np.int32 if n < 2**30 else np.int64
    ends = jx.np.concatenate([jx.np.zeros(1, np.int64), cuts, jx.np.full(1, n, np.int64)]).astype(kind)
    table = jx.lax.all_gather(ends, names)
    begin, count = table[:, :-1], table[:, 1:] - table[:, :-1]
    came = exchanged(jx, blocks, begin, count, n)
    if late:
        return arranged(jx, came, num_keys, 0)
    bounds = cumulated(jx, jx.lax.dynamic_index_in_dim(count, rank(jx, names), 1, keepdims=False))
    return merged(jx, came, num_keys, bounds)


def _bracketed(jx: Any, codes: Any, goals: Any) -> tuple[list[Any], tuple[Any, Any]]:
    """This device's codes so far sorted that they can be split at the goals, and between which places each split is.

    Of a sample of all devices' codes two are chosen around each goal, a few standard deviations of its rank apart. The
    codes are brought in order by where they lie among these, which is one digit, and those between two are sorted."""
    lax, n, parts, names = jx.lax, codes.shape[0], jx.mesh.size, jx.mesh.names
    taken = min(_SAMPLE, n >> 4)
    far = min(taken - 1, int(2.5 * math.sqrt(parts * taken)))
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
    digits = jx.np.arange(1, 2 * parts - 1, dtype=np.uint8)
    begin, end = place_in(jx, [digit], [digits], False).astype(np.int64).reshape(-1, 2).T
    # What lies between two, and a quarter more, should all of it be on this device.
    room = max(1, min(n, 5 * far * n // (2 * taken)))
    few = (end - begin <= room) | (low == high)
    around = (lax.psum(begin, names) <= goals) & (goals <= lax.psum(end, names))
    sound = lax.pmin((few & around).all().astype(np.int32), names).astype(bool) & (high[:-1] < low[1:]).all()

    def some(codes: Any) -> Any:
        def one(k: Any, codes: Any) -> Any:
            first = jx.np.minimum(begin[k], n - room)  # what else is in the room comes before or behind in any case
            return lax.dynamic_update_slice(
                codes, arranged(jx, [lax.dynamic_slice(codes, [first], [room])], 1, 0)[0], [first]
            )

        return lax.fori_loop(0, parts - 1, one, codes)

    codes = lax.cond(sound, some, lambda codes: arranged(jx, [codes], 1, 0)[0], codes)
    return [codes], (jx.np.where(sound, begin, 0), jx.np.where(sound, end, n))
