"""Running sums and their like, `ufunc.accumulate`, `ufunc.reduceat`, and `ufunc.reduce` of the ufuncs that are no
reductions of `jax.lax`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import Refused, lowers, no
from .common import NV, axis_of, concatenated, flat_axis, fold, part
from .elementwise import LOWER, cast
from .reductions import _axes, _kept, accumulator

# Longer than this, a fold whose steps depend on one another is quicker on the host.
_STEPS_MOST = 1024


def cumulated(jx: Any, a: Any, axis: int, name: str) -> Any:
    """The running sum ("add") or product; half precision is summed in single."""
    if a.dtype.kind == "b":
        raise Refused
    wide = a.astype(np.float32) if a.dtype == np.float16 else a
    if a.ndim and jx.sharded.is_cut(jx, a.shape, axis):
        return jx.sharded.running(jx, wide, axis, name).astype(a.dtype)
    f = jx.lax.cumsum if name == "add" else jx.lax.cumprod
    return f(wide, axis).astype(a.dtype) if a.ndim else a


def _scanned(jx: Any, join: Callable[[Any, Any], Any], a: Any, axis: int) -> Any:
    """The running values of an operation that is associative, of an array or of a tuple of arrays."""
    if jx.sharded.is_cut(jx, (a[0] if isinstance(a, tuple) else a).shape, axis):
        return jx.sharded.accumulated(jx, join, a, axis)
    return jx.lax.associative_scan(join, a, axis=axis)


def _in_accumulator(jx: Any, a: Any, dtype: Any) -> Any:
    return cast(jx, a, accumulator(a.dtype) if dtype is None else np.dtype(dtype))


def _cumulative(name: str, nan_is: int | None = None) -> Any:
    def cumulative(jx: Any, a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        no(out)
        if nan_is is not None and a.dtype.kind in "fc":
            a = jx.np.where(jx.np.isnan(a), np.array(nan_is, a.dtype), a)
        a, axis = flat_axis(jx, _in_accumulator(jx, a, dtype), axis)
        return cumulated(jx, a, axis, name)

    return cumulative


lowers(np.cumsum, "a")(_cumulative("add"))
lowers(np.cumprod, "a")(_cumulative("multiply"))
lowers(np.nancumsum, "a")(_cumulative("add", 0))
lowers(np.nancumprod, "a")(_cumulative("multiply", 1))


def _standard(name: str) -> Any:
    """`cumulative_sum` and `cumulative_prod` of the array API."""

    def cumulative(
        jx: Any, x: Any, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        no(out)
        if axis is None:
            if x.ndim != 1:
                raise Refused
            axis = 0
        axis = axis_of(axis, x.ndim)
        r = cumulated(jx, _in_accumulator(jx, x, dtype), axis, name)
        if not include_initial:
            return r
        first = jx.np.full_like(part(r, axis, 0, 1) if r.shape[axis] else _widened(jx, r, axis), name == "multiply")
        return concatenated(jx, [first, r], axis)

    return cumulative


def _widened(jx: Any, r: Any, axis: int) -> Any:
    return jx.np.zeros(r.shape[:axis] + (1,) + r.shape[axis + 1 :], r.dtype)


lowers(np.cumulative_sum, "x")(_standard("add"))
lowers(np.cumulative_prod, "x")(_standard("multiply"))


# -- ufunc.accumulate and ufunc.reduce ---------------------------------------------------------------------------------

_ASSOCIATIVE = (
    "maximum minimum fmax fmin logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor gcd lcm hypot "
    "logaddexp logaddexp2"
).split()
_STEPWISE = (
    "divide floor_divide remainder fmod power float_power arctan2 copysign nextafter heaviside left_shift right_shift "
    "subtract equal not_equal less less_equal greater greater_equal"
).split()


def _loop(f: np.ufunc, dtype: np.dtype, wanted: Any) -> tuple[np.dtype, np.dtype]:
    """Dtypes of the elements and of the running value in a fold of `f`."""
    given: Any = (None, dtype, None)
    asked: dict[str, Any] = {} if wanted is None else {"signature": (np.dtype(wanted), None, None), "casting": "unsafe"}
    running, elements, _ = f.resolve_dtypes(given, reduction=True, **asked)
    return elements, running


def _pairs(jx: Any, f: np.ufunc) -> Callable[[Any, Any], Any]:
    return lambda x, y: LOWER[f.__name__](jx, x, y)


def _stepwise(jx: Any, f: np.ufunc, a: Any, axis: int, running: np.dtype, every: bool) -> Any:
    """A fold from the left, step by step; `every`: with all running values."""
    if a.shape[axis] > _STEPS_MOST or not a.shape[axis]:
        raise Refused
    if f.__name__ == "power" and a.dtype.kind in "iu":
        raise Refused  # negative exponents are errors that only the data shows
    rows = jx.np.moveaxis(jx.sharded.beside(jx, a, axis), axis, 0)
    apply = _pairs(jx, f)

    def step(value: Any, row: Any) -> tuple[Any, Any]:
        value = cast(jx, apply(cast(jx, value, a.dtype), row), running)
        return value, value if every else None

    last, values = jx.lax.scan(step, cast(jx, rows[0], running), rows[1:])
    if not every:
        return last
    return jx.np.moveaxis(concatenated(jx, [cast(jx, rows[:1], running), values]), 0, axis)


def _accumulated(f: np.ufunc, stepwise: bool) -> Any:
    def accumulate(jx: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        no(out)
        axis = axis_of(axis, array.ndim)
        elements, running = _loop(f, np.dtype(array.dtype), dtype)
        a = cast(jx, array, elements)
        if not a.shape[axis]:
            return cast(jx, a, running)
        if stepwise:
            return _stepwise(jx, f, a, axis, running, every=True)
        if a.dtype != running:
            a = cast(jx, a, running)
        return _scanned(jx, _pairs(jx, f), a, axis)

    return accumulate


def _reduced(f: np.ufunc, stepwise: bool) -> Any:
    def reduce(
        jx: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = NV, where: Any = True,
    ) -> Any:  # fmt: skip
        no(out)
        if where is not True:
            raise Refused
        axes = _axes(axis, array.ndim)
        elements, running = _loop(f, np.dtype(array.dtype), dtype)
        a = cast(jx, array, elements)
        if stepwise:
            if len(axes) != 1 or initial is not NV:
                raise Refused
            return _kept(jx, _stepwise(jx, f, a, axes[0], running, every=False), array, axes, keepdims)
        a = cast(jx, a, running)
        for k in sorted(axes, reverse=True):
            if not a.shape[k]:
                if f.identity is None and initial is NV:
                    raise Refused
                neutral = initial if initial is not NV else f.identity
                a = jx.np.full(a.shape[:k] + (1,) + a.shape[k + 1 :], neutral, running)
            a = fold(_pairs(jx, f), a, k)
        if initial is not NV and initial is not None:
            a = LOWER[f.__name__](jx, jx.np.asarray(initial, running), a)
        return _kept(jx, a, array, axes, keepdims)

    return reduce


def _differences(jx: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """`subtract.accumulate`: the first element less the running sum of the others."""
    no(out)
    axis = axis_of(axis, array.ndim)
    elements, running = _loop(np.subtract, np.dtype(array.dtype), dtype)
    a = cast(jx, cast(jx, array, elements), running)
    return cumulated(jx, concatenated(jx, [part(a, axis, 0, 1), -part(a, axis, 1, None)], axis), axis, "add")


lowers(np.add.accumulate, "array")(
    lambda jx, array, axis=0, dtype=None, out=None: _cumulative("add")(jx, array, axis_of(axis, array.ndim), dtype, out)
)
lowers(np.multiply.accumulate, "array")(
    lambda jx, array, axis=0, dtype=None, out=None: _cumulative("multiply")(
        jx, array, axis_of(axis, array.ndim), dtype, out
    )
)
for _name in _ASSOCIATIVE:
    _f = getattr(np, _name)
    lowers(_f.accumulate, "array")(_accumulated(_f, False))
    if _name not in ("maximum", "minimum", "logical_and", "logical_or"):  # those are reductions
        lowers(_f.reduce, "array", "?where")(_reduced(_f, False))
for _name in _STEPWISE:
    _f = getattr(np, _name)
    lowers(_f.accumulate, "array")(_accumulated(_f, True))
    lowers(_f.reduce, "array", "?where")(_reduced(_f, True))
lowers(np.subtract.accumulate, "array")(_differences)


def _segments(f: np.ufunc) -> Any:
    """`ufunc.reduceat` for indices that do not fall: a scan that begins anew at each of them."""

    def reduceat(jx: Any, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        no(out)
        axis = axis_of(axis, array.ndim)
        n = array.shape[axis]
        starts = indices if isinstance(indices, tuple) else (indices,)
        if not starts or any(type(k) is not int or not 0 <= k < n for k in starts) or list(starts) != sorted(starts):
            raise Refused
        if f in (np.add, np.multiply):
            a = _in_accumulator(jx, array, dtype)
            if a.dtype.kind == "b":
                raise Refused
        else:
            elements, running = _loop(f, np.dtype(array.dtype), dtype)
            a = cast(jx, cast(jx, array, elements), running)
        begins = np.zeros(n, bool)
        begins[list(starts)] = True
        flags = jx.np.broadcast_to(begins.reshape([-1 if k == axis else 1 for k in range(a.ndim)]), a.shape)

        def joined(x: Any, y: Any) -> Any:
            return x[0] | y[0], jx.np.where(y[0], y[1], LOWER[f.__name__](jx, x[1], y[1]))

        _, values = _scanned(jx, joined, (flags, a), axis)
        ends = [max(s, e - 1) for s, e in zip(starts, (*starts[1:], n), strict=True)]
        return jx.np.take(values, np.array(ends), axis)

    return reduceat


for _name in ("add", "multiply", *_ASSOCIATIVE):
    _f = getattr(np, _name)
    lowers(_f.reduceat, "array")(_segments(_f))
