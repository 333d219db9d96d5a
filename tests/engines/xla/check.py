"""Calls compared with NumPy's on the accelerator's engine: `python -m tests.engines.xla.check CHAPTER,... DTYPE,...`,
or `all once`.

Runs in a process of its own, because the engine is chosen at import. The calls of one dtype are recorded first and read
afterwards, so that few programs are compiled. With `settings.strict` a call that would leave the device is an error.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy

import cunumeric
from cunumeric.arrays.base import Deferred, host
from cunumeric.engines.xla import execute
from cunumeric.graph import call as calls
from cunumeric.ops import lowering
from cunumeric.runtime.settings import settings

from .cases import CHAPTERS


def numbers(dtype: numpy.dtype) -> dict[str, numpy.ndarray]:
    """Arrays of `dtype`: `a v` with ties, NaN, infinities and zeros of both signs, all others finite."""
    rng = numpy.random.default_rng(7)

    def some(*shape: int, low: int = -4) -> numpy.ndarray:
        whole = rng.integers(0 if dtype.kind in "bu" else low, 2 if dtype.kind == "b" else 5, shape)
        x = whole.astype(dtype)
        if dtype.kind in "fc":
            x = x + (whole % 3 / 4).astype(dtype)
        if dtype.kind == "c":
            x = x + 1j * rng.integers(-2, 3, shape)
        return x.astype(dtype)

    def odd(x: numpy.ndarray) -> numpy.ndarray:
        if dtype.kind in "fc":
            flat = x.reshape(-1)
            flat[3::8] = numpy.nan
            flat[5::11] = -numpy.inf
            flat[6::13] = numpy.inf
            flat[1::9] = 0
            if dtype.kind == "c":
                flat[4::15] = complex(1, numpy.nan)
        return x

    found = {"a": odd(some(5, 7)), "v": odd(some(23)), "f": some(5, 7), "w": some(23), "t": some(3, 4, 5)}
    found["s"] = numpy.sort(some(15))
    found["g"] = numpy.abs(some(5, 7)).astype(dtype) + numpy.ones((), dtype)
    found["c"] = some(4) + numpy.ones((), dtype)
    eye = numpy.eye(4)
    found["m"] = (some(4, 4) + 20 * eye).astype(dtype)
    found["q"] = (some(3, 4, 4) + 20 * eye).astype(dtype)
    found["r"] = (some(6, 4) + 9 * numpy.eye(6, 4)).astype(dtype)
    found["p"] = (found["m"] @ found["m"].conj().T / 8).astype(dtype) if dtype.kind != "b" else found["m"]
    if dtype.kind in "iu":
        low = numpy.tril(some(4, 4)) % 3
        numpy.fill_diagonal(low, 3)
        found["p"] = (low @ low.T).astype(dtype)
    found["u"] = rng.permutation(23).astype(dtype)
    found["e"] = numpy.zeros((0, 3), dtype)
    found["i"] = numpy.array([3, 0, -1, 2, 2, -5, 4, 1, 0])
    found["j"] = rng.integers(-7, 7, (5, 7))
    found["n"] = rng.integers(0, 4, 23)
    found["b"] = rng.integers(0, 2, 23).astype(bool)
    found["B"] = rng.integers(0, 2, (5, 7)).astype(bool)
    return found


def names(np: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What expressions can use."""

    def changed(f: Any, x: Any) -> Any:
        y = x.copy()
        f(y)
        return y

    def absolute(r: Any) -> Any:
        return [abs(v) for v in r] if isinstance(r, tuple) else abs(r)

    def remade(r: Any) -> Any:
        u, s, vh = r
        return (u[..., :, : s.shape[-1]] * s[..., None, :]) @ vh[..., : s.shape[-1], :]

    def remade_h(r: Any) -> Any:
        return (r[1] * r[0]) @ r[1].conj().T

    def in_order(x: Any) -> Any:
        return np.sort_complex(x) if x.dtype.kind == "c" else np.sort(x)

    def order(x: Any) -> Any:
        """The strides that `x` has when it has been computed."""
        cunumeric.synchronize()
        return x.strides

    def places(n: int) -> Any:
        return device(np, (numpy.arange(n) ** 1.5 / 9).astype(given["a"].real.dtype))

    return {"np": np, "changed": changed, "absolute": absolute, "remade": remade, "remade_h": remade_h,
            "in_order": in_order, "places": places, "order": order, **given}  # fmt: skip


def device(np: Any, x: numpy.ndarray) -> Any:
    """`x`, on the device where `np` is ours."""
    if np is numpy:
        return x
    y = np.array(x)
    return y.copy() if y.size else y


# One dtype for each kind; with these each line is run once, with one of them after the other.
SOME = {"f": "float64", "i": "int32", "c": "complex128", "b": "bool", "u": "uint8", "h": "float16"}


