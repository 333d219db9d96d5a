"""Joining, repeating, rearranging and padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no, numbers
from .common import axis_of, concatenated, flat, flat_axis, joined, part, picked
from .elementwise import LOWER, cast
from .scans import cumulated

# So many copies of an array are joined; more are broadcast.
_COPIES_MOST = 16


def _alike(jx: Any, arrays: list[Any], dtype: Any, casting: str) -> list[Any]:
    """Arrays that are to be joined, in the dtype of the result."""
    kind = np.result_type(*[np.dtype(v.dtype) for v in arrays]) if dtype is None else np.dtype(dtype)
    if any(not np.can_cast(v.dtype, kind, casting) for v in arrays):  # type: ignore[arg-type]
        raise Refused
    return [cast(jx, v, kind) for v in arrays]


@lowers(np.concatenate, "*arrays")
def concatenate(jx, arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    no(out)
    arrays = _alike(jx, arrays, dtype, casting)
    if axis is None:
        return concatenated(jx, [flat(jx, a) for a in arrays])
    return concatenated(jx, arrays, axis_of(axis, arrays[0].ndim))


@lowers(np.stack, "*arrays")
def stack(jx, arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    no(out)
    return jx.np.stack(_alike(jx, arrays, dtype, casting), axis)


def _stacking(name: str) -> Any:
    def joining(jx, tup, *, dtype=None, casting="same_kind"):
        arrays = [
            getattr(jx.np, f"atleast_{2 if name == 'vstack' else 1}d")(v) for v in _alike(jx, tup, dtype, casting)
        ]
        return concatenated(jx, arrays, 0 if name == "vstack" or arrays[0].ndim == 1 else 1)

    return joining


lowers(np.vstack, "*tup")(_stacking("vstack"))
lowers(np.hstack, "*tup")(_stacking("hstack"))


@lowers(np.dstack, "*tup")
def dstack(jx, tup):
    return concatenated(jx, [jx.np.atleast_3d(v) for v in joined(jx, *tup)], 2)


@lowers(np.column_stack, "*tup")
def column_stack(jx, tup):
    return concatenated(jx, [v if v.ndim > 1 else v.reshape(-1, 1) for v in joined(jx, *tup)], 1)


@lowers(np.append, "arr", "values")
def append(jx, arr, values, axis=None):
    arr, values = joined(jx, arr, values)
    if axis is None:
        return concatenated(jx, [flat(jx, arr), flat(jx, values)])
    return concatenated(jx, [arr, values], axis_of(axis, arr.ndim))


@lowers(np.roll, "a", numbers={"shift": numbers.index})
def roll(jx, a, shift, axis=None):
    if jx.mesh is None:
        return jx.np.roll(a, shift, axis)
    if numbers.changes(shift):
        raise Refused  # whom the devices send to is part of a program
    if axis is None:
        return jx.sharded.reshaped(jx, roll(jx, flat(jx, a), int(np.sum(shift)), 0), a.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    for by, k in zip(shifts.reshape(-1).tolist(), axes.reshape(-1).tolist(), strict=True):
        k = axis_of(k, a.ndim)
        a = (jx.sharded.rolled if jx.sharded.is_cut(jx, a.shape, k) else _rolled)(jx, a, k, by)
    return a


def _rolled(jx: Any, a: Any, axis: int, shift: int) -> Any:
    return jx.np.roll(a, shift, axis)


@lowers(np.tile, "A")
def tile(jx, A, reps):
    times = reps if isinstance(reps, tuple) else (reps,)
    if jx.mesh is None or not A.size or any(type(n) is not int or n < 1 for n in times):
        return jx.np.tile(A, reps)
    A = A.reshape((1,) * (len(times) - A.ndim) + A.shape)
    for k, n in enumerate(times, A.ndim - len(times)):
        if n > 1:
            A = concatenated(jx, [A] * n, k) if n <= _COPIES_MOST else jx.np.tile(A, (n,) + (1,) * (A.ndim - 1 - k))
    return A


@lowers(np.repeat, "a")
def repeat(jx, a, repeats, axis=None):
    a, axis = flat_axis(jx, a, axis)
    counts = repeats if isinstance(repeats, tuple) else (repeats,)
    if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0 for n in counts):
        raise Refused
    if len(counts) == 1:
        n = int(counts[0])
        wide = jx.np.broadcast_to(jx.np.expand_dims(a, axis + 1), a.shape[: axis + 1] + (n,) + a.shape[axis + 1 :])
        return wide.reshape(a.shape[:axis] + (a.shape[axis] * n,) + a.shape[axis + 1 :])
    if len(counts) != a.shape[axis]:
        raise Refused
    return picked(jx, a, np.repeat(np.arange(len(counts)), counts), axis)


@lowers(np.resize, "a")
def resize(jx, a, new_shape):
    if not a.size:
        raise Refused
    shape = (new_shape,) if not isinstance(new_shape, tuple) else new_shape
    if any(n < 0 for n in shape):
        raise Refused
    return jx.np.resize(a, shape)


@lowers(np.pad, "array", numbers={"constant_values": numbers.like})
def pad(jx, array, pad_width, mode="constant", **words):
    if type(mode) is not str:
        raise Refused
    if not isinstance(pad_width, dict):
        widths = np.asarray(pad_width)
        if widths.dtype.kind not in "iu" or not array.ndim:
            raise Refused
        pad_width = tuple([tuple(pair) for pair in np.broadcast_to(widths, (array.ndim, 2)).tolist()])
    constants = words.get("constant_values")
    if numbers.changes(constants) and jx.mesh is not None:
        raise Refused
    if constants is not None and array.dtype.kind in "biu":  # NumPy casts them to the array's dtype
        try:
            words["constant_values"] = np.array(np.asarray(constants).tolist(), array.dtype)
        except (ValueError, OverflowError):
            raise Refused from None
    if mode in ("mean", "median", "maximum", "minimum") and array.dtype.kind == "b":
        raise Refused
    if 0 in array.shape and mode != "constant":
        raise Refused
    if array.dtype.kind in "biu" and mode in ("mean", "linear_ramp"):
        raise Refused  # rounded as NumPy does it
    if mode == "median" or (array.dtype.kind == "c" and mode in ("maximum", "minimum")):
        raise Refused
    if (np.asarray(words.get("stat_length") or 1) < 1).any():
        raise Refused
    if jx.mesh is not None and array.size:
        found = _padded(jx, array, pad_width, mode, words)
        if found is not None:
            return found
    if mode == "linear_ramp":  # in double precision, as NumPy's linspace
        wide = cast(jx, array, np.complex128 if array.dtype.kind == "c" else np.float64)
        return cast(jx, jx.np.pad(wide, pad_width, mode, **words), array.dtype)
    return jx.np.pad(array, pad_width, mode, **words)


def _padded(jx: Any, a: Any, pad_width: Any, mode: str, words: dict[str, Any]) -> Any:
    """`pad`, axis by axis, of what is cut; None where that is not what the mode does."""
    if isinstance(pad_width, dict) or (words and (mode != "constant" or np.ndim(words["constant_values"]))):
        return None
    widths = np.broadcast_to(np.asarray(pad_width), (a.ndim, 2)).tolist()
    spare = {"constant": None, "edge": None, "wrap": 0, "symmetric": 0, "reflect": 1}
    if mode not in spare or any(type(w) is not int or w < 0 for pair in widths for w in pair):
        return None
    less = spare[mode]
    if less is not None and any(max(pair) > n - less for n, pair in zip(a.shape, widths, strict=True)):
        return None
    for k, (before, after) in enumerate(widths):
        n = a.shape[k]
        if mode == "constant":
            fill = words.get("constant_values", 0)
            if jx.sharded.is_cut(jx, a.shape, k):
                a = jx.sharded.window(jx, a, k, -before, n + before + after, fill)
            else:
                one = [(before, after, 0) if d == k else (0, 0, 0) for d in range(a.ndim)]
                a = jx.lax.pad(a, jx.np.asarray(fill, a.dtype), one)
            continue
        if mode == "edge":
            ends = [jx.np.repeat(part(a, k, *at), w, k) for at, w in (((0, 1), before), ((n - 1, n), after))]
        elif mode == "wrap":
            ends = [part(a, k, n - before, n), part(a, k, 0, after)]
        else:
            first = int(mode == "reflect")
            ends = [part(a, k, first, first + before), part(a, k, n - first - after, n - first)]
            ends = [jx.lax.rev(v, (k,)) for v in ends]
        if before + after:
            a = concatenated(jx, [ends[0], a, ends[1]], k)
    return a


def _triangle(upper: bool) -> Any:
    def triangle(jx, m, k=0):
        if m.ndim == 1:
            m = jx.np.broadcast_to(m, (m.shape[0], m.shape[0]))
        if m.ndim < 2:
            raise Refused
        rows = jx.lax.broadcasted_iota(np.int32, m.shape[-2:], 0)
        columns = jx.lax.broadcasted_iota(np.int32, m.shape[-2:], 1)
        inside = columns - rows >= k if upper else columns - rows <= k
        return jx.np.where(inside, m, jx.np.zeros((), m.dtype))

    return triangle


lowers(np.tril, "m", numbers={"k": numbers.index})(_triangle(False))
lowers(np.triu, "m", numbers={"k": numbers.index})(_triangle(True))


def diagonal_of(a: np.ndarray, k: int) -> np.ndarray:
    """A matrix with the vector `a` on its diagonal `k`."""
    return np.diag(a, k)


@lowers(diagonal_of, "a")
def _diagonal_of(jx, a, k):
    return jx.np.diag(a, k)


@lowers(np.diagflat, "v")
def diagflat(jx, v, k=0):
    return jx.np.diag(v.reshape(-1), k)


@lowers(np.vander, "x")
def vander(jx, x, N=None, increasing=False):
    if x.ndim != 1:
        raise Refused
    n = x.shape[0] if N is None else N
    x = cast(jx, x, np.promote_types(x.dtype, int))
    columns = [jx.np.ones_like(x)] * min(n, 1)
    for _ in range(1, n):
        columns.append(columns[-1] * x)
    if not increasing:
        columns.reverse()
    return jx.np.stack(columns, 1) if columns else jx.np.zeros((x.shape[0], 0), x.dtype)


@lowers(np.kron, "a", "b")
def kron(jx, a, b):
    a, b = joined(jx, a, b)
    n = max(a.ndim, b.ndim)
    a = a.reshape((1,) * (n - a.ndim) + a.shape)
    b = b.reshape((1,) * (n - b.ndim) + b.shape)
    x = a.reshape([m for k in a.shape for m in (k, 1)])
    y = b.reshape([m for k in b.shape for m in (1, k)])
    return LOWER["multiply"](jx, x, y).reshape([p * q for p, q in zip(a.shape, b.shape, strict=True)])


def broadcast(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of `a` of the shape `shape`, to which it broadcasts."""
    return np.broadcast_to(a, shape).copy()


