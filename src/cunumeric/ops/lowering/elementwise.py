"""Elementwise operations: `LOWER[name](jx, *operands)`, operands in the dtypes of NumPy's loop, any shapes that
broadcast."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime import residence
from . import Refused

LOWER: dict[str, Callable[..., Any]] = {}


def _is(x: Any, kinds: str) -> bool:
    return x.dtype.kind in kinds


def lowering(f: Callable[..., Any]) -> Callable[..., Any]:
    LOWER[f.__name__.rstrip("_")] = f
    return f


def _same(*names: str) -> None:
    """Operations that `jax.numpy` defines as NumPy does, for operands of NumPy's loop dtypes."""

    def of(name: str) -> Callable[..., Any]:
        return lambda jx, *operands: getattr(jx.np, name)(*operands)

    for name in names:
        LOWER[name] = of(name)


_same(
    "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or", "bitwise_xor", "invert",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin",
    "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "cbrt", "hypot", "arctan2", "degrees", "radians", "deg2rad",
    "rad2deg", "logaddexp", "logaddexp2", "isfinite", "isinf", "isnan", "signbit", "copysign", "nextafter",
    "heaviside", "conjugate", "gcd", "lcm", "positive", "fmin", "fmax", "square",
)  # fmt: skip


@lowering
def add(jx, x, y):
    return jx.np.logical_or(x, y) if _is(x, "b") else jx.lax.add(*_shaped(jx, x, y))


@lowering
def subtract(jx, x, y):
    return jx.lax.sub(*_shaped(jx, x, y))


@lowering
def multiply(jx, x, y):
    return jx.np.logical_and(x, y) if _is(x, "b") else jx.lax.mul(*_shaped(jx, x, y))


@lowering
def divide(jx, x, y):
    """x / y, rounded once as IEEE says. XLA multiplies by the reciprocal where elements share their divisor, and
    49.0 / 49.0 would be less than one. Complex numbers are multiplied by the reciprocal of a real one by NumPy too."""
    if _is(x, "c") and not _is(y := jx.np.asarray(y), "c"):
        inverse = 1 / y.astype(x.real.dtype)
        return jx.lax.complex(x.real * inverse, x.imag * inverse)
    y = jx.np.asarray(y, x.dtype)
    if x.dtype == np.float16 and y.size < x.size:
        return divide(jx, x.astype(np.float32), y.astype(np.float32)).astype(np.float16)
    shape = jx.np.broadcast_shapes(x.shape, y.shape)
    if y.shape != shape and _is(y, "f"):
        y = hidden(jx, y, shape)
    return _rounded_once(jx, jx.lax.div, *_shaped(jx, x, y))


def _rounded_once(jx: Any, f: Any, x: Any, *others: Any) -> Any:
    """A quotient or a root. In single precision GPUs approximate it; that of doubles, rounded, is the right one. LLVM
    would divide floats where it knows that the doubles are some: their last bit, which is none, is taken away."""
    if x.dtype != np.float32 or jx.jax.default_backend() != "gpu":
        return f(x, *others)
    bits = jx.lax.bitcast_convert_type(x.astype(np.float64), np.int64)
    doubles = [v.astype(np.float64) for v in others]
    return f(jx.lax.bitcast_convert_type(bits & -2, np.float64), *doubles).astype(np.float32)


# Operations whose results XLA puts in other places where they are divided, or divided by: (a / b) / c becomes
# a / (b * c), which may overflow, and a / sqrt(b) a product.
TURNED = frozenset({"divide", "reciprocal", "sqrt"})


def hidden(jx: Any, y: Any, shape: tuple[int, ...]) -> Any:
    """Floating-point numbers broadcast to a shape with dimensions, without XLA knowing which elements are equal: it
    would compute with them in ways that round differently. What XLA leaves to LLVM does not, and that sees through it.
    The numbers' bits are turned by the sign of each element's place, which is no bit at all."""
    bits, wide = np.dtype(f"i{y.dtype.itemsize}"), np.dtype(np.int64)
    lengths = (1,) * (len(shape) - y.ndim) + y.shape
    # A place told by fewer axes than elements are equal along would be moved out of the way.
    axes = [k for k, (n, m) in enumerate(zip(shape, lengths, strict=True)) if n != m] or [len(shape) - 1]
    place = functools.reduce(operator.or_, [jx.lax.broadcasted_iota(wide, shape, k) for k in axes])
    nothing = jx.lax.shift_right_arithmetic(place, jx.np.full(shape, 63)).astype(bits)
    return jx.lax.bitcast_convert_type(nothing ^ jx.lax.bitcast_convert_type(y, bits), y.dtype)


def _shaped(jx: Any, *operands: Any) -> list[Any]:
    """Operands broadcast to one shape, as `jax.lax` wants them."""
    return jx.np.broadcast_arrays(*operands)


