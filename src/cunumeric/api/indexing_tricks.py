"""`r_`, `c_`, `mgrid`, `ogrid`, `vectorize`, `nditer`: NumPy's helpers that are objects or classes, over our arrays."""

from __future__ import annotations

import contextlib
import inspect
import sys
from typing import Any

import numpy as np

from ..arrays.base import strip, strip_keywords, wrap, wrap_from
from ..runtime import residence

__all__ = ["bmat", "c_", "mgrid", "nditer", "ogrid", "r_", "vectorize"]


class Grid:
    """An object of NumPy that is used by indexing it."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.__doc__ = source.__doc__

    def __getitem__(self, key: Any) -> Any:
        if type(key) is str and type(self._source) in _BUILDERS:  # names of the caller's variables
            frame = sys._getframe(1)
            return wrap(bmat(key, frame.f_locals, frame.f_globals))
        if self._source is np.mgrid and residence.accelerated:
            from ..arrays import creating

            with contextlib.suppress(TypeError):
                return creating.mesh(key)
        return wrap(self._source[strip(key)])

    def __len__(self) -> int:
        return len(self._source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


_BUILDERS = (type(np.r_), type(np.c_))
r_ = Grid(np.r_)
c_ = Grid(np.c_)
mgrid = Grid(np.mgrid)
ogrid = Grid(np.ogrid)


def bmat(obj, ldict=None, gdict=None):
    if isinstance(obj, str) and gdict is None:  # names of the caller's variables
        frame = sys._getframe(1)
        gdict, ldict = frame.f_globals, frame.f_locals
    names = [d and {k: strip(v) for k, v in d.items() if k in obj} for d in (ldict, gdict)]
    return wrap(np.bmat(strip(obj), *names))


class vectorize(np.vectorize):
    """NumPy's `vectorize`, giving our arrays."""

    def __call__(self, *args, **kwargs):
        if self.pyfunc is np._NoValue:
            return super().__call__(*args, **kwargs)
        return wrap_from(super().__call__(*[strip(a) for a in args], **strip_keywords(kwargs)), args, kwargs)


class _IteratorType(type):
    """NumPy's iterator cannot be a base class: ours makes one, and counts it as its instance."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, np.nditer)

    @property
    def __signature__(cls) -> inspect.Signature:
        return inspect.signature(np.nditer)


class nditer(metaclass=_IteratorType):
    """NumPy's iterator over our arrays; what it yields are NumPy's views of their memory."""

    def __new__(cls, op, *args, **kwargs):
        r = np.nditer(strip(op), *[strip(a) for a in args], **strip_keywords(kwargs))
        wrap_from(r, tuple(op) if isinstance(op, (list, tuple)) else (op,))  # the operands' memory is exposed now
        return r


for _name, _member in vars(np.nditer).items():
    if not _name.startswith("__"):
        setattr(nditer, _name, _member)
for _class in (vectorize, nditer):
    _class.__doc__ = getattr(np, _class.__name__).__doc__
