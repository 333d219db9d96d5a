"""Python's operators on arrays. The first lines of each method are the price of a small operation: keep them few.

A small operation goes straight to NumPy's operator on the inner arrays, which brings NumPy's own rules for scalars,
deferral to other types and exceptions. A large one, or one on memory with recorded work, is recorded when it can be.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import record, window
from ..ops import elementwise
from ..runtime import residence
from ..runtime.settings import settings
from . import lowered
from .base import grow, host, nd, ndarray, new, strip, wrap_from
from .calls import again, call

_SCALARS = frozenset({int, float, complex, bool, np.float64, np.float32, np.int64, np.int32, np.bool_, np.complex128})
_pending = window.pending


def _at_home(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the host's bytes of both are the newest."""
    return not residence.accelerated or not (residence.on_device(a) or residence.on_device(b))


def _binary(symbol: str, kernel: np.ufunc, python: Callable, reflected: bool) -> Callable:
    row = elementwise.row(kernel)
    name = f"__r{symbol}__" if reflected else f"__{symbol}__"
    numpys = getattr(nd, name)

    def method(self, other):
        try:
            a = self._a
        except AttributeError:  # called unbound on a subclass, which is one of NumPy's arrays
            return numpys(self, strip(other))
        t = type(other)
        if t is ndarray:
            b = other._a
            least = settings.record_min
            if not _pending and a.size < least and b.size < least and _at_home(a, b) and not grow(a, b):
                r = python(b, a) if reflected else python(a, b)
                if type(r) is nd:
                    x = new(ndarray)
                    x._a = r
                    x._b = None
                    return x
                return r
        elif t in _SCALARS and not _pending and a.size < settings.record_min and _at_home(a, a):
            r = python(other, a) if reflected else python(a, other)
            if type(r) is nd:
                x = new(ndarray)
                x._a = r
                x._b = None
                return x
            return r
        if row is not None and (type(a) is not nd or a.dtype.kind in elementwise.KINDS):
            r = record.operator(row, self, other, reflected)
            if r is not NotImplemented:
                return r if r._a.shape else lowered.told(r)
        if t is not nd and t is not ndarray and isinstance(other, nd):  # a subclass goes first, if it has the operator
            r = python(other, host(self)) if reflected else python(host(self), other)
            return wrap_from(r, (self, other))
        try:
            r = numpys(host(self), strip(other))
        except ValueError as error:
            r = again(error, numpys, (self, other), {})
        return wrap_from(r, (self, other))

    method.__name__ = name
    method.__doc__ = numpys.__doc__
    return method


def _inplace(symbol: str, kernel: np.ufunc) -> Callable:
    row = elementwise.row(kernel)
    name = f"__i{symbol}__"
    numpys = getattr(nd, name)

    def method(self, other):
        if type(self) is not ndarray:
            return numpys(self, strip(other))
        if row is not None and lowered.worth_recording(self):
            r = record.inplace(row, self, other)
            if r is not NotImplemented:
                return self
        a = host(self)
        try:
            r = numpys(a, strip(other))
        except ValueError as error:
            r = again(error, numpys, (self, other), {})
        return self if r is a else wrap_from(r, (self, other))  # an override may return what it likes

    method.__name__ = name
    method.__doc__ = numpys.__doc__
    return method


def _unary(name: str, kernel: np.ufunc) -> Callable:
    row = elementwise.row(kernel)
    numpys = getattr(nd, name)

    def method(self):
        if type(self) is not ndarray:
            return numpys(self)
        a = self._a
        if row is not None and (_pending or a.size >= settings.record_min or not _at_home(a, a)):
            r = record.elementwise_call(row, (self,))
            if r is not NotImplemented:
                return r
            a = host(self)
        return wrap_from(numpys(a), (self,))

    method.__name__ = name
    method.__doc__ = numpys.__doc__
    return method


def _delegated(name: str) -> Callable:
    numpys = getattr(nd, name)

    def method(self, *args):
        if residence.accelerated and len(args) == 1:
            pair = (args[0], self) if name.startswith("__r") else (self, args[0])
            r = lowered.attempt(np.matmul if "matmul" in name else np.divmod, pair, {})
            if r is not NotImplemented:
                return r
        return call(numpys, (self, *args), {})

    method.__name__ = name
    method.__doc__ = numpys.__doc__
    return method


_ARITHMETIC = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "lshift": np.left_shift, "rshift": np.right_shift,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
_PYTHON = {name: getattr(operator, f"__{name}__") for name in _ARITHMETIC}
_COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip

for _symbol, _kernel in _ARITHMETIC.items():
    setattr(ndarray, f"__{_symbol}__", _binary(_symbol, _kernel, _PYTHON[_symbol], False))
    setattr(ndarray, f"__r{_symbol}__", _binary(_symbol, _kernel, _PYTHON[_symbol], True))
    setattr(ndarray, f"__i{_symbol}__", _inplace(_symbol, _kernel))
for _symbol, _kernel in _COMPARISONS.items():
    setattr(ndarray, f"__{_symbol}__", _binary(_symbol, _kernel, getattr(operator, f"__{_symbol}__"), False))
for _name, _kernel in {  # type: ignore[assignment]
    "__neg__": np.negative, "__pos__": np.positive, "__abs__": np.absolute, "__invert__": np.invert,
}.items():  # fmt: skip
    setattr(ndarray, _name, _unary(_name, _kernel))
for _name in ("__divmod__", "__rdivmod__", "__matmul__", "__rmatmul__"):
    setattr(ndarray, _name, _delegated(_name))


def _imatmul(self: Any, other: Any) -> Any:
    a = host(self)
    r = nd.__imatmul__(a, strip(other))
    return self if r is a else wrap_from(r, (self, other))


ndarray.__imatmul__ = _imatmul  # type: ignore[attr-defined]
# Comparing makes arrays, so NumPy's arrays have no hash; a class that defines __eq__ afterwards keeps object's.
ndarray.__hash__ = None  # type: ignore[assignment]
