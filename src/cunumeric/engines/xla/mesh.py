"""Where the elements of an array lie when there are several devices: a rule of the shape alone, the same on every rank.

An array of fewer than `settings.shard_min` elements is on every device. A larger one is cut along one axis into as many
parts as there are devices: the first axis with an element for each device, or else the longest. On a grid of devices
with two sides, arrays with two axes that are long enough are cut along both.

Shapes need not divide. A value at rest is padded at its ends to a multiple of the parts (`padded`); inside a program it
is cut to its own shape first, and XLA's partitioner keeps parts of unequal length itself.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from ...runtime.settings import settings

# Along each side of a grid, a part has at least so many elements.
_SIDE_LEAST = 2
# From so many devices on they stand in a grid: what neighbours exchange then does not grow with their number.
_GRID_FROM = 16


def grid_for(devices: int) -> tuple[int, ...]:
    """The sides of the grid in which so many devices stand."""
    if devices < _GRID_FROM:
        return (devices,)
    short = max(d for d in range(1, math.isqrt(devices) + 1) if devices % d == 0)
    return (devices // short, short) if short > 1 else (devices,)


class Mesh:
    """The devices, in a line or in a grid."""

    def __init__(self, jax: Any, devices: list[Any], grid: tuple[int, ...]) -> None:
        self._jax = jax
        self.grid = grid
        self.size = math.prod(grid)
        self.names = ("x", "y")[: len(grid)]
        automatic = (jax.sharding.AxisType.Auto,) * len(grid)
        self.jax = jax.make_mesh(grid, self.names, axis_types=automatic, devices=devices)
        self.whole = self.named(())  # on every device
        self.line = self.named((self.names,))  # cut along the first axis, over all devices
        self.sharding = functools.lru_cache(maxsize=4096)(self._sharding)

    def named(self, axes: tuple[Any, ...]) -> Any:
        """The sharding that cuts axis k along the sides `axes[k]` of the grid."""
        return self._jax.sharding.NamedSharding(self.jax, self._jax.sharding.PartitionSpec(*axes))

    def parts(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Into how many parts each axis is cut."""
        return _parts(shape, self.grid, settings.shard_min)

    def cut(self, shape: tuple[int, ...]) -> int | None:
        """The first axis that is cut; None where the array is on every device."""
        return next((k for k, n in enumerate(self.parts(shape)) if n > 1), None)

    def padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape at rest."""
        return tuple([-(-n // p) * p for n, p in zip(shape, self.parts(shape), strict=True)])

    def _sharding(self, shape: tuple[int, ...]) -> Any:
        """The sharding of an array of this shape (not its padded one, which may be cut otherwise)."""
        parts = self.parts(shape)
        if math.prod(parts) == 1:
            return self.whole
        if max(parts) == self.size:
            return self.named(tuple([self.names if p > 1 else None for p in parts]))
        sides = iter(self.names)
        return self.named(tuple([next(sides) if p > 1 else None for p in parts]))


@functools.lru_cache(maxsize=4096)
def _parts(shape: tuple[int, ...], grid: tuple[int, ...], least: int) -> tuple[int, ...]:
    size, ones = math.prod(grid), [1] * len(shape)
    if not shape or math.prod(shape) < max(least, 2):
        return tuple(ones)
    if len(grid) == 2:
        long = [k for k, n in enumerate(shape) if n >= _SIDE_LEAST * max(grid)]
        if len(long) >= 2:
            first, second = long[:2]
            ones[first], ones[second] = grid
            return tuple(ones)
    axis = next((k for k, n in enumerate(shape) if n >= size), None)
    if axis is None:
        axis = max(range(len(shape)), key=lambda k: shape[k])
    ones[axis] = size
    return tuple(ones)
