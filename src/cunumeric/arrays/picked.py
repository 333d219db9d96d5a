"""Index arrays and masks on an accelerator: `x[i]`, `x[i] = v`, `x[mask]`, `x[mask] = v`.

Whether indices are in bounds is computed on the device with everything else, and looked at when the program next reads
a value: an index out of bounds raises NumPy's IndexError then, with a note that names the line that indexed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import record, warning, window
from ..ops.lowering import indexing as rows
from ..runtime import lines, residence, weak
from . import lowered
from .base import Deferred, host, nd, wrap
from .base import ndarray as _ndarray
from .base import strip as _strip

ndarray: Any = _ndarray  # its methods are attached elsewhere
_INTS = (int, np.integer)


# NumPy takes no more index arrays in a key than it has dimensions, the result's among them.
_ARRAYS_MOST = 32
_SIZE_MOST = 1 << 60


class _Plain(Exception):
    """This key is NumPy's."""


def _entry(k: Any, arrays: list[Any]) -> tuple[Any, ...]:
    t = type(k)
    if t is Deferred:
        k = k.value()
        t = type(k)
    if t is slice:
        k = _strip(k)
        if not all(v is None or isinstance(v, _INTS) for v in (k.start, k.stop, k.step)):
            raise _Plain
        return ("slice", *[None if v is None else int(v) for v in (k.start, k.stop, k.step)])
    if k is None:
        return ("new",)
    if k is Ellipsis:
        return ("rest",)
    if isinstance(k, _INTS) and t is not bool:
        return ("int", int(k))
    if t is list:
        k = wrap(np.asarray(k))
    elif t is nd:
        k = wrap(k.copy())  # the caller may change it before it is read
    if type(k) is not ndarray or k.dtype.kind not in "iu" or not k.ndim or not k.size:
        raise _Plain
    arrays.append(k)
    return ("array", len(arrays) - 1)


def _template(x: Any, key: Any) -> tuple[tuple, list[Any]]:
    """The template and the index arrays of a key of integers, slices and integer arrays."""
    arrays: list[Any] = []
    keys = key if type(key) is tuple else (key,)
    template = tuple([_entry(k, arrays) for k in keys])
    named = sum(e[0] not in ("new", "rest") for e in template)
    if not 0 < len(arrays) <= _ARRAYS_MOST or named > x.ndim or sum(e[0] == "rest" for e in template) > 1:
        raise _Plain
    axis = 0
    for e in template:  # an integer out of bounds is an error at once
        if e[0] == "rest":
            axis = x.ndim - (named - axis)
            continue
        if e[0] == "int" and not -x.shape[axis] <= e[1] < x.shape[axis]:
            raise _Plain
        axis += e[0] != "new"
    try:
        shape = np.broadcast_shapes(*[k.shape for k in arrays])
    except ValueError:  # NumPy's is an IndexError
        raise _Plain from None
    if math.prod(shape) > _SIZE_MOST:
        raise _Plain
    return template, arrays


def _mask(x: Any, key: Any) -> Any:
    """The mask that `key` is; None where it is none, or does not fit."""
    if type(key) is tuple and len(key) == 1:
        key = key[0]
    if type(key) is nd and key.dtype == bool:
        key = wrap(key.copy())
    if type(key) is not ndarray or key.dtype != bool or not key.ndim or key.shape != x.shape[: key.ndim]:
        return None
    return key


def _call(function: Any, *args: Any, **kwargs: Any) -> Any:
    r = lowered.attempt(function, args, kwargs)
    if r is NotImplemented:
        raise _Plain
    return r


def _lengths(x: Any, template: tuple) -> list[int]:
    """The length of the axis that each index array is for."""
    named = sum(e[0] not in ("new", "rest") for e in template)
    found, axis = [], 0
    for e in template:
        if e[0] == "rest":
            axis += x.ndim - named
        elif e[0] == "array":
            found.append(x.shape[axis])
            axis += 1
        elif e[0] != "new":
            axis += 1
    return found


def getitem(x: Any, key: Any) -> Any:
    """`x[key]`, recorded; NotImplemented where it is NumPy's."""
    try:
        mask = _mask(x, key)
        if mask is not None:
            count = int(_call(np.count_nonzero, mask))
            if not count:
                return NotImplemented
            return _call(rows.getmask, x, mask, count=count)
        template, arrays = _template(x, key)
        watch(arrays, _lengths(x, template))
        r = _call(rows.getitem, x, arrays, template=template)
        return r.value() if type(r) is Deferred else r
    except _Plain:
        return NotImplemented