@lowers(broadcast, "a", grows=True)
def _broadcast(jx, a, shape):
    return jx.np.broadcast_to(a, shape)


def _indices(obj: Any, n: int) -> np.ndarray:
    """Fixed indices from 0."""
    found = np.asarray(obj)
    if found.dtype == bool:
        if found.shape != (n,):
            raise Refused
        return np.flatnonzero(found)
    if not found.size:
        return np.zeros(0, np.intp)
    if found.dtype.kind not in "iu" or found.ndim > 1 or (found < -n).any():
        raise Refused
    return np.where(found < 0, found + n, found)


def _one_place(jx: Any, a: Any, axis: int, at: Any) -> Any:
    """A place along an axis that is not known, for the elements of that axis."""
    if jx.mesh is not None:
        raise Refused
    return jx.np.where(at < 0, at + a.shape[axis], at)


def _places_along(jx: Any, shape: tuple[int, ...], axis: int) -> Any:
    return jx.lax.broadcasted_iota(np.int64, shape, axis)


@lowers(np.delete, "arr", numbers={"obj": numbers.index})
def delete(jx, arr, obj, axis=None):
    arr, axis = flat_axis(jx, arr, axis)
    n = arr.shape[axis]
    if numbers.changes(obj):
        at = _one_place(jx, arr, axis, obj)
        before, after = part(arr, axis, None, -1), part(arr, axis, 1, None)
        return jx.np.where(_places_along(jx, before.shape, axis) < at, before, after)
    gone = _indices(obj, n)
    if (gone >= n).any():
        raise Refused
    return picked(jx, arr, np.setdiff1d(np.arange(n), gone), axis)


