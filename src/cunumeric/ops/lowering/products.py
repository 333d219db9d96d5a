"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no
from .common import axis_of, joined
from .elementwise import LOWER, cast
from .reductions import accumulator


def _product(jx: Any, f: str, *operands: Any, **words: Any) -> Any:
    operands = tuple(joined(jx, *operands))
    kind = operands[0].dtype
    if kind.kind == "b":  # NumPy's product of booleans is "any of both"
        counts = getattr(jx.np, f)(*[v.astype(np.int32) for v in operands], **words)
        return counts != 0
    return getattr(jx.np, f)(*operands, precision=jx.lax.Precision.HIGHEST, **words)


@lowers(np.matmul, "x1", "x2")
def matmul(jx, x1, x2, out=None):
    no(out)
    if not x1.ndim or not x2.ndim:
        raise Refused
    return _product(jx, "matmul", x1, x2)


@lowers(np.dot, "a", "b")
def dot(jx, a, b, out=None):
    no(out)
    if not a.ndim or not b.ndim:
        return LOWER["multiply"](jx, *joined(jx, a, b))
    return _product(jx, "dot", a, b)


@lowers(np.inner, "a", "b")
def inner(jx, a, b):
    return _product(jx, "inner", a, b)


@lowers(np.vdot, "a", "b")
def vdot(jx, a, b):
    return _product(jx, "vdot", a, b)


@lowers(np.tensordot, "a", "b")
def tensordot(jx, a, b, axes=2):
    return _product(jx, "tensordot", a, b, axes=axes)


@lowers(np.outer, "a", "b")
def outer(jx, a, b, out=None):
    no(out)
    a, b = joined(jx, a, b)
    return LOWER["multiply"](jx, a.reshape(-1, 1), b.reshape(1, -1))


@lowers(np.linalg.outer, "x1", "x2")
def linalg_outer(jx, x1, x2):
    if x1.ndim != 1 or x2.ndim != 1:
        raise Refused
    return outer(jx, x1, x2)


@lowers(np.linalg.matmul, "x1", "x2")
def linalg_matmul(jx, x1, x2):
    return matmul(jx, x1, x2)


@lowers(np.linalg.tensordot, "x1", "x2")
def linalg_tensordot(jx, x1, x2, *, axes=2):
    return tensordot(jx, x1, x2, axes)


def _vectors(jx: Any, x1: Any, x2: Any) -> list[Any]:
    x1, x2 = joined(jx, x1, x2)
    return [x1.conj() if x1.dtype.kind == "c" else x1, x2]


@lowers(np.vecdot, "x1", "x2")
def vecdot(jx, x1, x2, out=None, *, axis=-1):
    no(out)
    if x1.shape[axis] != x2.shape[axis]:
        raise Refused
    x1, x2 = [jx.np.moveaxis(v, axis, -1) for v in _vectors(jx, x1, x2)]
    return _product(jx, "matmul", x1[..., None, :], x2[..., :, None])[..., 0, 0]


@lowers(np.linalg.vecdot, "x1", "x2")
def linalg_vecdot(jx, x1, x2, *, axis=-1):
    return vecdot(jx, x1, x2, axis=axis)


@lowers(np.matvec, "x1", "x2")
def matvec(jx, x1, x2, out=None):
    no(out)
    return _product(jx, "matmul", x1, x2[..., None])[..., 0]


@lowers(np.vecmat, "x1", "x2")
def vecmat(jx, x1, x2, out=None):
    no(out)
    x1, x2 = _vectors(jx, x1, x2)
    return _product(jx, "matmul", x1[..., None, :], x2)[..., 0, :]


@lowers(np.linalg.multi_dot, "*arrays")
def multi_dot(jx, arrays, *, out=None):
    no(out)
    arrays = joined(jx, *arrays)
    if arrays[0].dtype.kind == "b":
        raise Refused
    return jx.np.linalg.multi_dot(arrays, precision=jx.lax.Precision.HIGHEST)


def contracted(subscripts: str, operands: list[np.ndarray], optimize: Any) -> np.ndarray:
    """`einsum`."""
    return np.einsum(subscripts, *operands, optimize=optimize)


@lowers(contracted, "*operands")
def _contracted(jx, subscripts, operands, optimize):
    operands = joined(jx, *operands)
    kind = operands[0].dtype
    if kind.kind == "b":
        return jx.np.einsum(subscripts, *[v.astype(np.int32) for v in operands]) != 0
    if kind == np.float16:
        operands = [v.astype(np.float32) for v in operands]
    # A path that NumPy would not optimise still costs nothing to optimise here: shapes are all it needs.
    return jx.np.einsum(subscripts, *operands, optimize="optimal", precision=jx.lax.Precision.HIGHEST)


@lowers(np.trace, "a")
def trace(jx, a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    no(out)
    kind = accumulator(np.dtype(a.dtype)) if dtype is None else np.dtype(dtype)
    if kind.kind == "b" or axis_of(axis1, a.ndim) == axis_of(axis2, a.ndim):
        raise Refused
    a = cast(jx, jx.np.diagonal(a, offset, axis1, axis2), kind)
    return jx.np.sum(a.astype(np.float32) if kind == np.float16 else a, -1).astype(kind)


@lowers(np.cross, "a", "b")
def cross(jx, a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = joined(jx, a, b)
    a = jx.np.moveaxis(a, axis_of(axisa, a.ndim), -1)
    b = jx.np.moveaxis(b, axis_of(axisb, b.ndim), -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3 or a.dtype.kind == "b":
        raise Refused  # vectors of two are deprecated, with a warning of NumPy's
    multiply = LOWER["multiply"]
    x, y = [[v[..., k] for k in range(3)] for v in (a, b)]
    parts = [multiply(jx, x[i], y[j]) - multiply(jx, x[j], y[i]) for i, j in ((1, 2), (2, 0), (0, 1))]
    r = jx.np.stack(parts, -1)
    return jx.np.moveaxis(r, -1, axis_of(axisc, r.ndim))


@lowers(np.linalg.cross, "x1", "x2")
def linalg_cross(jx, x1, x2, *, axis=-1):
    return cross(jx, x1, x2, axis=axis)
