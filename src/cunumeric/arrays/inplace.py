"""Functions and methods that write into an array: the new value is computed by a call, and stored like any other."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..graph import warning
from ..graph.node import Node
from ..ops.lowering import selection
from .base import nd
from .checked import demand_within, whole
from .lowered import Elsewhere, concerns, one, way
from .sized import axis_of, taken


def _target(x: Any) -> None:
    """Go elsewhere unless `x` is an array of ours that can be written on the device."""
    if not concerns(x) or not x.ndim or not x.size:
        raise Elsewhere
    a = x._a
    if type(a) is not Node and not a.flags.writeable:
        raise Elsewhere


@way(nd.sort)
def sort(self, axis=-1, kind=None, order=None, *, stable=None):
    _target(self)
    self[...] = one(np.sort, self, operator.index(axis), kind, order, stable=stable)


@way(nd.partition)
def partition(self, kth, axis=-1, kind="introselect", order=None):
    _target(self)
    self[...] = one(np.partition, self, kth, operator.index(axis), kind, order)


@way(np.copyto)
def copyto(dst, src, casting="same_kind", where=True):
    _target(dst)
    if isinstance(src, (list, tuple)):
        src = np.asarray(src)
    kind: Any
    if isinstance(src, (bool, int, float, complex)) and not isinstance(src, np.generic):
        if casting in ("no", "equiv"):
            raise Elsewhere  # a Python number has another dtype, though it takes that of the array
        kind = np.result_type(src, dst.dtype)
        src = np.asarray(src)
    else:
        kind = getattr(src, "dtype", None)
        if kind is None or kind.kind not in "biufc":
            raise Elsewhere
    if not np.can_cast(kind, dst.dtype, casting) or (kind != dst.dtype and warning.kinds_heard() is None):
        raise Elsewhere
    if where is not True:
        where = taken(where)
        if where.dtype != bool:
            raise Elsewhere
        src = one(selection.masked_copy, dst, where, taken(src))
    dst[...] = src


@way(np.put, nd.put)
def put(a, indices, values, mode="raise"):
    _target(a)
    indices, values = taken(whole(indices)), taken(values)
    if mode == "raise":
        demand_within(indices, a.size, -a.size)
    if not values.size or not indices.size:
        raise Elsewhere
    a[...] = one(selection.put_flat, a, indices, values, mode)


def _masked(repeats: bool) -> Any:
    def write(a, /, mask, values):
        _target(a)
        mask, values = taken(mask), taken(values)
        if not values.size or mask.size != a.size:
            raise Elsewhere
        if repeats and not np.can_cast(values.dtype, a.dtype, "same_kind"):
            raise Elsewhere
        a[...] = one(selection.put_masked, a, mask, values, repeats)

    return write


way(np.putmask)(_masked(True))


@way(np.place)
def place(arr, mask, vals):
    _masked(False)(arr, mask, vals)


@way(np.put_along_axis)
def put_along_axis(arr, indices, values, axis):
    _target(arr)
    axis = axis_of(arr, axis)
    indices, values = taken(whole(indices)), taken(values)
    demand_within(indices, arr.shape[axis], -arr.shape[axis])
    arr[...] = one(selection.put_along, arr, indices, values, axis)


@way(np.fill_diagonal)
def fill_diagonal(a, val, wrap=False):
    _target(a)
    val = taken(val)
    if not val.size:
        raise Elsewhere
    a[...] = one(selection.filled_diagonal, a, val, bool(wrap))


def _joined(a: Any, key: tuple) -> tuple[Any, Any]:
    """`a` with the axes that `key` has integers for as one axis, and the places in that."""
    n = len(key)
    if not 0 < n <= a.ndim:
        raise Elsewhere
    given = [taken(whole(indices)) for indices in key]
    places: Any = 0
    for indices, length in zip(given, a.shape, strict=False):
        demand_within(indices, length, -length)
        places = places * length + (indices + (indices < 0) * length)
    return a.reshape(-1, *a.shape[n:]), places


def _at(name: str) -> None:
    def at(a, indices, values):
        _target(a)
        rows = a
        if type(indices) is tuple:  # an index for each of the leading axes
            rows, indices = _joined(a, indices)
        indices, values = taken(whole(indices)), taken(values)
        demand_within(indices, rows.shape[0], -rows.shape[0])
        r = one(selection.updated, rows, indices, values, name)
        a[...] = r if rows is a else r.reshape(a.shape)

    way(getattr(np, name).at)(at)


for _name in ("add", "subtract", "multiply", "maximum", "minimum"):
    _at(_name)
