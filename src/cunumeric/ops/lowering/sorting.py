"""Sorting and searching. The order is NumPy's: NaN last, complex numbers by their real parts, then by their imaginary
parts, those with a NaN behind. All sorts are stable."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no
from .common import axis_of, flat_axis, joined
from .elementwise import cast
from .radix import arranged, coded, decoded, key_of, ordering, places
from .reductions import largest
from .selection import rows_of


def keys(jx: Any, a: Any) -> list[Any]:
    """Unsigned integers whose order, the first before the others, is NumPy's order of `a`."""
    if a.dtype.kind != "c":
        return [key_of(jx, a)]
    odd = 2 * jx.np.isnan(a.real).astype(np.uint8) + jx.np.isnan(a.imag).astype(np.uint8)
    return [odd, key_of(jx, a.real), key_of(jx, a.imag)]


def parts(jx: Any, a: Any) -> list[Any]:
    """Real arrays that make up `a`."""
    return [a.real, a.imag] if a.dtype.kind == "c" else [a]


def whole(jx: Any, found: list[Any]) -> Any:
    """The array that the parts make up."""
    return found[0] if len(found) == 1 else jx.lax.complex(*found)


def together(jx: Any, operands: list[Any], num_keys: int, axis: int) -> list[Any]:
    """Arrays of one shape, sorted along an axis by the first `num_keys` of them."""
    if jx.sharded.is_cut(jx, operands[0].shape, axis):
        return jx.sharded.in_order(jx, operands, num_keys, axis)
    # Where it is not cut by the rule it may be cut for now, as what was transposed is.
    return arranged(jx, [jx.sharded.rested(jx, x) for x in operands], num_keys, axis)


def in_order(jx: Any, a: Any, axis: int, stable: bool = False) -> Any:
    """`a` sorted along an axis. If not `stable`, zeros are in the order of their signs."""
    if a.dtype.kind == "c" or (stable and a.dtype.kind == "f"):
        found = keys(jx, a)
        return whole(jx, together(jx, [*found, *parts(jx, a)], len(found), axis)[len(found) :])
    return decoded(jx, together(jx, [coded(jx, a)], 1, axis)[0], a.dtype)


def with_order(jx: Any, a: Any, axis: int) -> tuple[Any, Any]:
    """`a` sorted along an axis, and the indices that sort it."""
    found = keys(jx, a)
    if not jx.sharded.is_cut(jx, a.shape, axis):
        order = order_of(jx, found, axis)
        return jx.np.take_along_axis(a, order, axis, mode="promise_in_bounds"), order
    _, order, *s = together(jx, [*found, places(jx, a, axis), *parts(jx, a)], len(found), axis)[len(found) - 1 :]
    return whole(jx, s), order.astype(np.int64)


def order_of(jx: Any, found: list[Any], axis: int) -> Any:
    """Indices that sort by the keys `found`, the first before the others."""
    if not jx.sharded.is_cut(jx, found[0].shape, axis):
        return ordering(jx, [jx.sharded.rested(jx, k) for k in found], axis).astype(np.int64)
    return together(jx, [*found, places(jx, found[0], axis)], len(found), axis)[-1].astype(np.int64)


def _known(kind: Any, order: Any, stable: Any, kinds: str = "quicksort heapsort mergesort stable") -> bool:
    """Whether the sort is to be stable."""
    no(order)
    if (kind is not None and (type(kind) is not str or kind not in kinds.split())) or (kind and stable is not None):
        raise Refused
    return bool(stable) or kind in ("mergesort", "stable")


def _axis(a: Any, axis: Any) -> int:
    if not a.ndim:
        raise Refused
    return axis_of(axis, a.ndim)


@lowers(np.sort, "a")
def sort(jx, a, axis=-1, kind=None, order=None, *, stable=None):
    ties = _known(kind, order, stable)
    a, axis = (a.reshape(-1), 0) if axis is None else (a, _axis(a, axis))
    return in_order(jx, a, axis, ties)


