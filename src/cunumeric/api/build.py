"""Namespaces: every public name of a NumPy module, over our arrays.

A name is ours when a chapter of this folder defines it; else it is NumPy's function with arguments stripped and the
result wrapped, NumPy's class where it works on our arrays as it is, or the very same object (constants, dtypes).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from typing import Any

import numpy as np

from ..arrays import lowered, ufunc
from ..arrays.base import nd, ndarray, strip, strip_keywords, twin_class, wrap_from
from ..arrays.calls import again, calling, liking, twins
from ..arrays.extension import Quick, in_c, quick
from ..runtime import residence

_LAZY = frozenset(
    "char core ctypeslib dtypes emath exceptions f2py fft lib linalg ma matlib polynomial random rec strings testing "
    "typing".split()
)
# NumPy asks for the exact type of these, or for their first base.
_AS_THEY_ARE = ("matrix", "mvoid", "MaskedConstant", "MaskedRecords")
_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    type(np.sum),
)

# Functions that our functions are: `cunumeric.sum` knows `numpy.sum` and the other way round.
_known: dict[int, Any] = {id(nd): ndarray, id(np.ufunc): ufunc.ufunc}


class builtin(staticmethod):
    """A function that stands for one of C: as an attribute of a class it does not become a method."""

    def __init__(self, f: Any) -> None:
        super().__init__(f)
        self.__text_signature__ = f.__dict__.get("__text_signature__")

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"


def function(f: Any, module: str) -> Any:
    """`f` of NumPy as ours."""

    if not _takes_like(f):
        return dress(calling(f), f, module)

    def making(*args, **kwargs):
        if "like" in kwargs and type(kwargs["like"]) is not ndarray:
            r = liking(f, args, kwargs)
            if r is not None:
                return r
        try:
            r = f(*[strip(a) for a in args], **strip_keywords(kwargs))
        except (TypeError, ValueError) as error:
            r = again(error, f, args, kwargs)
        return wrap_from(r, args, kwargs)

    quick[making] = Quick(f, "ALWAYS", likes=True)
    return dress(making, f, module)


def _takes_like(f: Any) -> bool:
    if isinstance(f, types.BuiltinFunctionType):
        return "like=" in (f.__doc__ or "")
    code = getattr(f, "__code__", None)
    return code is not None and "like" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def dress(call: Any, f: Any, module: str) -> Any:
    """Name, documentation and signature of NumPy's `f` for `call`; remembers the two as twins."""
    if residence.accelerated and isinstance(call, types.FunctionType):
        call = lowered.offer(call, f)
    try:
        functools.update_wrapper(call, f, updated=())
    except (AttributeError, TypeError):
        call.__name__ = getattr(f, "__name__", "call")
    call.__module__ = module
    call.__wrapped__ = getattr(f, "__wrapped__", f)
    if isinstance(f, types.BuiltinFunctionType):
        call.__text_signature__ = f.__text_signature__  # type: ignore[attr-defined]
        front = in_c(call, builtin=True)
        call = builtin(call) if front is call else front
    else:
        signature = vars(f).get("__signature__") if hasattr(f, "__dict__") else None
        if signature is not None:
            call.__signature__ = signature
        call = in_c(call)
    with contextlib.suppress(TypeError):  # unhashable callables have no twin
        twins[f] = call
    _known[id(f)] = call
    return call


def twin(value: Any, module: str) -> Any:
    """Ours for one public object of NumPy."""
    found = _known.get(id(value))
    if found is not None:
        return found
    if isinstance(value, np.ufunc):
        ours = ufunc.of(value)
        _known[id(value)] = twins[value] = ours
        return ours
    if isinstance(value, _FUNCTIONS) or type(value).__name__ == "cython_function_or_method":
        return function(value, module)
    if isinstance(value, type) and issubclass(value, nd) and value.__name__ not in _AS_THEY_ARE:
        ours = _known[id(value)] = twin_class(value, module)  # type: ignore[assignment]
        return ours
    return value


def public_names(module: types.ModuleType) -> list[str]:
    """What a NumPy module offers: its `__all__`, or every name without an underscore that is not a module it merely
    imported."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            n
            for n in dir(module)
            if not n.startswith("_")
            and not (inspect.ismodule(getattr(module, n)) and not getattr(module, n).__name__.startswith("numpy"))
        ]
    return list(names)


def fill(namespace: dict[str, Any], source: types.ModuleType, chapters: tuple[types.ModuleType, ...] = ()) -> list[str]:
    """Fill `namespace` with every public name of `source`; returns the names, for `__all__`."""
    module = namespace["__name__"]
    names = public_names(source)
    own: dict[str, Any] = {}
    for chapter in chapters:
        for name in chapter.__all__:
            own[name] = getattr(chapter, name)
    for name in names:
        if name in namespace and not isinstance(namespace[name], types.ModuleType):
            continue
        if name not in vars(source) and name in _LAZY:
            continue  # a submodule that NumPy imports when it is first used; so do we
        value = getattr(source, name)
        if isinstance(value, types.ModuleType):
            continue  # submodules are modules of ours
        if name in own:
            namespace[name] = own[name] if isinstance(own[name], type) else dress(own[name], value, module)
        else:
            namespace[name] = twin(value, module)
    return names
