"""Calling NumPy's functions on our arrays, and what is done after an error that comes of NumPy's not knowing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import writing
from .base import _NESTED, hand_out, host, nd, ndarray, strip, strip_keywords, wrap, wrap_from
from .extension import Quick, quick

# NumPy's function -> ours; filled where the namespaces are assembled.
twins: dict[Callable, Callable] = {}


def call(f: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`f` of NumPy on our arrays."""
    try:
        r = f(*[strip(a) for a in args], **strip_keywords(kwargs))
    except (TypeError, ValueError) as error:
        r = again(error, f, args, kwargs)
    return wrap_from(r, args, kwargs)


# Arguments that hold no array.
_ATOMS = frozenset({int, float, complex, bool, str, type(None), np.float64, np.int64})


def calling(f: Any) -> Any:
    """`f` of NumPy as a function on our arrays."""
    f = writing.of(f)

    def call(*args, **kwargs):
        try:
            given = [a if type(a) in _ATOMS else strip(a) for a in args]
            r = f(*given, **strip_keywords(kwargs)) if kwargs else f(*given)
        except (TypeError, ValueError) as error:
            r = again(error, f, args, kwargs)
        return wrap_from(r, args, kwargs)

    quick[call] = Quick(f, "ALWAYS")
    return call


def again(error: Exception, f: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call `f` of NumPy another way after `error`, or raise it.

    NumPy's C code does not take one of our arrays for an array when the `__array__` of an argument gives one; and the
    `__array_function__` of an argument may know our function where it does not know NumPy's."""
    message = str(error)
    if "__array__ method" in message:
        return f(*[_converted(a) for a in args], **{k: _converted(v) for k, v in kwargs.items()})
    if message.startswith("no implementation found for 'numpy") and f in twins:
        return _overridden(error, twins[f], args, kwargs)
    try:
        raise error
    finally:
        del error  # whose traceback holds this frame: a cycle, which would hold the caller's arrays


def _converted(v: Any) -> Any:
    """`strip`, and objects whose `__array__` gives an array of ours converted."""
    t = type(v)
    if t in _NESTED:
        return t([_converted(e) for e in v])
    if t is ndarray or isinstance(v, (nd, np.generic, type)) or not hasattr(t, "__array__"):
        return strip(v)
    return _Converted(v)


class _Converted:
    """Stands for an object whose `__array__` gives arrays of ours: its `__array__` gives NumPy's."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def __array__(self, *args, **kwargs):
        a = self._of.__array__(*args, **kwargs)
        if type(a) is ndarray:
            hand_out(a, host(a))
        return strip(a)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._of, name)
        if name != "__array_wrap__":
            return member
        return lambda *args: member(*[wrap(a) for a in args])


def _overridden(error: Exception, ours: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    given = [*args, *kwargs.values()]
    given += [e for v in given if type(v) in _NESTED for e in v]
    found = {type(v): v for v in given if hasattr(type(v), "__array_function__") and not isinstance(v, ndarray)}
    kinds = sorted(found, key=lambda t: -len(t.__mro__))  # subclasses first
    for kind in kinds:
        r = kind.__array_function__(found[kind], ours, tuple(kinds), args, kwargs)
        if r is not NotImplemented:
            return r
    raise error


def liking(f: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What the `__array_function__` of a foreign `like=` makes of our twin of `f`; None where `f` is to be called."""
    like = kwargs["like"]
    if isinstance(like, nd) or type(like) is ndarray or not hasattr(type(like), "__array_function__"):
        return None  # NumPy's subclasses know NumPy's functions; for all else NumPy raises
    del kwargs["like"]
    public = twins[f]
    r = type(like).__array_function__(like, public, (type(like),), args, kwargs)
    if r is NotImplemented:
        raise TypeError(
            f"no implementation found for 'numpy.{public.__name__}' on types that implement __array_function__: "
            f"[{type(like)}]"
        )
    return r
