"""Sorts by digits, on the processor: every form that a device with radix sorts is given, against NumPy.
`python -m tests.engines.xla.digits`"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cunumeric.engines.xla import backend
from cunumeric.ops.lowering import radix, sorting

jx = backend.modules()
rng = np.random.default_rng(1)
DTYPES = "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ?".split()
SHAPES = [((900,), 0), ((3, 400), 1), ((400, 3), 0), ((2, 20, 5), 1), ((3, 9000), 1), ((300, 60), 1), ((0,), 0)]


def numbers(dtype: str, *shape: int) -> np.ndarray:
    """Numbers of any bits (NaN of both signs, the smallest ones, infinities), among few values with ties and zeros."""
    kind = np.dtype(dtype)
    few = rng.integers(0 if kind.kind in "bu" else -2, 2 if kind.kind == "b" else 3, shape).astype(kind)
    if kind.kind == "b":
        return few
    if kind.kind == "f":
        few = np.where((few == 0) & (rng.random(shape) < 0.5), -few, few)
    bits = rng.integers(0, 256, (*shape, kind.itemsize), np.uint8).view(kind)[..., 0]
    return np.where(rng.random(shape) < 0.5, bits, few)


def same(found: Any, expected: np.ndarray, where: Any) -> None:
    x = np.asarray(found)
    nan = expected.dtype.kind == "f"
    assert x.dtype == expected.dtype and np.array_equal(x, expected, equal_nan=nan), where
    assert not nan or np.array_equal(np.signbit(x), np.signbit(expected)), where


def check(dtype: str, shape: tuple[int, ...], axis: int) -> None:
    a, where = numbers(dtype, *shape), (dtype, shape)
    x, order = jx.np.asarray(a), np.argsort(a, axis, kind="stable")
    assert np.asarray(radix.decoded(jx, radix.coded(jx, x), a.dtype)).tobytes() == a.tobytes(), where
    found = np.asarray(sorting.in_order(jx, x, axis))
    assert np.array_equal(found, np.sort(a, axis), equal_nan=a.dtype.kind == "f"), where
    whole = f"V{a.itemsize}" if a.itemsize > 1 else "u1"  # every bit is still there
    assert sorted(found.reshape(-1).view(whole).tolist()) == sorted(a.reshape(-1).view(whole).tolist()), where
    same(sorting.in_order(jx, x, axis, stable=True), np.take_along_axis(a, order, axis), where)
    same(sorting.order_of(jx, sorting.keys(jx, x), axis), order, where)
    # Two keys and two arrays beside them, one of a single byte.
    first, beside = rng.integers(0, 3, shape, np.uint8), rng.random(shape)
    ranks = np.unique(a, return_inverse=True)[1].reshape(shape)  # NaN are one value here, as for sorts
    order = np.lexsort([ranks, first], axis)
    operands = [jx.np.asarray(first), *sorting.keys(jx, x), jx.np.asarray(beside), jx.np.asarray(first)]
    for given, sorted_ in zip((beside, first), radix.arranged(jx, operands, 2, axis)[2:], strict=True):
        same(sorted_, np.take_along_axis(given, order, axis), where)


if __name__ == "__main__":
    for by_digits in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(radix, "by_digits", lambda jx: by_digits)  # noqa: B023
            for dtype in DTYPES:
                for shape, axis in SHAPES if dtype in ("f8", "i4") else SHAPES[:3]:
                    check(dtype, shape, axis)
    print("passed")