@lowers(np.argsort, "a")
def argsort(jx, a, axis=-1, kind=None, order=None, *, stable=None):
    _known(kind, order, stable)
    a, axis = (a.reshape(-1), 0) if axis is None else (a, _axis(a, axis))
    return order_of(jx, keys(jx, a), axis)


def _kth(kth: Any, n: int) -> None:
    """Refuse a `kth` that NumPy would."""
    for k in kth if isinstance(kth, tuple) else (kth,):
        if type(k) is not int or not -n <= k < n:
            raise Refused


@lowers(np.partition, "a")
def partition(jx, a, kth, axis=-1, kind="introselect", order=None):
    _known(kind, order, None, "introselect")
    a, axis = (a.reshape(-1), 0) if axis is None else (a, _axis(a, axis))
    _kth(kth, a.shape[axis])
    return in_order(jx, a, axis)


@lowers(np.argpartition, "a")
def argpartition(jx, a, kth, axis=-1, kind="introselect", order=None):
    _known(kind, order, None, "introselect")
    a, axis = (a.reshape(-1), 0) if axis is None else (a, _axis(a, axis))
    _kth(kth, a.shape[axis])
    return order_of(jx, keys(jx, a), axis)


@lowers(np.sort_complex, "a")
def sort_complex(jx, a):
    return cast(jx, in_order(jx, a, _axis(a, -1)), np.sort_complex(np.ones(1, a.dtype)).dtype)


@lowers(np.lexsort, "*keys")
def lexsort(jx, keys, axis=-1):
    if not keys or any(k.shape != keys[0].shape for k in keys):
        raise Refused
    return order_of(jx, _keys_of_all(jx, keys), _axis(keys[0], axis))


def _keys_of_all(jx: Any, arrays: Any) -> list[Any]:
    return [key for a in reversed(arrays) for key in keys(jx, a)]


def before(jx: Any, x: Any, y: Any, or_equal: Any) -> Any:
    """Whether `x` comes before `y` in the order of sorts (or is equal)."""
    return precedes(jx, keys(jx, x), keys(jx, y), or_equal)


def precedes(jx: Any, left: list[Any], right: list[Any], or_equal: Any) -> Any:
    """Whether the keys `left` come before the keys `right`; the first keys decide before the others."""
    answer: Any = or_equal
    for a, b in zip(reversed(left), reversed(right), strict=True):
        answer = (a < b) | ((a == b) & answer)
    return answer


def place_of(jx: Any, a: Any, v: Any, right: bool) -> Any:
    """Where the elements of `v` belong in the sorted vector `a`: by bisection, all at once."""
    n = a.shape[0]
    if jx.sharded.is_cut(jx, a.shape, 0):
        return jx.sharded.counted(jx, keys(jx, a), keys(jx, v), right)
    low = jx.np.zeros(v.shape, np.int64)
    if not n:
        return low
    high = jx.np.full(v.shape, n, np.int64)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        beyond = before(jx, a[jx.np.minimum(middle, n - 1)], v, right) & (low < high)
        low = jx.np.where(beyond, middle + 1, low)
        high = jx.np.where(beyond, high, jx.np.maximum(middle, low))
    return low


@lowers(np.searchsorted, "a", "v", "sorter")
def searchsorted(jx, a, v, side="left", sorter=None):
    if a.ndim != 1 or side not in ("left", "right"):
        raise Refused
    if sorter is not None:
        if sorter.dtype.kind not in "iu" or sorter.shape != a.shape:
            raise Refused
        a = rows_of(jx, a, sorter.astype(np.int64), 0)
    a, v = joined(jx, a, v)
    return place_of(jx, a, v, side == "right")


@lowers(np.digitize, "x", "bins")
def digitize(jx, x, bins, right=False):
    if bins.ndim != 1 or x.dtype.kind == "c":
        raise Refused
    x, bins = joined(jx, x, bins)
    n = bins.shape[0]
    if not n:
        return jx.np.zeros(x.shape, np.int64)
    rising = before(jx, bins[0], bins[-1], True)
    up = place_of(jx, jx.np.where(rising, bins, bins[::-1]), x, not right)
    return jx.np.where(rising, up, n - up)