@lowers(np.insert, "arr", "values", numbers={"obj": numbers.index})
def insert(jx, arr, obj, values, axis=None):
    whole = axis is None
    arr, axis = flat_axis(jx, arr, axis)
    n = arr.shape[axis]
    moves = numbers.changes(obj)
    at = _one_place(jx, arr, axis, obj) if moves else _indices(obj, n)
    if (not moves and (at > n).any()) or (isinstance(obj, (tuple, np.ndarray)) and at.size == 0):
        raise Refused
    values = cast(jx, values, arr.dtype)
    single = at.ndim == 0
    if single or at.size == 1:
        values = values.reshape((1,) * (arr.ndim - values.ndim) + values.shape)
        if single and not whole:
            values = jx.np.moveaxis(values, 0, axis)  # as arr[..., i, ...] = values would broadcast
        count = values.shape[axis]
        shape = arr.shape[:axis] + (count,) + arr.shape[axis + 1 :]
        if moves:
            values = jx.np.broadcast_to(values, shape)
            before, after = (jx.np.concatenate(pair, axis) for pair in ((arr, values), (values, arr)))
            r = jx.np.where(_places_along(jx, before.shape, axis) < at, before, after)
            return jx.lax.dynamic_update_slice_in_dim(r, values, at, axis)
        i = int(at.reshape(-1)[0])
        head, tail = jx.np.split(arr, [i], axis)
        return concatenated(jx, [head, jx.np.broadcast_to(values, shape), tail], axis)
    shape = arr.shape[:axis] + (at.size,) + arr.shape[axis + 1 :]
    order = np.argsort(at, kind="stable")
    values = jx.np.take(jx.np.broadcast_to(values, shape), order, axis)
    places = at[order] + np.arange(at.size)
    rest = np.setdiff1d(np.arange(n + at.size), places)
    source = np.empty(n + at.size, np.intp)
    source[rest], source[places] = np.arange(n), n + np.arange(at.size)
    return picked(jx, concatenated(jx, [arr, values], axis), source, axis)


