"""Universal functions: NumPy's, over our arrays. Large elementwise calls are recorded, everything else is NumPy's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..engines.host import kernels
from ..graph import record, window
from ..ops import elementwise
from ..runtime.settings import settings
from .base import array_of, nd, ndarray, strip, strip_keywords, wrap_from
from .calls import again, call
from .extension import Quick, fast, quick


class UfuncType(type):
    """Metaclass: ufuncs of NumPy and of other packages are instances of `ufunc` too."""

    def __instancecheck__(cls, x: Any) -> bool:
        return type(x) is cls or isinstance(x, np.ufunc)

    def __subclasscheck__(cls, c: type) -> bool:
        return c is cls or issubclass(c, np.ufunc)


class _Documentation:
    """`__doc__` of the class and of each function: NumPy's, unless somebody sets another."""

    def __get__(self, f: Any, kind: type) -> Any:
        return np.ufunc.__doc__ if f is None else f.__dict__.get("__doc__", f._kernel.__doc__)

    def __set__(self, f: Any, text: Any) -> None:
        f.__dict__["__doc__"] = text

    def __delete__(self, f: Any) -> None:
        del f.__dict__["__doc__"]


class ufunc(fast.called if fast is not None else object, metaclass=UfuncType):  # type: ignore[misc]
    __doc__ = _Documentation()  # type: ignore[assignment]
    __module__ = "cunumeric"

    __slots__ = ("__dict__", "_kernel", "_nin", "_row")

    def __init__(self, kernel: np.ufunc) -> None:
        self._kernel = kernel
        self._nin = kernel.nin
        self._row = elementwise.row(kernel)
        self.__name__ = self.__qualname__ = kernel.__name__
        self.__wrapped__ = kernel  # inspect.signature follows it

    def __call__(self, *args, **kwargs):
        if not kwargs and len(args) <= self._nin:
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
                try:
                    r = self._kernel(*inner)
                except (TypeError, ValueError) as error:
                    r = again(error, self._kernel, args, kwargs)
                return array_of(r) if type(r) is nd else wrap_from(r, args, kwargs)
        if self._row is not None:
            r = record.ufunc_call(self._row, args, kwargs)
            if r is not NotImplemented:
                return r
        return call(self._kernel, args, kwargs)

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
        return self._kernel.at(strip(a), *[strip(v) for v in args])

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
    numpys = getattr(np.ufunc, name, None)
    if callable(numpys):

        def member(self, *args, **kwargs):
            return wrap_from(getattr(self._kernel, name)(*args, **kwargs), args, kwargs)

        member.__name__, member.__doc__, member.__wrapped__ = name, numpys.__doc__, numpys  # type: ignore[attr-defined]
        return member
    documentation = getattr(getattr(np.ufunc, name, None), "__doc__", None)
    return property(lambda self: getattr(self._kernel, name), doc=documentation)


for _name in dir(np.ufunc):
    if not hasattr(ufunc, _name):
        setattr(ufunc, _name, _delegate(_name))
for _name in ("outer", "reduce", "accumulate", "reduceat", "at"):
    _method, _numpys = getattr(ufunc, _name), getattr(np.ufunc, _name)
    _method.__doc__, _method.__wrapped__ = _numpys.__doc__, _numpys
    _rule = {"reduce": "BELOW_RECORD", "accumulate": "BELOW_KERNEL"}.get(_name, "ALWAYS")
    quick[_method] = Quick(_numpys, _rule)


@functools.cache
def of(kernel: np.ufunc) -> ufunc:
    """Our ufunc over one of NumPy's."""
    return ufunc(kernel)


def find(name: str) -> ufunc:
    """The public ufunc of this name (for pickles)."""
    return of(getattr(np, name))
