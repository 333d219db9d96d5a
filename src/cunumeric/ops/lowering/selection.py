"""Picking elements: by index, by condition, by place. Indices are checked by the caller (`arrays.checked`), which lets
NumPy raise for those out of range."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no, numbers
from .common import NV, flat_axis, given, is_cut, joined
from .elementwise import LOWER, cast


def _within(jx: Any, indices: Any, n: int, mode: str) -> Any:
    """Indices from 0 to n - 1."""
    indices = indices.astype(np.int64)
    if mode == "wrap":
        return LOWER["remainder"](jx, indices, jx.np.asarray(n, np.int64))
    if mode == "clip":
        return jx.np.clip(indices, 0, n - 1)
    if mode != "raise":
        raise Refused
    return jx.np.where(indices < 0, indices + n, indices)


def rows_of(jx: Any, a: Any, places: Any, axis: int) -> Any:
    """`a` along an axis, at places from 0 on."""
    if not jx.sharded.is_cut(jx, a.shape, axis):
        return jx.np.take(a, places, axis, mode="clip")
    order = [axis, *[k for k in range(a.ndim) if k != axis]]
    places = jx.np.clip(places, 0, a.shape[axis] - 1)
    found = jx.sharded.rows_at(jx, jx.lax.transpose(a, order), places)
    d = places.ndim
    return jx.lax.transpose(found, [*range(d, d + axis), *range(d), *range(d + axis, found.ndim)])


class Elements:
    """The elements of an array that is cut, as rows of one element: the longest axis first."""

    def __init__(self, jx: Any, a: Any) -> None:
        self.jx, self.shape = jx, a.shape
        self.order = sorted(range(a.ndim), key=lambda k: -a.shape[k])

    def place(self, indices: Any) -> Any:
        """The place of each element, by its index along each axis."""
        found: Any = 0
        for k in self.order:
            found = found * self.shape[k] + indices[k]
        return found

    def flat(self, places: Any) -> Any:
        """The place of each element, by its place in C order."""
        indices = []
        for n in reversed(self.shape):
            indices.append(places % n)
            places = places // n
        return self.place(indices[::-1])

    def at(self, a: Any, places: Any) -> Any:
        return self.jx.sharded.rows_at(self.jx, self.jx.lax.transpose(a, self.order), places, a.ndim)

    def put(self, a: Any, places: Any, values: Any) -> Any:
        found = self.jx.sharded.rows_put(self.jx, self.jx.lax.transpose(a, self.order), places, values, "set", a.ndim)
        return self.jx.lax.transpose(found, [self.order.index(k) for k in range(a.ndim)])


@lowers(np.take, "a", "indices")
def take(jx, a, indices, axis=None, out=None, mode="raise"):
    no(out)
    if indices.dtype.kind not in "biu":
        raise Refused
    if axis is None and a.ndim > 1 and a.size and is_cut(jx, a):
        elements = Elements(jx, a)
        return elements.at(a, elements.flat(jx.np.clip(_within(jx, indices, a.size, mode), 0, a.size - 1)))
    a, axis = flat_axis(jx, a, axis)
    if not a.shape[axis]:
        raise Refused
    return rows_of(jx, a, _within(jx, indices, a.shape[axis], mode), axis)


@lowers(np.take_along_axis, "arr", "indices")
def take_along_axis(jx, arr, indices, axis=-1):
    if indices.dtype.kind not in "iu":
        raise Refused
    arr, axis = flat_axis(jx, arr, axis)
    if indices.ndim != arr.ndim or not arr.shape[axis]:
        raise Refused
    places = _within(jx, indices, arr.shape[axis], "raise")

    def lines(arr: Any, places: Any) -> Any:
        return jx.np.take_along_axis(arr, places, axis, mode="clip")

    if not jx.sharded.is_cut(jx, arr.shape, axis):
        return lines(arr, places)
    found = jx.sharded.along(jx, lines, [arr, places], axis)
    if found is not None:
        return found
    elements = Elements(jx, arr)
    places = jx.np.clip(places, 0, arr.shape[axis] - 1)
    return elements.at(arr, elements.place(_all_indices(jx, arr, places, axis)))


def _all_indices(jx: Any, a: Any, places: Any, axis: int) -> list[Any]:
    """Indices along all axes that `places` along one of them stand for."""
    return [
        places if k == axis else jx.lax.iota(np.int64, n).reshape([-1 if j == k else 1 for j in range(a.ndim)])
        for k, n in enumerate(a.shape)
    ]


def masked_copy(a: np.ndarray, mask: np.ndarray, values: Any) -> np.ndarray:
    """A copy of `a` after `copyto` under a mask."""
    r = a.copy()
    np.copyto(r, values, "unsafe", where=mask)
    return r


@lowers(masked_copy, "a", "mask", "?values")
def _masked_copy(jx, a, mask, values):
    values = cast(jx, values, a.dtype) if hasattr(values, "dtype") else jx.np.asarray(values, a.dtype)
    return jx.np.broadcast_to(jx.np.where(mask, values, a), a.shape)


def put_along(a: np.ndarray, indices: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    """A copy of `a` after `put_along_axis`."""
    r = a.copy()
    np.put_along_axis(r, indices, values, axis)
    return r


@lowers(put_along, "a", "indices", "values")
def _put_along(jx, a, indices, values, axis):
    places = _within(jx, indices, a.shape[axis], "raise")
    shape = np.broadcast_shapes(places.shape, tuple(1 if k == axis else n for k, n in enumerate(a.shape)))
    places = jx.np.broadcast_to(places, shape)
    if jx.sharded.is_cut(jx, a.shape, axis):
        elements = Elements(jx, a)
        places = jx.np.clip(elements.place(_all_indices(jx, a, places, axis)), 0, a.size - 1)
        return elements.put(a, places, jx.np.broadcast_to(cast(jx, values, a.dtype), shape))
    where: list[Any] = []
    for k, n in enumerate(a.shape):
        where.append(places if k == axis else jx.lax.broadcasted_iota(np.int64, shape, k) if n > 1 else 0)
    return a.at[tuple(where)].set(jx.np.broadcast_to(cast(jx, values, a.dtype), shape))


def put_flat(a: np.ndarray, indices: np.ndarray, values: np.ndarray, mode: str) -> np.ndarray:
    """A copy of `a` after `put`."""
    r = a.copy()
    np.put(r, indices, values, mode)  # type: ignore[arg-type]
    return r


@lowers(put_flat, "a", "indices", "values")
def _put_flat(jx, a, indices, values, mode):
    """The last of several values for one place wins."""
    places = _within(jx, indices.reshape(-1), a.size, mode)
    count = places.shape[0]
    if is_cut(jx, a):
        elements = Elements(jx, a)
        values = jx.np.resize(cast(jx, values.reshape(-1), a.dtype), (count,))
        return elements.put(a, elements.flat(places), values)
    flat = a.reshape(-1)
    last = jx.np.full(flat.shape, -1, np.int64).at[places].max(jx.np.arange(count))
    values = cast(jx, values.reshape(-1), a.dtype)
    return jx.np.where(last >= 0, values[last % values.shape[0]], flat).reshape(a.shape)


def put_masked(a: np.ndarray, mask: np.ndarray, values: np.ndarray, repeats: bool) -> np.ndarray:
    """A copy of `a` after `putmask` (`repeats`: by the element's place), or after `place` (by the count of places)."""
    r = a.copy()
    if repeats:
        np.putmask(r, mask, values)
    else:
        np.place(r, mask, values)
    return r


@lowers(put_masked, "a", "mask", "values")
def _put_masked(jx, a, mask, values, repeats):
    values = cast(jx, values.reshape(-1), a.dtype)
    n = values.shape[0]
    if not n or mask.size != a.size:
        raise Refused
    mask = mask.reshape(a.shape) != 0
    if n == 1:
        chosen = values[0]
    elif repeats:
        place: Any = 0
        for k, length in enumerate(a.shape):
            place = place * length + jx.lax.broadcasted_iota(np.int64, a.shape, k)
        chosen = rows_of(jx, values, place % n, 0)
    else:
        from .scans import cumulated

        before = cumulated(jx, mask.reshape(-1).astype(np.int64), 0, "add").reshape(a.shape) - 1
        chosen = rows_of(jx, values, before % n, 0)
    return jx.np.where(mask, chosen, a)


@lowers(np.choose, "a", "*choices")
def choose(jx, a, choices, out=None, mode="raise"):
    no(out)
    if a.dtype.kind not in "biu" or len(choices) > 32:
        raise Refused
    choices = joined(jx, *choices)
    shape = np.broadcast_shapes(a.shape, *[c.shape for c in choices])
    places = jx.np.broadcast_to(_within(jx, a, len(choices), mode), shape)
    r = jx.np.broadcast_to(choices[0], shape)
    for k, c in enumerate(choices[1:], 1):
        r = jx.np.where(places == k, c, r)
    return r


@lowers(np.select, "*condlist", "*choicelist", "?default")
def select(jx, condlist, choicelist, default=0):
    if len(condlist) != len(choicelist) or not condlist or any(c.dtype.kind != "b" for c in condlist):
        raise Refused
    if isinstance(default, (int, float, complex, np.generic)):
        kind = np.result_type(*[np.dtype(c.dtype) for c in choicelist], default)
        default = jx.np.asarray(default, kind)
    choices = joined(jx, *choicelist, default)
    shape = np.broadcast_shapes(*[c.shape for c in condlist], *[c.shape for c in choices])
    r = jx.np.broadcast_to(choices[-1], shape)
    for condition, c in zip(reversed(condlist), reversed(choices[:-1]), strict=True):
        r = jx.np.where(condition, c, r)
    return r


def _fits(v: int, kind: np.dtype) -> bool:
    return bool(np.iinfo(kind).min <= v <= np.iinfo(kind).max)


_BOUNDS = ("a_min", "a_max", "min", "max")


@lowers(np.clip, "a", *["?" + name for name in _BOUNDS], numbers=dict.fromkeys(_BOUNDS, numbers.joined))
def clip(jx, a, a_min=NV, a_max=NV, out=None, *, min=NV, max=NV):
    no(out)
    if (a_min is NV) != (a_max is NV) or (a_min is not NV and (min is not NV or max is not NV)):
        raise Refused  # an error of NumPy's
    low, high = (a_min if given(a_min) else min), (a_max if given(a_max) else max)
    values: list[Any] = [a, *[v for v in (low, high) if given(v)]]
    kind = np.result_type(*[v if isinstance(v, (bool, int, float, complex)) else np.dtype(v.dtype) for v in values])
    if kind.kind == "b":
        raise Refused

    def bound(v: Any) -> Any:
        return cast(jx, v, kind) if hasattr(v, "dtype") else jx.np.asarray(np.asarray(v).astype(kind))

    if kind.kind in "iu" and any(type(v) is int and not _fits(v, kind) for v in values):
        raise Refused
    r = bound(a)
    if given(low):
        r = LOWER["maximum"](jx, r, bound(low))
    return LOWER["minimum"](jx, r, bound(high)) if given(high) else r


# -- results whose size the caller has counted -------------------------------------------------------------------------


def chosen(a: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    """The `size` elements of the vector `a` where the vector `mask` is true."""
    return a[mask]


@lowers(chosen, "a", "mask")
def _chosen(jx, a, mask, size):
    if is_cut(jx, mask):
        return jx.sharded.chosen(jx, mask, [a], size)[1]
    return a[_places(jx, mask, size)]


def _places(jx: Any, mask: Any, size: int) -> Any:
    """Places of the `size` true elements of a mask, in C order."""
    if is_cut(jx, mask):
        return jx.sharded.chosen(jx, mask, [], size)[0]
    mask = mask.reshape(-1)
    n = mask.shape[0]
    kind = np.int32 if n < 2**31 else np.int64
    before = jx.lax.cumsum(mask.astype(kind), 0)
    iota = jx.lax.iota(kind, n)
    at = jx.np.where(mask, before - 1, jx.np.asarray(size, kind))
    return jx.np.zeros(size, kind).at[at].set(iota, mode="drop", unique_indices=False)


def rows_chosen(a: np.ndarray, mask: np.ndarray, size: int, axis: int) -> np.ndarray:
    """`compress`: the `size` places along an axis of `a` where the vector `mask` is true."""
    return np.compress(mask, a, axis)


@lowers(rows_chosen, "a", "mask")
def _rows_chosen(jx, a, mask, size, axis):
    if jx.sharded.is_cut(jx, a.shape, axis):
        rows = jx.sharded.chosen(jx, mask, [jx.np.moveaxis(a, axis, 0)], size)[1]
        return jx.np.moveaxis(rows, 0, axis)
    return jx.np.take(a, _places(jx, mask, size), axis, mode="clip")


def places_chosen(mask: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """`nonzero` of an array with `size` nonzero elements."""
    return np.nonzero(mask)


@lowers(places_chosen, "mask")
def _places_chosen(jx, mask, size):
    flat = _places(jx, mask != 0, size).astype(np.int64)
    found = []
    for n in reversed(mask.shape[1:]):
        found.append(flat % n)
        flat = flat // n
    return (flat, *reversed(found))


def repeated(a: np.ndarray, counts: np.ndarray, size: int, axis: int) -> np.ndarray:
    """`repeat` with an array of counts, whose sum is `size`."""
    return np.repeat(a, counts, axis)


@lowers(repeated, "a", "counts")
def _repeated(jx, a, counts, size, axis):
    return jx.np.repeat(a, jx.np.broadcast_to(counts, (a.shape[axis],)), axis, total_repeat_length=size)


def tallied(jx: Any, at: Any, weights: Any, size: int) -> Any:
    """The sum of the weights for each of `size` bins; places beyond them count for none."""
    none = jx.np.zeros(size, weights.dtype)
    if jx.sharded.is_cut(jx, none.shape, 0):
        return jx.sharded.rows_put(jx, none, at, weights, "add")
    if is_cut(jx, at):
        return jx.sharded.tallied(jx, at, weights, size)
    return none.at[at].add(weights, mode="drop")


def counted(x: np.ndarray, weights: Any, size: int) -> np.ndarray:
    """`bincount` with `size` bins, which are enough."""
    return np.bincount(x, weights, size)


@lowers(counted, "x", "weights")
def _counted(jx, x, weights, size):
    w = np.ones((), np.int64) if weights is None else cast(jx, weights, np.float64)
    return tallied(jx, x, w, size)


def sorted_steps(a: np.ndarray, equal_nan: bool) -> tuple[np.ndarray, ...]:
    """The vector `a` sorted, the order that sorts it, and where a new value begins."""
    order = np.argsort(a, kind="stable")
    s = a[order]
    new = np.ones(a.shape, bool)
    new[1:] = s[1:] != s[:-1]
    if equal_nan and a.dtype.kind in "fc":
        new[1:] &= ~(np.isnan(s[1:]) & np.isnan(s[:-1]))
    return s, order, new


@lowers(sorted_steps, "a")
def _sorted_steps(jx, a, equal_nan):
    from .sorting import with_order

    s, order = with_order(jx, a, 0)
    # A shift and the first place by itself: joined parts would be gathered where there are several devices.
    last = jx.lax.pad(s, np.zeros((), s.dtype), [(1, -1, 0)])
    new = s != last
    if equal_nan and a.dtype.kind in "fc":
        new = new & ~(jx.np.isnan(s) & jx.np.isnan(last))
    return s, order, new | (jx.lax.iota(np.int32, a.shape[0]) == 0)


def ranks(new: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each element its number among the distinct values."""
    r = np.empty(order.shape, np.intp)
    r[order] = np.cumsum(new) - 1
    return r


@lowers(ranks, "new", "order")
def _ranks(jx, new, order):
    from .scans import cumulated

    numbers = cumulated(jx, new.astype(np.int64), 0, "add") - 1
    if is_cut(jx, order):
        return jx.sharded.rows_put(jx, jx.np.zeros(order.shape, np.int64), order, numbers, "max")
    return jx.np.zeros(order.shape, np.int64).at[order].set(numbers, unique_indices=True)


def steps_between(places: np.ndarray, end: int) -> np.ndarray:
    """Distances from each of the places to the next one, and to `end`."""
    return np.diff(np.append(places, end))


@lowers(steps_between, "places")
def _steps_between(jx, places, end):
    return jx.lax.pad(places, np.asarray(end, places.dtype), [(-1, 1, 0)]) - places


def filled_diagonal(a: np.ndarray, value: np.ndarray, wrap: bool) -> np.ndarray:
    """A copy of `a` after `fill_diagonal`."""
    r = a.copy()
    np.fill_diagonal(r, value, wrap)
    return r


@lowers(filled_diagonal, "a", "value")
def _filled_diagonal(jx, a, value, wrap):
    if a.ndim < 2 or (a.ndim > 2 and len(set(a.shape)) != 1) or (wrap and a.ndim == 2 and a.shape[0] > a.shape[1]):
        raise Refused
    n = min(a.shape)
    value = jx.np.resize(cast(jx, value, a.dtype).reshape(-1), (n,))
    return a.at[(jx.np.arange(n),) * a.ndim].set(value, unique_indices=True)


def updated(a: np.ndarray, indices: np.ndarray, values: np.ndarray, name: str) -> np.ndarray:
    """A copy of `a` after `ufunc.at` with one array of indices."""
    r = a.copy()
    getattr(np, name).at(r, indices, values)
    return r


@lowers(updated, "a", "indices", "values")
def _updated(jx, a, indices, values, name):
    places = _within(jx, indices, a.shape[0], "raise")
    if np.result_type(a.dtype, values.dtype) != a.dtype:
        raise Refused
    values = cast(jx, values, a.dtype)
    if name == "subtract":
        name, values = "add", -values
    method = {"add": "add", "multiply": "multiply", "maximum": "max", "minimum": "min"}[name]
    if a.dtype.kind in "bc" and method != "add":
        raise Refused
    if jx.sharded.is_cut(jx, a.shape, 0):
        values = jx.np.broadcast_to(values, places.shape + a.shape[1:]) if values.ndim else values
        return jx.sharded.rows_put(jx, a, places, values, method)
    return getattr(a.at[places], method)(values)
