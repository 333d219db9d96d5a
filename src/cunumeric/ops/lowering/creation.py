"""Arrays from nothing but numbers. NumPy's sides of the rows compute as its functions do: places times a step.

What may change from call to call comes as arrays without dimensions, so that it is no part of a program. So does
`ZERO`, by which products are kept from being contracted with sums: who compiles does not know that it is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import lowers
from .elementwise import cast

ZERO = np.zeros((), np.int64)


def _rounded(jx: Any, product: Any, zero: Any) -> Any:
    """The product, rounded before anything else is computed from it."""
    bits = np.dtype(f"i{product.dtype.itemsize}")
    turned = jx.lax.bitcast_convert_type(product, bits) ^ zero.astype(bits)
    return jx.lax.bitcast_convert_type(turned, product.dtype)


def steps(n: int, start: Any, delta: Any, zero: Any, dtype: Any) -> np.ndarray:
    """`start + k * delta` for the first n whole numbers k, computed in `dtype`, which is also that of the others."""
    return start + np.arange(n).astype(dtype) * delta


@lowers(steps, "start", "delta", "zero", grows=True)
def _steps(jx, n, start, delta, zero, dtype):
    kind = np.dtype(np.dtype(dtype).str)  # of two types of one size, JAX knows one
    wide = np.dtype(np.float32) if kind == np.float16 else kind
    places = jx.lax.iota(np.int64, n) if kind.kind == "f" else jx.lax.iota(kind, n)
    product = places.astype(wide) * delta.astype(wide)
    return cast(jx, (_rounded(jx, product, zero) if wide.kind == "f" else product) + start.astype(wide), kind)


def spaced(n: int, start: Any, step: Any, last: Any, zero: Any, dtype: Any) -> np.ndarray:
    """`start + k * step` for the first n whole numbers k, computed in double precision; the last one is `last`, unless
    None."""
    y = np.arange(n).astype(np.float64) * step + start
    if last is not None:
        y[-1] = last
    return (np.floor(y) if np.dtype(dtype).kind in "iu" else y).astype(dtype)


@lowers(spaced, "start", "step", "last", "zero", grows=True)
def _spaced(jx, n, start, step, last, zero, dtype):
    places = jx.lax.iota(np.int64, n)
    y = _rounded(jx, places.astype(np.float64) * step, zero) + start
    if last is not None:
        y = jx.np.where(places == n - 1, last, y)
    return cast(jx, jx.np.floor(y) if np.dtype(dtype).kind in "iu" else y, np.dtype(dtype))


def diagonal_ones(n: int, m: int, k: Any, dtype: Any) -> np.ndarray:
    """`eye`."""
    return np.eye(n, m, k, dtype)


@lowers(diagonal_ones, "k", grows=True)
def _diagonal_ones(jx, n, m, k, dtype):
    row, column = (jx.lax.broadcasted_iota(np.int64, (n, m), axis) for axis in (0, 1))
    return (column - row == k).astype(dtype)


def triangle(n: int, m: int, k: Any, dtype: Any) -> np.ndarray:
    """`tri`."""
    return np.tri(n, m, k, dtype)


@lowers(triangle, "k", grows=True)
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
