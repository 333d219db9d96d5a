"""Products of vectors and matrices."""

from __future__ import annotations

import math
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
        return _product(jx, f, *[v.astype(np.int32) for v in operands], **words) != 0
    if jx.mesh is not None and f != "vdot":
        found = _on_several(jx, f, *operands, **words)
        if found is not None:
            return found
    return getattr(jx.np, f)(*operands, precision=jx.lax.Precision.HIGHEST, **words)


# Several devices: a product of two operands is one of matrices, and those have a kernel. Axes are told by labels, as in
# `einsum`.


def _on_several(jx: Any, f: str, a: Any, b: Any, **words: Any) -> Any:
    """The product by a kernel for several devices; or None."""
    if a.ndim >= 2 and b.ndim >= 2:
        return _in_parts(jx, a, b, *_labels(f, a, b, **words))
    if words or {a.ndim, b.ndim} != {1, 2} or not a.size or not b.size or a.shape[-1] != b.shape[0]:
        return None
    return jx.sharded.applied(jx, a, b) if a.ndim == 2 else jx.sharded.applied(jx, b.T, a)


def _labels(f: str, a: Any, b: Any, axes: Any = 2) -> tuple[list[int], list[int], list[int]]:
    """The labels of both operands and of the result."""
    m, n = a.ndim, b.ndim
    left, right = list(range(m)), list(range(m, m + n))
    if f == "matmul":
        for k in range(1, 1 + min(m, n) - 2):
            right[n - 2 - k] = left[m - 2 - k]
        right[-2] = left[-1]
        return left, right, [*(left[: m - 2] if m >= n else right[: n - 2]), left[-2], right[-1]]
    if f == "tensordot":
        pairs = (range(m - axes, m), range(axes)) if isinstance(axes, (int, np.integer)) else axes
        first, second = [(k,) if isinstance(k, (int, np.integer)) else k for k in pairs]
    else:
        first, second = (m - 1,), (n - 1 if f == "inner" else n - 2,)
    for i, j in zip(first, second, strict=True):
        right[j] = left[i]
    return left, right, [k for k in left + right if (k in left) != (k in right)]


def _in_parts(jx: Any, a: Any, b: Any, left: list[int], right: list[int], result: list[int]) -> Any:
    """The product, where it is better done in parts; or None."""
    sizes: dict[int, int] = {}
    for labels, v in ((left, a), (right, b)):
        if len(set(labels)) < len(labels) or any(
            sizes.setdefault(k, n) != n for k, n in zip(labels, v.shape, strict=True)
        ):
            return None
    both = [k for k in left if k in right]
    batch, inner = [k for k in both if k in result], [k for k in both if k not in result]
    rows, columns = [k for k in left if k not in both], [k for k in right if k not in both]
    if not inner or sorted(result) != sorted(batch + rows + columns):
        return None

    def shaped(v: Any, labels: list[int], *groups: list[int]) -> Any:
        order = [labels.index(k) for k in [*batch, *(k for group in groups for k in group)]]
        v = v if order == list(range(v.ndim)) else jx.np.transpose(v, order)
        lengths = [math.prod([sizes[k] for k in group]) for group in groups]
        return jx.sharded.reshaped(jx, v, (*[sizes[k] for k in batch], *lengths))

    x, y = shaped(a, left, rows, inner), shaped(b, right, inner, columns)
    found = [*batch, *rows, *columns]
    r = jx.sharded.product(jx, x, y)
    if r is None:
        return None
    r = jx.sharded.reshaped(jx, r, tuple([sizes[k] for k in found]))
    return jx.np.transpose(r, [found.index(k) for k in result])


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
    if jx.mesh is not None and a.ndim > 1 and a.shape == b.shape:  # without a reshape, which would bring all to all
        a, b = joined(jx, a, b)
        if a.dtype.kind == "b":
            return (a & b).any()
        wide = np.float32 if a.dtype == np.float16 else a.dtype
        return jx.np.sum((a.conj() * b).astype(wide), dtype=wide).astype(a.dtype)
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


def _subscripts(text: str) -> list[list[int]]:
    """The labels of two operands and of the result."""
    operands, arrow, result = text.replace(" ", "").partition("->")
    letters = [k for k in sorted(set(operands)) if k.isalpha() and operands.count(k) == 1]
    return [[ord(k) for k in labels] for labels in (*operands.split(","), result if arrow else "".join(letters))]


@lowers(contracted, "*operands")
def _contracted(jx, subscripts, operands, optimize):
    operands = joined(jx, *operands)
    kind = operands[0].dtype
    if kind.kind == "b":
        return jx.np.einsum(subscripts, *[v.astype(np.int32) for v in operands]) != 0
    if kind == np.float16:
        operands = [v.astype(np.float32) for v in operands]
    if jx.mesh is not None and len(operands) == 2 and "." not in subscripts:
        found = _in_parts(jx, *operands, *_subscripts(subscripts))
        if found is not None:
            return found
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