def lines(chapter: str, dtype: numpy.dtype, once: bool) -> list[tuple[str, str]]:
    """Marks and expressions for a dtype; `once`: of each line's dtypes only its turn's."""
    letter = "h" if dtype == numpy.float16 else dtype.kind
    found = []
    for number, line in enumerate(CHAPTERS[chapter].strip().splitlines()):
        marks, expression = line.split(" ", 1)
        kinds = marks.rstrip("=")
        if letter in kinds and (not once or kinds[number % len(kinds)] == letter):
            found.append((marks, expression))
    return found


TOLERANCE = {"float16": 2e-2, "float32": 2e-4, "complex64": 2e-4, "float64": 1e-9, "complex128": 1e-9}


def difference(ours: Any, numpys: Any, exact: bool, single: bool = False) -> str:
    """What is different, or nothing."""
    if isinstance(numpys, (tuple, list)):
        if len(ours) != len(numpys) or type(ours).__name__ != type(numpys).__name__:
            return f"{type(ours).__name__} of {len(ours)}, NumPy's {type(numpys).__name__} of {len(numpys)}"
        return "; ".join(filter(None, [difference(x, y, exact, single) for x, y in zip(ours, numpys, strict=True)]))
    if not isinstance(numpys, (numpy.ndarray, numpy.generic)):
        return "" if ours == numpys and type(ours) is type(numpys) else f"{ours!r}, NumPy's {numpys!r}"
    if isinstance(numpys, numpy.generic) and not isinstance(ours, numpy.generic):
        return f"{type(ours)} instead of a scalar"
    if isinstance(numpys, numpy.ndarray) and type(ours) is not cunumeric.ndarray:
        return f"{type(ours)} instead of an array"
    x = ours.value() if type(ours) is Deferred else host(ours) if type(ours) is cunumeric.ndarray else ours
    x, y = numpy.asarray(x), numpy.asarray(numpys)
    if x.dtype != y.dtype or x.shape != y.shape:
        return f"{x.dtype}{x.shape}, NumPy's {y.dtype}{y.shape}"
    if exact or y.dtype.kind not in "fc":
        same = bool(numpy.array_equal(x, y, equal_nan=y.dtype.kind in "fc"))
    else:
        near = TOLERANCE["float32" if single else y.dtype.name]
        finite = abs(y[numpy.isfinite(y)])
        same = bool(numpy.allclose(x, y, near, near * (finite.max() if finite.size else 1), equal_nan=True))
    return "" if same else f"\n{x}\nNumPy's\n{y}"


def outcome(expression: str, scope: dict[str, Any]) -> Any:
    try:
        return eval(expression, scope)
    except Exception as error:
        return error


def check(chapter: str, dtype: numpy.dtype, once: bool) -> list[str]:
    """Differences."""
    given = numbers(dtype)
    theirs = names(numpy, given)
    ours = names(cunumeric, {k: device(cunumeric, v) for k, v in given.items()})
    found = []
    results = []
    hosted = execute.counters.hosted
    for kinds, expression in lines(chapter, dtype, once):
        expected = outcome(expression, theirs)
        if isinstance(expected, Exception):
            found.append(f"{expression}: NumPy raises {expected!r}")
            continue
        settings.strict = True
        results.append((kinds, expression, expected, outcome(expression, ours)))
        settings.strict = False
    for kinds, expression, expected, r in results:
        if isinstance(r, Exception):
            problem = repr(r)
        else:
            try:
                problem = difference(r, expected, "=" in kinds, dtype.itemsize // (1 + (dtype.kind == "c")) == 4)
            except Exception as error:
                problem = f"raised when read: {error!r}"
        if problem:
            found.append(f"{expression} [{dtype}]: {problem}")
    if execute.counters.hosted != hosted:
        found.append("a window ran on the host")
    return found


def rows_seen() -> set[Any]:
    """Rows that are recorded from now on."""
    seen: set[Any] = set()
    plain = calls.call

    def call(spec: Any, *args: Any) -> Any:
        r = plain(spec, *args)
        if r is not NotImplemented:
            seen.add(spec.function)
        return r

    calls.call = call
    return seen


def main() -> None:
    warnings.simplefilter("ignore")
    numpy.seterr(all="ignore")
    assert settings.engine == "xla"
    assert not settings.record_min
    chapters = list(CHAPTERS) if sys.argv[1] == "all" else sys.argv[1].split(",")
    once = sys.argv[2] == "once"
    dtypes = list(SOME.values()) if once else sys.argv[2].split(",")
    seen = rows_seen()
    problems = {}
    for chapter in chapters:
        found = [p for name in dtypes for p in check(chapter, numpy.dtype(name), once)]
        if found:
            problems[chapter] = found
    missing = []
    if set(chapters) == set(CHAPTERS):
        missing = sorted(f"{f.__module__}.{getattr(f, '__qualname__', f)} {f}" for f in set(lowering.TABLE) - seen)
    print("result:" + json.dumps({"problems": problems, "missing": missing, "rows": len(lowering.TABLE)}))


if __name__ == "__main__":
    main()
