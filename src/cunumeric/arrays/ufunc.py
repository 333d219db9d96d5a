"""Universal functions: NumPy's, over our arrays. Large elementwise calls are recorded, everything else is NumPy's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..engines.host import kernels
from ..graph import record, warning, window
from ..ops import elementwise
from ..runtime import residence
from ..runtime.settings import settings
from . import fallback, lowered
from .base import Deferred, array_of, grow, nd, ndarray, strip, strip_keywords, wrap_from
from .calls import again, call, calling
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
        if record.at_once is not None and not kwargs and self._row is not None and len(args) == self._nin:
            r = record.at_once(self._row, args)
            if r is not None:
                return lowered.told(r)
        if not kwargs and len(args) <= self._nin:
            limit = settings.record_min
            inner = []
            for a in args:
                if type(a) is ndarray:
                    a = a._a
                    if a.size >= limit or window.pending or residence.on_device(a):
                        break
                elif (type(a) is nd and a.size >= limit) or type(a) is Deferred:
                    break
                inner.append(a)
            else:
                if len(inner) < 2 or not grow(inner[0], inner[1]):
                    try:
                        r = self._kernel(*inner)
                    except (TypeError, ValueError) as error:
                        r = again(error, self._kernel, args, kwargs)
                    return array_of(r) if type(r) is nd else wrap_from(r, args, kwargs)
        if self._row is not None:
            if kwargs and residence.accelerated:
                r = self._with_words(args, kwargs)
                if r is not NotImplemented:
                    return r
            r = record.ufunc_call(self._row, args, kwargs)
            if r is not NotImplemented:
                return lowered.told(r) if residence.accelerated and not kwargs and len(args) == self._nin else r
        elif residence.accelerated:
            r = lowered.attempt(self._kernel, args, kwargs)
            if r is not NotImplemented:
                return r
        if residence.accelerated and warning.kinds_heard() is not None:  # else NumPy does it for its warnings' sake
            return fallback.aloud(calling(self._kernel), self._kernel)(*args, **kwargs)
        return call(self._kernel, args, kwargs)

    def _with_words(self, args: tuple, words: dict[str, Any]) -> Any:
        """A call with `dtype`, `casting` or `where` on an accelerator, as plain calls; NotImplemented where it is
        NumPy's."""
        if not words.keys() <= {"out", "where", "dtype", "casting"} or words.keys() <= {"out"}:
            return NotImplemented
        dtype, mask, casting = words.get("dtype"), words.get("where", True), words.get("casting", "same_kind")
        out: Any = words.get("out")
        if type(out) is tuple and len(out) == 1:
            out = out[0]
        if len(args) != self._nin or not any(map(lowered.concerns, (*args, out))):
            return NotImplemented
        if (out is not None and type(out) is not lowered.ndarray) or (mask is not True and type(mask) is not ndarray):
            return NotImplemented
        if dtype is not None or casting != "same_kind":
            # With "equiv" beside a number of Python's NumPy 2.4's `resolve_dtypes` crashes.
            if casting not in ("same_kind", "unsafe") or (dtype is not None and not residence.suits(np.dtype(dtype))):
                return NotImplemented
            try:
                given: Any = [a.dtype if hasattr(a, "dtype") else type(a) for a in args]
                given.append(None if out is None else out.dtype)
                loop = (*[None] * self._nin, None if dtype is None else np.dtype(dtype))
                kinds = self._kernel.resolve_dtypes(tuple(given), signature=loop, casting=casting)
            except TypeError:
                return NotImplemented
            args = tuple(
                [a.astype(k) if hasattr(a, "astype") else k.type(a) for a, k in zip(args, kinds, strict=False)]
            )
        if mask is True and (out is None or casting == "same_kind"):
            return self(*args) if out is None else self(*args, out=out)
        r = self(*args)
        if out is None:  # what is not under the mask may be anything: NumPy warns of it
            self._kernel(*[np.ones(1, getattr(a, "dtype", None)) for a in args], where=np.ones(1, bool))
            return r
        if mask is True:
            if not out.ndim or np.broadcast_shapes(r.shape, out.shape) != out.shape:
                return NotImplemented
            out[...] = r
            return out
        return out if lowered.attempt(np.copyto, (out, r), {"where": mask}) is None else NotImplemented

    def outer(self, *args, **kwargs):
        plain = all(type(a) in (ndarray, nd, int, float) for a in args)
        if residence.accelerated and plain and not kwargs and len(args) == self._nin == 2:
            x, y = [a if type(a) is ndarray else wrap_from(np.asarray(a), ()) for a in args]  # type: Any, Any
            if lowered.concerns(x) or lowered.concerns(y):
                return self(x.reshape(x.shape + (1,) * y.ndim), y)
        return call(self._kernel.outer, args, kwargs)

    def reduce(self, array, *args, **kwargs):
        if type(array) is ndarray:
            r = record.reduction_call(self._kernel, array, args, kwargs)
            if r is not NotImplemented:
                return r
        given = (array, *args)
        if residence.accelerated:
            r = lowered.attempt(self._kernel.reduce, given, kwargs)
            if r is not NotImplemented:
                return r
        return self._on_host("reduce", given, kwargs)

    def accumulate(self, array, *args, **kwargs):
        if residence.accelerated:
            r = lowered.attempt(self._kernel.accumulate, (array, *args), kwargs)
            if r is not NotImplemented:
                return r
        given = [strip(a) for a in (array, *args)]
        named = strip_keywords(kwargs)
        if type(given[0]) is nd and given[0].size >= settings.kernel_min:
            r = kernels.accumulate(self._kernel, *given, **named)
            if r is not NotImplemented:
                return wrap_from(r, (array, *args), kwargs)
        return self._on_host("accumulate", (array, *args), kwargs)

    def reduceat(self, *args, **kwargs):
        if residence.accelerated:
            r = lowered.attempt(self._kernel.reduceat, args, kwargs)
            if r is not NotImplemented:
                return r
        return self._on_host("reduceat", args, kwargs)

    def at(self, a, *args):
        if residence.accelerated and lowered.attempt(self._kernel.at, (a, *args), {}) is None:
            return None
        return self._on_host("at", (a, *args), {})

    def _on_host(self, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A method of NumPy's ufunc, by NumPy."""
        method = getattr(self._kernel, name)

        def numpys(*args, **kwargs):
            return call(method, args, kwargs)

        if residence.accelerated:
            numpys = fallback.aloud(numpys, method, f"{self.__name__}.{name}")
        return numpys(*args, **kwargs)

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
    _rule = {"reduce": "BELOW_REDUCED", "accumulate": "BELOW_KERNEL"}.get(_name, "ALWAYS")
    quick[_method] = Quick(_numpys, _rule)


@functools.cache
def of(kernel: np.ufunc) -> ufunc:
    """Our ufunc over one of NumPy's."""
    return ufunc(kernel)


def find(name: str) -> ufunc:
    """The public ufunc of this name (for pickles)."""
    return of(getattr(np, name))
