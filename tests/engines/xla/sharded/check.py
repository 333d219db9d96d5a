"""Kernels for several devices against NumPy: `python -m tests.engines.xla.sharded.check TOPIC`, with as many of the
processor's devices as XLA_FLAGS asks for. Each case is a program of its own; its results come in all dtypes at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..check import TOLERANCE
from .lab import Cost, row, run, spec

BITS = "float64 float32 complex128 bool int8 int64 uint8 uint32".split()
FLOATS = "float64 float32 complex128 complex64".split()
LENGTHS = (1, 3, 5, 8, 23)


def numbers(dtype: str, *shape: int, odd: bool = False) -> np.ndarray:
    """Small numbers; `odd`: NaN and infinities among them."""
    kind = np.dtype(dtype).kind
    rng = np.random.default_rng(sum(shape) + len(dtype))
    x = rng.integers(0 if kind in "bu" else -3, 2 if kind == "b" else 4, shape).astype(dtype)
    if kind == "c":
        x = x + (1j * rng.integers(-3, 4, shape)).astype(dtype)
    if odd and kind in "fc" and x.size > 2:
        x.reshape(-1)[1::7] = np.nan
        x.reshape(-1)[2::11] = np.inf
    return x


def same(ours: Any, numpys: Any, where: str, exact: bool = False) -> None:
    if isinstance(numpys, (list, tuple)):
        for k, (x, y) in enumerate(zip(ours, numpys, strict=True)):
            same(x, y, f"{where} [{k}]", exact)
        return
    x, y = np.asarray(ours), np.asarray(numpys)
    assert x.shape == y.shape, f"{where}: {x.shape}, NumPy's {y.shape}"
    assert x.dtype == y.dtype, f"{where}: {x.dtype}, NumPy's {y.dtype}"
    if exact or y.dtype.kind not in "fc":
        assert np.array_equal(x, y, equal_nan=y.dtype.kind in "fc"), f"{where}: {x}, NumPy's {y}"
        return
    size = np.abs(y[np.isfinite(y)]).max(initial=1.0)
    tolerance = TOLERANCE[y.dtype.name]
    assert np.allclose(x, y, tolerance, tolerance * size, equal_nan=True), f"{where}: {x}, NumPy's {y}"


def compare(ours: Callable[..., Any], numpys: Callable[..., Any], arrays: list[np.ndarray], where: str) -> None:
    """One program for all arrays; results in NumPy's dtypes, as the engine casts them."""
    with np.errstate(all="ignore"):
        expected = [numpys(a) for a in arrays]

    def every(*values: Any) -> list[Any]:
        found = [ours(v) for v in values]
        return [r.astype(e.dtype) if hasattr(r, "astype") else r for r, e in zip(found, expected, strict=True)]

    for a, x, y in zip(arrays, run(every, *arrays), expected, strict=True):
        same(x, y, f"{where}, {a.dtype}{a.shape}")


def cheap(cost: Cost, where: str, temporary: float = 2.5, gathered: float = 0.1) -> None:
    """No operand comes whole to a device, and memory stays near its share."""
    assert cost.gathered <= gathered, f"{where}: {cost}"
    assert cost.temporary <= temporary, f"{where}: {cost}"


def scans() -> None:
    both = [(np.cumsum, BITS), (np.cumprod, BITS), (np.nancumsum, FLOATS), (np.add.accumulate, BITS)]
    both += [(getattr(np, name).accumulate, ["float64", "int64"]) for name in ("maximum", "fmin", "subtract")]
    both += [(np.logical_xor.accumulate, ["bool"]), (np.hypot.accumulate, ["float32"]), (np.gcd.accumulate, ["int8"])]
    for f, dtypes in both:
        odd = f not in (np.cumprod,)
        arrays = [numbers(d, n, odd=odd) for d in dtypes for n in LENGTHS]
        compare(row(f), f, arrays, f"{f}")
        for axis in (0, 1):
            arrays = [numbers(d, *shape, odd=odd) for d in dtypes[:2] for shape in ((8, 4), (5, 7), (2, 9), (3, 3))]
            compare(lambda a: row(f)(a, axis=axis), lambda a: f(a, axis=axis), arrays, f"{f}, axis {axis}")  # noqa: B023
    compare(row(np.cumsum), np.cumsum, [numbers("int8", 5, 7), numbers("float16", 4, 3)], "flattened")
    pieces = (0, 2, 2, 7)
    compare(lambda a: row(np.add.reduceat)(a, pieces), lambda a: np.add.reduceat(a, pieces), [numbers("int64", 11)], "at")
    rows = numbers("float64", 7, 9) + 4
    compare(lambda a: row(np.divide.accumulate)(a), np.divide.accumulate, [rows], "divide.accumulate")
    cheap(Cost(row(np.cumsum), spec((1 << 18) + 3)), "cumsum")
    cheap(Cost(lambda a: row(np.cumsum)(a, axis=0), spec(1 << 14, 64)), "cumsum of columns")
    cheap(Cost(lambda a: row(np.cumsum)(a, axis=0), spec(5, 1 << 14)), "cumsum of short columns", 4, 0.5)
    cheap(Cost(row(np.maximum.accumulate), spec(1 << 18)), "maximum.accumulate")