@lowering
def negative(jx, x):
    return jx.lax.neg(x)


@lowering
def absolute(jx, x):
    if _is(x, "c"):  # infinite where a part is, whatever the other
        endless = jx.np.isinf(x.real) | jx.np.isinf(x.imag)
        return jx.np.where(endless, np.array(np.inf, x.real.dtype), jx.lax.abs(x))
    return x if _is(x, "bu") else jx.lax.abs(x)


@lowering
def fabs(jx, x):
    return jx.lax.abs(x)


@lowering
def sign(jx, x):
    if _is(x, "c"):  # NumPy 2: x / |x|
        size = jx.lax.abs(x)
        one, none = jx.np.ones_like(size), jx.np.zeros_like(size)
        wide, high = jx.np.isinf(x.real), jx.np.isinf(x.imag)
        endless = jx.lax.complex(
            jx.np.where(wide, jx.np.copysign(one, x.real), none), jx.np.where(high, jx.np.copysign(one, x.imag), none)
        )
        found = jx.np.where(size == 0, jx.np.zeros_like(x), jx.np.where(wide | high, endless, x / size))
        nan = jx.np.full_like(x, complex(np.nan, np.nan))
        return jx.np.where(jx.np.isnan(size) | (wide & high), nan, found)
    if _is(x, "f"):
        return jx.np.where(x == 0, jx.np.zeros_like(x), jx.np.sign(x))
    return jx.np.sign(x)


@lowering
def reciprocal(jx, x):
    if _is(x, "iu"):  # NumPy divides doubles, and casts
        return cast(jx, 1.0 / x.astype(np.float64), x.dtype)
    return divide(jx, jx.np.ones_like(x), x)


@lowering
def sqrt(jx, x):
    r = _rounded_once(jx, jx.lax.sqrt, x)
    if not _is(x, "c"):
        return r
    infinite, inf = jx.np.isinf(x.imag), np.array(np.inf, r.real.dtype)
    real = jx.np.where(infinite | (x.real == np.inf), inf, r.real)
    imag = jx.np.where(infinite | (x.real == -np.inf), inf, r.imag)
    return jx.lax.complex(real, jx.np.copysign(imag, x.imag))


@lowering
def rint(jx, x):
    if _is(x, "c"):
        return jx.lax.complex(rint(jx, x.real), rint(jx, x.imag))
    return jx.lax.round(x, jx.lax.RoundingMethod.TO_NEAREST_EVEN)


@lowering
def floor(jx, x):
    return jx.lax.floor(x) if _is(x, "f") else x


@lowering
def ceil(jx, x):
    return jx.lax.ceil(x) if _is(x, "f") else x


@lowering
def trunc(jx, x):
    return jx.np.trunc(x) if _is(x, "f") else x


@lowering
def maximum(jx, x, y):
    return _extreme(jx, x, y, jx.lax.max, jx.lax.ge)


@lowering
def minimum(jx, x, y):
    return _extreme(jx, x, y, jx.lax.min, jx.lax.le)


def _extreme(jx: Any, x: Any, y: Any, pick: Any, wins: Any) -> Any:
    x, y = _shaped(jx, x, y)
    if not _is(x, "c"):
        return pick(x, y)
    # NumPy orders complex numbers by their real parts, then by their imaginary parts; the first NaN wins.
    better = (wins(x.real, y.real) & (x.real != y.real)) | ((x.real == y.real) & wins(x.imag, y.imag))
    chosen = jx.np.where(better, x, y)
    return jx.np.where(jx.np.isnan(x), x, jx.np.where(jx.np.isnan(y), y, chosen))


@lowering
def clip(jx, x, low, high):
    return minimum(jx, maximum(jx, x, low), high)


def _nonzero(jx: Any, y: Any) -> Any:
    return jx.np.where(y == 0, jx.np.ones_like(y), y)


@lowering
def floor_divide(jx, x, y):
    return divmod_(jx, x, y)[0]


@lowering
def remainder(jx, x, y):
    return divmod_(jx, x, y)[1]


