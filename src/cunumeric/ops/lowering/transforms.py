"""Discrete Fourier transforms. Single precision stays single, all else is computed in double."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import Refused, lowers, no
from .common import axis_of
from .elementwise import cast

# XLA's transform takes so many axes at once.
_AXES_MOST = 3


def _operand(jx: Any, a: Any, real: bool) -> Any:
    """`a` as the real or complex floats that are transformed."""
    single = a.dtype in (np.float16, np.float32, np.complex64)
    if real:
        if a.dtype.kind == "c":
            raise Refused
        return cast(jx, a, np.float32 if single else np.float64)
    return cast(jx, a, np.complex64 if single else np.complex128)


def _sized(n: Any, length: int) -> int:
    if n is None:
        n = length
    if n < 1:
        raise Refused
    return int(n)


_NORMS = (None, "backward", "ortho", "forward")
_OTHER_NORM = {None: "forward", "backward": "forward", "forward": "backward"}


def _one(name: str) -> Any:
    def transform(jx: Any, a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
        no(out)
        axis = axis_of(axis, a.ndim)
        halved = name in ("irfft", "hfft")
        n = _sized(n, 2 * (a.shape[axis] - 1) if halved else a.shape[axis])
        given, a = a, _operand(jx, a, name in ("rfft", "ihfft") or (name == "fft" and a.dtype.kind != "c"))
        if name == "hfft":
            return _over(jx, "irfft", a.conj(), [n], [axis], _OTHER_NORM.get(norm, norm))
        if name == "ihfft":
            return _over(jx, "rfft", a, [n], [axis], _OTHER_NORM.get(norm, norm)).conj()
        return _over(jx, name, a, [n], [axis], norm, name == "ifft" and _fuses(jx, given))

    return transform


def _fuses(jx: Any, a: Any) -> bool:
    """Whether an operand that is turned and scaled costs no more: it is computed anyway, and the compiler fuses that
    (the processor's does not, and scales as it transforms)."""
    return bool(jx.computed(a)) and jx.jax.default_backend() != "cpu"


def _over(jx: Any, one: str, a: Any, lengths: list[int], axes: list[int], norm: Any, turns: bool = False) -> Any:
    """The transform `one` over axes, of which the last is the one that a real transform halves. `turns`: an inverse one
    is to be one forth, of a turned operand."""
    if norm not in _NORMS:
        raise Refused
    cut = jx.mesh is not None and a.size and jx.mesh.cut(a.shape) is not None
    if one == "ifft" or (one == "fft" and len(set(axes)) < len(axes)):
        a = _operand(jx, a, False)
    if len(set(axes)) < len(axes):
        # In NumPy's order, which lengths make visible: the last axis first, but for those that end with it.
        first, rest = (0, slice(1, None)) if one == "irfft" else (-1, slice(0, -1))
        a = _over(jx, _each(one, first == -1), a, [lengths[first]], [axes[first]], norm)
        return _over(jx, "fft" if one == "rfft" else one, a, lengths[rest], axes[rest], norm)
    if cut:
        return jx.sharded.transformed(jx, _local, one, a, lengths, axes, norm)
    if turns and [a.shape[k] for k in axes] == lengths:
        a = opposite(jx, a, axes) * np.asarray(scale(lengths, True, norm), a.real.dtype)
        return _local(jx, "fft", a, lengths, axes, None)
    return _local(jx, one, a, lengths, axes, norm)


def _each(one: str, last: bool) -> str:
    """What the transform `one` is along its last axis, or along another."""
    return one if last or one in ("fft", "ifft") else {"rfft": "fft", "irfft": "ifft"}[one]


def _local(jx: Any, one: str, a: Any, lengths: list[int], axes: list[int], norm: Any) -> Any:
    """The same of an array that is on one device; axes are distinct."""
    if one == "fft" and a.dtype.kind == "f":
        return _mirrored(jx, _local(jx, "rfft", a, lengths, axes, norm), lengths[-1], axes)
    if len(axes) == 1:
        return getattr(jx.np.fft, one)(a, lengths[0], axes[0], norm)
    if len(axes) <= _AXES_MOST:
        return getattr(jx.np.fft, one + "n")(a, lengths, axes, norm)
    pairs = list(zip(lengths, axes, strict=True))
    order = pairs[::-1] if one == "rfft" else pairs
    for n, axis in order:
        a = getattr(jx.np.fft, _each(one, axis == axes[-1]))(a, n, axis, norm)
    return a


def _mirrored(jx: Any, half: Any, n: int, axes: list[int]) -> Any:
    """The transform of real numbers, of length n along the last of the axes, from the half of it that a real transform
    gives: the rest are the conjugates of this, at the opposite frequencies."""
    rest = jx.lax.rev(jx.lax.slice_in_dim(half, 1, (n + 1) // 2, axis=axes[-1]), axes)
    for axis in axes[:-1]:
        rest = jx.np.roll(rest, 1, axis)
    return jx.lax.concatenate([half, rest.conj()], axes[-1])


def scale(lengths: list[int], inverse: bool, norm: Any) -> float:
    """What a transform is multiplied by."""
    n = math.prod(lengths)
    return {"ortho": 1 / math.sqrt(n), "forward": 1.0 if inverse else 1 / n}.get(norm, 1 / n if inverse else 1.0)


def opposite(jx: Any, x: Any, axes: list[int]) -> Any:
    """Element -k of `x` in place of element k, along the axes: what makes an inverse transform of one forth."""
    for axis in axes:
        first, rest = jx.lax.slice_in_dim(x, 0, 1, axis=axis), jx.lax.slice_in_dim(x, 1, None, axis=axis)
        x = jx.lax.concatenate([first, jx.lax.rev(rest, (axis,))], axis)
    return x


def _axes(s: Any, axes: Any, ndim: int) -> tuple[int, ...]:
    if axes is None:
        if s is not None:
            raise Refused  # deprecated, with a warning of NumPy's
        return tuple(range(ndim))
    return tuple([axis_of(k, ndim) for k in (axes if isinstance(axes, tuple) else (axes,))])


def _several(name: str) -> Any:
    real, inverse = name.startswith(("rfft", "irfft")), name.startswith("i")
    one = "irfft" if real and inverse else "rfft" if real else "ifft" if inverse else "fft"

    def transform(jx: Any, a: Any, s: Any, axes: Any, norm: Any) -> Any:
        axes = _axes(s, axes, a.ndim)
        if not axes:
            raise Refused
        lengths: list[Any] = [None] * len(axes) if s is None else [None if n == -1 else n for n in s]
        if len(lengths) != len(axes) or (s is not None and any(n is None for n in s)):
            raise Refused
        halved = real and inverse
        for k, (n, axis) in enumerate(zip(lengths, axes, strict=True)):
            last = halved and k == len(axes) - 1
            lengths[k] = _sized(n, 2 * (a.shape[axis] - 1) if last else a.shape[axis])
        as_real = not inverse and (real or a.dtype.kind != "c")
        turns = one == "ifft" and _fuses(jx, a)
        return _over(jx, one, _operand(jx, a, as_real), lengths, list(axes), norm, turns)

    def over_all(jx, a, s=None, axes=None, norm=None, out=None):
        no(out)
        return transform(jx, a, s, axes, norm)

    def over_two(jx, a, s=None, axes=(-2, -1), norm=None, out=None):
        no(out)
        return transform(jx, a, s, axes, norm)

    return over_two if name.endswith("2") else over_all


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    lowers(getattr(np.fft, _name), "a")(_one(_name))
for _name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"):
    lowers(getattr(np.fft, _name), "a")(_several(_name))
