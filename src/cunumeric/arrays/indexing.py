"""Reading and writing parts of arrays.

An index made of slices, integers, `None` and `...` names a view of the same memory: nothing needs to run for it.
Anything else (index arrays, masks) reads data, so recorded work on the memory runs first.
"""

from __future__ import annotations

from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from ..engines.host import kernels
from ..graph import record, window
from ..runtime import residence
from ..runtime.settings import settings
from . import lowered, picked
from .base import (
    _OBJECT,
    array_of,
    hand_out_elements,
    host,
    memory,
    nd,
    ndarray,
    new,
    peek,
    strip,
    taken_back,
    view_of,
    wrap_from,
)
from .calls import again, call

_VIEWING = frozenset({slice, EllipsisType, NoneType})
_BASIC = frozenset({slice, EllipsisType, NoneType, int, np.int64, np.intp})
_pending = window.pending


def _names_view(key: Any) -> bool:
    """Whether `key` is a basic index that cannot name a single element by integers alone."""
    t = type(key)
    if t is tuple:
        viewing = False
        for k in key:
            tk = type(k)
            if tk in _VIEWING:
                viewing = True
            elif tk not in _BASIC:
                return False
        return viewing
    return t in _VIEWING


def _all_basic(key: Any) -> bool:
    return all(type(k) in _BASIC for k in key) if type(key) is tuple else type(key) in _BASIC


def _remote_item(self: Any, key: Any) -> Any:
    """`x[key]` where the memory may be on the device."""
    a = memory(self)
    if _all_basic(key):
        keys = key if type(key) is tuple else (key,)
        view = a[keys if Ellipsis in keys else (*keys, ...)]
        if view.ndim or Ellipsis in keys:
            return view_of(self, view) if view.base is not None else array_of(view)
        return peek(view_of(self, view))[()]
    r = picked.getitem(self, key)
    return call(nd.__getitem__, (self, key), {}) if r is NotImplemented else r


def __getitem__(self, key):
    if type(self) is not ndarray:  # called unbound on a subclass, which is one of NumPy's arrays
        return nd.__getitem__(self, strip(key))
    a = self._a
    t = type(key)
    if residence.accelerated and (type(a) is not nd or residence.remote_of(a) is not None):
        return _remote_item(self, key)
    if _pending or type(a) is not nd:
        a = memory(self)
        if _pending and not _names_view(key) and not (t is int and a.ndim > 1):
            a = host(self)
    if t is tuple:
        for k in key:
            if type(k) is ndarray or type(k) is list:
                key = tuple([strip(k) for k in key])
                break
    elif t is ndarray or t is list:
        key = strip(key)
        if t is ndarray and key.size >= settings.kernel_min:
            r = (kernels.getitem_mask if key.dtype == bool else kernels.getitem_index)(a, key)
            if r is not NotImplemented:
                return wrap_from(r, (self,))
    try:
        r = a[key]
    except ValueError as error:
        r = again(error, nd.__getitem__, (a, key), {})
    if type(r) is nd:
        x = new(ndarray)
        x._a = r
        if t is not slice and a.dtype is _OBJECT:
            found = taken_back(r)  # an element that is an array
            if found is not None:
                return found
            if r.base is not a and r.base is not a.base:
                x._b = None
                return x
        if r.base is None:
            x._b = None
        else:
            b = self._b
            x._b = self if b is None else b
        return x
    return r


def __setitem__(self, key, value):
    if type(self) is not ndarray:
        nd.__setitem__(self, strip(key), strip(value))
        return
    a = self._a
    if residence.accelerated or _pending or type(a) is not nd or a.size >= settings.record_min:
        if record.setitem(self, key, value):
            return
        if residence.accelerated:
            if not _all_basic(key) and lowered.concerns(self) and picked.setitem(self, key, value):
                return
            with window.lock:  # another thread's window must not send the memory meanwhile
                _assign(host(self), key, value)
            return
        a = host(self)
    _assign(a, key, value)


def _assign(a: np.ndarray, key: Any, value: Any) -> None:
    """`a[key] = value` by a kernel or by NumPy."""
    given = value
    key, value = strip(key), strip(value)
    if type(key) is nd and key.size >= settings.kernel_min:
        store = kernels.setitem_mask if key.dtype == bool else kernels.setitem_index
        if store(a, key, value) is not NotImplemented:
            return
    try:
        a[key] = value
    except ValueError as error:
        again(error, nd.__setitem__, (a, key, given), {})
    if value is not given and a.dtype is _OBJECT:
        hand_out_elements((given,))


__getitem__.__doc__ = nd.__getitem__.__doc__
__setitem__.__doc__ = nd.__setitem__.__doc__
setattr(ndarray, "__getitem__", __getitem__)  # noqa: B010  (mypy takes a plain assignment for indexing)
setattr(ndarray, "__setitem__", __setitem__)  # noqa: B010
