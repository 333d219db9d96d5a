"""What the accelerator does not do: NumPy does it on the host, and says so where bytes had to leave the device.

One RuntimeWarning for each line of a program that calls such a function; with `CUNUMERIC_STRICT=1` an error instead,
before anything moves. Functions whose nature it is to read an array on the host do it without a word."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..graph import window
from ..graph.node import Node
from ..runtime import residence
from ..runtime.settings import settings
from .base import host, ndarray

_HOUSE = os.path.dirname(os.path.dirname(__file__))
# Functions and methods that hand values to Python, to a file or to other code.
_READING = frozenset(
    """array array2string array_repr array_str asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray
    base_repr fromiter item load save savetxt savez savez_compressed tobytes tofile tolist dump dumps set_printoptions
    format_float_positional format_float_scientific shape ndim size result_type can_cast common_type min_scalar_type
    iscomplexobj isrealobj isscalar iterable may_share_memory shares_memory byte_bounds info require from_dlpack
    frombuffer bmat copyto nested_iters einsum_path issubdtype broadcast_shapes typename mintypecode show_runtime
    __array__ __array_wrap__ __bool__ __complex__ __contains__ __deepcopy__ __copy__ __delitem__ __dir__ __float__
    __format__ __index__ __int__ __iter__ __len__ __reduce__ __reduce_ex__ __repr__ __setstate__ __sizeof__ __str__
    __array_finalize__ __array_function__ __array_ufunc__ __array_namespace__ __dlpack__ __dlpack_device__ to_device
    setflags fill astype copy view reshape ravel transpose swapaxes squeeze diagonal resize getfield
    _set_dtype _set_shape""".split()
)
# Functions of those that only read, and give nothing that shows memory: the device keeps its copy.
_TELLING = frozenset("array2string array_repr array_str save savetxt savez savez_compressed".split())
_QUIET_MODULES = ("numpy.testing", "numpy.lib._npyio", "numpy.random", "numpy.ma")


def _quiet(function: Any) -> bool:
    module = getattr(function, "__module__", "") or ""
    return getattr(function, "__name__", "") in _READING or module.startswith(_QUIET_MODULES)


def _arrays(values: Any, depth: int = 0) -> Iterator[Any]:
    for v in values:
        if type(v) is ndarray:
            yield v
        elif type(v) in (list, tuple) and depth < 3 and len(v) <= 1024:
            yield from _arrays(v, depth + 1)


def _waits_there(x: Any) -> bool:
    """Whether the newest bytes of `x` are not on the host, or will not be once what is recorded on it has run."""
    return type(x._a) is Node or residence.on_device(x._a) or (residence.accelerated and window.written(x._a))


def aloud(ours: Callable[..., Any], numpys: Any, name: str = "") -> Callable[..., Any]:
    """`ours`, which runs NumPy's `numpys` on the host, with a warning where it fetches from the device."""
    if getattr(numpys, "__name__", "") in _TELLING:
        return _telling(ours)
    if _quiet(numpys) or name in _READING:
        return ours
    name = name or getattr(numpys, "__name__", "this function")

    def call(*args, **kwargs):
        if settings.strict and any(map(_waits_there, _arrays((*args, *kwargs.values())))):
            raise NotImplementedError(_words(name) + "CUNUMERIC_STRICT forbids it.")
        before = residence.counters.fetched
        r = ours(*args, **kwargs)  # an error of NumPy's is no fallback
        moved = residence.counters.fetched - before
        if moved:
            _warn(name, moved)
        return r

    return call


def _telling(ours: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args, **kwargs):
        named = {k: host(v, writes=False) if type(v) is ndarray else v for k, v in kwargs.items()}
        return ours(*[host(v, writes=False) if type(v) is ndarray else v for v in args], **named)

    return call


def _words(name: str) -> str:
    return f"cunumeric has not implemented {name} and is falling back to canonical NumPy. "


_warned: set[tuple[str, str, int]] = set()


def _warn(name: str, moved: int) -> None:
    """Once for each line that calls."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_HOUSE):
        frame = frame.f_back
    if frame is None:
        return
    site = (name, frame.f_code.co_filename, frame.f_lineno)
    if site in _warned:
        return
    _warned.add(site)
    text = (
        _words(name) + "You may notice significantly decreased performance for this function call. "
        f"{moved} bytes were moved from the device."
    )
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "<unknown>")
    warnings.warn_explicit(text, RuntimeWarning, site[1], site[2], module, registry)
