"""Large arrays that an accelerator makes from nothing but numbers: none of their bytes is ever on the host."""

from __future__ import annotations

import math
import operator
import sys
from typing import Any

import numpy as np

from ..ops.lowering import creation
from ..runtime import residence
from ..runtime.settings import settings
from . import ufunc
from .base import array_of
from .lowered import Elsewhere, one, way

_MOST = 1 << 56  # NumPy refuses more in its own words
_REALS = (int, float, np.integer, np.floating)


def _large(size: int) -> None:
    if not size or size < settings.record_min or size > _MOST:
        raise Elsewhere


def _kind(dtype: Any, kinds: str) -> np.dtype:
    found = np.dtype(dtype)
    if found.kind not in kinds or not residence.suits(found):
        raise Elsewhere
    return found


def _subnormal(kind: np.dtype, *values: Any) -> bool:
    """Whether one of the values is, in this dtype or double precision, what XLA on a processor takes for zero."""
    least = max(sys.float_info.min, float(np.finfo(kind).smallest_normal) if kind.kind == "f" else 0.0)
    return any(0 < abs(v) < least for v in values)


def _place(k: Any) -> np.ndarray:
    try:
        return np.asarray(operator.index(k), np.int64)
    except OverflowError:
        raise Elsewhere from None


def _number(*values: Any) -> None:
    if not all(
        isinstance(v, _REALS) and not isinstance(v, (bool, np.timedelta64)) and math.isfinite(v) for v in values
    ):
        raise Elsewhere


def filled(shape: Any, value: Any, dtype: Any, order: str) -> Any:
    """A new array of `shape` with `value` everywhere, recorded; raises `Elsewhere` where it is NumPy's."""
    lengths = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in lengths) or order not in ("C", "F"):
        raise Elsewhere
    lengths = tuple([int(n) for n in lengths])
    kind = _kind(dtype, "biufc")
    _large(math.prod(lengths))
    residence.ask(lengths, kind)
    try:
        value = np.array(value, kind).item()
    except (ValueError, OverflowError):
        raise Elsewhere from None
    x: Any = array_of(residence.make(lengths, kind, order))  # type: ignore[arg-type]
    x[...] = value  # which C records
    return x


@way(np.zeros)
def zeros(shape, dtype=float, order="C"):
    return filled(shape, 0, float if dtype is None else dtype, order)


@way(np.arange)
def arange(start, /, stop=None, step=1, dtype=None):  # by keyword, NumPy knows what has to go with it
    if stop is None:
        start, stop = 0, start
    _number(start, stop, step)
    n = math.ceil((stop - start) / step) if step else 0
    _large(max(n, 0))
    none: Any = (start, start + 0 * stop, step, dtype)
    kind = _kind(np.arange(*none).dtype, "iuf")
    first = kind.type(start)  # NumPy's step is the distance of the first two
    delta = kind.type(start + step) - first
    if kind.kind == "f" and _subnormal(kind, first, delta):
        raise Elsewhere
    return one(creation.steps, n, np.asarray(first), np.asarray(delta), creation.ZERO, kind)


@way(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    _number(start, stop)
    n = operator.index(num)
    _large(n - 1)  # of one NumPy gives the start
    wide = np.result_type(np.asarray(start), np.asarray(stop), float(n))
    kind = _kind(wide if dtype is None else dtype, "iuf")
    step = wide.type(np.subtract(stop, start, dtype=wide)) / wide.type(n - 1 if endpoint else n)
    odd = not step or not math.isfinite(step) or _subnormal(kind, step, start, stop)
    if retstep or axis not in (0, -1) or wide != np.float64 or odd:
        raise Elsewhere
    first, last = np.asarray(start, wide), np.asarray(stop, wide) if endpoint else None
    return one(creation.spaced, n, first, np.asarray(step), last, creation.ZERO, kind)


@way(np.eye)
def eye(N, M=None, k=0, dtype=float, order="C"):
    n = operator.index(N)
    m = n if M is None else operator.index(M)
    if n < 1 or m < 1 or order != "C":
        raise Elsewhere
    _large(n * m)
    return one(creation.diagonal_ones, n, m, _place(k), _kind(dtype, "biufc"))


@way(np.tri)
def tri(N, M=None, k=0, dtype=float, *, like=None):
    n = operator.index(N)
    m = n if M is None else operator.index(M)
    if n < 1 or m < 1 or like is not None:
        raise Elsewhere
    _large(n * m)
    return one(creation.triangle, n, m, _place(k), _kind(dtype, "biufc"))


@way(np.identity)
def identity(n, dtype=None):
    return eye(n, dtype=float if dtype is None else dtype)


@way(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    _number(base)
    if dtype is not None and np.dtype(dtype).kind not in "fc":
        raise Elsewhere  # the last bits of a power decide what is cut off
    y = ufunc.of(np.power)(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype, copy=False)


@way(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    _number(start, stop)
    kind = np.result_type(np.asarray(start), np.asarray(stop), float(num), np.zeros((), dtype))
    if not start * stop > 0 or kind != np.float64:
        raise Elsewhere
    y = logspace(np.log10(abs(start)), np.log10(abs(stop)), num, endpoint, 10.0, dtype, axis)
    y = -y if start < 0 else y
    y[0] = start
    if endpoint:
        y[-1] = stop
    return y


def _grid(vectors: list[np.ndarray]) -> Any:
    """The vectors, which are of one dtype and none of them large beside the whole, stacked as `creation.grid` does."""
    if len(vectors) < 2 or len({v.dtype for v in vectors}) > 1:
        raise Elsewhere
    _kind(vectors[0].dtype, "iufc")
    _large(len(vectors) * math.prod([v.size for v in vectors]))
    return one(creation.grid, [array_of(v) for v in vectors])


@way(np.indices)
def indices(dimensions, dtype=int, sparse=False):
    lengths = [operator.index(n) for n in dimensions]
    if sparse or any(n < 0 for n in lengths):
        raise Elsewhere
    if len(lengths) == 1:
        return arange(lengths[0], dtype=dtype).reshape(1, -1)
    return _grid([np.arange(n, dtype=dtype) for n in lengths])


def mesh(key: Any) -> Any:
    """`mgrid[key]`; raises `Elsewhere` where it is NumPy's."""
    if type(key) is slice and type(key.step) is not complex:
        return arange(key.start or 0, key.stop, 1 if key.step is None else key.step)
    if type(key) is not tuple or not all(type(k) is slice for k in key):
        raise Elsewhere
    return _grid([v.reshape(-1) for v in np.ogrid[key]])
