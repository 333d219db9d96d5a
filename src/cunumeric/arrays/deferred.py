"""Deferred scalars: what a full reduction on an accelerator gives, before anybody has asked for its value.

It is NumPy's scalar in all that a program can ask of it (`isinstance`, formatting, hashing, comparing, indexing with
it), and asking waits for the device. Arithmetic with arrays, numbers and other deferred scalars does not ask: it is
recorded.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import record
from ..ops import elementwise
from . import ufunc as _ufunc
from .base import Deferred, ndarray
from .operators import _ARITHMETIC

_NUMBERS = (int, float, complex, np.number, np.bool_)


def _arithmetic(symbol: str, kernel: np.ufunc, reflected: bool) -> Callable:
    row = elementwise.row(kernel)
    python = getattr(operator, f"__{symbol}__")

    def method(self, other):
        t = type(other)
        if t is ndarray or t is Deferred or isinstance(other, _NUMBERS):
            r = record.operator(row, self, other, reflected)  # type: ignore[arg-type]
            if r is not NotImplemented:
                return r if r.ndim else Deferred(r)
        if t is Deferred:
            other = other.value()
        return python(other, self.value()) if reflected else python(self.value(), other)

    method.__name__ = f"__r{symbol}__" if reflected else f"__{symbol}__"
    return method


def _asking(name: str) -> Callable:
    """A special method that needs the value."""

    def method(self, *args):
        args = tuple([a.value() if type(a) is Deferred else a for a in args])
        return getattr(self.value(), name)(*args)

    method.__name__ = name
    return method


for _symbol, _kernel in _ARITHMETIC.items():
    setattr(Deferred, f"__{_symbol}__", _arithmetic(_symbol, _kernel, False))
    setattr(Deferred, f"__r{_symbol}__", _arithmetic(_symbol, _kernel, True))
for _name in (
    "__float__ __int__ __bool__ __index__ __str__ __repr__ __format__ __hash__ __eq__ __ne__ __lt__ __le__ "
    "__gt__ __ge__ __abs__ __neg__ __pos__ __invert__ __divmod__ __rdivmod__ __round__ __trunc__ __floor__ __ceil__ "
    "__getitem__ __copy__ __deepcopy__ __reduce__ __dlpack__"
).split():
    setattr(Deferred, _name, _asking(_name))


def _unary(name: str, kernel: np.ufunc) -> None:
    row = elementwise.row(kernel)

    def method(self):
        r = record.elementwise_call(row, (self,))  # type: ignore[arg-type]
        return getattr(self.value(), name)() if r is NotImplemented else Deferred(r)

    method.__name__ = name
    setattr(Deferred, name, method)


_unary("__neg__", np.negative)
_unary("__abs__", np.absolute)


def _complex(self: Any) -> complex:
    return complex(self.value())


def _index(self: Any) -> int:
    return operator.index(self.value())


def _array(self: Any, dtype: Any = None, /, *, copy: Any = None) -> np.ndarray:
    return np.asarray(self.value(), dtype)


def _array_ufunc(self: Any, ufunc: np.ufunc, how: str, *inputs: Any, **kwargs: Any) -> Any:
    if how == "__call__" and not kwargs:
        return _ufunc.of(ufunc)(*inputs)
    given = [v.value() if type(v) is Deferred else v for v in inputs]
    return getattr(ufunc, how)(*given, **kwargs)


Deferred.__complex__ = _complex  # type: ignore[attr-defined]
Deferred.__index__ = _index  # type: ignore[attr-defined]
Deferred.__array__ = _array  # type: ignore[attr-defined]
Deferred.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
setattr(Deferred, "__reduce_ex__", _asking("__reduce_ex__"))  # noqa: B010  (mypy: a method)
