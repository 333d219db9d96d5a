"""Averages, correlations, differences, histograms, and the functions that pass over NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no, numbers
from .common import NV, axis_of, concatenated, floating, inexact, joined, part
from .elementwise import LOWER, cast, divide
from .products import _product
from .reductions import _INITIAL, _axes, _count, _extreme, _kept, _prod, _sum, mean
from .selection import rows_of, tallied
from .sorting import _places, place_of, with_order

# Up to so many elements in the shorter operand a convolution is a sum of shifted arrays.
_SHIFTS_MOST = 64


@lowers(np.average, "a", "weights")
def average(jx, a, axis=None, weights=None, returned=False, *, keepdims=NV):
    axes = _axes(axis, a.ndim)
    if weights is None:
        r = mean(jx, a, axis, keepdims=keepdims)
        scale = jx.np.asarray(_count(a, axes), r.dtype)
    else:
        kind = np.result_type(a.dtype, weights.dtype, *([np.float64] if a.dtype.kind in "biu" else []))
        if a.shape != weights.shape:
            if axis is None or weights.shape != tuple(a.shape[k] for k in axes):
                raise Refused
            order = sorted(range(len(axes)), key=lambda k: axes[k])
            weights = jx.np.transpose(weights, order).reshape([n if k in axes else 1 for k, n in enumerate(a.shape)])
            weights = jx.np.broadcast_to(weights, a.shape)
        a, weights = cast(jx, a, kind), cast(jx, weights, kind)
        scale = _sum(jx, weights, axes, keepdims=keepdims)
        r = divide(jx, _sum(jx, LOWER["multiply"](jx, a, weights), axes, keepdims=keepdims), scale)
    return (r, jx.np.broadcast_to(scale, r.shape)) if returned else r


@lowers(np.ptp, "a")
def ptp(jx, a, axis=None, out=None, keepdims=NV):
    high = _extreme("maximum", "max")(jx, a, axis, out, keepdims)
    return LOWER["subtract"](jx, high, _extreme("minimum", "min")(jx, a, axis, out, keepdims))


def _rows(jx: Any, m: Any, rowvar: bool, kind: Any) -> Any:
    m = cast(jx, m, kind)
    if m.ndim > 2:
        raise Refused
    if m.ndim < 2:
        return m.reshape(1, -1)
    return m if rowvar else m.T


@lowers(np.cov, "m", "y")
def cov(jx, m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    no(fweights, aweights)
    kind: Any = np.result_type(*[np.dtype(v.dtype) for v in (m, y) if v is not None], np.float64)
    kind = kind if dtype is None else np.dtype(dtype)
    x = _rows(jx, m, rowvar, kind)
    if not rowvar and m.ndim == 1:
        x = x.reshape(1, -1)
    if y is not None:
        x = concatenated(jx, [x, _rows(jx, y, rowvar, kind)], 0)
    factor = x.shape[1] - ((0 if bias else 1) if ddof is None else ddof)
    if factor <= 0 or not x.shape[0]:
        raise Refused
    x = x - mean(jx, x, 1, keepdims=True)
    c = divide(jx, _product(jx, "matmul", x, x.T.conj()), factor)
    return c.squeeze()


@lowers(np.corrcoef, "x", "y")
def corrcoef(jx, x, y=None, rowvar=True, *, dtype=None):
    c = cov(jx, x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    size = jx.np.sqrt(jx.np.diagonal(c).real)
    c = divide(jx, divide(jx, c, size[:, None]), size[None, :])
    if c.dtype.kind != "c":
        return jx.np.clip(c, -1, 1)
    return jx.lax.complex(jx.np.clip(c.real, -1, 1), jx.np.clip(c.imag, -1, 1))


# -- differences -------------------------------------------------------------------------------------------------------


@lowers(np.diff, "a", "?prepend", "?append", numbers={"prepend": numbers.itself, "append": numbers.itself})
def diff(jx, a, n=1, axis=-1, prepend=NV, append=NV):
    if n < 1 or not a.ndim:
        raise Refused
    axis = axis_of(axis, a.ndim)
    pieces = []
    for v in (prepend, a, append):
        if v is NV:
            continue
        if not hasattr(v, "dtype"):
            v = jx.np.asarray(np.asarray(v))
        if not v.ndim:
            v = jx.np.broadcast_to(v, tuple(1 if k == axis else m for k, m in enumerate(a.shape)))
        pieces.append(v)
    if len(pieces) > 1:
        a = concatenated(jx, joined(jx, *pieces), axis)
    for _ in range(n):
        x, y = part(a, axis, 1, None), part(a, axis, None, max(a.shape[axis] - 1, 0))
        a = x != y if a.dtype.kind == "b" else x - y
    return a


@lowers(np.ediff1d, "ary", "?to_end", "?to_begin")
def ediff1d(jx, ary, to_end=None, to_begin=None):
    a = ary.reshape(-1)
    if a.dtype.kind == "b":
        raise Refused
    pieces = [] if a.shape[0] < 2 else [a[1:] - a[:-1]]
    for v, front in ((to_begin, True), (to_end, False)):
        if v is None:
            continue
        v = np.asarray(v) if not hasattr(v, "dtype") else v
        if not np.can_cast(v.dtype, a.dtype, "same_kind"):
            raise Refused
        v = cast(jx, jx.np.asarray(v), a.dtype).reshape(-1)
        pieces = [v, *pieces] if front else [*pieces, v]
    return concatenated(jx, pieces) if pieces else a[:0]


def slopes(f: np.ndarray, spacings: list[np.ndarray], axes: tuple[int, ...], edge_order: int) -> Any:
    """`gradient` along `axes`: for each a distance, or the places of the elements."""
    return np.gradient(f, *[s[()] for s in spacings], axis=axes, edge_order=edge_order)  # type: ignore[call-overload]


@lowers(slopes, "f", "*spacings")
def _slopes(jx, f, spacings, axes, edge_order):
    if edge_order not in (1, 2) or f.dtype.kind == "b":
        raise Refused
    kind = inexact(f.dtype)
    f = cast(jx, f, np.float32 if kind == np.float16 else kind)
    real = np.dtype(f.real.dtype)
    found = [_slope(jx, f, cast(jx, h, real), axis, edge_order) for h, axis in zip(spacings, axes, strict=True)]
    found = [cast(jx, r, kind) for r in found]
    return found[0] if len(found) == 1 else tuple(found)


def _slope(jx: Any, f: Any, h: Any, axis: int, edge_order: int) -> Any:
    n = f.shape[axis]
    if n < edge_order + 1:
        raise Refused
    f = jx.np.moveaxis(f, axis, 0)
    if not h.ndim:
        steps = jx.np.full((n - 1,), h)
        inner = divide(jx, f[2:] - f[:-2], 2 * h)
    else:
        if h.shape != (n,):
            raise Refused
        steps = h[1:] - h[:-1]
        column = (n - 2,) + (1,) * (f.ndim - 1)
        p, q = steps[:-1].reshape(column), steps[1:].reshape(column)
        inner = -q / (p * (p + q)) * f[:-2] + (q - p) / (p * q) * f[1:-1] + p / (q * (p + q)) * f[2:]
    if edge_order == 1:
        first, last = divide(jx, f[1] - f[0], steps[0]), divide(jx, f[-1] - f[-2], steps[-1])
    else:
        p, q = steps[0], steps[1]
        first = -(2 * p + q) / (p * (p + q)) * f[0] + (p + q) / (p * q) * f[1] - p / (q * (p + q)) * f[2]
        p, q = steps[-2], steps[-1]
        last = q / (p * (p + q)) * f[-3] - (q + p) / (p * q) * f[-2] + (2 * q + p) / (q * (p + q)) * f[-1]
    return jx.np.moveaxis(concatenated(jx, [first[None], inner, last[None]], 0), 0, axis)


@lowers(np.trapezoid, "y", "x", numbers={"dx": numbers.joined})
def trapezoid(jx, y, x=None, dx=1.0, axis=-1):
    axis = axis_of(axis, y.ndim)
    if y.dtype.kind == "b" or (x is not None and x.dtype.kind == "b"):
        raise Refused
    d: Any = dx
    if x is not None:
        k = 0 if x.ndim == 1 else axis_of(axis - y.ndim, x.ndim)
        d = part(x, k, 1, None) - part(x, k, None, -1)
        if x.ndim == 1:
            d = d.reshape([-1 if k == axis else 1 for k in range(y.ndim)])
        d, y = floating(jx, d, y)
    else:
        (y,) = floating(jx, y)
    return jx.np.sum(d * (part(y, axis, 1, None) + part(y, axis, None, -1)) / 2, axis)


def _convolved(jx: Any, a: Any, v: Any, mode: str) -> Any:
    """Sum of shifted arrays; `a` is the longer one."""
    n, m = a.shape[0], v.shape[0]
    if not m or mode not in ("full", "same", "valid"):
        raise Refused
    multiply, add = LOWER["multiply"], LOWER["add"]
    if m > _SHIFTS_MOST:
        if a.dtype.kind not in "fc":
            raise Refused
        return jx.np.convolve(a, v, mode, precision=jx.lax.Precision.HIGHEST)
    wide = jx.np.pad(a, (m - 1, m - 1))
    r = multiply(jx, wide[: n + m - 1], v[m - 1])
    for k in range(m - 1):
        r = add(jx, r, multiply(jx, wide[m - 1 - k : n + 2 * (m - 1) - k], v[k]))
    if mode == "valid":
        return r[m - 1 : n]
    return r[(m - 1) // 2 : (m - 1) // 2 + n] if mode == "same" else r


@lowers(np.convolve, "a", "v")
def convolve(jx, a, v, mode="full"):
    a, v = joined(jx, a.reshape(-1) if not a.ndim else a, v.reshape(-1) if not v.ndim else v)
    if a.ndim != 1 or v.ndim != 1:
        raise Refused
    if v.shape[0] > a.shape[0]:
        a, v = v, a
    return _convolved(jx, a, v, mode)


@lowers(np.correlate, "a", "v")
def correlate(jx, a, v, mode="valid"):
    a, v = joined(jx, a, v)
    if a.ndim != 1 or v.ndim != 1:
        raise Refused
    v = v.conj() if v.dtype.kind == "c" else v
    if a.shape[0] >= v.shape[0]:
        return _convolved(jx, a, v[::-1], mode)
    if mode == "same":
        raise Refused
    return _convolved(jx, v[::-1], a, mode)


@lowers(np.interp, "x", "xp", "fp")
def interp(jx, x, xp, fp, left=None, right=None, period=None):
    if xp.ndim != 1 or fp.shape != xp.shape or not xp.shape[0] or x.dtype.kind == "c" or xp.dtype.kind == "c":
        raise Refused
    if fp.dtype.kind == "c":  # by parts, as NumPy does it: infinities of one stay out of the other
        ends = [(None, None) if v is None else (complex(v).real, complex(v).imag) for v in (left, right)]
        parts = [interp(jx, x, xp, p, *e, period) for p, *e in zip((fp.real, fp.imag), *ends, strict=True)]
        return jx.lax.complex(*parts)
    x, xp, fp = cast(jx, x, np.float64), cast(jx, xp, np.float64), cast(jx, fp, np.float64)
    if period is not None:
        if period == 0:
            raise Refused
        period = abs(period)
        x, xp = (LOWER["remainder"](jx, v, jx.np.asarray(period, np.float64)) for v in (x, xp))
        xp, order = with_order(jx, xp, 0)
        fp = rows_of(jx, fp, order, 0)
        xp = concatenated(jx, [xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenated(jx, [fp[-1:], fp, fp[:1]])
        left = right = None
    n = xp.shape[0]
    j = jx.np.clip(place_of(jx, xp, x, True) - 1, 0, max(n - 2, 0))
    low, high = rows_of(jx, fp, j, 0), rows_of(jx, fp, jx.np.minimum(j + 1, n - 1), 0)
    x0, x1 = rows_of(jx, xp, j, 0), rows_of(jx, xp, jx.np.minimum(j + 1, n - 1), 0)
    width = x1 - x0
    slope = (high - low) / jx.np.where(width == 0, jx.np.ones_like(width), width)
    r = slope * (x - x0) + low
    r = jx.np.where(jx.np.isnan(r), slope * (x - x1) + high, r)  # an infinity at one end
    r = jx.np.where(jx.np.isnan(r) & (low == high), low, r)
    r = jx.np.where(x == x0, low, r)
    r = jx.np.where(x == x1, high, r)
    r = jx.np.where(x < xp[0], fp[0] if left is None else jx.np.asarray(left, fp.dtype), r)
    r = jx.np.where(x > xp[-1], fp[-1] if right is None else jx.np.asarray(right, fp.dtype), r)
    r = jx.np.where(x == xp[-1], fp[-1], r)
    return jx.np.where(jx.np.isnan(x), x.astype(fp.dtype), r)


# -- histograms --------------------------------------------------------------------------------------------------------


def _bin_of(jx: Any, a: Any, edges: Any) -> Any:
    """The bin of each element; the number of bins for elements in none."""
    a, edges = joined(jx, a, edges)
    n = edges.shape[0] - 1
    at = place_of(jx, edges, a, True) - 1
    at = jx.np.where(a == edges[-1], n - 1, at)
    return jx.np.where((at >= 0) & (a <= edges[-1]), at, n)


# The edges come from the caller, who has them from NumPy: a last bit decides about a number that lies on an edge.


@lowers(np.histogram, "a", "bins", "weights")
def histogram(jx, a, bins, range=None, density=None, weights=None):
    if weights is not None and (weights.shape != a.shape or weights.dtype.kind == "b"):
        raise Refused
    no(range)
    n = bins.shape[0] - 1
    at = _bin_of(jx, a, bins)
    if weights is None:
        counts = tallied(jx, at, np.ones((), np.int64), n)
    else:
        w = weights
        wide = w if w.dtype.kind in "iu" else cast(jx, w, np.result_type(w.dtype, np.float64))
        counts = tallied(jx, at, wide, n).astype(w.dtype)
    if density:
        counts = divide(jx, counts / (bins[1:] - bins[:-1]), counts.sum())
    return counts, bins


def table(x: np.ndarray, y: np.ndarray, edges: list[np.ndarray], density: bool, weights: Any) -> np.ndarray:
    """The counts of `histogram2d`."""
    return np.histogram2d(x, y, edges, density=density, weights=weights)[0]


@lowers(table, "x", "y", "*edges", "weights")
def _table(jx, x, y, edges, density, weights):
    ex, ey = edges
    m, n = ex.shape[0] - 1, ey.shape[0] - 1
    p, q = _bin_of(jx, x, ex), _bin_of(jx, y, ey)
    at = jx.np.where((p < m) & (q < n), p * n + q, m * n)
    w = np.ones((), np.float64) if weights is None else cast(jx, weights, np.float64)
    h = tallied(jx, at, w, m * n).reshape(m, n)
    if density:
        h = divide(jx, divide(jx, divide(jx, h, h.sum()), (ex[1:] - ex[:-1])[:, None]), ey[1:] - ey[:-1])
    return h


# -- passing over NaN --------------------------------------------------------------------------------------------------


def without_nan(jx: Any, a: Any, instead: Any) -> Any:
    return jx.np.where(jx.np.isnan(a), np.array(instead, a.dtype), a) if a.dtype.kind in "fc" else a


def _total(f: Any, instead: int) -> Any:
    def total(jx, a, axis=None, dtype=None, out=None, keepdims=NV, initial=NV, where=NV):
        return f(jx, without_nan(jx, a, instead), axis, dtype, out, keepdims, initial, where)

    return total


lowers(np.nansum, "a", "where", numbers=_INITIAL)(_total(_sum, 0))
lowers(np.nanprod, "a", "where", numbers=_INITIAL)(_total(_prod, 1))


def _nan_extreme(name: str, method: str, worst: float) -> Any:
    f = _extreme(name, method)

    def extreme(jx, a, axis=None, out=None, keepdims=NV, initial=NV, where=NV):
        if a.dtype.kind == "c":
            raise Refused
        r = f(jx, without_nan(jx, a, worst) if a.dtype.kind == "f" else a, axis, out, keepdims, initial, where)
        if a.dtype.kind != "f" or initial is not NV:
            return r
        axes = _axes(axis, a.ndim)
        none = _kept(jx, jx.np.all(jx.np.isnan(a), axes), a, axes, keepdims)
        return jx.np.where(none, np.array(np.nan, a.dtype), r)

    return extreme


lowers(np.nanmin, "a", "where", numbers=_INITIAL)(_nan_extreme("minimum", "min", np.inf))
lowers(np.nanmax, "a", "where", numbers=_INITIAL)(_nan_extreme("maximum", "max", -np.inf))


def _nan_places(best: str, worst: float) -> Any:
    def places(jx, a, axis=None, out=None, *, keepdims=NV):
        return _places(best)(jx, without_nan(jx, a, worst), axis, out, keepdims=keepdims)

    return places


lowers(np.nanargmax, "a")(_nan_places("argmax", -np.inf))
lowers(np.nanargmin, "a")(_nan_places("argmin", np.inf))


def _nan_moments(jx: Any, a: Any, axis: Any, dtype: Any, where: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The numbers in a wide dtype with zeros for NaN, which of them count, how many, and the axes."""
    axes = _axes(axis, a.ndim)
    kind = inexact(a.dtype) if dtype is None else np.dtype(dtype)
    if kind.kind not in "fc":
        raise Refused
    counts = ~jx.np.isnan(a) if a.dtype.kind in "fc" else jx.np.ones(a.shape, bool)
    if where is not NV and where is not True:
        counts = counts & where
    a = cast(jx, a, np.float32 if kind == np.float16 else kind)
    zero = np.zeros((), a.dtype)
    number = jx.np.sum(counts, axes, keepdims=True).astype(a.real.dtype)
    return jx.np.where(counts, a, zero), counts, number, axes, kind


