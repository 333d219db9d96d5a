"""Functions for which the bytes of an array need not be anywhere in particular: views, and what is asked of shapes and
dtypes. And functions that make a new array like another one, or the same array again."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph.node import Node, owner_of
from ..runtime import residence
from . import ufunc
from .base import array_of, host, memory, nd, view_of, wrap_from
from .lowered import Elsewhere, concerns, ndarray, one, way

_SHAPED = np.lib.stride_tricks
_VIEWS: tuple[Any, ...] = (
    np.transpose, np.matrix_transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims,
    np.broadcast_to, np.broadcast_arrays, np.flip, np.fliplr, np.flipud, np.rot90, np.split, np.array_split, np.hsplit,
    np.vsplit, np.dsplit, np.unstack, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.diagonal, np.real,
    np.linalg.diagonal, np.linalg.matrix_transpose, _SHAPED.sliding_window_view, _SHAPED.as_strided,
    np.may_share_memory, np.shares_memory,
)  # fmt: skip
_ASKED: tuple[Any, ...] = (
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj, np.isscalar, np.iterable,
    np.common_type,
)  # fmt: skip


def _among(values: Any) -> bool:
    return any(type(v) is ndarray for v in values)


# Of other functions all arguments but the first are numbers that NumPy reads: lengths, axes, places.
_OF_ALL = (
    np.broadcast_arrays, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.may_share_memory, np.shares_memory,
)  # fmt: skip


def _showing(function: Any) -> None:
    """A function that gives views of its arguments."""
    shows_all = function in _OF_ALL

    def call(*args, **kwargs):
        if not _among(args):
            raise Elsewhere
        given = [
            a if type(a) is not ndarray else memory(a) if shows_all or k == 0 else host(a, writes=False)
            for k, a in enumerate(args)
        ]
        if any(isinstance(v, (list, tuple)) and _among(v) for v in given) or _among(kwargs.values()):
            raise Elsewhere
        try:
            r = function(*given, **kwargs)
        except ValueError:  # NumPy says what is wrong, or a foreign object has given an array of ours
            raise Elsewhere from None
        shown = {id(owner_of(a)) for a in given if isinstance(a, nd)}
        for v in r if isinstance(r, (tuple, list)) else (r,):
            if isinstance(v, nd) and id(owner_of(v)) not in shown:
                raise Elsewhere  # a copy, of bytes that may be old
        if isinstance(r, list):
            return [wrap_from(v, args) for v in r]
        return wrap_from(r, args, kwargs)

    way(function)(call)


for _function in _VIEWS:
    _showing(_function)


def stand_in(x: Any) -> Any:
    """An array with the shape, dtype and memory order of `x`, whose elements nobody may read."""
    if type(x) is not ndarray:
        return x
    a = x._a
    return np.broadcast_to(np.empty((), a.dtype), a.shape) if type(a) is Node else a


def _asking(function: Any) -> None:
    def call(*args, **kwargs):
        if not _among(args):
            raise Elsewhere
        return function(*map(stand_in, args), **kwargs)

    way(function)(call)


for _function in _ASKED:
    _asking(_function)


@way(np.reshape)
def reshape(a, /, shape, order="C", *, copy=None):
    if type(a) is not ndarray or order != "C" or copy is False:
        raise Elsewhere
    return (a.copy() if copy else a).reshape(shape)


@way(np.ravel)
def ravel(a, order="C"):
    if type(a) is not ndarray or order != "C":
        raise Elsewhere
    return a.reshape(-1)


@way(np.imag)
def imag(val):
    if type(val) is not ndarray or val.dtype.kind != "c":
        raise Elsewhere
    return val.imag


@way(nd.flatten)
def flatten(self, order="C"):
    if not concerns(self) or order != "C":
        raise Elsewhere
    return self.copy("C").reshape(-1)


@way(nd.conj, nd.conjugate)
def conj(self):
    if not concerns(self) or self.dtype.kind not in "biufc":
        raise Elsewhere
    return ufunc.of(np.conjugate)(self) if self.dtype.kind == "c" else self


# -- new arrays --------------------------------------------------------------------------------------------------------


def _alike(a: Any, words: dict[str, Any]) -> Any:
    if not concerns(a):
        raise Elsewhere
    like = stand_in(a)
    kind = np.dtype(words["dtype"] or like.dtype)
    plain = words["order"] in ("K", "C", "A") and words["shape"] is None and words["device"] is None
    if plain and like.flags.c_contiguous and kind.kind in "biufc" and residence.suits(kind) and like.size:
        return array_of(residence.make(like.shape, kind))  # it may be larger than the host's memory
    x: Any = array_of(np.empty_like(like, **words))
    if x.dtype.kind not in "biufc":
        raise Elsewhere
    return x


@way(np.empty_like)
def empty_like(prototype, /, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return _alike(prototype, {"dtype": dtype, "order": order, "shape": shape, "device": device})


@way(np.zeros_like)
def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x = _alike(a, {"dtype": dtype, "order": order, "shape": shape, "device": device})
    x.fill(0)
    return x


@way(np.ones_like)
def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x = _alike(a, {"dtype": dtype, "order": order, "shape": shape, "device": device})
    x.fill(1)
    return x


@way(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    x = _alike(a, {"dtype": dtype, "order": order, "shape": shape, "device": device})
    if isinstance(fill_value, (bool, int, float, complex, np.generic)):
        value = np.empty((), x.dtype)
        np.copyto(value, fill_value, casting="unsafe")  # NumPy's errors and warnings
        x.fill(value[()])
    else:
        x[...] = fill_value
    return x


_COPY_MODES = {np._CopyMode.ALWAYS: True, np._CopyMode.IF_NEEDED: None, np._CopyMode.NEVER: False}


def _again(a: Any, dtype: Any, order: Any, copy: Any) -> Any:
    """`a`, or a copy of it, in a dtype and an order."""
    if type(copy) is np._CopyMode:
        copy = _COPY_MODES[copy]
    if type(a) is nd and copy and order in ("K", "A", "C", None) and (dtype is None or np.dtype(dtype) is a.dtype):
        return _moved(a)
    if isinstance(a, (list, tuple)) and a and all(type(v) is ndarray for v in a) and any(map(concerns, a)):
        if len({v.shape for v in a}) != 1 or copy is False or not a[0].ndim:
            raise Elsewhere
        r = one(np.stack, list(a))
        return r if dtype is None else r.astype(dtype, copy=False)
    if type(a) is not ndarray or not concerns(a) or order not in ("K", "A", "C", None):
        raise Elsewhere  # a scalar that waits is to be an array: it has no dimensions to gain by
    to = a.dtype if dtype is None else np.dtype(dtype)
    if to.kind not in "biufc":
        raise Elsewhere
    if to != a.dtype:
        if copy is False:
            raise Elsewhere
        return a.astype(to)
    if copy:
        return a.copy("K" if order is None else order)
    if to is not a.dtype and (to.char != a.dtype.char or to.metadata):  # equal, but not the one that was asked for
        if copy is False or order == "C":
            raise Elsewhere
        return view_of(a, memory(a).view(to))
    if order != "C" or type(a._a) is Node or a._a.flags.c_contiguous:
        return a
    return a.copy("C")


def _moved(a: np.ndarray) -> Any:
    """A copy of NumPy's array `a` that stands on the device alone, where it is better off there."""
    value = residence.move(a) if a.ndim and residence.suits(a.dtype) and a.flags.c_contiguous else None
    if value is None:
        raise Elsewhere
    x = residence.make(a.shape, a.dtype)
    residence.hold(residence.remote_of(x), value)  # type: ignore[arg-type]
    return array_of(x)


@way(np.array)
def array(object, dtype=None, *, copy=True, order="K", subok=False, ndmin=0, ndmax=0, like=None):
    if ndmin > (object.ndim if type(object) is ndarray else 0) or ndmax or like is not None:
        raise Elsewhere
    return _again(object, dtype, order, copy)


@way(np.asarray, np.asanyarray)
def asarray(a, dtype=None, order=None, *, device=None, copy=None, like=None):
    if device not in (None, "cpu") or like is not None:
        raise Elsewhere
    return _again(a, dtype, order, copy)


@way(np.ascontiguousarray)
def ascontiguousarray(a, dtype=None, *, like=None):
    if like is not None or type(a) is not ndarray or not a.ndim:
        raise Elsewhere
    return _again(a, dtype, "C", None)


@way(np.astype)
def astype(x, dtype, /, *, copy=True, device=None):
    if not concerns(x) or device not in (None, "cpu"):
        raise Elsewhere
    return x.astype(dtype, copy=copy)
