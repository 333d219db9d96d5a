"""Arrays from nothing but numbers. NumPy's sides of the rows compute as its functions do: places times a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import lowers
from .elementwise import cast


def steps(n: int, start: Any, delta: Any, dtype: Any) -> np.ndarray:
    """`start + k * delta` for the first n whole numbers k, computed in `dtype`."""
    kind = np.dtype(dtype).type
    return kind(start) + np.arange(n).astype(dtype) * kind(delta)


@lowers(steps)
def _steps(jx, n, start, delta, dtype):
    kind = np.dtype(np.dtype(dtype).str)  # of two types of one size, JAX knows one
    wide = np.dtype(np.float32) if kind == np.float16 else kind
    places = jx.lax.iota(np.int64, n) if kind.kind == "f" else jx.lax.iota(kind, n)
    return cast(jx, places.astype(wide) * wide.type(delta) + wide.type(start), kind)


def spaced(n: int, start: Any, step: Any, last: Any, wide: Any, dtype: Any) -> np.ndarray:
    """`start + k * step` for the first n whole numbers k, computed in `wide`; the last one is `last`, unless None."""
    y = np.arange(n).astype(wide) * step + start
    if last is not None:
        y[-1] = last
    return (np.floor(y) if np.dtype(dtype).kind in "iu" else y).astype(dtype)


@lowers(spaced)
def _spaced(jx, n, start, step, last, wide, dtype):
    kind = np.dtype(wide)
    places = jx.lax.iota(np.int64, n)
    y = places.astype(kind) * kind.type(step) + kind.type(start)
    if last is not None:
        y = jx.np.where(places == n - 1, kind.type(last), y)
    return cast(jx, jx.np.floor(y) if np.dtype(dtype).kind in "iu" else y, np.dtype(dtype))


def diagonal_ones(n: int, m: int, k: int, dtype: Any) -> np.ndarray:
    """`eye`."""
    return np.eye(n, m, k, dtype)


@lowers(diagonal_ones)
def _diagonal_ones(jx, n, m, k, dtype):
    row, column = (jx.lax.broadcasted_iota(np.int64, (n, m), axis) for axis in (0, 1))
    return (column - row == k).astype(dtype)


def triangle(n: int, m: int, k: int, dtype: Any) -> np.ndarray:
    """`tri`."""
    return np.tri(n, m, k, dtype)


@lowers(triangle)
def _triangle(jx, n, m, k, dtype):
    row, column = (jx.lax.broadcasted_iota(np.int64, (n, m), axis) for axis in (0, 1))
    return (column - row <= k).astype(dtype)


def grid(vectors: Any) -> np.ndarray:
    """`indices` and `mgrid`: each vector along an axis of its own, constant along the others; all of them stacked."""
    return np.stack(np.meshgrid(*vectors, indexing="ij"))


@lowers(grid, "*vectors", grows=True)
def _grid(jx, vectors):
    shape = tuple([v.size for v in vectors])
    return jx.np.stack([jx.lax.broadcast_in_dim(v, shape, (k,)) for k, v in enumerate(vectors)])
