"""Frames: the place in which a store to part of an array is computed.

Usually every operand is cut to its part, computed on, and the result padded until it lies where it belongs. Where the
destination's own place is better, operands are brought there first.

*Whole*: the frame is all of the destination's memory. `w[1:] -= v[:-1]` is then a selection between `w - shifted(v)`
and `w`, with one read of `w`; slicing `w` and padding the result again reads it twice, and four such writes in a row
sixteen times.

*Cut*, on several devices: the frame is the destination's blocks. Along a cut axis of which most is meant, operands are
shifted by the few rows that lie between them and the destination: one exchange with a neighbour, shared by all
statements that read the same memory in the same place. Along one of which little is meant, each device has such a part
of its own block, and the owner's counts (`sharded/frames.py`): a wall's row that is computed from rows of its own block
moves nothing. Along axes that are not cut, operands are slices as usual.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import region as regions
from .region import Region
from .sharded.spread import Spread

# A part below this share of a block is little; one below this share of the memory is thin.
_LITTLE = 4
_THIN = 16


def in_place(jx: Any) -> bool:
    """Whether a thin part is written in its place. The processor would write out the memory for each selection (a step
    of the cavity takes six times as long), a GPU computes it with what comes before and after (the channel flow takes
    0.9 of the time)."""
    return bool(jx.jax.default_backend() == "cpu")


def _placed(jx: Any, value: Any, region: Region, along: list[bool]) -> Any:
    """A value that broadcasts to the region's shape, padded along some axes to where the region is."""
    value = regions.laid(jx, jx.np.broadcast_to(value, region.shape), region)
    padding = [
        (start, n - start - size, 0) if wanted else (0, 0, 0)
        for wanted, start, n, size in zip(along, region.starts, region.layout, region.sizes, strict=True)
    ]
    return jx.lax.pad(value, np.zeros((), value.dtype), padding)


class Whole:
    """All of the destination's memory."""

    recomputes = True  # also what is a result of the window by itself

    def __init__(self, jx: Any, region: Region) -> None:
        self.jx, self.region = jx, region

    def suits(self, leaf: Region) -> bool:
        """Whether the leaf shows the same axes, so that shifting brings it into the place."""
        plain = leaf.flat is None and not leaf.turned and set(leaf.steps) <= {1}
        return plain and leaf.axes == self.region.axes and leaf.sizes == self.region.sizes

    def leaf(self, value: Any, leaf: Region) -> Any:
        """The leaf's memory, moved and cut so that its part lies where the region is."""
        value, layout = value.reshape(leaf.layout), self.region.layout
        moves = [to - at for to, at in zip(self.region.starts, leaf.starts, strict=True)]
        if not any(moves) and leaf.layout == layout:
            return value
        padding = [(move, n - m - move, 0) for move, n, m in zip(moves, layout, leaf.layout, strict=True)]
        return self.jx.lax.pad(value, np.zeros((), value.dtype), padding)

    def placed(self, value: Any) -> Any:
        """A value of the region's shape, or that broadcasts to it, where the region is."""
        return _placed(self.jx, value, self.region, [True] * len(self.region.layout)) if value.ndim else value

    def written(self, old: Any, value: Any) -> Any:
        """The memory's new value."""
        shape, old = old.shape, old.reshape(self.region.layout)
        mask = regions.mask(self.jx, self.region)
        return self.jx.lax.select(mask, self.jx.np.broadcast_to(value, old.shape), old).reshape(shape)


class _Axis(NamedTuple):
    """How a frame has an axis of the destination's memory."""

    way: str  # "all" of it; all, "shifted"; what one device has, "held" by each; or a "slice"
    length: int


