"""Running sums and their like along an axis that is cut.

Each device scans its own part; what lies before it comes from one value a line and device. Sums and products are
reduced first and scanned once, with what lies before joined to the first element: that reads twice and writes once,
where adding to a finished scan would read and write twice. Other operations are scanned first, and their last values
are exchanged.

The values of the devices before are gathered where that is little. Where lines are many and short it would be as much
as the operand; then they are passed on in log2(devices) steps (Hillis and Steele, "Data parallel algorithms", 1986).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import grouped
from .spread import Spread, cropped, mapped, passed, rank

# Gathering so many values costs less than a second exchange.
_FEW = 1 << 16


def _before(jx: Any, join: Any, total: Any, names: tuple[str, ...], parts: int, room: int) -> tuple[Any, Any]:
    """What `join` makes of the totals of all devices before this one, and whether there are any."""
    tree, me = jx.jax.tree, rank(jx, names)
    if tree.leaves(total)[0].size * parts <= max(room, _FEW):
        totals = tree.map(lambda x: jx.lax.all_gather(x, names), total)
        if parts > 2:
            totals = jx.lax.associative_scan(join, totals, axis=0)
        last = jx.np.maximum(me - 1, 0)
        return tree.map(lambda x: jx.lax.dynamic_index_in_dim(x, last, 0, keepdims=False), totals), me > 0
    found, step = _shifted(jx, total, names, parts, 1), 1
    while step < parts - 1:
        longer = join(_shifted(jx, found, names, parts, step), found)
        found = tree.map(lambda x, y: jx.np.where(me > step, x, y), longer, found)  # noqa: B023
        step *= 2
    return found, me > 0


def _shifted(jx: Any, values: Any, names: tuple[str, ...], parts: int, by: int) -> Any:
    return jx.jax.tree.map(lambda x: passed(jx, x, names, parts, by), values)


def running(jx: Any, a: Any, axis: int, name: str) -> Any:
    """The running sum ("add") or product along a cut axis."""
    spread = Spread.at_rest(jx, a.shape)
    names, parts = spread.sides[axis], spread.parts[axis]
    if name == "add":
        scan, reduce, join = jx.lax.cumsum, jx.np.sum, jx.lax.add
    else:
        scan, reduce, join = jx.lax.cumprod, jx.np.prod, jx.lax.mul

    def kernel(x: Any) -> Any:
        if grouped.suits(jx, x, axis):

            def carried(total: Any) -> Any:
                carry, some = _before(jx, join, total, names, parts, x.size)
                return jx.np.where(some, carry, np.asarray(name != "add", x.dtype))

            return grouped.running(jx, x, name, carried)
        total = reduce(x, axis, dtype=x.dtype, keepdims=True)
        carry, some = _before(jx, join, total, names, parts, x.size)
        first = some & (jx.lax.broadcasted_iota(np.int32, x.shape, axis) == 0)
        return scan(jx.np.where(first, join(jx.np.broadcast_to(carry, x.shape), x), x), axis)

    return cropped(jx, mapped(jx, kernel, [spread], spread)(spread.fitted(a)), a.shape)


def accumulated(jx: Any, join: Callable[[Any, Any], Any], arrays: Any, axis: int) -> Any:
    """`lax.associative_scan` along a cut axis: of an array, or of a tuple of arrays of one shape."""
    tree = jx.jax.tree
    leaves, form = tree.flatten(arrays)
    shape = leaves[0].shape
    spread = Spread.at_rest(jx, shape)
    names, parts = spread.sides[axis], spread.parts[axis]

    def kernel(*blocks: Any) -> Any:
        found = jx.lax.associative_scan(join, tree.unflatten(form, blocks), axis=axis)
        last = tree.map(lambda x: jx.lax.slice_in_dim(x, x.shape[axis] - 1, x.shape[axis], axis=axis), found)
        carry, some = _before(jx, join, last, names, parts, blocks[0].size)
        joined = join(tree.map(lambda c, x: jx.np.broadcast_to(c, x.shape), carry, found), found)
        return tuple(tree.leaves(tree.map(lambda x, y: jx.np.where(some, x, y), joined, found)))

    # Padding stands behind all elements: what it makes of a total reaches padding alone.
    results = mapped(jx, kernel, [spread] * len(leaves), [spread] * len(leaves))(*[spread.fitted(x) for x in leaves])
    return tree.unflatten(form, [cropped(jx, x, shape) for x in results])