@lowers(np.nanmean, "a", "where")
def nanmean(jx, a, axis=None, dtype=None, out=None, keepdims=NV, *, where=NV):
    no(out)
    a, _, number, axes, kind = _nan_moments(jx, a, axis, dtype, where)
    r = divide(jx, jx.np.sum(a, axes, keepdims=True), number).astype(kind)
    return r if keepdims is not NV and keepdims else jx.np.squeeze(r, axes)


@lowers(np.nanvar, "a", "where")
def nanvar(jx, a, axis=None, dtype=None, out=None, ddof=0, keepdims=NV, *, where=NV, mean=NV, correction=NV):
    no(out, mean)
    if correction is not NV:
        if ddof:
            raise Refused
        ddof = correction
    a, counts, number, axes, kind = _nan_moments(jx, a, axis, dtype, where)
    apart = jx.np.where(counts, a - divide(jx, jx.np.sum(a, axes, keepdims=True), number), np.zeros((), a.dtype))
    squares = apart.real**2 + apart.imag**2 if a.dtype.kind == "c" else apart * apart
    free = number - ddof
    r = divide(jx, jx.np.sum(squares, axes, keepdims=True), free)
    r = jx.np.where(free <= 0, np.array(np.nan, r.dtype), r)
    r = r.astype(np.float16) if kind == np.float16 else r
    return r if keepdims is not NV and keepdims else jx.np.squeeze(r, axes)


@lowers(np.nanstd, "a", "where")
def nanstd(jx, a, axis=None, dtype=None, out=None, ddof=0, keepdims=NV, *, where=NV, mean=NV, correction=NV):
    return jx.np.sqrt(nanvar(jx, a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))