def _places(best: str) -> Any:
    """`argmax` or `argmin`: the first NaN, or else the first of the extremes."""

    def extreme(jx: Any, a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = np._NoValue) -> Any:
        no(out)
        whole = axis is None
        shape = [1] * a.ndim if whole else [1 if k == axis_of(axis, a.ndim) else n for k, n in enumerate(a.shape)]
        if a.dtype.kind == "b":
            a = a.astype(np.uint8)
        if (
            a.ndim > 1
            and a.size
            and any(jx.sharded.is_cut(jx, a.shape, k) for k in range(a.ndim) if whole or k == axis % a.ndim)
        ):
            found = _cut_place(jx, a, None if whole else axis_of(axis, a.ndim), best)
            return found.reshape(shape) if keepdims is not np._NoValue and keepdims else found
        a, axis = flat_axis(jx, a, axis)
        if not a.shape[axis]:
            raise Refused
        found = (_complex_place if a.dtype.kind == "c" else _place)(jx, a, axis, best)
        return found.reshape(shape) if keepdims is not np._NoValue and keepdims else found

    return extreme


def _place(jx: Any, a: Any, axis: int, best: str) -> Any:
    n = a.shape[axis]
    return getattr(jx.lax, best)(a, axis, np.int32 if n < 2**31 else np.int64).astype(np.int64)


def _best(jx: Any, a: Any, axis: int | None, best: str) -> Any:
    """Where `a` is NaN, or else where it is the extreme, along an axis or over all."""
    method, worst = (jx.np.max, -np.inf) if best == "argmax" else (jx.np.min, np.inf)
    if a.dtype.kind != "c":
        extreme = largest(jx, a, best.removeprefix("arg"), axis, keepdims=True)
        return (a == extreme) | ((a != a) & (extreme != extreme))
    nan = jx.np.isnan(a)
    real = jx.np.where(nan, worst, a.real)
    first = ~nan & (real == method(real, axis, keepdims=True))
    imag = jx.np.where(first, a.imag, worst)
    found = first & (imag == method(imag, axis, keepdims=True))
    return jx.np.where(nan.any(axis, keepdims=True), nan, found)


def _complex_place(jx: Any, a: Any, axis: int, best: str) -> Any:
    return _place(jx, _best(jx, a, axis, best).astype(np.uint8), axis, "argmax")


def _cut_place(jx: Any, a: Any, axis: int | None, best: str) -> Any:
    """On several devices: the first position of the best, by two reductions. Neither needs the array in another shape,
    which a search along a cut axis and one over all axes would."""
    kind = np.int32 if a.size < 2**31 else np.int64
    position = np.zeros((), kind)
    for k in range(a.ndim) if axis is None else (axis,):
        position = position * kind(a.shape[k]) + jx.lax.broadcasted_iota(kind, a.shape, k)
    here = jx.np.where(_best(jx, a, axis, best), position, np.iinfo(kind).max)
    return jx.np.min(here, axis).astype(np.int64)


lowers(np.argmax, "a")(_places("argmax"))
lowers(np.argmin, "a")(_places("argmin"))


@lowers(np.isin, "element", "test_elements")
def isin(jx, element, test_elements, assume_unique=False, invert=False, *, kind=None):
    if kind not in (None, "sort"):
        raise Refused
    found = contained(jx, element, test_elements.reshape(-1))
    return ~found if invert else found


def contained(jx: Any, x: Any, among: Any) -> Any:
    """Whether each element of `x` is one of the vector `among`; NaN is none."""
    if {x.dtype.kind, among.dtype.kind} == {"i", "u"}:
        wide = np.result_type(x.dtype, among.dtype)
        if wide.kind == "f":
            raise Refused  # no integer type holds both
    x, among = joined(jx, x, among)
    n = among.shape[0]
    if not n:
        return jx.np.zeros(x.shape, bool)
    among = in_order(jx, among, 0)
    if jx.sharded.is_cut(jx, among.shape, 0):
        return (place_of(jx, among, x, True) > place_of(jx, among, x, False)) & (x == x)
    return among[jx.np.minimum(place_of(jx, among, x, False), n - 1)] == x
