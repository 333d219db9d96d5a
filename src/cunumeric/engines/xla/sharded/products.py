"""Products of matrices of which both are cut.

*On a line* both are cut by rows. The parts of the right one go round (a ring): each device multiplies what it has
with its columns of the left one, while the next part arrives. Nobody ever has more than two parts.

*A small result* is summed: both are cut along the axis that is summed over.

*On a grid* both are cut into blocks (SUMMA; van de Geijn and Watts, 1997): panel by panel, each row of the grid is
told its columns of the left one, and each column its rows of the right one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .spread import Spread, cropped, lined, mapped, rank, unlined

# What is a smaller share of the largest operand's part than this may be on every device.
_SMALL = 2


def product(jx: Any, a: Any, b: Any) -> Any:
    """`a @ b`, (..., m, k) by (..., k, n) with the same leading axes or (k, n), of one dtype; None where XLA does it
    well: where the axis that is cut is a leading one, or the right operand is small."""
    if b.ndim < 2 or a.ndim < b.ndim or not a.size or not b.size or (b.ndim > 2 and a.shape[:-2] != b.shape[:-2]):
        return None
    if b.ndim == 2 and a.ndim > 2:
        rows = product(jx, jx.sharded.reshaped(jx, a, (math.prod(a.shape[:-1]), a.shape[-1])), b)
        return None if rows is None else jx.sharded.reshaped(jx, rows, (*a.shape[:-1], b.shape[-1]))
    shape = (*a.shape[:-1], b.shape[-1])
    grids = [Spread.at_rest(jx, s) for s in (a.shape, b.shape, shape)]
    most = max(a.size, b.size)
    wide = np.dtype(np.float32) if a.dtype == np.float16 else a.dtype
    if not grids[1].cut or _SMALL * b.size * jx.mesh.size <= most:
        if min(grids[0].parts[-2:]) > 1 and grids[0].sides == grids[2].sides and a.ndim == 2:
            return _panels(jx, a, b, shape, wide, grids[0]).astype(a.dtype)
        return applied(jx, a, b)
    if any(n > 1 for s in grids for n in s.parts[:-2]):
        if any(s.sides != grids[2].sides for s in grids) or grids[2].parts[-2] == 1:
            return None
        found = _ring(jx, a, b, shape, wide, grids[2])
    elif _SMALL * math.prod(shape) * jx.mesh.size <= most:
        found = _summed(jx, a, b, shape, wide)
    elif all(s.parts[-1] > 1 and s.parts[-2] > 1 for s in grids):
        found = _panels(jx, a, b, shape, wide, grids[2])
    elif grids[2].parts[-2] > 1:
        found = _ring(jx, a, b, shape, wide)
    else:
        return None
    return found.astype(a.dtype)


def applied(jx: Any, a: Any, b: Any) -> Any:
    """A matrix that is cut both ways times a vector or a small matrix: parts of sums are added along the grid's rows.
    None for other operands."""
    grid = Spread.at_rest(jx, a.shape)
    if a.ndim > 2 or min(grid.parts) == 1:
        return None
    wide = np.dtype(np.float32) if a.dtype == np.float16 else a.dtype
    rows, columns = grid.sides
    right = Spread(jx, [columns, *[()] * (b.ndim - 1)])
    result = Spread(jx, [rows, *[()] * (b.ndim - 1)])

    def kernel(x: Any, y: Any) -> Any:
        return jx.lax.psum(_dot(jx, x, y, wide), columns)

    found = mapped(jx, kernel, [grid, right], result)(grid.fitted(a), right.fitted(b))
    return cropped(jx, found, (*a.shape[:1], *b.shape[1:])).astype(a.dtype)


def _summed(jx: Any, a: Any, b: Any, shape: tuple[int, ...], wide: Any) -> Any:
    """A small result: both operands are cut along the axis that is summed over."""
    x, left = lined(jx, a, a.ndim - 1)
    y, right = lined(jx, b, b.ndim - 2)
    names = left.sides[-1]
    right = Spread(jx, [names if k == b.ndim - 2 else () for k in range(b.ndim)])
    whole = Spread(jx, [()] * len(shape))
    return mapped(jx, lambda x, y: jx.lax.psum(_dot(jx, x, y, wide), names), [left, right], whole)(x, y)


def _dot(jx: Any, a: Any, b: Any, wide: Any) -> Any:
    return jx.np.matmul(a, b, precision=jx.lax.Precision.HIGHEST, preferred_element_type=wide)


def _ring(jx: Any, a: Any, b: Any, shape: tuple[int, ...], wide: Any, grid: Spread | None = None) -> Any:
    """`grid`: how both lie, where leading axes are cut too."""
    axis = a.ndim - 2
    if grid is None:
        (x, spread), (y, _) = lined(jx, a, axis), lined(jx, b, axis)
    else:
        spread, x, y = grid, grid.fitted(a), grid.fitted(b)
    names, parts = spread.sides[axis], spread.parts[axis]
    width = y.shape[axis] // parts
    # Columns of the left operand for the padding of the right one.
    x = jx.lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0)] * (axis + 1) + [(0, width * parts - x.shape[-1], 0)])
    ring = [(k, (k - 1) % parts) for k in range(parts)]

    def kernel(x: Any, y: Any) -> Any:
        me = rank(jx, names)

        def product(step: Any, part: Any) -> Any:
            start = (me + step) % parts * width
            return _dot(jx, jx.lax.dynamic_slice_in_dim(x, start, width, axis + 1), part, wide)

        def turn(step: Any, state: Any) -> Any:
            part, total = state
            following = jx.lax.ppermute(part, names, ring)
            return following, total + product(step, part)

        total = jx.np.zeros((*x.shape[:-1], y.shape[-1]), wide)
        part, total = jx.lax.fori_loop(0, parts - 1, turn, (y, total))
        return total + product(parts - 1, part)

    found = mapped(jx, kernel, [spread, spread], spread)(x, y)
    return unlined(jx, found, shape, spread) if grid is None else cropped(jx, found, shape)


def _panels(jx: Any, a: Any, b: Any, shape: tuple[int, ...], wide: Any, grid: Spread) -> Any:
    (across,), (down,) = grid.sides[-1], grid.sides[-2]  # the sides of columns, and of rows
    columns, rows = grid.parts[-1], grid.parts[-2]
    panels = math.lcm(columns, rows)
    k = a.shape[-1]
    width = -(-k // panels)

    def fitted(v: Any, axis: int) -> Any:
        widths = [(0, width * panels - k if d == axis else 0, 0) for d in range(v.ndim)]
        return grid.fitted(jx.lax.pad(v, np.zeros((), v.dtype), widths))

    x, y = fitted(a, a.ndim - 1), fitted(b, b.ndim - 2)

    def told(v: Any, axis: int, step: Any, side: str, parts: int) -> Any:
        """Panel number `step` of blocks along `axis`, from the device along `side` that has it."""
        each = panels // parts
        mine = jx.lax.dynamic_slice_in_dim(v, step % each * width, width, axis)
        mine = jx.np.where(jx.lax.axis_index(side) == step // each, mine, np.zeros((), v.dtype))
        return jx.lax.psum(mine, side)

    def kernel(x: Any, y: Any) -> Any:
        def turn(step: Any, total: Any) -> Any:
            left = told(x, x.ndim - 1, step, across, columns)
            return total + _dot(jx, left, told(y, y.ndim - 2, step, down, rows), wide)

        return jx.lax.fori_loop(0, panels, turn, jx.np.zeros((*x.shape[:-1], y.shape[-1]), wide))

    return cropped(jx, mapped(jx, kernel, [grid, grid], grid)(x, y), shape)
