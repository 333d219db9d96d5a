"""How other packages reach our arrays: `__array__`, `__array_ufunc__`, `__array_function__`, DLPack, buffers.

Whoever gets the memory itself can read and write it past us, so it counts as exposed from then on: what is recorded
on it runs first, and later operations on it run at once.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import numpy as np
from numpy._core import _internal

from ..graph import window
from ..runtime import residence
from . import interop
from . import ufunc as _ufunc
from .base import hand_out, host, nd, ndarray, strip, strip_keywords, wrap_from
from .calls import twins
from .methods import method

_PLAIN = frozenset({nd, int, float, complex, bool, np.float64, np.float32, np.int64, np.bool_, np.complex128})


@method
def __array__(self, dtype=None, /, *, copy=None):
    a = host(self)
    if copy or (dtype is not None and np.dtype(dtype) != a.dtype):
        return np.array(a, dtype=dtype, copy=copy)
    if type(self) is ndarray:
        hand_out(self, a)
    return a


@method
def __array_ufunc__(self, ufunc, how, *inputs, **kwargs):
    if how == "__call__" and all(type(x) is ndarray or type(x) in _PLAIN for x in inputs):
        return _ufunc.of(ufunc)(*inputs, **kwargs)
    given, named = [strip(x) for x in inputs], strip_keywords(kwargs)
    return wrap_from(getattr(ufunc, how)(*given, **named), inputs, kwargs)


@method
def __array_function__(self, func, types, args, kwargs):
    if type(args) is not tuple or type(kwargs) is not dict:
        nd.__array_function__(host(self), func, types, args, kwargs)  # raises
    if not all(issubclass(t, ndarray) for t in types):
        return NotImplemented
    ours = twins.get(func)
    if ours is not None:
        return ours(*args, **kwargs)
    return wrap_from(func(*[strip(a) for a in args], **strip_keywords(kwargs)), args, kwargs)


@method
def __array_namespace__(self, *, api_version=None):
    nd.__array_namespace__(host(self), api_version=api_version)  # raises for a version NumPy does not know
    return sys.modules["cunumeric"]


@method
def __dlpack__(self, **kwargs):
    if interop.there(self):
        return interop.value(self).__dlpack__(**kwargs)
    a = host(self)
    window.expose(a)
    return nd.__dlpack__(a, **kwargs)


@method
def __dlpack_device__(self):
    if interop.there(self):
        return interop.value(self).__dlpack_device__()
    return nd.__dlpack_device__(host(self))


@functools.lru_cache(maxsize=64)
def _told(dtype: np.dtype, how: str) -> bool:
    """Whether a buffer's format, or an interface's description, tells all of `dtype`. NumPy asks for these before
    `__array__`, and would lose what they cannot say: units of time, padding, titles, sub-arrays, variable strings."""
    if dtype.kind in "biufcSUO":
        return True
    if dtype.kind == "T" or (dtype.kind in "mM" and how == "buffer"):
        return False
    if dtype.names is None:  # void
        return how == "interface"
    try:
        if how == "buffer":
            text = memoryview(np.empty(1, dtype)).format
            return np.dtype(_internal._dtype_from_pep3118(text)) == dtype  # type: ignore[attr-defined]
        description = np.empty(0, dtype).__array_interface__["descr"]
        return bool(np.dtype(description) == dtype)
    except Exception:  # NumPy's parsers raise what they like
        return False


def _named(name: str) -> bool:
    """Whether the running function names the attribute `name`: then Python code asks for it, and not NumPy's C code
    on its way to `__array__`."""
    code = sys._getframe(2).f_code
    return name in code.co_names or name in code.co_consts


def _interface(self: Any) -> Any:
    a = host(self)
    if not _told(a.dtype, "interface") and not _named("__array_interface__"):
        raise AttributeError("__array_interface__")
    window.expose(a)
    return a.__array_interface__


ndarray.__array_interface__ = property(_interface, doc=nd.__array_interface__.__doc__)  # type: ignore[attr-defined]


def _struct(self: Any) -> Any:
    a = host(self)
    if a.dtype.kind not in "biufc" and not _named("__array_struct__"):
        raise AttributeError("__array_struct__")
    window.expose(a)
    return a.__array_struct__


ndarray.__array_struct__ = property(_struct, doc=nd.__array_struct__.__doc__)  # type: ignore[attr-defined]
ndarray.__array_priority__ = 0.0  # type: ignore[attr-defined]
ndarray.__class_getitem__ = classmethod(lambda cls, item: nd.__class_getitem__(item))  # type: ignore[attr-defined]


@method
def __array_finalize__(self, obj, /):
    return None


def _showing(x: Any) -> np.ndarray:
    """The array whose buffer shows the memory of `x`."""
    try:
        a = host(x)
    except IndexError as error:  # of indices looked at now: NumPy drops it and asks another way next
        residence.look = functools.partial(_raise, error)
        raise
    if a.dtype.kind in "mM":
        memoryview(a)  # NumPy refuses, in its own words
    if not _told(a.dtype, "buffer"):
        raise BufferError(f"a buffer cannot tell all of {a.dtype!r}")
    window.expose(a)
    return a


def _raise(error: Exception) -> None:
    residence.look = None
    raise error


def _buffer(self, flags: int, /) -> memoryview:
    """PEP 688."""
    return memoryview(_showing(self))


def _install_buffer_slot() -> None:
    """Python 3.11 has no `__buffer__`: put the function into the type's C slot.

    The slot cannot carry an exception out of Python, so a refused buffer (a strided array asked for as contiguous
    bytes) is a SystemError there instead of NumPy's ValueError or BufferError."""
    get_buffer = ctypes.pythonapi.PyObject_GetBuffer
    get_buffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
    signature = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)

    word = ctypes.sizeof(ctypes.c_void_p)

    @signature
    def slot(x, view, flags):
        try:
            a = _showing(x)
            get_buffer(a, view, flags)
        except BaseException:
            return -1
        if type(x) is ndarray and type(a) is nd:  # the buffer is one of `x`, which holds `a`
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(x))
            ctypes.c_void_p.from_address(view + word).value = id(x)
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(a))
        return 0

    # Py_buffer.obj is the second field.
    # PyTypeObject.tp_as_buffer is the 19th pointer-sized field after the head of a variable-size object.
    head = object.__basicsize__ + word
    fields = (
        "name basicsize itemsize dealloc vectorcall getattr setattr async repr number sequence mapping hash call "
        "str getattro setattro as_buffer"
    ).split()
    procs = ctypes.c_void_p.from_address(id(ndarray) + head + word * fields.index("as_buffer"))
    ctypes.c_void_p.from_address(procs.value or 0).value = ctypes.cast(slot, ctypes.c_void_p).value
    ndarray._buffer_slot = slot  # type: ignore[attr-defined]  # keeps the callback alive


if sys.version_info >= (3, 12):
    ndarray.__buffer__ = _buffer  # type: ignore[attr-defined]
elif sys.implementation.name == "cpython":
    _install_buffer_slot()