def cut(jx: Any, region: Region, shifts: dict[Any, Any]) -> Cut | None:
    """The frame of blocks for a destination; None where there is none, or nothing to be gained. `shifts` remembers what
    was shifted for other frames."""
    if jx.mesh is None or region.flat is not None or region.turned or jx.mesh.cut(region.layout) is None:
        return None
    spread = Spread.at_rest(jx, region.layout)
    axes = []
    for n, start, step, size, parts in zip(
        region.layout, region.starts, region.steps, region.sizes, spread.parts, strict=True
    ):
        block = -(-n // parts)
        if size == n:
            axes.append(_Axis("all", n))
        elif parts == 1:
            axes.append(_Axis("slice", size))
        elif step != 1:
            return None
        elif size > 1 and 2 * size >= n:
            axes.append(_Axis("shifted", n))
        elif _in_one(start, size, block) and (size == 1 or _LITTLE * size <= block):
            axes.append(_Axis("held", parts * size))
        else:
            return None
    frame = Cut(jx, region, spread, axes, shifts)
    return frame if frame.ways & {"shifted", "held"} and (not frame.thin or set(region.steps) == {1}) else None


def _in_one(start: int, size: int, block: int) -> bool:
    return start // block == (start + size - 1) // block


class Cut:
    """The destination's blocks."""

    recomputes = False

    def __init__(self, jx: Any, region: Region, spread: Spread, axes: list[_Axis], shifts: dict[Any, Any]) -> None:
        self.jx, self.region, self.spread, self.axes, self._shifts = jx, region, spread, axes, shifts
        self.ways = {a.way for a in axes}
        self.thin = "held" in self.ways or _THIN * region.elements <= math.prod(region.layout)

    def _alike(self, leaf: Region) -> bool:
        region = self.region
        plain = leaf.flat is None and not leaf.turned and leaf.layout == region.layout
        return plain and leaf.axes == region.axes and leaf.sizes == region.sizes

    def suits(self, leaf: Region) -> bool:
        """Whether the leaf is such a part of such an array, and near."""
        return self._alike(leaf) and not self.far(leaf)

    def far(self, leaf: Region) -> bool:
        """Whether more than neighbours would have to exchange rows to bring such a part here, or more than one device
        has of what is little."""
        if not self._alike(leaf):
            return False
        for k, axis in enumerate(self.axes):
            block = -(-leaf.layout[k] // self.spread.parts[k])
            at, size = leaf.starts[k], leaf.sizes[k]
            if axis.way in ("shifted", "held") and leaf.steps[k] != 1:
                return True
            if axis.way == "shifted" and abs(self.region.starts[k] - at) > block:
                return True
            if axis.way == "held" and not _in_one(at, size, block):
                return True
        return False

    def leaf(self, value: Any, leaf: Region) -> Any:
        """The leaf's part of its memory, brought to the destination."""
        jx = self.jx
        if value.shape != leaf.layout:
            value = jx.sharded.reshaped(jx, value, leaf.layout)
        moves = [to - at for to, at in zip(self.region.starts, leaf.starts, strict=True)]
        for k, axis in enumerate(self.axes):
            if axis.way == "shifted" and moves[k]:
                value = self._shifted(value, k, moves[k])
        for k, (axis, at, step, size) in enumerate(zip(self.axes, leaf.starts, leaf.steps, leaf.sizes, strict=True)):
            if axis.way == "slice":
                value = jx.lax.slice_in_dim(value, at, at + step * (size - 1) + 1, step, k)
        for k, (axis, at, size) in enumerate(zip(self.axes, leaf.starts, leaf.sizes, strict=True)):
            if axis.way == "held":
                value = jx.sharded.held(jx, value, self.spread, k, at, size, self.region.starts[k])
        return value

    def _shifted(self, value: Any, axis: int, by: int) -> Any:
        key = (id(value), axis, by)
        found = self._shifts.get(key)
        if found is None:
            moved = self.jx.sharded.shifted(self.jx, value, self.spread, axis, by)
            found = self._shifts[key] = (moved, value)  # the value too: its identity is the key
        return found[0]

    def placed(self, value: Any) -> Any:
        """A value of the region's shape, or that broadcasts to it, where the destination is."""
        if not value.ndim:
            return value
        jx = self.jx
        value = _placed(jx, value, self.region, [axis.way == "shifted" for axis in self.axes])
        for k, axis in enumerate(self.axes):
            if axis.way == "held":
                value = jx.sharded.repeated(jx, value, k, self.spread.parts[k])
        return value

    def written(self, old: Any, value: Any) -> Any:
        """The memory's new value."""
        jx, region, shape = self.jx, self.region, old.shape
        old = jx.sharded.reshaped(jx, old, region.layout)
        value = jx.np.broadcast_to(value, [a.length for a in self.axes])
        held = [k for k, axis in enumerate(self.axes) if axis.way == "held"]
        if self.thin and in_place(jx):
            new = jx.sharded.put(jx, old, value, self.spread, region.starts, region.sizes, held)
        else:
            for k in held:
                value = jx.sharded.spanned(jx, value, self.spread, k, region.starts[k], region.layout[k])
            padding = [
                (start, n - start - step * (size - 1) - 1, step - 1) if axis.way == "slice" and size > 1 else (0, 0, 0)
                for axis, n, start, step, size in zip(
                    self.axes, region.layout, region.starts, region.steps, region.sizes, strict=True
                )
            ]
            value = jx.np.broadcast_to(jx.lax.pad(value, np.zeros((), value.dtype), padding), region.layout)
            new = jx.lax.select(regions.mask(jx, region), value, old)
        return jx.sharded.reshaped(jx, new, shape)
