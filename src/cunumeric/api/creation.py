"""Arrays from nothing: large ones on memory whose pages are mapped already (`runtime.memory`)."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from ..arrays import interop
from ..arrays.base import array_of, nd, strip, strip_keywords, wrap_from
from ..arrays.calls import again, call, calling, liking
from ..arrays.extension import Quick, quick
from ..runtime import memory, residence

__all__ = ["empty", "from_dlpack", "fromfunction", "full", "ones"]


_SMALL = 4096  # elements that are below `memory.SHELVED_FROM` in any dtype that comes here


def _numpys(f: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """NumPy's `f`, or what a foreign `like=` makes of ours."""
    if "like" in kwargs:
        r = liking(f, args, kwargs)
        if r is not None:
            return r
    try:
        a = f(*[strip(v) for v in args], **strip_keywords(kwargs))
    except (TypeError, ValueError) as error:
        a = again(error, f, args, kwargs)
    return array_of(a) if type(a) is nd else wrap_from(a, ())


def _warm(shape: Any, dtype: Any, order: str) -> np.ndarray | None:
    """Memory from the shelf, where the call is plain and large; None where it is NumPy's."""
    if order != "C" or (type(shape) is int and shape < _SMALL):
        return None
    try:
        dims = (shape,) if type(shape) is int else tuple(shape) if type(shape) in (tuple, list) else None
        dtype = np.dtype(dtype)
    except TypeError:
        return None
    if dims is None or dtype.hasobject or not all(type(n) is int and n >= 0 for n in dims):
        return None
    size = dtype.itemsize
    for n in dims:
        size *= n
    if not memory.SHELVED_FROM <= size < 1 << 40:
        return None
    return residence.make(dims, dtype) if residence.accelerated else memory.empty(dims, dtype)


_SCALARS = (np.integer, np.floating, np.bool_)


def _filled(shape: Any, value: Any, dtype: Any, order: str) -> Any:
    """A new array with `value` everywhere, made by the accelerator or on memory from the shelf; None where it is
    NumPy's."""
    if isinstance(value, _SCALARS):
        value = value.item()
    if residence.accelerated and type(value) in (int, float, bool, complex):
        from ..arrays import creating

        with contextlib.suppress(TypeError):
            return creating.filled(shape, value, dtype, order)
    a = _warm(shape, dtype, order)
    if a is None or a.dtype.kind not in "biufc":
        return None
    call(np.copyto, (a, value), {"casting": "unsafe"})
    return array_of(a)


def empty(shape, dtype=float, order="C", **kwargs):
    a = _warm(shape, dtype, order) if not kwargs else None
    if a is not None:
        return array_of(a)
    return _numpys(np.empty, (shape, dtype, order), kwargs)


def ones(shape, dtype=None, order="C", **kwargs):
    x = _filled(shape, 1, float if dtype is None else dtype, order) if not kwargs else None
    return _numpys(np.ones, (shape, dtype, order), kwargs) if x is None else x


def full(shape, fill_value, dtype=None, order="C", **kwargs):
    if not kwargs and dtype is None and (type(fill_value) in (int, float, bool) or isinstance(fill_value, _SCALARS)):
        dtype = np.array(fill_value).dtype
    x = _filled(shape, fill_value, dtype, order) if not kwargs and dtype is not None else None
    return _numpys(np.full, (shape, fill_value, dtype, order), kwargs) if x is None else x


quick |= {f: Quick(getattr(np, f.__name__), "FROM_NOTHING", likes=True) for f in (empty, ones, full)}


def fromfunction(function, shape, *, dtype=float, **kwargs):
    places = None
    if residence.accelerated and "like" not in kwargs:
        from ..arrays import creating

        with contextlib.suppress(TypeError):
            places = creating.indices(shape, dtype)
    if places is None:
        return _numpys(np.fromfunction, (function, shape), {"dtype": dtype, **kwargs})
    return function(*places, **kwargs)


quick[fromfunction] = Quick(np.fromfunction, "ALWAYS", likes=True)


def from_dlpack(x, /, *, device=None, copy=None):
    r = interop.from_dlpack(x, device=device, copy=copy)
    return _numpys_from_dlpack(x, device=device, copy=copy) if r is NotImplemented else r


_numpys_from_dlpack = calling(np.from_dlpack)