def setitem(x: Any, key: Any, value: Any) -> bool:
    """`x[key] = value`, recorded; False where it is NumPy's."""
    try:
        if not isinstance(value, (int, float, complex, np.number, np.bool_)) and type(value) not in (ndarray, nd, list):
            return False
        if type(value) in (int, float, complex) and x.dtype.kind != "b":
            e = np.empty((), x.dtype)
            e[...] = value  # numbers that the dtype has not are errors
            value = e
        if type(value) is not ndarray and type(value) is not Deferred:
            value = wrap(np.asarray(value))
            if value.dtype.kind == "c" and x.dtype.kind != "c":
                return False
            if type(value) is ndarray and not value.ndim:
                value = np.asarray(host(value), x.dtype)[()]
        dtype = value.dtype
        if not np.can_cast(dtype, x.dtype, "unsafe") or (dtype.kind == "c" and x.dtype.kind != "c"):
            return False
        if dtype.kind in "fc" and dtype != x.dtype and warning.kinds_heard() is None:
            return False
        mask = _mask(x, key)
        if mask is not None:
            ndim = getattr(value, "ndim", 0)
            rest = x.ndim - mask.ndim
            if ndim > rest + 1:
                return False
            if ndim == rest + 1 and value.shape[0] != 1 and value.shape[0] != int(_call(np.count_nonzero, mask)):
                return False
            if ndim and value.shape[ndim - min(rest, ndim) :] != x.shape[x.ndim - min(rest, ndim) :]:
                return False
            r = _call(rows.setmask, x, mask, value)
        else:
            template, arrays = _template(x, key)
            lengths = _lengths(x, template)
            watch(arrays, lengths)
            r = _call(rows.setitem, x, arrays, value, template=template, lengths=tuple(lengths))
        return record.setitem(x, Ellipsis, r)
    except (_Plain, TypeError, OverflowError, ValueError):
        return False


# -- bounds ------------------------------------------------------------------------------------------------------------

# What was computed of indices and not yet looked at: whether some is out of bounds, the indices, the lengths, the line.
_watched: list[tuple[Any, list[Any], list[int], str]] = []


# Indices on the host are looked at at once, where that is quick.
_QUICK = 1 << 14
# So many are left to be looked at: they hold their arrays.
_WATCHED_MOST = 64


class _Promised:
    """Indices that were looked at, or will be: the views of one value on the device, and the lengths they are for."""

    __slots__ = ("value", "views")

    def __init__(self, value: Any) -> None:
        key = id(value)
        self.value = weak.entry(value, _promised, key)
        self.views: set[tuple] = set()


_promised: dict[int, _Promised] = {}


def _seen(i: Any, n: int, enter: bool) -> bool:
    """Whether these indices, unchanged since, have been watched for an axis of this length; `enter`: they are now."""
    a = i._a
    remote = residence.remote_of(a) if type(a) is nd else None
    if remote is None or remote.value is None or window.written(a):
        return False
    found = _promised.get(id(remote.value))
    if found is None or found.value() is not remote.value:
        if not enter:
            return False
        found = _promised[id(remote.value)] = _Promised(remote.value)
    view = (a.__array_interface__["data"][0] - remote.start, a.shape, a.strides, a.dtype, n)
    if enter:
        found.views.add(view)
    return view in found.views


def _at_hand(i: Any) -> bool:
    a = i._a
    return type(a) is nd and a.size <= _QUICK and not residence.on_device(a) and not window.touched(a)


def watch(arrays: list[Any], lengths: list[int]) -> None:
    """Look at the next read whether these indices are in bounds; small ones on the host are looked at now."""
    if all(_at_hand(i) for i in arrays):
        if rows.outside([host(i, writes=False) for i in arrays], tuple(lengths)):
            raise _Plain  # NumPy raises
        return
    if all(_seen(i, n, False) for i, n in zip(arrays, lengths, strict=True)):
        return
    if len(_watched) >= _WATCHED_MOST:
        look()
    found = lowered.attempt(rows.outside, (arrays,), {"lengths": tuple(lengths)})
    if found is NotImplemented:
        raise _Plain
    _watched.append((found, arrays, lengths, lines.told(lines.here())))
    residence.look = look
    for i, n in zip(arrays, lengths, strict=True):
        _seen(i, n, True)


def look() -> None:
    """Raise for the first indices that turned out to be out of bounds."""
    residence.look = None
    watched = _watched[:]
    _watched.clear()
    for found, arrays, lengths, line in watched:
        if not found.value():
            continue
        _promised.clear()
        for i, n in zip(arrays, lengths, strict=True):
            a = host(i, writes=False)
            bad = a[(a < -n) | (a >= n)]
            if bad.size:
                error = IndexError(f"index {bad[0]} is out of bounds for axis 0 with size {n}")
                error.add_note(f"indexed at {line}")
                raise error
