"""What several chapters need: dtypes in which NumPy computes, axes, folds, and rows of functions that `jax.numpy` has
under the same name with the same meaning."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from . import Refused, lowers
from .elementwise import cast

NV = np._NoValue


def given(v: Any) -> bool:
    """Whether an argument was given at all."""
    return v is not None and v is not NV


def joined(jx: Any, *operands: Any) -> list[Any]:
    """Operands in the dtype that NumPy promotes them to."""
    kind = np.result_type(*[np.dtype(v.dtype) for v in operands])
    return [cast(jx, v, kind) for v in operands]


def inexact(dtype: Any) -> np.dtype:
    """The floating dtype in which NumPy computes on `dtype`."""
    return np.dtype(np.float64) if np.dtype(dtype).kind in "biu" else np.dtype(dtype)


def floating(jx: Any, *operands: Any, half: bool = False) -> list[Any]:
    """Operands in one floating dtype; half precision is computed in single, unless `half` refuses it."""
    kind = inexact(np.result_type(*[np.dtype(v.dtype) for v in operands]))
    if kind == np.float16:
        if half:
            raise Refused
        kind = np.dtype(np.float32)
    return [cast(jx, v, kind) for v in operands]


def is_cut(jx: Any, a: Any) -> bool:
    """Whether some axis of `a` lies on several devices."""
    return any(jx.sharded.is_cut(jx, a.shape, k) for k in range(a.ndim))


def axis_of(axis: Any, ndim: int) -> int:
    """An axis from 0; refuses what NumPy would, and what it would flatten."""
    if axis is None:
        raise Refused
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        raise Refused
    return axis % ndim


def flat_axis(jx: Any, a: Any, axis: Any) -> tuple[Any, int]:
    """The array and the axis to work along: all of it, flattened, where `axis` is None."""
    return (flat(jx, a), 0) if axis is None else (a, axis_of(axis, a.ndim))


def flat(jx: Any, a: Any) -> Any:
    """`a` as a vector."""
    return jx.sharded.reshaped(jx, a, (a.size,))


def concatenated(jx: Any, arrays: Any, axis: int = 0) -> Any:
    """Arrays one behind the other along an axis."""
    arrays = [jx.np.asarray(a) for a in arrays]
    axis = axis_of(axis, arrays[0].ndim)
    if len({(*a.shape[:axis], *a.shape[axis + 1 :]) for a in arrays}) > 1:
        raise Refused
    n = sum([a.shape[axis] for a in arrays])
    whole = tuple([n if k == axis else m for k, m in enumerate(arrays[0].shape)])
    if len({a.dtype for a in arrays}) == 1 and any(
        jx.sharded.is_cut(jx, s, axis) for s in (whole, *[a.shape for a in arrays])
    ):
        return jx.sharded.joined(jx, arrays, axis)
    return jx.np.concatenate(arrays, axis)


# So many runs of neighbouring elements are moved run by run.
_RUNS_MOST = 64


def picked(jx: Any, a: Any, places: np.ndarray, axis: int) -> Any:
    """`take` along an axis, of places that are known."""
    if jx.sharded.is_cut(jx, a.shape, axis) and places.size:
        starts = np.concatenate([[0], np.flatnonzero(np.diff(places) != 1) + 1])
        if starts.size <= _RUNS_MOST:
            return jx.sharded.picked(jx, a, places, starts, axis)
    return jx.np.take(a, places, axis)


def part(a: Any, axis: int, start: int | None, stop: int | None, step: int | None = None) -> Any:
    """A slice along one axis."""
    return a[(slice(None),) * axis + (slice(start, stop, step),)]


def fold(op: Callable[[Any, Any], Any], a: Any, axis: int) -> Any:
    """`op` over an axis, by halves: for operations that are associative and commutative."""
    n = a.shape[axis]
    if not n:
        raise Refused
    while n > 1:
        half = n // 2
        rest = part(a, axis, 2 * half, n)
        a = op(part(a, axis, 0, half), part(a, axis, half, 2 * half))
        if n % 2:
            first = op(part(a, axis, 0, 1), rest)
            a = first if half == 1 else _put_first(first, a, axis)
        n = half
    return a[(slice(None),) * axis + (0,)]


def _put_first(first: Any, a: Any, axis: int) -> Any:
    return a.at[(slice(None),) * axis + (slice(0, 1),)].set(first)


def same(function: Any, *arrays: str, dtype: str = "", name: str = "", without: str = "", only: str = "biufc") -> None:
    """A row for a function that `jax.numpy` has too. `dtype`: "joined", or "floating", where it is computed in another
    dtype than it is given; `without`: parameters that are NumPy's alone; `only`: kinds of dtype."""
    path = (name or function.__module__.removeprefix("numpy").strip(".") + "." + function.__name__).strip(".")
    words = without.split()
    names = [n.lstrip("*?") for n in arrays]

    def lower(jx: Any, **arguments: Any) -> Any:
        for word in words:
            if given(arguments.pop(word, None)):
                raise Refused
        places = [(n, k) for n in names for k in _places(arguments, n)]
        operands = [arguments[n] if k is None else arguments[n][k] for n, k in places]
        if any(v.dtype.kind not in only for v in operands):
            raise Refused
        if dtype:
            operands = {"joined": joined, "floating": floating}[dtype](jx, *operands)
        for (n, k), v in zip(places, operands, strict=True):
            if k is None:
                arguments[n] = v
            else:
                arguments[n][k] = v
        f: Any = jx.np
        for piece in path.split("."):
            f = getattr(f, piece)
        signature = inspect.signature(f).parameters.values()
        first = [arguments.pop(p.name) for p in signature if p.kind is p.POSITIONAL_ONLY and p.name in arguments]
        return f(*first, **arguments)

    kinds = inspect.Parameter
    theirs = [p.replace(kind=p.KEYWORD_ONLY if p.kind is p.KEYWORD_ONLY else p.POSITIONAL_OR_KEYWORD)
              for p in inspect.signature(function).parameters.values()]  # fmt: skip
    lower.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [kinds("jx", kinds.POSITIONAL_OR_KEYWORD), *[p for p in theirs if p.name != "out"]]
    )
    lowers(function, *arrays)(lower)


def _places(arguments: dict[str, Any], name: str) -> list[int | None]:
    """Where an array parameter's arrays are: itself, or the places of a sequence; none where it was not given."""
    v = arguments.get(name)
    if isinstance(v, list):
        return list(range(len(v)))
    return [None] if hasattr(v, "dtype") else []
