"""Universal functions: NumPy's, over our arrays. Large elementwise calls are recorded, everything else is NumPy's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..engines.host import kernels
from ..graph import record, window
from ..ops import elementwise
from ..runtime.settings import settings
from .base import array_of, host, nd, ndarray, strip, strip_keywords, wrap_from


class UfuncType(type):
    """Metaclass: ufuncs of NumPy and of other packages are instances of `ufunc` too."""

    def __instancecheck__(cls, x: Any) -> bool:
        return type(x) is cls or isinstance(x, np.ufunc)

    def __subclasscheck__(cls, c: type) -> bool:
        return c is cls or issubclass(c, np.ufunc)


class ufunc(metaclass=UfuncType):
    """One of NumPy's universal functions, on our arrays."""

    __module__ = "cunumeric"

    __slots__ = ("__dict__", "_kernel", "_row")

    def __init__(self, kernel: np.ufunc) -> None:
        self._kernel = kernel
        self._row = elementwise.row(kernel)
        self.__name__ = self.__qualname__ = kernel.__name__
        self.__doc__ = kernel.__doc__
        self.__wrapped__ = kernel  # inspect.signature follows it

    def __call__(self, *args, **kwargs):
        if not kwargs:
            limit = settings.record_min
            inner = []
            for a in args:
                if type(a) is ndarray:
                    a = a._a
                    if a.size >= limit or window.pending:
                        break
                elif type(a) is nd and a.size >= limit:
                    break
                inner.append(a)
            else:
                r = self._kernel(*inner)
                return array_of(r) if type(r) is nd else wrap_from(r, args, kwargs)
        if self._row is not None:
            r = record.ufunc_call(self._row, args, kwargs)
            if r is not NotImplemented:
                return r
        return wrap_from(self._kernel(*[strip(a) for a in args], **strip_keywords(kwargs)), args, kwargs)

    def outer(self, *args, **kwargs):
        return wrap_from(self._kernel.outer(*[strip(a) for a in args], **strip_keywords(kwargs)), args, kwargs)

    def reduce(self, array, *args, **kwargs):
        if type(array) is ndarray:
            r = record.reduction_call(self._kernel, array, args, kwargs)
            if r is not NotImplemented:
                return r
        given = (array, *args)
        return wrap_from(self._kernel.reduce(*[strip(a) for a in given], **strip_keywords(kwargs)), given, kwargs)

    def accumulate(self, array, *args, **kwargs):
        given = [strip(a) for a in (array, *args)]
        named = strip_keywords(kwargs)
        if type(given[0]) is nd and given[0].size >= settings.kernel_min:
            r = kernels.accumulate(self._kernel, *given, **named)
            if r is not NotImplemented:
                return wrap_from(r, (array, *args), kwargs)
        return wrap_from(self._kernel.accumulate(*given, **named), (array, *args), kwargs)

    def reduceat(self, *args, **kwargs):
        return wrap_from(self._kernel.reduceat(*[strip(a) for a in args], **strip_keywords(kwargs)), args, kwargs)

    def at(self, a, *args):
        if not isinstance(a, ndarray):
            raise TypeError("first operand must be array")
        self._kernel.at(host(a), *[strip(v) for v in args])

    def __repr__(self) -> str:
        return repr(self._kernel)

    def __reduce__(self):
        return find, (self.__name__,)

    def __eq__(self, other: object) -> bool:
        return self is other or self._kernel is other

    def __hash__(self) -> int:
        return hash(self._kernel)


def _delegate(name: str) -> Any:
    """A member of NumPy's ufunc, read from the kernel."""
    documentation = getattr(getattr(np.ufunc, name, None), "__doc__", None)
    return property(lambda self: getattr(self._kernel, name), doc=documentation)


for _name in dir(np.ufunc):
    if not hasattr(ufunc, _name):
        setattr(ufunc, _name, _delegate(_name))
for _name in ("outer", "reduce", "accumulate", "reduceat", "at"):
    getattr(ufunc, _name).__doc__ = getattr(np.ufunc, _name).__doc__


@functools.cache
def of(kernel: np.ufunc) -> ufunc:
    """Our ufunc over one of NumPy's."""
    return ufunc(kernel)


def find(name: str) -> ufunc:
    """The public ufunc of this name (for pickles)."""
    return of(getattr(np, name))