def transforms() -> None:
    f = np.fft
    vectors = [numbers(d, n) for d, n in zip(("float64", "complex128", "complex64", "int8"), (32, 23, 64, 5), strict=True)]
    vectors += [numbers("float32", 7), numbers("complex128", 1), numbers("float64", 3)]
    for one in (f.fft, f.ifft, f.rfft, f.irfft, f.hfft, f.ihfft):
        some = [a for a in vectors if a.dtype.kind != "c" or one not in (f.rfft, f.ihfft)]
        some = [a for a in some if a.size > 1 or one not in (f.irfft, f.hfft)]
        compare(row(one), one, some[:: 1 + 2 * (one in (f.hfft, f.ihfft))], f"{one}")
        for axis in (0, 1):
            rows = [numbers(d, 6, 10) for d in ("float64", "complex64") if d == "float64" or one not in (f.rfft, f.ihfft)]
            words = {"axis": axis, "n": 12, "norm": "ortho"}
            compare(lambda a: row(one)(a, **words), lambda a: one(a, **words), rows, f"{one}, axis {axis}")  # noqa: B023
        high = [numbers("float64", 17, 2)]
        compare(lambda a: row(one)(a, axis=0), lambda a: one(a, axis=0), high, f"{one} of columns")  # noqa: B023
    for one in (f.fft2, f.ifft2, f.rfft2, f.irfft2):
        some = [numbers(d, *shape) for d, shape in (("float64", (8, 8)), ("float32", (5, 7)), ("float64", (33, 2)))]
        some += [numbers("complex128", 6, 5), numbers("complex64", 3, 8, 5)] if one is not f.rfft2 else []
        compare(row(one), one, some, f"{one}")
        words = {"s": (9, 6), "axes": (1, 0), "norm": "forward"}
        compare(lambda a: row(one)(a, **words), lambda a: one(a, **words), some[:2], f"{one}, other axes")  # noqa: B023
    for one in (f.fftn, f.ifftn, f.rfftn, f.irfftn):
        some = [numbers("float64", 4, 5, 6), numbers("float32", 2, 3, 5, 4)]
        compare(row(one), one, some, f"{one}")
        words = {"axes": (0, 2), "s": (7, 4)}
        compare(lambda a: row(one)(a, **words), lambda a: one(a, **words), some[:1], f"{one}, some axes")  # noqa: B023
    compare(lambda a: row(f.fftn)(a, axes=(0, 1, 0)), lambda a: f.fftn(a, axes=(0, 1, 0)), [numbers("float64", 4, 5)], "n")
    # of real operands: complex results are twice as large
    cheap(Cost(row(f.fft2), spec(256, 512)), "fft2", 6)
    cheap(Cost(lambda a: row(f.fft)(a, axis=1), spec(256, 512)), "fft of rows", 6)
    cheap(Cost(row(f.fft), spec(9 << 16)), "fft", 8)
    cheap(Cost(row(f.fft), spec(100003)), "fft of a prime length", 24)
    chain = Cost(lambda a: row(f.ifft2)(row(f.fft2)(a) * 0.5), spec(256, 512, dtype=complex))
    cheap(chain, "a chain of transforms", 4)
    assert chain.kinds["all-to-all"] < 2.1, f"a chain of transforms: {chain}"


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print(f"{sys.argv[1]}: passed")