def _integer_divmod(jx: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Floor quotient and remainder of integers; both are 0 where the divisor is."""
    divisor = _nonzero(jx, y)
    quotient, rest = jx.lax.div(x, divisor), jx.lax.rem(x, divisor)
    if _is(x, "i"):
        turned = (rest != 0) & ((rest < 0) != (divisor < 0))
        quotient, rest = quotient - turned.astype(x.dtype), jx.np.where(turned, rest + divisor, rest)
    none = jx.np.zeros_like(x)
    return jx.np.where(y == 0, none, quotient), jx.np.where(y == 0, none, rest)


def _float_divmod(jx: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Floor quotient and remainder of floats, by the steps of NumPy's `npy_divmod`."""
    rest = jx.lax.rem(x, y)
    quotient = (x - rest) / y
    turned = (rest != 0) & ((y < 0) != (rest < 0))
    quotient = jx.np.where(turned, quotient - 1, quotient)
    rest = jx.np.where(rest != 0, jx.np.where(turned, rest + y, rest), jx.np.copysign(jx.np.zeros_like(x), y))
    low = jx.lax.floor(quotient)
    low = jx.np.where(quotient - low > 0.5, low + 1, low)
    low = jx.np.where(quotient != 0, low, jx.np.copysign(jx.np.zeros_like(x), x / y))
    zero = y == 0
    nan = jx.np.full_like(x, np.nan)
    return jx.np.where(zero, x / y, low), jx.np.where(zero, nan, rest)


@lowering
def divmod_(jx, x, y):
    x, y = _shaped(jx, x, y)
    return _float_divmod(jx, x, y) if _is(x, "f") else _integer_divmod(jx, x, y)


@lowering
def fmod(jx, x, y):
    x, y = _shaped(jx, x, y)
    if _is(x, "f"):
        return jx.lax.rem(x, y)
    return jx.np.where(y == 0, jx.np.zeros_like(x), jx.lax.rem(x, _nonzero(jx, y)))


@lowering
def modf(jx, x):
    whole = jx.np.trunc(x)
    part = jx.np.where(jx.np.isinf(x), jx.np.zeros_like(x), x - whole)
    return jx.np.copysign(part, x), whole


@lowering
def frexp(jx, x):
    mantissa, exponent = jx.np.frexp(x)
    odd = ~jx.np.isfinite(x)
    return jx.np.where(odd, x, mantissa), jx.np.where(odd, jx.np.zeros_like(exponent), exponent)


@lowering
def ldexp(jx, x, n):
    return jx.np.ldexp(x, n)


@lowering
def power(jx, x, y):
    x, y = _shaped(jx, x, y)
    if _is(x, "iu"):
        # Square and multiply, in the wrapping arithmetic of NumPy's loop; the caller has refused negative exponents.
        result, base, rest = jx.np.ones_like(x), x, y
        for _ in range(x.dtype.itemsize * 8):
            result = jx.np.where((rest & 1) != 0, result * base, result)
            base, rest = base * base, rest >> 1
        return result
    return _complex_power(jx, x, y) if _is(x, "c") else jx.np.power(x, y)


def _complex_power(jx: Any, x: Any, y: Any) -> Any:
    """NumPy multiplies for whole exponents below 100, and says what the powers of zero are."""
    whole = (y.imag == 0) & (abs(y.real) < 100) & (jx.np.trunc(y.real) == y.real)
    n = jx.np.where(whole, y.real, 0).astype(np.int32)
    square = x * x
    result, base, rest = jx.np.ones_like(x), x, abs(n)
    for _ in range(7):
        result = jx.np.where((rest & 1) != 0, result * base, result)
        base, rest = base * base, rest >> 1
    for k, found in ((1, x), (2, square), (3, x * square)):
        result = jx.np.where(n == k, found, result)
    result = jx.np.where(n < 0, 1 / result, result)
    of_zero = jx.np.where(y.real > 0, jx.np.zeros_like(x), jx.np.full_like(x, complex(np.nan, np.nan)))
    return jx.np.where((x == 0) & (y != 0), of_zero, jx.np.where(whole, result, jx.np.power(x, y)))


def _signed(name: str, real: int, imag: int) -> None:
    """A complex function whose parts have the signs of the operand's parts, turned where -1 says so, 0: their own. XLA
    takes zeros of both signs for the same, and so the other side of a branch cut."""
    plain = LOWER[name]

    def function(jx: Any, x: Any) -> Any:
        r = plain(jx, x)
        if not _is(x, "c"):
            return r
        parts = [(r.real, x.real, real), (r.imag, x.imag, imag)]
        return jx.lax.complex(*[jx.np.copysign(v, sign * of) if sign else v for v, of, sign in parts])

    LOWER[name] = function


for _name, _real, _imag in (
    ("arcsin", 1, 1), ("arcsinh", 1, 1), ("arctan", 1, 1), ("arctanh", 1, 1), ("arccos", 0, -1), ("arccosh", 0, 1),
):  # fmt: skip
    _signed(_name, _real, _imag)


def _logarithm(name: str, unit: float) -> None:
    """A logarithm: what is infinite in one part has an infinite one, whatever the other part."""
    plain = LOWER[name]

    def function(jx: Any, x: Any) -> Any:
        r = plain(jx, x)
        if not _is(x, "c"):
            return r
        infinite = jx.np.isinf(x.real) | jx.np.isinf(x.imag)
        turn = jx.np.arctan2(x.imag, x.real) * np.asarray(unit, r.real.dtype)
        return jx.np.where(infinite, jx.lax.complex(jx.np.full_like(turn, np.inf), turn), r)

    LOWER[name] = function


for _name, _unit in (("log", 1.0), ("log1p", 1.0), ("log2", 1 / math.log(2)), ("log10", 1 / math.log(10))):
    _logarithm(_name, _unit)


@lowering
def float_power(jx, x, y):
    return power(jx, x, y)


@lowering
def left_shift(jx, x, y):
    x, y = _shaped(jx, x, y)
    bits = x.dtype.itemsize * 8
    fits = (y >= 0) & (y < bits) if bits < 256 else y >= 0
    return jx.np.where(fits, jx.lax.shift_left(x, jx.np.where(fits, y, jx.np.zeros_like(y))), jx.np.zeros_like(x))


@lowering
def right_shift(jx, x, y):
    x, y = _shaped(jx, x, y)
    bits = x.dtype.itemsize * 8
    fits = (y >= 0) & (y < bits)
    by = jx.np.where(fits, y, jx.np.full_like(y, bits - 1))
    if _is(x, "i"):
        return jx.lax.shift_right_arithmetic(x, by)
    return jx.np.where(fits, jx.lax.shift_right_logical(x, by), jx.np.zeros_like(x))


@lowering
def bitwise_count(jx, x):
    return jx.lax.population_count(jx.lax.abs(x) if _is(x, "i") else x).astype(np.uint8)


def _compared(name: str) -> None:
    """A comparison. NumPy compares int64 with uint64 by their values, though no integer type holds both."""

    def compare(jx: Any, x: Any, y: Any) -> Any:
        f = getattr(jx.np, name)
        if x.dtype != y.dtype and _is(x, "iu") and _is(y, "iu"):
            if _is(x, "i"):
                low, answer = x < 0, f(np.int64(0), np.int64(1))
                return jx.np.where(low, answer, f(x.astype(np.uint64), y))
            low, answer = y < 0, f(np.int64(1), np.int64(0))
            return jx.np.where(low, answer, f(x, y.astype(np.uint64)))
        if _is(x, "c") and name not in ("equal", "not_equal"):
            order = getattr(jx.np, name.removesuffix("_equal"))
            numbers = ~(jx.np.isnan(x.imag) | jx.np.isnan(y.imag))
            return numbers & (order(x.real, y.real) | ((x.real == y.real) & f(x.imag, y.imag)))
        return f(x, y)

    LOWER[name] = compare


for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    _compared(_name)


@lowering
def where(jx, condition, x, y):
    return jx.np.where(condition, x, y)


@lowering
def copy(jx, x):
    return x


def cast(jx: Any, x: Any, to: Any) -> Any:
    """`x.astype(to)` with NumPy's rules; floats outside the range of an integer become what x86 makes of them."""
    to = np.dtype(to)
    if x.dtype == to:
        return x
    if to.kind == "b":
        return x != 0
    if not residence.suits(to):
        raise Refused
    if x.dtype.kind == "c" and to.kind != "c":
        x = x.real
    if x.dtype.kind == "f" and to.kind in "iu":
        return _truncated(jx, x, to)
    if x.dtype == np.float64 and to == np.float16:
        x = _rounded_to_half(jx, x)
    return jx.lax.convert_element_type(x, to)


def _rounded_to_half(jx: Any, x: Any) -> Any:
    """Doubles as half precision has them: XLA's own conversion goes by single precision, and rounds twice."""
    least = float(np.finfo(np.float16).smallest_normal)
    unit = float(np.finfo(np.float16).smallest_subnormal)
    below = jx.np.round(x / unit) * unit  # what is below the normal numbers, of which the other would make zero
    return jx.np.where(abs(x) < least, jx.np.copysign(below, x), jx.lax.reduce_precision(x, 5, 10))


def _truncated(jx: Any, x: Any, to: np.dtype) -> Any:
    """Through int64 (uint64: above its range through an offset), whose lowest number stands for what does not fit."""
    if x.dtype == np.float16:
        x = x.astype(np.float32)
    wide = np.dtype(np.int64) if to.itemsize == 8 or to == np.uint32 else np.dtype(np.int32)
    limit = float(2 ** (wide.itemsize * 8 - 1))
    fits = (x >= -limit) & (x < limit)
    whole = jx.lax.convert_element_type(jx.np.where(fits, x, jx.np.zeros_like(x)), wide)
    whole = jx.np.where(fits, whole, np.array(np.iinfo(wide).min, wide))
    if to == np.uint64:
        above = (x >= limit) & (x < 2 * limit)
        shifted = jx.lax.convert_element_type(jx.np.where(above, x - limit, jx.np.zeros_like(x)), wide)
        whole = jx.np.where(above, shifted ^ np.array(np.iinfo(wide).min, wide), whole)
    return jx.lax.convert_element_type(whole, to)
