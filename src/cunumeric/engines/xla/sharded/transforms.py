"""Fourier transforms of arrays that are cut.

XLA's transform takes whole operands on every device, also where the axis that is cut is not transformed. Here:

*An axis that is not transformed is long enough to be cut*: the array is cut there, and devices say nothing.

*Several axes* (pencils): the array is cut along one axis while the others are transformed; one exchange cuts it along
another, and the first is transformed. The result stays cut that way: whoever needs it otherwise pays for that
exchange then. Inverse transforms begin where forward ones end, so that `ifft2(fft2(x) * h)` exchanges twice, not four
times. A large block is transformed in pieces before the exchange, each of which is on its way while the next is
transformed.

*One axis* (Bailey, "FFTs in external or hierarchical memory", 1990): a vector of r*c elements is a matrix, its
columns are transformed, multiplied by roots of unity, and its rows transformed: three exchanges. Devices must divide
both r and c. Other lengths n are a convolution with a chirp (Bluestein, 1970) over at least 2 n - 1 elements, of a
length that divides: six exchanges of twice the size. Its two transforms leave their results in the order in which the
inverse takes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ....ops.lowering.transforms import opposite
from ....ops.lowering.transforms import scale as scale_of
from .movement import window
from .spread import Spread, apart, exchanged, is_cut, lined, mapped, padded, rank, together, unlined

# Blocks go on their way in so many pieces, each of at least so many elements.
_PIECES = 4
_PIECE_LEAST = 1 << 21

Local = Callable[[Any, str, Any, list[int], list[int], Any], Any]


def transformed(jx: Any, local: Local, one: str, a: Any, lengths: list[int], axes: list[int], norm: Any) -> Any:
    """The transform `one` ("fft", "ifft", "rfft", "irfft") of `a` over distinct axes. `local` computes the same of
    arrays that are on one device, `local(jx, one, a, lengths, axes, norm)`."""
    size, home = jx.mesh.size, jx.mesh.cut(a.shape)
    alone = [k for k in range(a.ndim) if k not in axes and a.shape[k] >= size]
    length = dict(zip(axes, lengths, strict=True))
    if alone:
        batch = home if home in alone else max(alone, key=lambda k: a.shape[k])
        return _in_place(jx, lambda x: local(jx, one, x, lengths, axes, norm), a, batch)
    if home not in axes:
        home = max(axes, key=lambda k: a.shape[k])
    others = [k for k in axes if k != home]
    away = max(others, key=lambda k: min(a.shape[k], length[k]), default=home)
    if 2 * min(a.shape[away], length[away]) <= size or away == home:
        return _by_vectors(jx, local, one, a, length, home, others, norm)
    last = axes[-1] if one[-4:] == "rfft" else None
    first, second = (home, away) if one in ("fft", "rfft") else (away, home)
    if last == (first if one == "rfft" else second):
        first, second = second, first
    return _pencils(jx, local, one, a, length, axes, first, second, norm)


def _pencils(
    jx: Any, local: Local, one: str, a: Any, length: dict[int, int], axes: list[int], first: int, second: int, norm: Any
) -> Any:
    """Cut along `first`, then along `second`.

    An inverse transform is one forth, at the opposite frequencies. XLA's own scales its result in a pass over it; here
    both turning and scaling are part of a copy that is made anyway, beside the exchange."""
    n, inverse = a.shape[first], one in ("ifft", "irfft")
    scale = scale_of(list(length.values()), inverse, norm)
    if inverse:
        before, after = [second], [k for k in axes if k != second]
    else:
        before, after = [k for k in axes if k != first], [first]
    if one == "irfft":  # scales by itself
        scale *= math.prod([length[k] for k in after])
    x, spread = lined(jx, a, first)
    names = spread.sides[first]

    def stage(x: Any, one: str, axes: list[int]) -> Any:
        return local(jx, one, x, [length[k] for k in axes], axes, None)

    def sent(x: Any) -> Any:
        x = stage(x, "fft" if inverse else one, before)
        x = opposite(jx, x, before) if inverse else x
        x = x if scale == 1.0 else x * np.asarray(scale, x.real.dtype)
        return apart(jx, x, second, names, jx.mesh.size)

    def kernel(x: Any) -> Any:
        ends = _ends(x.shape, first)
        came = []
        for at, to in pairwise(ends):
            piece = jx.lax.slice_in_dim(x, at, to, axis=first)
            if to < ends[-1]:  # all pieces at once would be cut by one kernel, four times as slow as one by one (H200)
                x, piece = jx.lax.optimization_barrier((x, piece))
            came.append(sent(piece))
        x = jx.lax.slice_in_dim(together(jx, came, first), 0, n, axis=first)
        if one != "ifft":
            return stage(x, one if inverse else "fft", after)
        for k in after:
            x = _to_length(jx, x, k, length[k])
        x = opposite(jx, x, after)
        return stage(x, "fft", after)

    beyond = Spread(jx, [names if k == second else () for k in range(a.ndim)])
    result = mapped(jx, kernel, [spread], beyond)(x)
    shape = list(result.shape)
    shape[second] = _found(one, axes, length).get(second, a.shape[second])
    return unlined(jx, result, tuple(shape), beyond)


def _ends(shape: tuple[int, ...], axis: int) -> list[int]:
    """Where the pieces of a block end that are transformed one after the other along other axes, so that each is on its
    way while the next is transformed."""
    pieces = max(1, min(_PIECES, shape[axis], math.prod(shape) // _PIECE_LEAST))
    return [k * shape[axis] // pieces for k in range(pieces + 1)]


def _in_place(jx: Any, f: Callable[[Any], Any], a: Any, axis: int) -> Any:
    """`f` of blocks of `a` that are cut along `axis`, whose length stays."""
    x, spread = lined(jx, a, axis)
    result = mapped(jx, f, [spread], spread)(x)
    return unlined(jx, result, (*result.shape[:axis], a.shape[axis], *result.shape[axis + 1 :]), spread)


def _found(one: str, axes: list[int], length: dict[int, int]) -> dict[int, int]:
    """The lengths of the result."""
    return length | ({axes[-1]: length[axes[-1]] // 2 + 1} if one == "rfft" else {})


# -- along one axis ----------------------------------------------------------------------------------------------------


def _by_vectors(
    jx: Any, local: Local, one: str, a: Any, length: dict[int, int], home: int, others: list[int], norm: Any
) -> Any:
    """The axis `home` as vectors that are cut, the others (short ones) in place. `others` keeps its order; a real
    transform halves the last of all axes: `home`, if there are no others behind it."""
    axes = list(length)
    n = length[home]

    def aside(one: str, a: Any) -> Any:
        return _in_place(jx, lambda x: local(jx, one, x, [length[k] for k in others], others, norm), a, home)

    if one in ("rfft", "irfft"):
        halves = axes[-1] == home
    else:
        halves = False
    if one in ("fft", "rfft"):
        if others and not halves:
            a = aside(one, a)
        a = _vector(jx, a.astype(np.result_type(a.dtype, np.complex64)), home, n, False, norm)
        if halves:
            a = _sized(jx, a, home, n // 2 + 1)
            a = aside("fft", a) if others else a
        return a
    if not halves:
        a = _vector(jx, a, home, n, True, norm)
        return aside(one, a) if others else a
    a = aside("ifft", a) if others else a
    # The real part of a transform of half the terms, those twice that stand for two; of the first and the middle term
    # only the real part counts.
    a = _sized(jx, a, home, n // 2 + 1)
    k = jx.lax.broadcasted_iota(np.int32, a.shape, home)
    single = (k == 0) | (2 * k == n)
    a = jx.np.where(single, a.real.astype(a.dtype), 2 * a)
    return _vector(jx, a, home, n, True, norm).real


def _sized(jx: Any, a: Any, axis: int, n: int) -> Any:
    """Cut to length, or with zeros behind."""
    if a.shape[axis] != n and is_cut(jx, a.shape, axis):
        return window(jx, a, axis, 0, n)
    return _to_length(jx, a, axis, n)


def _to_length(jx: Any, a: Any, axis: int, n: int) -> Any:
    """The same of an axis that is not cut."""
    return padded(jx, a, [n if k == axis else m for k, m in enumerate(a.shape)])


def _vector(jx: Any, a: Any, axis: int, n: int, inverse: bool, norm: Any) -> Any:
    """The complex transform of length `n` along a cut axis. An inverse one is the conjugate of that of the
    conjugate: copies are made before and afterwards anyway."""
    scale = scale_of([n], inverse, norm)
    order = [k for k in range(a.ndim) if k != axis] + [axis]
    a = jx.np.transpose(_sized(jx, a, axis, n), order)
    x = a.reshape(-1, n)
    x = x.conj() if inverse else x
    x = _bailey(jx, x) if n % jx.mesh.size**2 == 0 else _bluestein(jx, x)
    x = x.conj() if inverse else x
    x = x if scale == 1.0 else x * np.asarray(scale, x.real.dtype)
    return jx.np.transpose(x.reshape(a.shape), np.argsort(order))


def _sides(n: int, parts: int) -> tuple[int, int]:
    """Two factors of `n`, near each other, that `parts` divides."""
    rest = n // parts**2
    r = max(d for d in range(1, math.isqrt(rest) + 1) if rest % d == 0)
    return parts * r, n // (parts * r)


class _Matrix:
    """A vector of r*c elements as a matrix, its rows on the devices; in a kernel, of blocks (vectors, r/devices, c)."""

    def __init__(self, jx: Any, n: int) -> None:
        self.jx, self.n = jx, n
        self.names, self.parts = jx.mesh.names, jx.mesh.size
        self.r, self.c = _sides(n, self.parts)

    def _roots(self, x: Any) -> Any:
        """`x`, of all rows and this device's columns, times exp(-2 pi i row column / n)."""
        jx = self.jx
        kind = np.int32 if self.n < 2**31 else np.int64
        row = jx.lax.broadcasted_iota(kind, x.shape, 1)
        column = jx.lax.broadcasted_iota(kind, x.shape, 2) + rank(jx, self.names).astype(kind) * x.shape[2]
        angle = (row * column).astype(np.float64) * (-2 * math.pi / self.n)
        return x * jx.lax.complex(jx.np.cos(angle), jx.np.sin(angle)).astype(x.dtype)

    def forth(self, x: Any) -> Any:
        """From the vector in its order to the transform as a matrix (k1 on the devices, k2) of elements k1 + r k2."""
        x = exchanged(self.jx, x, 2, 1, self.names, self.parts)
        x = self._roots(self.jx.np.fft.fft(x, axis=1))
        return self.jx.np.fft.fft(exchanged(self.jx, x, 1, 2, self.names, self.parts), axis=2)

    def back(self, x: Any) -> Any:
        """From a vector as `forth` leaves it to its transform in its order, as a matrix."""
        x = exchanged(self.jx, self.jx.np.fft.fft(x, axis=2), 2, 1, self.names, self.parts)
        x = self.jx.np.fft.fft(self._roots(x), axis=1)
        return exchanged(self.jx, x, 1, 2, self.names, self.parts)

    def rows(self, x: Any) -> Any:
        """A block of vectors as one of matrices."""
        return x.reshape(x.shape[0], self.r // self.parts, self.c)

    def ordered(self, x: Any) -> Any:
        """What `forth` leaves, in its order."""
        x = self.jx.np.swapaxes(exchanged(self.jx, x, 2, 1, self.names, self.parts), 1, 2)
        return x.reshape(x.shape[0], -1)


def _bailey(jx: Any, x: Any) -> Any:
    matrix, spread = _Matrix(jx, x.shape[1]), Spread.line(jx, 2, 1)
    return mapped(jx, lambda v: matrix.ordered(matrix.forth(matrix.rows(v))), [spread], spread)(x)


def _bluestein(jx: Any, x: Any) -> Any:
    n, square = x.shape[1], jx.mesh.size**2
    m = _smooth(-(-(2 * n - 1) // square)) * square
    matrix, spread = _Matrix(jx, m), Spread.line(jx, 2, 1)

    def chirp(k: Any, dtype: Any) -> Any:
        """exp(-pi i k^2 / n)."""
        angle = (k * k % (2 * n)).astype(np.float64) * (-math.pi / n)
        return jx.lax.complex(jx.np.cos(angle), jx.np.sin(angle)).astype(dtype)

    def kernel(v: Any) -> Any:
        k = (
            jx.lax.broadcasted_iota(np.int64, (1, v.shape[1]), 1)
            + rank(jx, jx.mesh.names).astype(np.int64) * v.shape[1]
        )
        around = jx.np.minimum(k, m - k)
        filter_ = jx.np.where(around < n, chirp(around, v.dtype).conj(), 0)
        mine = chirp(k, v.dtype)
        # One after the other: both at once would need twice the memory.
        filter_, v = jx.lax.optimization_barrier((matrix.forth(matrix.rows(filter_)), v))
        terms = matrix.forth(matrix.rows(v * mine)) * filter_
        return matrix.back(terms.conj()).conj().reshape(v.shape) * mine * np.asarray(1 / m, v.real.dtype)

    return _sized(jx, mapped(jx, kernel, [spread], spread)(_sized(jx, x, 1, m)), 1, n)


def _smooth(n: int) -> int:
    """The least number from `n` on whose prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
        n += 1
