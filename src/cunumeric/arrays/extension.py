"""The optional extension `_fast`, where it was built and is wanted; and functions of ours with C in front of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..runtime.settings import settings


def _load() -> Any:
    if not settings.accelerate:
        return None
    try:
        from . import _fast  # type: ignore[attr-defined]
    except ImportError:
        return None
    return _fast


fast = _load()


class Quick(NamedTuple):
    """How C may answer calls of a Python function of ours, which knows what to do with all others."""

    numpys: Callable  # what such a call is in NumPy, on stripped arguments
    rule: str  # which calls: see `_functions.h`
    likes: bool = False  # those with `like` are not
    least: int = 0  # elements from which on the parallel kernel answers at all, where that follows from one array
    lanes: str | None = None  # dtypes (characters) of which the kernel takes an array of one axis; None: of all


def kernel_rule(name: str) -> str:
    """The rule of NumPy's function `name` where it has a parallel kernel."""
    return "BELOW_REDUCED" if name in ("argmax", "argmin") else "BELOW_KERNEL"


# Python functions of ours that C may stand before.
quick: dict[Callable, Quick] = {}

# Functions of NumPy that are methods with the same arguments: a method spares NumPy's dispatch. (That of clip can do
# without an upper limit, the function cannot.)
_METHODS = frozenset(
    "all any argmax argmin argsort cumprod cumsum diagonal max mean min nonzero prod put ravel repeat round "
    "searchsorted squeeze std sum swapaxes take trace var".split()
)
_METHOD_OF = {getattr(np, name): getattr(np.ndarray, name) for name in _METHODS}
_METHOD_OF |= {np.amax: np.ndarray.max, np.amin: np.ndarray.min}


NONE, ARRAYS, UFUNCS = range(3)


def in_c(f: Any, *, bound: int = NONE, builtin: bool = False) -> Any:
    """`f` with C in front of it; `f` itself where there is no extension, or nothing for it to do. `bound`: which class
    of ours it is a method of. `builtin`: as an attribute of a class it does not become a method."""
    found = quick.get(f)
    if fast is None or found is None:
        return f
    numpys, rule, likes, least, lanes = found
    shortcut = f.__qualname__ if bound else f.__name__ if _is_numpys_own(numpys) else None
    method = None if bound else _METHOD_OF.get(numpys)
    front = fast.function(f, numpys, method, getattr(fast, rule), likes, bound, builtin, shortcut, least, _bits(lanes))
    front.__dict__.update(vars(f))
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(front, name, getattr(f, name))
    return front


def _bits(dtypes: str | None) -> int:
    """A bit for the number of each of these dtypes; all bits for None."""
    return 2**64 - 1 if dtypes is None else sum(1 << np.dtype(c).num for c in dtypes)


def _is_numpys_own(f: Any) -> bool:
    """Whether `f` is what NumPy's main namespace has under its name."""
    return vars(np).get(getattr(f, "__name__", "")) is f  # not getattr: NumPy warns of names that were once there
