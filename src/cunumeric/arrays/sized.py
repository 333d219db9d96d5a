"""Functions whose results are as long as the data say: count first, which waits once, then a call of that size."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..graph import record
from ..graph.node import Node
from ..ops.lowering import comparisons, selection
from .base import Deferred, array_of, host
from .lowered import Elsewhere, attempt, concerns, ndarray, one, recorded, way

_MOST = np.iinfo(np.intp).max


_PLAIN = (list, tuple, bool, int, float, complex, np.generic)


def taken(x: Any) -> Any:
    """An argument as an array of ours; goes elsewhere with subclasses and foreign arrays."""
    t = type(x)
    if t is ndarray:
        return x
    if t is Deferred:
        return x._x
    if t is not np.ndarray and not isinstance(x, _PLAIN):
        raise Elsewhere
    return array_of(np.asarray(x))


def axis_of(a: Any, axis: Any) -> int:
    """An axis of `a`, from 0; goes elsewhere where there is none."""
    if axis is None:
        raise Elsewhere
    axis = operator.index(axis)
    if not -a.ndim <= axis < a.ndim:
        raise Elsewhere
    return axis % a.ndim


def read(x: Any) -> np.ndarray:
    """A small result on the host: this waits."""
    return host(x, writes=False)


def count(mask: Any) -> int:
    """How many elements are not zero: this waits."""
    return int(one(np.count_nonzero, mask))


def _device(*values: Any) -> None:
    """Go elsewhere unless one of these is for the device."""
    if not any(map(concerns, values)):
        raise Elsewhere


def nonzero_places(a: Any) -> Any:
    _device(a)
    if not a.ndim:
        raise Elsewhere
    return one(selection.places_chosen, a, count(a))


@way(np.nonzero)
def nonzero(a):
    return nonzero_places(a)


@way(np.where)
def where(condition, *branches):
    if branches:
        if len(branches) != 2:
            raise Elsewhere
        if type(condition) is np.ndarray:
            condition = condition.copy()  # the caller may change it before it is read
        r = record.where(taken(condition), *[taken(v) if type(v) in (list, tuple) else v for v in branches])
        return r if r is NotImplemented or r.ndim else Deferred(r)
    return nonzero_places(condition)


@way(np.argwhere)
def argwhere(a):
    found = nonzero_places(a)
    return one(np.stack, list(found)).T  # NumPy's is transposed too


@way(np.flatnonzero)
def flatnonzero(a):
    _device(a)
    return nonzero_places(a.reshape(-1))[0]


def select_flat(a: Any, mask: Any) -> Any:
    """The elements of the vector `a` where the vector `mask` is true."""
    return one(selection.chosen, a, mask, count(mask))


@way(np.extract)
def extract(condition, arr):
    condition, arr = taken(condition), taken(arr)
    _device(condition, arr)
    condition, arr = condition.reshape(-1), arr.reshape(-1)
    if condition.size != arr.size or condition.dtype.kind not in "biufc":
        raise Elsewhere
    return select_flat(arr, condition if condition.dtype == bool else condition != 0)


@way(np.compress)
def compress(condition, a, axis=None, out=None):
    condition, a = taken(condition), taken(a)
    _device(condition, a)
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis = axis_of(a, axis)
    if out is not None or condition.ndim != 1 or condition.dtype != bool:
        raise Elsewhere
    if condition.shape != (a.shape[axis],) and type(condition._a) is not Node:
        places = np.flatnonzero(read(condition))
        if not places.size or places[-1] >= a.shape[axis]:
            raise Elsewhere
        return one(np.take, a, places, axis)
    return one(selection.rows_chosen, a, condition, count(condition), axis)


@way(np.ndarray.compress)
def compressed(self, condition, axis=None, out=None):
    return compress(condition, self, axis, out)


@way(np.repeat)
def repeat(a, repeats, axis=None):
    if type(repeats) not in (ndarray, np.ndarray, list, tuple):
        return recorded(np.repeat, (a, repeats, axis), {})
    a, counts = taken(a), taken(repeats)
    _device(a, counts)
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis = axis_of(a, axis)
    n = a.shape[axis]
    if counts.ndim != 1 or counts.size not in (1, n) or counts.dtype.kind not in "iu" or not n:
        raise Elsewhere
    low = int(read(one(comparisons.farthest, counts))[0]) if concerns(counts) else int(read(counts).min())
    total = int(one(np.sum, counts)) if concerns(counts) else int(read(counts).sum())
    if low < 0 or total > _MOST:
        raise Elsewhere
    return one(selection.repeated, a, counts, total if counts.size == n else total * n, axis)


@way(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    x = taken(x)
    _device(x, weights)
    if x.ndim != 1 or x.dtype.kind not in "iu" or x.dtype == np.uint64 or not x.size:
        raise Elsewhere
    if weights is not None:
        weights = taken(weights)
        if weights.shape != x.shape or weights.dtype.kind not in "biuf":
            raise Elsewhere
    minlength = operator.index(minlength)
    low, high = read(one(comparisons.farthest, x)).tolist()
    if low < 0 or minlength < 0:
        raise Elsewhere
    return one(selection.counted, x, weights, max(high + 1, minlength))


# -- sets --------------------------------------------------------------------------------------------------------------


def _distinct(a: Any, index: bool, inverse: bool, counts: bool, equal_nan: bool, shape: Any) -> Any:
    """What `unique` gives for the vector `a`."""
    if a.size == 0:
        raise Elsewhere
    s, order, new = one(selection.sorted_steps, a, bool(equal_nan))
    size = count(new)
    found = [one(selection.chosen, s, new, size)]
    if index:
        found.append(one(selection.chosen, order, new, size))
    if inverse:
        found.append(one(selection.ranks, new, order).reshape(shape))
    if counts:
        places = one(selection.places_chosen, new, size)[0]
        found.append(one(selection.steps_between, places, a.size))
    return found


@way(np.unique)
def unique(
    ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True, sorted=True
):
    ar = taken(ar)
    _device(ar)
    if axis is not None and not (ar.ndim == 1 and operator.index(axis) in (0, -1)):
        raise Elsewhere
    found = _distinct(ar.reshape(-1), return_index, return_inverse, return_counts, equal_nan, ar.shape)
    return found[0] if len(found) == 1 else tuple(found)


@way(np.unique_values)
def unique_values(x):
    _device(x)
    return _distinct(x.reshape(-1), False, False, False, False, x.shape)[0]


def _named(function: Any, which: tuple[bool, bool, bool]) -> None:
    kind = type(function(np.zeros(1)))

    def distinct(x):
        _device(x)
        return kind(*_distinct(x.reshape(-1), *which, False, x.shape))

    way(function)(distinct)


_named(np.unique_all, (True, True, True))
_named(np.unique_inverse, (False, True, False))
_named(np.unique_counts, (False, False, True))


def _vectors(x: Any, y: Any) -> list[Any]:
    x, y = taken(x), taken(y)
    _device(x, y)
    return [x.reshape(-1), y.reshape(-1)]


@way(np.union1d)
def union1d(ar1, ar2):
    return unique(one(np.concatenate, _vectors(ar1, ar2)))


@way(np.setdiff1d)
def setdiff1d(ar1, ar2, assume_unique=False):
    x, y = _vectors(ar1, ar2)
    if not assume_unique:
        x = unique(x)
    if not x.size or not y.size:
        raise Elsewhere
    return select_flat(x, one(np.isin, x, y, invert=True))


@way(np.intersect1d)
def intersect1d(ar1, ar2, assume_unique=False, return_indices=False):
    x, y = _vectors(ar1, ar2)
    if return_indices or assume_unique or not x.size or not y.size:
        raise Elsewhere
    x = unique(x)
    return select_flat(_joined(x, y), one(np.isin, x, y))


@way(np.setxor1d)
def setxor1d(ar1, ar2, assume_unique=False):
    x, y = _vectors(ar1, ar2)
    if assume_unique or not x.size or not y.size:
        raise Elsewhere
    x, y = unique(x), unique(y)
    apart = [select_flat(a, one(np.isin, a, b, invert=True)) for a, b in ((x, y), (y, x))]
    both = one(np.concatenate, apart)
    return attempt(np.sort, (both,), {}) if both.size else both


def _joined(x: Any, y: Any) -> Any:
    """`x` in the dtype of both."""
    kind = np.result_type(x.dtype, y.dtype)
    return x if x.dtype == kind else x.astype(kind)
