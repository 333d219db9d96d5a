"""NumPy's functions and methods that write a file of a name: several ranks write it once (`engines/xla/once.py`).

A file that the program has opened is its own business, on every rank."""

from __future__ import annotations

import functools
import inspect
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..runtime import ranks

_FUNCTIONS: tuple[tuple[Callable[..., Any], str], ...] = (
    (np.save, "file"),
    (np.savez, "file"),
    (np.savez_compressed, "file"),
    (np.savetxt, "fname"),
)
_METHODS: tuple[tuple[Any, str], ...] = ((np.ndarray.tofile, "fid"), (np.ndarray.dump, "file"))
_RAW = (np.ndarray.tofile,)  # writes past the file object
# What can be written without asking anybody's array for its values.
_PLAIN = (str, bytes, os.PathLike, int, float, complex, type(None), np.generic)


class _Nowhere(io.FileIO):
    """The null device, to which archives can be written: they count for themselves where a file cannot tell."""

    def __init__(self) -> None:
        super().__init__(os.devnull, "wb")

    def tell(self) -> int:
        raise io.UnsupportedOperation


def _plain(v: Any) -> bool:
    if isinstance(v, (list, tuple)):
        return all(map(_plain, v))
    return not v.dtype.hasobject if type(v) is np.ndarray else isinstance(v, _PLAIN)


def _once(f: Callable[..., Any], place: int, name: str) -> Callable[..., Any]:
    """`f`, whose argument at `place`, or called `name`, is a file."""

    @functools.wraps(f)
    def call(*args, **kwargs):
        named = len(args) <= place
        file = kwargs.get(name) if named else args[place]
        if ranks.size == 1 or not isinstance(file, (str, bytes, os.PathLike)):
            return f(*args, **kwargs)
        from ..engines.xla import once  # the only engine that ranks have

        if not all(map(_plain, (*args, *kwargs.values()))):
            # Pickles of objects may hold arrays that all ranks must read together.
            with io.FileIO(os.devnull, "wb") if f in _RAW else _Nowhere() as nowhere:
                if named:
                    f(*args, **(kwargs | {name: nowhere}))
                else:
                    f(*args[:place], nowhere, *args[place + 1 :], **kwargs)
        return once.write(f.__name__, os.path.abspath(os.fsdecode(file)), lambda: f(*args, **kwargs))

    return call


def _mapped(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, which maps a file into memory and may be asked to make it: one rank does, the others map what it has made,
    for who opened it for writing again would cut off what others have mapped."""
    names = inspect.signature(f)

    @functools.wraps(f)
    def call(*args, **kwargs):
        try:
            given = names.bind(*args, **kwargs)
        except TypeError:
            return f(*args, **kwargs)  # raises it
        file, mode = given.arguments["filename"], given.arguments.get("mode")
        if mode not in ("w+", "write") or not isinstance(file, (str, bytes, os.PathLike)):
            return f(*args, **kwargs)
        from ..engines.xla import once

        made = once.write("memmap", os.path.abspath(os.fsdecode(file)), lambda: f(*args, **kwargs))
        if made is None:
            given.arguments["mode"] = "r+"
            made = f(*given.args, **given.kwargs)
            if f is _MAP:
                made.mode = "w+"
        return made

    return call


_MAP = np.memmap.__new__
_writing: dict[Any, Callable[..., Any]] = {}  # NumPy's function: what takes its place
if ranks.size > 1:
    _writing = {f: _once(f, 0, name) for f, name in _FUNCTIONS} | {f: _once(f, 1, name) for f, name in _METHODS}
    _writing |= {f: _mapped(f) for f in (_MAP, np.lib.format.open_memmap)}


def methods(base: type) -> dict[str, Any]:
    """Those of a subclass of NumPy's array class that write files."""
    names = [*(f.__name__ for f, _ in _METHODS), "__new__"] if _writing else []
    found = {name: getattr(base, name) for name in names}
    return {name: _writing[f] for name, f in found.items() if f in _writing}


def of(f: Any) -> Any:
    """What to call for NumPy's `f`."""
    return _writing.get(f, f) if _writing else f
