"""Medians, quantiles and percentiles: sorts along the axes, and weights between neighbours as NumPy defines them."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no
from .common import NV, given
from .elementwise import cast
from .reductions import _axes
from .sorting import in_order

# Hyndman and Fan's continuous definitions: quantile q of n numbers is at place n q + alpha + q (1 - alpha - beta) - 1.
_CONTINUOUS = {
    "linear": (1.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
    "interpolated_inverted_cdf": (0.0, 1.0),
}


def _collapsed(jx: Any, a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """`a` with the axes that are reduced as its last one."""
    axes = _axes(axis, a.ndim)
    kept = [k for k in range(a.ndim) if k not in axes]
    moved = jx.lax.transpose(a, (*kept, *axes))
    return moved.reshape([a.shape[k] for k in kept] + [-1]), axes


def _place(np_: Any, n: Any, q: Any, method: str) -> tuple[Any, Any]:
    """Lower neighbour and weight of the upper one."""
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        virtual = (n - 1) * q if method == "linear" else n * q + (alpha + q * (1 - alpha - beta)) - 1
    else:
        virtual = (n - 1) * q
    virtual = np_.clip(virtual, 0, n - 1)
    low = np_.floor(virtual)
    weight = virtual - low
    if method == "lower":
        weight = weight * 0
    elif method == "higher":
        weight = np_.where(weight > 0, 1.0, 0.0)
    elif method == "midpoint":
        weight = np_.where(weight > 0, 0.5, 0.0)
    elif method == "nearest":
        weight = np_.where((weight > 0.5) | ((weight == 0.5) & (low % 2 == 1)), 1.0, 0.0)
    elif method not in _CONTINUOUS:
        raise Refused
    return low, weight


def _quantile(jx: Any, a: Any, q: Any, axis: Any, method: str, keepdims: Any, weights: Any, skip: bool) -> Any:
    no(weights)
    if a.dtype.kind in "bc":
        raise Refused
    q = np.asarray(q)
    if q.ndim > 1 or q.dtype.kind not in "biuf" or not np.all((q >= 0) & (q <= 1)):
        raise Refused
    shape = [1 if k in _axes(axis, a.ndim) else n for k, n in enumerate(a.shape)]
    a, _ = _collapsed(jx, a, axis)
    if not a.shape[-1]:
        raise Refused
    a = in_order(jx, a, a.ndim - 1)
    real = a.dtype.kind == "f"
    exact = method in ("lower", "higher", "nearest")
    wide = a if exact else cast(jx, a, np.float32 if a.dtype == np.float16 else a.dtype if real else np.float64)
    nan = jx.np.isnan(a).sum(-1) if real else None
    last: Any = a.shape[-1] - 1
    found = []
    for value in q.reshape(-1).astype(np.float64):
        if skip and nan is not None:
            n = jx.np.maximum(a.shape[-1] - nan, 1)
            low, weight = _place(jx.np, n.astype(np.float64), float(value), method)
            first = low.astype(np.int64)
            x = jx.np.take_along_axis(wide, first[..., None], -1)[..., 0]
            y = jx.np.take_along_axis(wide, jx.np.minimum(first + 1, n - 1)[..., None], -1)[..., 0]
        else:
            low, weight = _place(np, a.shape[-1], float(value), method)
            x, y = wide[..., int(low)], wide[..., min(int(low) + 1, last)]
        if exact:
            r = jx.np.where(weight == 1, y, x)
        else:
            weight = jx.np.asarray(weight, wide.dtype)
            step = y - x
            r = jx.np.where(weight >= 0.5, y - step * (1 - weight), x + step * weight)
        if nan is not None:
            odd = nan == a.shape[-1] if skip else nan > 0
            r = jx.np.where(odd, np.array(np.nan, r.dtype), r)
        found.append(r)
    if given(keepdims) and keepdims:
        found = [r.reshape(shape) for r in found]
    return jx.np.stack(found) if q.ndim else found[0]


def _rows(skip: bool) -> tuple[Any, Any, Any]:
    def quantile(jx, a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=NV, *, weights=None):
        no(out)
        return _quantile(jx, a, q, axis, method, keepdims, weights, skip)

    def percentile(jx, a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=NV, *, weights=None):
        no(out)
        return _quantile(jx, a, np.true_divide(q, 100), axis, method, keepdims, weights, skip)

    def median(jx, a, axis=None, out=None, overwrite_input=False, keepdims=NV):
        no(out)
        shape = [1 if k in _axes(axis, a.ndim) else n for k, n in enumerate(a.shape)]
        flat, _ = _collapsed(jx, a, axis)
        n: Any = flat.shape[-1]
        if not n or (skip and a.dtype.kind == "c"):
            raise Refused
        s = in_order(jx, flat, flat.ndim - 1)
        kind = np.dtype(np.float64) if a.dtype.kind in "biu" else np.dtype(a.dtype)
        wide = cast(jx, s, np.float32 if kind == np.float16 else kind)
        nan = jx.np.isnan(flat).sum(-1) if kind.kind in "fc" else jx.np.zeros(flat.shape[:-1], np.int64)
        if skip:
            n = jx.np.maximum(n - nan, 1)[..., None]
            x = jx.np.take_along_axis(wide, (n - 1) // 2, -1)[..., 0]
            y = jx.np.take_along_axis(wide, n // 2, -1)[..., 0]
            r = jx.np.where(n[..., 0] % 2 == 1, y, (x + y) / 2)
        else:
            r = wide[..., n // 2] if n % 2 else (wide[..., n // 2 - 1] + wide[..., n // 2]) / 2
        if kind.kind in "fc":
            r = jx.np.where(nan == flat.shape[-1] if skip else nan > 0, np.array(np.nan, wide.dtype), r)
        r = r.astype(kind)
        return r.reshape(shape) if given(keepdims) and keepdims else r

    return quantile, percentile, median


_CHAPTER: tuple[tuple[tuple[Any, ...], bool], ...] = (
    ((np.quantile, np.percentile, np.median), False),
    ((np.nanquantile, np.nanpercentile, np.nanmedian), True),
)
for _functions, _skip in _CHAPTER:
    for _function, _row in zip(_functions, _rows(_skip), strict=True):
        lowers(_function, "a")(_row)