@lowers(np.fft.fftshift, "x")
def fftshift(jx, x, axes=None):
    axes = _listed(axes, x.ndim)
    return jx.np.roll(x, [x.shape[k] // 2 for k in axes], axes)


@lowers(np.fft.ifftshift, "x")
def ifftshift(jx, x, axes=None):
    axes = _listed(axes, x.ndim)
    return jx.np.roll(x, [-(x.shape[k] // 2) for k in axes], axes)


def _listed(axes: Any, ndim: int) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(ndim))
    return tuple([axis_of(k, ndim) for k in (axes if isinstance(axes, tuple) else (axes,))])


@lowers(np.unwrap, "p")
def unwrap(jx, p, discont=None, axis=-1, *, period=6.283185307179586):
    if p.dtype.kind == "c" or p.dtype == np.float16:
        raise Refused
    axis = axis_of(axis, p.ndim)
    if p.dtype.kind in "biu" and isinstance(period, float):
        p = cast(jx, p, np.float64)
    if p.dtype.kind != "f":
        raise Refused
    steps = jx.np.diff(p, axis=axis)
    limit = period / 2 if discont is None else discont
    moved = LOWER["remainder"](jx, steps + period / 2, jx.np.asarray(period, p.dtype)) - period / 2
    moved = jx.np.where((moved == -period / 2) & (steps > 0), jx.np.asarray(period / 2, p.dtype), moved)
    correction = jx.np.where(abs(steps) < limit, jx.np.zeros((), p.dtype), moved - steps)
    running = cumulated(jx, correction, axis, "add")
    first = (slice(None),) * axis
    return concatenated(jx, [p[first + (slice(0, 1),)], p[first + (slice(1, None),)] + running], axis)
