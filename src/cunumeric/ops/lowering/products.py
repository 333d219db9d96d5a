"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no
from .elementwise import LOWER, cast


def _joined(jx: Any, *operands: Any) -> list[Any]:
    """Operands in the dtype of NumPy's product."""
    kind = np.result_type(*[np.dtype(v.dtype) for v in operands])
    return [cast(jx, v, kind) for v in operands]


def _product(jx: Any, f: str, *operands: Any, **words: Any) -> Any:
    operands = tuple(_joined(jx, *operands))
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
        return LOWER["multiply"](jx, *_joined(jx, a, b))
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
    a, b = _joined(jx, a, b)
    return LOWER["multiply"](jx, a.reshape(-1, 1), b.reshape(1, -1))
