"""Medians, quantiles and percentiles: sorts along the axes, and weights between neighbours as NumPy defines them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import Refused, lowers, no, numbers
from .common import NV, given, is_cut
from .elementwise import cast, divide
from .radix import coded, decoded
from .reductions import _axes
from .sorting import in_order, keys, parts, whole

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
    return moved.reshape([a.shape[k] for k in kept] + [math.prod([a.shape[k] for k in axes])]), axes


def _at_ranks(jx: Any, a: Any, axis: Any, ranks: list[Any]) -> list[Any]:
    """The elements that sorting along the axes brings to these places: one for all lines, or one for each."""
    if len(_axes(axis, a.ndim)) == a.ndim and is_cut(jx, a):
        where = jx.np.stack([jx.np.asarray(r, np.int64).reshape(()) for r in ranks])
        if a.dtype.kind == "c":
            values = whole(jx, jx.sharded.ranked(jx, [*keys(jx, a), *parts(jx, a)], 3, where)[3:])
        else:
            values = decoded(jx, jx.sharded.ranked(jx, [coded(jx, a)], 1, where)[0], a.dtype)
        return [values[k] for k in range(len(ranks))]
    a, _ = _collapsed(jx, a, axis)
    s = in_order(jx, a, a.ndim - 1)
    return [s[..., r] if not np.ndim(r) else jx.np.take_along_axis(s, r[..., None], -1)[..., 0] for r in ranks]


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
    moves = numbers.changes(q)  # then it is within bounds
    q = q if moves else np.asarray(q)
    if not moves and (q.ndim > 1 or not q.size or q.dtype.kind not in "biuf" or not np.all((q >= 0) & (q <= 1))):
        raise Refused
    axes = _axes(axis, a.ndim)
    shape = [1 if k in axes else n for k, n in enumerate(a.shape)]
    count = math.prod([a.shape[k] for k in axes])
    if not count:
        raise Refused
    real = a.dtype.kind == "f"
    exact = method in ("lower", "higher", "nearest")
    nan = jx.np.isnan(a).sum(axes) if real else None
    ranks: list[Any] = []
    weights = []
    for value in [q] if moves else q.reshape(-1).astype(np.float64).tolist():
        if moves or (skip and nan is not None):
            n = jx.np.maximum(count - nan, 1) if skip and nan is not None else jx.np.asarray(count)
            low, weight = _place(jx.np, n.astype(np.float64), value, method)
            first = low.astype(np.int64)
            ranks += [first, jx.np.minimum(first + 1, n - 1)]
        else:
            low, weight = _place(np, count, value, method)
            ranks += [int(low), min(int(low) + 1, count - 1)]
        weights.append(weight)
    at = _at_ranks(jx, a, axis, ranks)
    kind = a.dtype if exact else np.float32 if a.dtype == np.float16 else a.dtype if real else np.float64
    found = []
    for x, y, weight in zip(at[::2], at[1::2], weights, strict=True):
        x, y = cast(jx, x, kind), cast(jx, y, kind)
        if exact:
            r = jx.np.where(weight == 1, y, x)
        else:
            weight = jx.np.asarray(weight, kind)
            step = y - x
            r = jx.np.where(weight >= 0.5, y - step * (1 - weight), x + step * weight)
        if nan is not None:
            odd = nan == count if skip else nan > 0
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
        q = divide(jx, q, np.float64(100)) if numbers.changes(q) else np.true_divide(q, 100)
        return _quantile(jx, a, q, axis, method, keepdims, weights, skip)

    def median(jx, a, axis=None, out=None, overwrite_input=False, keepdims=NV):
        no(out)
        axes = _axes(axis, a.ndim)
        shape = [1 if k in axes else n for k, n in enumerate(a.shape)]
        n: Any = math.prod([a.shape[k] for k in axes])
        if not n or (skip and a.dtype.kind == "c"):
            raise Refused
        kind = np.dtype(np.float64) if a.dtype.kind in "biu" else np.dtype(a.dtype)
        wide = np.float32 if kind == np.float16 else kind
        nan = jx.np.isnan(a).sum(axes) if kind.kind in "fc" else None
        count = n
        if skip and nan is not None:
            n = jx.np.maximum(n - nan, 1)
        x, y = (cast(jx, v, wide) for v in _at_ranks(jx, a, axis, [(n - 1) // 2, n // 2]))
        if isinstance(n, int):
            r = y if n % 2 else (x + y) / 2
        else:
            r = jx.np.where(n % 2 == 1, y, (x + y) / 2)
        if nan is not None:
            r = jx.np.where(nan == count if skip else nan > 0, np.array(np.nan, wide), r)
        r = r.astype(kind)
        return r.reshape(shape) if given(keepdims) and keepdims else r

    return quantile, percentile, median


_CHAPTER: tuple[tuple[tuple[Any, ...], bool], ...] = (
    ((np.quantile, np.percentile, np.median), False),
    ((np.nanquantile, np.nanpercentile, np.nanmedian), True),
)
for _functions, _skip in _CHAPTER:
    for _function, _row in zip(_functions, _rows(_skip), strict=True):
        _whole = {"quantile": 1.0, "percentile": 100.0}.get(_function.__name__.removeprefix("nan"))
        lowers(_function, "a", numbers={"q": numbers.share(_whole)} if _whole else {})(_row)
