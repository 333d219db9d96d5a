"""Comparing whole arrays, and elementwise functions of NumPy's that are not ufuncs."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no, numbers
from .common import inexact, same
from .elementwise import LOWER, cast, divide
from .reductions import _extreme


def _close(jx: Any, a: Any, b: Any, rtol: Any, atol: Any, equal_nan: Any) -> Any:
    kind = np.result_type(a.dtype, b.dtype)
    if kind.kind in "biu":
        kind = np.dtype(np.float64)
    exact = LOWER["equal"](jx, a, b)
    x, y = cast(jx, a, kind), cast(jx, b, inexact(kind))
    near = abs(x - y) <= atol + rtol * abs(y)
    r = (near & jx.np.isfinite(y)) | exact
    return r | (jx.np.isnan(x) & jx.np.isnan(y)) if equal_nan else r


@lowers(np.isclose, "a", "b", "?rtol", "?atol", numbers={"rtol": numbers.joined, "atol": numbers.joined})
def isclose(jx, a, b, rtol=1.0e-5, atol=1.0e-8, equal_nan=False):
    return _close(jx, a, b, rtol, atol, equal_nan)


@lowers(np.allclose, "a", "b", "?rtol", "?atol", numbers={"rtol": numbers.joined, "atol": numbers.joined})
def allclose(jx, a, b, rtol=1.0e-5, atol=1.0e-8, equal_nan=False):
    return _close(jx, a, b, rtol, atol, equal_nan).all()


@lowers(np.array_equal, "a1", "a2")
def array_equal(jx, a1, a2, equal_nan=False):
    if a1.shape != a2.shape:
        return jx.np.asarray(False)
    r = LOWER["equal"](jx, a1, a2)
    if equal_nan and a1.dtype.kind in "fc" and a2.dtype.kind in "fc":
        r = r | (jx.np.isnan(a1) & jx.np.isnan(a2))
    return r.all()


@lowers(np.array_equiv, "a1", "a2")
def array_equiv(jx, a1, a2):
    try:
        np.broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        raise Refused from None
    return LOWER["equal"](jx, a1, a2).all()


@lowers(np.nan_to_num, "x", numbers=dict.fromkeys(("nan", "posinf", "neginf"), numbers.like))
def nan_to_num(jx, x, copy=True, nan=0.0, posinf=None, neginf=None):
    words = (nan, posinf, neginf)
    if not copy or not all(v is None or isinstance(v, (int, float, np.generic)) or numbers.changes(v) for v in words):
        raise Refused
    if x.dtype.kind == "c":
        return jx.lax.complex(*[nan_to_num(jx, v, True, nan, posinf, neginf) for v in (x.real, x.imag)])
    if x.dtype.kind != "f":
        return x
    most = np.finfo(x.dtype).max
    high = jx.np.asarray(most if posinf is None else posinf, x.dtype)
    low = jx.np.asarray(-most if neginf is None else neginf, x.dtype)
    r = jx.np.where(jx.np.isnan(x), jx.np.asarray(nan, x.dtype), x)
    return jx.np.where(x == np.inf, high, jx.np.where(x == -np.inf, low, r))


@lowers(np.angle, "z")
def angle(jx, z, deg=False):
    if z.dtype.kind == "c":
        r = jx.np.arctan2(z.imag, z.real)
    else:
        z = cast(jx, z, inexact(z.dtype))
        r = jx.np.arctan2(jx.np.zeros_like(z), z)
    return r * (180 / np.pi) if deg else r


@lowers(np.sinc, "x")
def sinc(jx, x):
    if x.dtype.kind == "c":
        raise Refused
    x = cast(jx, x, np.float32 if x.dtype == np.float16 else inexact(x.dtype))
    y = np.pi * jx.np.where(x == 0, np.array(np.finfo(x.dtype).tiny, x.dtype), x)
    return jx.np.where(x == 0, np.ones((), x.dtype), jx.np.sin(y) / y)


@lowers(np.i0, "x")
def i0(jx, x):
    if x.dtype.kind == "c":
        raise Refused
    return jx.scipy.special.i0(cast(jx, x, np.float32 if x.dtype == np.float16 else inexact(x.dtype)))


@lowers(np.around, "a")
@lowers(np.round, "a")
def round(jx, a, decimals=0, out=None):
    no(out)
    if a.dtype.kind == "b":
        return cast(jx, a, np.float16)
    if a.dtype.kind in "iu":
        if decimals < 0:
            raise Refused
        return a
    rint = LOWER["rint"]
    if decimals == 0:
        return rint(jx, a)
    scale = np.asarray(10.0 ** abs(decimals)).astype(a.real.dtype)
    if not np.isfinite(scale) or not scale:
        raise Refused
    if decimals > 0:
        return divide(jx, rint(jx, a * scale), scale)
    return rint(jx, divide(jx, a, scale)) * scale


@lowers(np.fix, "x")
def fix(jx, x, out=None):
    no(out)
    if x.dtype.kind == "c":
        raise Refused
    return LOWER["trunc"](jx, x)


@lowers(np.isposinf, "x")
def isposinf(jx, x, out=None):
    no(out)
    if x.dtype.kind == "c":
        raise Refused
    return x == np.inf if x.dtype.kind == "f" else jx.np.zeros(x.shape, bool)


@lowers(np.isneginf, "x")
def isneginf(jx, x, out=None):
    no(out)
    if x.dtype.kind == "c":
        raise Refused
    return x == -np.inf if x.dtype.kind == "f" else jx.np.zeros(x.shape, bool)


@lowers(np.iscomplex, "x")
def iscomplex(jx, x):
    return x.imag != 0 if x.dtype.kind == "c" else jx.np.zeros(x.shape, bool)


@lowers(np.isreal, "x")
def isreal(jx, x):
    return x.imag == 0 if x.dtype.kind == "c" else jx.np.ones(x.shape, bool)


same(np.packbits, "a", only="bu")


@lowers(np.unpackbits, "a")
def unpackbits(jx, a, axis=None, count=None, bitorder="big"):
    if a.dtype != np.uint8 or not a.size:
        raise Refused
    return jx.np.unpackbits(a, axis, count, bitorder)


# -- ufuncs that are not elementwise rows, for they have two results --------------------------------------------------


def _two(f: np.ufunc) -> Any:
    def one_operand(jx: Any, x: Any) -> Any:
        return LOWER[f.__name__](jx, *_in_loop(jx, f, x))

    def two_operands(jx: Any, x1: Any, x2: Any) -> Any:
        return LOWER[f.__name__](jx, *_in_loop(jx, f, x1, x2))

    return one_operand if f.nin == 1 else two_operands


def _in_loop(jx: Any, f: np.ufunc, *operands: Any) -> list[Any]:
    """Operands in the dtypes of NumPy's loop; Python's numbers take the dtype of the others."""
    given = [v.dtype if hasattr(v, "dtype") else type(v) for v in operands]
    kinds = f.resolve_dtypes((*given, *[None] * f.nout))  # type: ignore[arg-type]
    return [
        cast(jx, v, kind) if hasattr(v, "dtype") else jx.np.asarray(v, kind)
        for v, kind in zip(operands, kinds, strict=False)
    ]


lowers(np.divmod, "?x1", "?x2")(_two(np.divmod))
lowers(np.modf, "x")(_two(np.modf))
lowers(np.frexp, "x")(_two(np.frexp))


def farthest(a: np.ndarray) -> np.ndarray:
    """The least and the greatest of integers (0 and -1 where there are none)."""
    return np.array([a.min(), a.max()], np.int64) if a.size else np.array([0, -1])


@lowers(farthest, "a")
def _farthest(jx, a):
    if not a.size:
        return jx.np.asarray([0, -1])
    extreme = [_extreme(n, m)(jx, a.astype(np.int64)) for n, m in (("minimum", "min"), ("maximum", "max"))]
    return jx.np.stack(extreme)


def sound(arrays: list[np.ndarray]) -> np.ndarray:
    """Whether all numbers are finite."""
    return np.array([all(np.isfinite(a).all() for a in arrays)])


@lowers(sound, "*arrays")
def _sound(jx, arrays):
    r: Any = True
    for a in arrays:
        r = r & jx.np.isfinite(a).all()
    return jx.np.asarray(r).reshape(1)


def something_left(a: np.ndarray, axis: Any) -> np.ndarray:
    """Whether there is a number everywhere along an axis, not NaN alone."""
    return ~np.isnan(a).all(axis).any().reshape(1)


@lowers(something_left, "a")
def _something_left(jx, a, axis):
    return ~jx.np.isnan(a).all(axis).any().reshape(1)


def monotonic(a: np.ndarray, falling: bool) -> np.ndarray:
    """Whether the vector `a` never falls (or never rises, if `falling` is allowed)."""
    steps = np.diff(a)
    return np.array([(steps >= 0).all() or (falling and (steps <= 0).all())])


@lowers(monotonic, "a")
def _monotonic(jx, a, falling):
    up = (a[1:] >= a[:-1]).all()
    return (up | (a[1:] <= a[:-1]).all() if falling else up).reshape(1)
