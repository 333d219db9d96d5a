"""Sorts along a cut axis.

Each device sorts its own block, once. Where the blocks have to be split so that every device ends with as many elements
as before is found exactly (`runs.split`), the pieces change places (`exchange`), and each device merges what it got
(`runs.merged`). Nothing depends on chance or on how the keys are distributed, there is no second sort, and the result
is stable. Sample sorts need a second pass for the pieces as well, and their parts are of unequal length, which XLA's
shapes cannot be.

Where another axis is long enough, that one is cut instead: two transposes between the devices, and local sorts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .exchange import cumulated, exchanged
from .runs import merged, split
from .spread import Spread, mapped, rank


def last(dtype: Any) -> Any:
    """What no element of `dtype` comes behind."""
    kind = np.dtype(dtype).kind
    return True if kind == "b" else np.iinfo(dtype).max if kind in "iu" else np.nan


def in_order(jx: Any, operands: list[Any], num_keys: int, axis: int) -> list[Any]:
    """Operands of one shape, sorted along an axis by the first `num_keys` of them: `lax.sort`, stable."""
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
        return jx.lax.sort(blocks, dimension=axis, is_stable=True, num_keys=num_keys)

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
    blocks = list(jx.lax.sort(blocks, dimension=0, is_stable=True, num_keys=num_keys))
    goals = jx.np.arange(1, parts, dtype=np.int64) * n
    cuts = split(jx, blocks[:num_keys], goals)
    kind = np.int32 if n < 2**30 else np.int64
    ends = jx.np.concatenate([jx.np.zeros(1, np.int64), cuts, jx.np.full(1, n, np.int64)]).astype(kind)
    table = jx.lax.all_gather(ends, names)
    begin, count = table[:, :-1], table[:, 1:] - table[:, :-1]
    came = exchanged(jx, blocks, begin, count, n)
    bounds = cumulated(jx, jx.lax.dynamic_index_in_dim(count, rank(jx, names), 1, keepdims=False))
    return merged(jx, came, num_keys, bounds)
