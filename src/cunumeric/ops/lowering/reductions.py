"""Sums, extremes, moments and counts along axes, in the accumulator types of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no, numbers
from .elementwise import LOWER, cast, divide

_NV = np._NoValue


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype in which NumPy sums `dtype`: integers smaller than a word are summed as words."""
    if dtype.kind == "b" or (dtype.kind == "i" and dtype.itemsize < 8):
        return np.dtype(np.int64)
    if dtype.kind == "u" and dtype.itemsize < 8:
        return np.dtype(np.uint64)
    return np.dtype(dtype)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    found = tuple([a + ndim if a < 0 else a for a in axes])
    if len(set(found)) != len(found) or any(not 0 <= a < ndim for a in found):
        raise Refused
    return found


def _keeps(keepdims: Any) -> bool:
    """Whether `keepdims` was given and is true; what is no truth value is an error of NumPy's."""
    if keepdims is not _NV and not isinstance(keepdims, (bool, int, np.bool_, np.integer)):
        raise Refused
    return keepdims is not _NV and bool(keepdims)


def _kept(jx: Any, r: Any, a: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    if not _keeps(keepdims):
        return r
    return r.reshape([1 if k in axes else n for k, n in enumerate(a.shape)])


def _masked(jx: Any, a: Any, where: Any, neutral: Any) -> Any:
    return a if where is _NV or where is True else jx.np.where(where, a, neutral)


def _folded(jx: Any, r: Any, initial: Any, name: str) -> Any:
    if initial is _NV or initial is None:
        return r
    return LOWER[name](jx, r, jx.np.asarray(initial, r.dtype))


def _sum(jx, a, axis=None, dtype=None, out=None, keepdims=_NV, initial=_NV, where=_NV):
    no(out)
    a = cast(jx, a, accumulator(a.dtype) if dtype is None else np.dtype(dtype))
    if a.dtype.kind == "b":
        raise Refused
    axes = _axes(axis, a.ndim)
    wide = a.astype(np.float32) if a.dtype == np.float16 else a
    r = jx.np.sum(_masked(jx, wide, where, np.zeros((), wide.dtype)), axes, dtype=wide.dtype).astype(a.dtype)
    return _kept(jx, _folded(jx, r, initial, "add"), a, axes, keepdims)


def _prod(jx, a, axis=None, dtype=None, out=None, keepdims=_NV, initial=_NV, where=_NV):
    no(out)
    a = cast(jx, a, accumulator(a.dtype) if dtype is None else np.dtype(dtype))
    if a.dtype.kind == "b":
        raise Refused
    axes = _axes(axis, a.ndim)
    r = jx.np.prod(_masked(jx, a, where, np.ones((), a.dtype)), axes, dtype=a.dtype)
    return _kept(jx, _folded(jx, r, initial, "multiply"), a, axes, keepdims)


def largest(jx: Any, a: Any, method: str, axes: Any, keepdims: bool = False) -> Any:
    """The "max" or "min" of real numbers; NaN where there is one. What devices tell each other may lose it."""
    r = getattr(jx.np, method)(a, axes, keepdims=keepdims)
    if jx.mesh is None or a.dtype.kind != "f":
        return r
    return jx.np.where(jx.np.any(a != a, axes, keepdims=keepdims), np.array(np.nan, a.dtype), r)


def _complex_extreme(jx: Any, a: Any, axes: tuple[int, ...], wins: Any) -> Any:
    """By real parts, then by imaginary parts; a NaN wins over all."""
    if any(a.shape[k] == 0 for k in axes):
        raise Refused
    worst = -np.inf if wins is jx.np.max else np.inf
    nan = jx.np.isnan(a)
    real = wins(jx.np.where(nan, worst, a.real), axes, keepdims=True)
    imag = wins(jx.np.where((a.real == real) & ~nan, a.imag, worst), axes, keepdims=True)
    found = jx.lax.complex(real, imag).astype(a.dtype)
    first = [largest(jx, jx.np.where(nan, part, -np.inf), "max", axes, True) for part in (a.real, a.imag)]
    none = jx.lax.complex(*first).astype(a.dtype)  # the NaN itself, where there is one
    return jx.np.squeeze(jx.np.where(nan.any(axes, keepdims=True), none, found), axes)


def _extreme(name: str, method: str) -> Any:
    def extreme(jx, a, axis=None, out=None, keepdims=_NV, initial=_NV, where=_NV):
        no(out)
        axes = _axes(axis, a.ndim)
        masked = where is not _NV and where is not True
        if a.dtype.kind == "c" and not masked and initial is _NV and axes:
            return _kept(jx, _complex_extreme(jx, a, axes, getattr(jx.np, method)), a, axes, keepdims)
        if a.dtype.kind == "c" or (masked and initial is _NV):
            raise Refused
        if initial is _NV and any(a.shape[k] == 0 for k in axes):
            raise Refused
        if where is not _NV and where is not True:
            a = jx.np.where(where, a, jx.np.asarray(initial, a.dtype))
        if not axes:
            r = a
        elif initial is not _NV and any(a.shape[k] == 0 for k in axes):
            return jx.np.full([1 if k in axes else n for k, n in enumerate(a.shape)], initial, a.dtype)
        else:
            r = largest(jx, a, method, axes)
        return _kept(jx, _folded(jx, r, initial, name), a, axes, keepdims)

    return extreme


def _truth(method: str) -> Any:
    def truth(jx, a, axis=None, out=None, keepdims=_NV, *, where=_NV):
        no(out)
        axes = _axes(axis, a.ndim)
        a = _masked(jx, a != 0, where, np.bool_(method == "all"))
        return _kept(jx, getattr(jx.np, method)(a, axes) if axes else a, a, axes, keepdims)

    return truth


def _count(a: Any, axes: tuple[int, ...]) -> int:
    n = 1
    for k in axes:
        n *= a.shape[k]
    return n


def _moments_type(a: Any, dtype: Any) -> np.dtype:
    if dtype is not None:
        return np.dtype(dtype)
    return np.dtype(np.float64) if a.dtype.kind in "biu" else np.dtype(a.dtype)


@lowers(np.mean, "a", "where")
def mean(jx, a, axis=None, dtype=None, out=None, keepdims=_NV, *, where=_NV):
    no(out)
    axes = _axes(axis, a.ndim)
    kind = _moments_type(a, dtype)
    a = cast(jx, a, np.dtype(np.float32) if kind == np.float16 else kind)
    total = _sum(jx, a, axes, keepdims=True, where=where)
    if where is _NV or where is True:
        count: Any = _count(a, axes)
        if not count:
            raise Refused
    else:
        count = jx.np.sum(jx.np.broadcast_to(where, a.shape), axes, keepdims=True).astype(total.real.dtype)
    r = divide(jx, total, count).astype(kind)
    return r if _keeps(keepdims) else jx.np.squeeze(r, axes)


@lowers(np.var, "a", "where")
def var(jx, a, axis=None, dtype=None, out=None, ddof=0, keepdims=_NV, *, where=_NV, mean=_NV, correction=_NV):
    no(out, mean)
    if correction is not _NV:
        if ddof:
            raise Refused
        ddof = correction
    axes = _axes(axis, a.ndim)
    kind = _moments_type(a, dtype)
    a = cast(jx, a, np.dtype(np.float32) if kind == np.float16 else kind)
    count: Any = _count(a, axes)
    if where is not _NV and where is not True:
        mask = jx.np.broadcast_to(where, a.shape)
        count = jx.np.sum(mask, axes, keepdims=True).astype(a.real.dtype)
    elif count - ddof <= 0:
        raise Refused
    centre = divide(jx, _sum(jx, a, axes, keepdims=True, where=where), count)
    distance = a - centre
    squares = distance.real**2 + distance.imag**2 if a.dtype.kind == "c" else distance * distance
    r = divide(jx, _sum(jx, squares, axes, keepdims=True, where=where), count - ddof)
    r = r.astype(np.float16) if kind == np.float16 else r
    return r if _keeps(keepdims) else jx.np.squeeze(r, axes)


@lowers(np.std, "a", "where")
def std(jx, a, axis=None, dtype=None, out=None, ddof=0, keepdims=_NV, *, where=_NV, mean=_NV, correction=_NV):
    return jx.np.sqrt(var(jx, a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@lowers(np.count_nonzero, "a")
def count_nonzero(jx, a, axis=None, *, keepdims=False):
    axes = _axes(axis, a.ndim)
    return _kept(jx, jx.np.sum(a != 0, axes, dtype=np.int64), a, axes, keepdims)


def _reduced(f: Any) -> Any:
    """A reduction as `ufunc.reduce`: over the first axis, unless told otherwise, and with `dtype`."""

    def reduce(jx, array, axis=0, dtype=None, out=None, keepdims=False, initial=_NV, where=True):
        if dtype is not None and (f in _TRUTHS or np.dtype(dtype).kind not in "iufc"):
            raise Refused
        if dtype is not None:
            array = cast(jx, array, np.dtype(dtype))
        if f in _TRUTHS and initial is not _NV:
            if initial is None:
                raise Refused
            r = f(jx, array, axis, out=out, keepdims=keepdims, where=_NV if where is True else where)
            return r | bool(initial) if f is _any else r & bool(initial)
        words = {} if initial is _NV else {"initial": initial}
        return f(jx, array, axis, out=out, keepdims=keepdims, where=_NV if where is True else where, **words)

    return reduce


_INITIAL: dict[str, numbers.Rule] = {"initial": numbers.computed}
lowers(np.sum, "a", "where", numbers=_INITIAL)(_sum)
lowers(np.prod, "a", "where", numbers=_INITIAL)(_prod)
for _function, _name, _method in (
    (np.max, "maximum", "max"), (np.amax, "maximum", "max"), (np.min, "minimum", "min"), (np.amin, "minimum", "min"),
):  # fmt: skip
    lowers(_function, "a", "where", numbers=_INITIAL)(_extreme(_name, _method))
_TRUTHS = _any, _all = _truth("any"), _truth("all")
lowers(np.any, "a", "where")(_any)
lowers(np.all, "a", "where")(_all)
lowers(np.add.reduce, "array", "where", numbers=_INITIAL)(_reduced(_sum))
lowers(np.multiply.reduce, "array", "where", numbers=_INITIAL)(_reduced(_prod))
lowers(np.maximum.reduce, "array", "where", numbers=_INITIAL)(_reduced(_extreme("maximum", "max")))
lowers(np.minimum.reduce, "array", "where", numbers=_INITIAL)(_reduced(_extreme("minimum", "min")))
lowers(np.logical_or.reduce, "array", "where")(_reduced(_any))
lowers(np.logical_and.reduce, "array", "where")(_reduced(_all))
