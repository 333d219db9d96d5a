"""What a mask chooses, with as much of it on every device.

Each device puts what it chooses in front of its block; from the counts of all devices follows where each device's run
lies in the result, and so which slices go where (`exchange`). Writing is the same way back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .exchange import cumulated, exchanged
from .spread import Spread, mapped, rank


def _in_front(jx: Any, mask: Any) -> Any:
    """Places of the true elements of a vector, in front; behind them anything."""
    n = mask.shape[0]
    before = jx.lax.cumsum(mask.astype(np.int32 if n < 2**31 else np.int64), 0)
    at = jx.np.where(mask, before - 1, n)
    return jx.np.zeros(n, before.dtype).at[at].set(jx.lax.iota(before.dtype, n), mode="drop", unique_indices=False)


def _runs(jx: Any, mask: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Where each device's run of what it chooses begins and ends, among those of all."""
    kind = np.int32 if mask.shape[0] * jx.mesh.size < 2**30 else np.int64
    counts = jx.lax.all_gather(mask.sum(dtype=kind), names)
    ends = cumulated(jx, counts)
    return ends[:-1], ends[1:]


def chosen(jx: Any, mask: Any, arrays: list[Any], size: int) -> list[Any]:
    """The `size` places, in C order, where `mask` is true, and for each array what is there. The axes of `mask` are the
    first ones of the arrays."""
    names, parts, lead = jx.mesh.names, jx.mesh.size, mask.ndim
    length = -(-size // parts)
    unit = math.prod(mask.shape[1:])
    kind = np.int32 if -(-mask.shape[0] // parts) * parts * unit < 2**31 else np.int64

    def kernel(mask: Any, *blocks: Any) -> Any:
        mask = mask.reshape(-1)
        first, last = (x[:, None] for x in _runs(jx, mask, names))
        goals = jx.lax.iota(first.dtype, parts) * length
        begin = jx.np.clip(goals, first, last) - first
        end = jx.np.clip(goals + length, first, last) - first
        at = _in_front(jx, mask)
        place = rank(jx, names).astype(kind) * mask.shape[0] + at.astype(kind)
        rows = [x.reshape((-1, *x.shape[lead:]))[at] for x in blocks]
        return tuple(exchanged(jx, [place, *rows], begin, end - begin, length))

    spreads = [Spread.line(jx, x.ndim, 0) for x in (mask, *arrays)]
    results = [Spread.line(jx, 1 + x.ndim - lead, 0) for x in (mask, *arrays)]
    given = [s.fitted(x) for s, x in zip(spreads, (mask, *arrays), strict=True)]
    found = mapped(jx, kernel, spreads, results)(*given)
    return [s.taken(x, (size, *x.shape[1:])) for s, x in zip(results, found, strict=True)]


def filled(jx: Any, a: Any, mask: Any, values: Any) -> Any:
    """`a` after `a[mask] = values`, of which there is one for each true element of `mask`."""
    names, parts, lead = jx.mesh.names, jx.mesh.size, mask.ndim
    length = -(-values.shape[0] // parts)

    def kernel(block: Any, mask: Any, values: Any) -> Any:
        shape, mask = block.shape, mask.reshape(-1)
        block = block.reshape((-1, *shape[lead:]))
        first, last = _runs(jx, mask, names)
        starts = (jx.lax.iota(first.dtype, parts) * length)[:, None]
        begin, end = (jx.np.clip(x, starts, starts + length) - starts for x in (first, last))
        (mine,) = exchanged(jx, [values], begin, end - begin, mask.shape[0])
        k = jx.np.maximum(jx.lax.cumsum(mask.astype(first.dtype), 0) - 1, 0)
        told = mask.reshape((-1,) + (1,) * (block.ndim - 1))
        return jx.np.where(told, mine[k], block).reshape(shape)

    spreads = [Spread.line(jx, x.ndim, 0) for x in (a, mask, values)]
    given = [s.fitted(x) for s, x in zip(spreads, (a, mask, values), strict=True)]
    return spreads[0].taken(mapped(jx, kernel, spreads, spreads[0])(*given), a.shape)
