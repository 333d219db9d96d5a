"""Sorts, searches and picks over several devices against NumPy: `python -m tests.engines.xla.sharded.ordering TOPIC`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .lab import Cost, mesh, program, row, run, spec

LINE = mesh.grid == (4,)
rng = np.random.default_rng(3)


def numbers(dtype: str, *shape: int) -> np.ndarray:
    """Numbers with ties, NaN and zeros of both signs."""
    kind = np.dtype(dtype).kind
    x = rng.integers(0 if kind in "bu" else -3, 2 if kind == "b" else 4, shape).astype(dtype)
    if kind == "c":
        x = x + (1j * rng.integers(-3, 4, shape)).astype(dtype)
    if kind in "fc" and x.size > 4:
        flat = x.reshape(-1)
        flat[1::7], flat[2::5], flat[4::11] = np.nan, -0.0, np.inf
        if kind == "c":
            flat[3::9] = complex(1, np.nan)
    return x


def same(ours: Any, numpys: Any, where: Any) -> None:
    x, y = np.asarray(ours), np.asarray(numpys)
    assert x.shape == y.shape, f"{where}: {x.shape}, NumPy's {y.shape}"
    assert x.dtype == y.dtype, f"{where}: {x.dtype}, NumPy's {y.dtype}"
    assert np.array_equal(x, y, equal_nan=y.dtype.kind in "fc"), f"{where}: {x}, NumPy's {y}"


def compare(ours: Callable[..., Any], numpys: Callable[..., Any], *arrays: np.ndarray) -> None:
    expected, found = numpys(*arrays), run(ours, *arrays)
    if not isinstance(expected, (tuple, list)):
        expected, found = [expected], [found]
    for x, y in zip(found, expected, strict=True):
        same(x, y, [f"{a.dtype}{a.shape}" for a in arrays])


def cheap(cost: Cost, temporary: float, gathered: float, passed: float = 9) -> None:
    """No operand comes whole to a device, and memory stays near its share."""
    assert cost.gathered <= gathered, cost
    assert cost.temporary <= temporary, cost
    assert sum(cost.kinds.values()) <= passed, cost


def both(a: Any) -> Any:
    """Values and places of a stable sort, in one program."""
    return row(np.sort)(a, kind="stable"), row(np.argsort)(a, kind="stable")


def numpys_both(a: np.ndarray) -> Any:
    return np.sort(a, kind="stable"), np.argsort(a, kind="stable")


def sorts() -> None:
    for dtype in "float64 complex64 int8 float16 bool".split() if LINE else ["float64"]:
        compare(row(np.argsort), lambda a: np.argsort(a, kind="stable"), numbers(dtype, 23))
    if LINE:
        compare(row(np.sort), np.sort, numbers("complex128", 5))
        compare(row(np.argsort), lambda a: np.argsort(a, kind="stable"), numbers("uint64", 1))
    # One program, many arrays: keys that all lie on one device, ties, nothing but NaN.
    n = 1 << 10
    f = program(both, spec(n))
    i = np.arange(float(n))
    for x in (i, -i, i % 4, i // 300, i * 0, i * np.nan, rng.random(n), np.where(i > 900, np.nan, 0)):
        for ours, numpys in zip(f(x), numpys_both(x), strict=True):
            same(ours, numpys, x[:4])
    for shape, axis in (((9, 2), 0), ((9, 5), 0), ((2, 3, 7), -1)) if LINE else (((5, 9), 1),):
        ours = lambda a: row(np.argsort)(a, axis, "stable")  # noqa: B023, E731
        compare(ours, lambda a: np.argsort(a, axis, "stable"), numbers("int32", *shape))  # noqa: B023
    if LINE:
        cheap(Cost(row(np.sort), spec(1 << 20)), 4.3, 0.1)
        cheap(Cost(row(np.argsort), spec(1 << 20)), 8, 0.1)
        cheap(Cost(lambda a: row(np.sort)(a, 0), spec(1 << 12, 64)), 4.1, 0)


TOPICS = [sorts]

if __name__ == "__main__":
    for topic in TOPICS:
        if len(sys.argv) < 2 or topic.__name__ in sys.argv:
            topic()
    print("passed")
