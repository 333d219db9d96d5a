"""Walls, ghost cells, seams and staggered grids, whose rows lie in one device's block, in two, or across a boundary:
each program in every size is NumPy's. `python -m tests.engines.xla.walls`."""

from __future__ import annotations

from typing import Any

import numpy

import cunumeric
from cunumeric.engines.xla import execute, frames


def wall(np: Any, a: Any, b: Any) -> None:
    a[0] = a[1]
    a[-1] = a[-2]
    a[:, 0] = a[:, 1]
    a[:, -1] = a[:, -2]


def ghosts(np: Any, a: Any, b: Any) -> None:
    """Two rows at a time."""
    a[:2] = a[2:4]
    a[-2:] = a[-4:-2]
    a[:, :2] = b[:, 1:3] * 2


def seam(np: Any, a: Any, b: Any) -> None:
    """The first and the last column, and row, are each other's neighbours."""
    old = a.copy()
    for axis in (0, 1):
        x, y, z = (numpy.moveaxis(v, axis, 0) if np is numpy else np.moveaxis(v, axis, 0) for v in (a, old, b))
        for here, low, high in ((slice(1, -1), slice(None, -2), slice(2, None)), (-1, -2, 0), (0, -1, 1)):
            x[here, 1:-1] = 0.5 * (y[low, 1:-1] + y[high, 1:-1]) - z[here, 1:-1] * y[here, 2:]


def stencil(np: Any, a: Any, b: Any) -> None:
    for _ in range(3):
        a[1:-1, 1:-1] = 0.25 * (a[1:-1, 2:] + a[1:-1, :-2] + a[2:, 1:-1] + a[:-2, 1:-1]) + b[1:-1, 1:-1]
        a[0] = a[1]


def wide(np: Any, a: Any, b: Any) -> None:
    """Neighbours of neighbours, and what more than a neighbour has."""
    a[2:-2] = a[4:] - 2 * b[:-4] + a[2:-2] * b[2:-2]
    a[1:] = b[:-1] + 1
    half = a.shape[0] // 2
    a[:half] = b[-half:] + a[:half]
    a[: half + 1] = b[-half - 1 :]


def mixed(np: Any, a: Any, b: Any) -> None:
    """Rows that are broadcast, reversed, stepped, of another shape, or a result themselves."""
    a[1:-1] = b[1:-1] * b[0] + b[:, 1][1:-1, None] - a[1:-1].sum(axis=0)
    a[2] = b[-1] + a[0, 0]
    a[1:-1, ::2] = b[2:, ::2] * 2
    a[1:] -= b[::-1][1:]
    kept = a[2:] - a[:-2]
    a[1:-1] += kept
    b[-1, 1:-1] = a[0, 2:] + kept[0, 1:-1]
    b[0] = 7
    a[-1] = numpy.arange(a.shape[1])
    c = np.zeros((a.shape[0] + 1, a.shape[1]))
    c[1:-1] = a[1:] - a[:-1]
    a[:-1] += c[1:-1]
    a[1:2, 1:] = b[2:3, :-1]


def deep(np: Any, a: Any, b: Any) -> None:
    """Three axes, and other types."""
    u = np.zeros((*a.shape, 3)) + a[:, :, None]
    u[1:-1, 1:-1, 1:] = u[2:, 1:-1, :-1] + u[1:-1, :-2, 1:]
    u[0] = u[1]
    u[-1, :, 0] = u[-2, :, 1] * 2
    a[...] = u.sum(axis=2)
    whole = (b * 8).astype(numpy.int32)
    whole[1:-1] = whole[2:] + whole[:-2]
    whole[0] = whole[-1]
    b[...] = whole
    z = a + 1j * b
    z[1:-1] = z[2:] * z[:-2].real
    z[0] = z[1]
    z.real[-1] = z.imag[-2]
    a[...] = z.imag
    b[...] = z.real


PROGRAMS = (wall, ghosts, seam, stencil, wide, mixed, deep)


def main() -> None:
    """Thin parts are written in their place, as on the processor, and selected, as on GPUs."""
    for way in (True, False):
        frames.in_place = lambda jx, way=way: way
        execute.forget()
        compare()
    print("passed")


def compare() -> None:
    for program in PROGRAMS:
        for rows, columns in ((5, 8), (8, 5), (7, 7), (9, 12), (16, 17), (23, 6), (24, 32)):
            values = numpy.random.default_rng(rows).standard_normal((2, rows, columns))
            expected, ours = values.copy(), [cunumeric.array(v) for v in values]
            for _ in range(2):
                program(numpy, *expected)
                program(cunumeric, *ours)
            for e, o in zip(expected, ours, strict=True):
                assert numpy.allclose(numpy.asarray(o), e, rtol=1e-9, atol=1e-9), (program.__name__, rows, columns)


if __name__ == "__main__":
    main()
