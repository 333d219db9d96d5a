"""Sorts in the forms that an accelerator runs as radix sorts: one unsigned key, and at most one array beside it.

XLA compares for every other form (several keys, signed ones or floats beside another array), which takes a GPU ten
times as long; a few long lines beside each other take as much. So keys become codes, unsigned integers of the same
order; of several keys the last one is sorted by first, as the sorts are stable; and few lines become one, sorted by
its elements first and by the lines' numbers then. The processor's compiler compares in any case: there it is one sort.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# So many lines of an accelerator's sort are as fast as one.
_LINES = 256
# Below so many elements the forms do not differ.
_FROM = 1 << 14


def by_digits(jx: Any) -> bool:
    """Whether the device has radix sorts."""
    return bool(jx.jax.default_backend() != "cpu")


def _unsigned(dtype: Any) -> Any:
    return np.dtype(f"u{np.dtype(dtype).itemsize}").type


def _top(dtype: Any) -> Any:
    """The highest bit."""
    return _unsigned(dtype)(1 << (8 * np.dtype(dtype).itemsize - 1))


def _infinity(dtype: Any) -> Any:
    """The bits of infinity."""
    return np.asarray(np.inf, dtype).view(_unsigned(dtype))[()]


def _ordered(jx: Any, bits: Any, dtype: Any) -> Any:
    """The bits of floats as codes. Below minus infinity are NaN of negative sign: counted from minus infinity on, they
    wrap around to the end, behind the others."""
    top = _top(dtype)
    return jx.np.where(bits & top != 0, ~bits, bits | top) - ~(_infinity(dtype) | top)


def coded(jx: Any, a: Any) -> Any:
    """Unsigned integers of which each stands for one value of the real array `a`, in its order: NaN last, and of the
    two zeros the negative one first."""
    kind = a.dtype.kind
    if kind in "bu":
        return a.astype(_unsigned(a.dtype))
    bits = jx.lax.bitcast_convert_type(a, _unsigned(a.dtype))
    return bits ^ _top(a.dtype) if kind == "i" else _ordered(jx, bits, a.dtype)


def decoded(jx: Any, codes: Any, dtype: Any) -> Any:
    """The values that the codes stand for."""
    kind = np.dtype(dtype).kind
    if kind in "bu":
        return codes.astype(dtype)
    top = _top(dtype)
    if kind == "i":
        return jx.lax.bitcast_convert_type(codes ^ top, dtype)
    codes = codes + ~(_infinity(dtype) | top)
    return jx.lax.bitcast_convert_type(jx.np.where(codes & top != 0, codes ^ top, ~codes), dtype)


def key_of(jx: Any, a: Any) -> Any:
    """Codes that are equal for equal elements: the two zeros, and all NaN. Told by bits, because comparisons of floats
    may take the smallest ones for zero."""
    if a.dtype.kind != "f":
        return coded(jx, a)
    bits = jx.lax.bitcast_convert_type(a, _unsigned(a.dtype))
    size, infinity = bits & ~_top(a.dtype), _infinity(a.dtype)
    bits = jx.np.where(size == 0, size, jx.np.where(size > infinity, infinity + _unsigned(a.dtype)(1), bits))
    return _ordered(jx, bits, a.dtype)


def _lines(jx: Any, a: Any, axis: int) -> Any:
    lines = math.prod([n for k, n in enumerate(a.shape) if k != axis % a.ndim])
    return jx.np.moveaxis(a, axis, -1).reshape(lines, a.shape[axis])


def _from_lines(jx: Any, a: Any, shape: tuple[int, ...], axis: int) -> Any:
    rest = [n for k, n in enumerate(shape) if k != axis % len(shape)]
    return jx.np.moveaxis(a.reshape([*rest, shape[axis]]), -1, axis)


def _taken(jx: Any, lines: Any, places: Any) -> Any:
    return jx.np.take_along_axis(lines, places, 1, mode="promise_in_bounds")


def places(jx: Any, a: Any, axis: int) -> Any:
    """The indices of all elements along an axis."""
    n = a.shape[axis]
    return jx.lax.broadcasted_iota(np.int32 if n < 2**31 else np.int64, a.shape, axis)


def _sorted(jx: Any, codes: Any, beside: Any = None) -> tuple[Any, Any]:
    """Lines of codes, and those beside them, sorted by the codes."""
    lax = jx.lax
    operands = [codes] if beside is None else [codes, beside]
    if not 1 < codes.shape[0] < _LINES or codes.size < _FROM:
        found = lax.sort(operands, dimension=1, is_stable=True, num_keys=1)
        return found[0], found[-1]
    flat = [x.reshape(-1) for x in operands]
    if beside is None:
        line = lax.broadcasted_iota(np.uint8, codes.shape, 0).reshape(-1)
        found = lax.sort([*flat, line], is_stable=True, num_keys=1)
        found = lax.sort(found[::-1], is_stable=True, num_keys=1)[1:]
    else:
        at = lax.sort([flat[0], places(jx, flat[0], 0)], is_stable=True, num_keys=1)[1]
        at = lax.sort([(at // codes.shape[1]).astype(np.uint8), at], is_stable=True, num_keys=1)[1]
        found = [_taken(jx, x[None], at[None]) for x in flat]
    return found[0].reshape(codes.shape), found[-1].reshape(codes.shape)


def ordering(jx: Any, keys: list[Any], axis: int) -> Any:
    """Indices along an axis that sort by the keys, unsigned, the first before the others; stable."""
    shape, place = keys[0].shape, places(jx, keys[0], axis)
    if not by_digits(jx):
        return jx.lax.sort([*keys, place], dimension=axis, is_stable=True, num_keys=len(keys))[-1]
    place = _lines(jx, place, axis)
    for k, key in enumerate(reversed(keys)):
        codes = _lines(jx, key, axis)
        place = _sorted(jx, _taken(jx, codes, place) if k else codes, place)[1]
    return _from_lines(jx, place, shape, axis)


def arranged(jx: Any, operands: list[Any], num_keys: int, axis: int) -> list[Any]:
    """Arrays of one shape, sorted along an axis by the first `num_keys` of them, unsigned: `lax.sort`, stable."""
    if not by_digits(jx):
        return list(jx.lax.sort(operands, dimension=axis, is_stable=True, num_keys=num_keys))
    shape, lines = operands[0].shape, [_lines(jx, x, axis) for x in operands]
    if num_keys == 1 and all(x.dtype.kind in "iuf" and x.dtype.itemsize > 1 for x in lines[1:]) and len(lines) <= 2:
        lines = list(_sorted(jx, *lines))[: len(lines)]
    else:
        place = _lines(jx, ordering(jx, operands[:num_keys], axis), axis)
        lines = [_taken(jx, x, place) for x in lines]
    return [_from_lines(jx, x, shape, axis) for x in lines]
