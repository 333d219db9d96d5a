"""Sorts, searches and picks over several devices against NumPy:
`python -m tests.engines.xla.sharded.ordering TOPIC`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cunumeric.engines.xla.sharded import sorting as sharded_sorting
from cunumeric.engines.xla.sharded import spread
from cunumeric.ops.lowering import indexing, radix, selection, sorting

from .lab import Cost, jx, mesh, program, row, run, spec

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


def sorts() -> None:
    stable = lambda a: np.argsort(a, kind="stable")  # noqa: E731
    for dtype in ["complex64", "bool"] if LINE else []:
        compare(row(np.argsort), stable, numbers(dtype, 23))
    # One program, many arrays: keys that all lie on one device, ties, nothing but NaN.
    n = 1200
    f = program(lambda a: sorting.with_order(jx, a, 0), spec(n))
    i = np.arange(float(n))
    for x in (
        i,
        -i,
        i % 4,
        i // 300,
        i * 0,
        i * np.nan,
        rng.random(n),
        np.where(i > 900, np.nan, 0),
        numbers("float64", n),
    ):
        for ours, numpys in zip(f(x), (x[stable(x)], stable(x)), strict=True):
            same(ours, numpys, x[:4])
    compare(row(np.sort), np.sort, numbers("float16", 3))
    for shape, axis in (((9, 2), 0), ((9, 5), 0), ((2, 3, 7), -1)) if LINE else (((5, 9), 1),):
        ours = lambda a: row(np.argsort)(a, axis, "stable")  # noqa: B023, E731
        compare(ours, lambda a: np.argsort(a, axis, "stable"), numbers("int32", *shape))  # noqa: B023
    if LINE:
        cheap(Cost(row(np.sort), spec(1 << 20)), 4.3, 0.1)
        cheap(Cost(lambda a: row(np.sort)(a, 0), spec(1 << 12, 64)), 4.1, 0)


def sorts_by_digits() -> None:
    """As a device sorts that has radix sorts: the kernels take the same way to other pieces."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (radix, sharded_sorting):
            patch.setattr(module, "by_digits", lambda jx: True)
        n = 3 << 16
        f = program(lambda a: row(np.sort)(a), spec(n))
        i = np.arange(float(n))
        halves = np.where(rng.random(n) < 0.5, 0, rng.random(n))
        for x in (i, -i, i % 4, i // 300, i * 0, i * np.nan, rng.random(n), halves, numbers("float64", n)):
            same(f(x), np.sort(x), x[:4])
        with pytest.MonkeyPatch.context() as many:  # as many devices exchange
            many.setattr(spread, "_FEW", 1)
            f = program(lambda a: row(np.sort)(a), spec(n))
            for x in (-i, rng.random(n)):
                same(f(x), np.sort(x), x[:4])
        compare(lambda a: row(np.sort)(a, kind="stable"), np.sort, numbers("float32", 400))
        compare(row(np.argsort), lambda a: np.argsort(a, kind="stable"), numbers("complex64", 23))
        compare(lambda a: row(np.sort)(a, 1), lambda a: np.sort(a, 1), numbers("int64", 9, 4000))
        compare(row(np.median), np.median, rng.random(333))


def template_of(key: tuple, arrays: list[np.ndarray]) -> tuple:
    """The template of a key (`ops.lowering.indexing`), and its index arrays."""
    found: list[Any] = []
    for k in key:
        if isinstance(k, np.ndarray):
            arrays.append(k)
            found.append(("array", len(arrays) - 1))
        elif isinstance(k, slice):
            found.append(("slice", k.start, k.stop, k.step))
        else:
            found.append(("new",) if k is None else ("rest",) if k is Ellipsis else ("int", k))
    return tuple(found)


def picks() -> None:
    def some(n: int, *shape: int) -> np.ndarray:
        return rng.integers(-n, n, shape)

    keys: list[Any] = [
        (numbers("float32", 23), some(23, 40)),  # the array goes round
        (numbers("complex64", 23), some(23, 9)),  # the indices go round
        (numbers("float64", 40), some(40, 3)),  # few
        (numbers("bool", 5), some(5, 2, 3)),
        (numbers("float16", 9, 7), some(9, 4), slice(1, -1, 2)),
        (numbers("int8", 9, 7), some(9, 5), some(7, 5)),
        (numbers("int16", 11, 2, 3), some(11, 5), None, some(2, 2, 5)),
        (numbers("int32", 4, 9, 3), slice(None, None, -1), some(9, 6), 1),
        (numbers("int64", 9, 2), ..., slice(0, 1), some(9, 30)[:1] % 2),
    ]
    for x, *key in keys if LINE else keys[::2]:
        arrays: list[np.ndarray] = []
        template = template_of(tuple(key), arrays)
        shape = x[tuple(key)].shape
        values = numbers(x.dtype.name, *shape)
        lengths = tuple([1 << 40] * len(arrays))

        def ours(x: Any, values: Any, *arrays: Any) -> Any:
            got = row(indexing.getitem)(x, arrays, template)  # noqa: B023
            set_to = row(indexing.setitem)(x, arrays, values, template, lengths)  # noqa: B023
            return got, set_to

        def numpys(x: np.ndarray, values: np.ndarray, *_: np.ndarray) -> Any:
            changed = x.copy()
            changed[tuple(key)] = values  # noqa: B023
            return x[tuple(key)], changed  # noqa: B023

        compare(ours, numpys, x, values, *arrays)
    if LINE:
        n, template = 1 << 18, (("array", 0),)
        # The indices go round, the array goes round, a few indices are answered by all.
        for of, at, here, gathered, passed in ((n, n, 2.6, 0, 1), (n, n // 2, 1.1, 0, 0.8), (n, n // 16, 0.6, 0.6, 0)):
            pick = Cost(lambda x, i: row(indexing.getitem)(x, [i], template), spec(of), spec(at, dtype=np.int64))
            cheap(pick, here, gathered, gathered + passed)
        put = row(indexing.setitem)
        given = spec(n), spec(n, dtype=np.int64), spec(n)
        cheap(Cost(lambda x, i, v: put(x, [i], v, template, (n,)), *given), 5.1, 0.1, 2.1)


def places() -> None:
    i, x, y = rng.integers(-5, 5, (4, 11)), numbers("float64", 5, 9), numbers("int8", 4, 11)
    compare(lambda x, i: row(np.take)(x, i), np.take, x, i)
    compare(lambda x, i: row(np.take)(x, i, 0), lambda x, i: np.take(x, i, 0), x, i)
    compare(lambda x, i: row(np.take)(x, i, -1, mode="wrap"), lambda x, i: np.take(x, i, -1, mode="wrap"), x, i)
    along = row(np.take_along_axis)
    compare(lambda x, i: along(x, i, 1), lambda x, i: np.take_along_axis(x, i, 1), x[:4], i)
    compare(lambda x, i: along(x, i, 0), lambda x, i: np.take_along_axis(x, i, 0), numbers("bool", 7, 1), i)
    put, update = row(selection.put_flat), row(selection.updated)
    compare(lambda x, i, v: put(x, i, v, "wrap"), lambda x, i, v: selection.put_flat(x, i, v, "wrap"), x, i * 9, y[0])
    once = np.argsort(rng.random((4, 11)), 1)[:, :5]
    put_along = row(selection.put_along)
    words = y, once, numbers("int8", 4, 1)
    compare(lambda x, i, v: put_along(x, i, v, 1), lambda x, i, v: selection.put_along(x, i, v, 1), *words)
    for name in ("add", "maximum"):
        ours = lambda x, i, v: update(x, i, v, name)  # noqa: B023, E731
        compare(ours, lambda x, i, v: selection.updated(x, i, v, name), numbers("int32", 6, 2), i % 6, y[..., None])  # noqa: B023


def masks() -> None:
    n, size = 60, 29
    v, spread = numbers("float64", n), np.argsort(rng.random(n)) < size
    of_vector = row(selection.chosen), row(selection.places_chosen), row(indexing.setmask)
    values = numbers("float64", size)

    def ours(v: Any, mask: Any, values: Any) -> Any:
        pick, nonzero, put = of_vector
        return pick(v, mask, size), nonzero(mask, size)[0], put(v, mask, values)

    def numpys(v: np.ndarray, mask: np.ndarray, values: np.ndarray) -> Any:
        return v[mask], np.nonzero(mask)[0], selection.put_masked(v, mask, values, False)

    f = program(ours, v, spread, values)
    several = [spread, np.arange(n) < size, np.arange(n) >= n - size, np.arange(n) // 7 % 2 == 0]
    for mask in several if n % mesh.size == 0 else []:
        if mask.sum() == size:
            put_in = np.pad(values, (0, -size % mesh.size))
            for x, y in zip(f(v, mask, put_in), numpys(v, mask, values), strict=True):
                same(np.asarray(x)[: y.size], y, mask)
    x, mask = numbers("int8", 5, 7, 2), rng.integers(0, 2, (5, 7)) > 0
    k = int(mask.sum())
    get, put = row(indexing.getmask), row(indexing.setmask)
    compare(lambda x, m: get(x, m, k), lambda x, m: x[m], x, mask)
    compare(put, indexing.setmask, x, mask, numbers("int8", k, 2))
    compare(lambda m: row(selection.places_chosen)(m, k), np.nonzero, mask)
    some = np.array([True, False, True, True, False])
    rows = row(selection.rows_chosen)
    compare(lambda x, m: rows(x, m, 3, 0), lambda x, m: np.compress(m, x, 0), x, some)
    if LINE:
        compare(
            lambda a: row(selection.sorted_steps)(a, True),
            lambda a: selection.sorted_steps(a, True),
            numbers("float64", 23),
        )
        steps = selection.sorted_steps(numbers("int8", 23), True)
        compare(row(selection.ranks), selection.ranks, *steps[:0:-1])
        compare(
            lambda p: row(selection.steps_between)(p, 30),
            lambda p: selection.steps_between(p, 30),
            np.array([0, 4, 5, 9, 20]),
        )
        n = 1 << 20
        cheap(Cost(lambda x, m: get(x, m, n // 2), spec(n), spec(n, dtype=bool)), 4, 0.1)
        cheap(Cost(lambda m: row(selection.places_chosen)(m, n // 2), spec(n, dtype=bool)), 30, 0.1)
        cheap(Cost(put, spec(n), spec(n, dtype=bool), spec(n // 2)), 4, 0.1)


def ranks() -> None:
    sort, complexes = np.sort(numbers("float64", 23)), np.sort(numbers("complex64", 11))
    cases = [(sort, numbers("float64", 50), "left"), (sort, numbers("float32", 9), "right")]
    for a, v, side in [*cases, (complexes, numbers("complex64", 7), "right")][:: 1 if LINE else 2]:
        find = lambda a, v: row(np.searchsorted)(a, v, side)  # noqa: B023, E731
        compare(find, lambda a, v: np.searchsorted(a, v, side), a, v)  # noqa: B023
    some = (np.array([0, 0.3, 0.5, 0.98, 1]),)
    of: list[Any] = [(np.nanpercentile, (30,), numbers("float64", 9, 3), None)]
    if LINE:
        compare(lambda x, y: row(np.isin)(x, y), np.isin, numbers("float64", 9, 2), numbers("float64", 17))
        of += [(np.median, (), numbers("int16", 23), None), (np.median, (), rng.random((9, 7)), 0)]
        of += [(np.nanmedian, (), numbers("float32", 17), None), (np.quantile, some, rng.random((23, 2)), 0)]
    for f, words, a, axis in of:
        ours = lambda a: row(f)(a, *words, axis=axis).astype(np.float64)  # noqa: B023, E731
        compare(ours, lambda a: np.asarray(f(a, *words, axis=axis), np.float64), a)  # noqa: B023
    # Two kernels on one operand, which they pad differently.
    nearest = lambda x, a: row(np.take)(a, row(np.searchsorted)(a, x), mode="clip")  # noqa: E731
    compare(
        nearest, lambda x, a: np.take(a, np.searchsorted(a, x), mode="clip"), rng.random((5, 7)), np.sort(rng.random(9))
    )
    compare(lambda x: row(selection.counted)(x, None, 30), lambda x: np.bincount(x, None, 30), rng.integers(0, 25, 60))
    bins = np.linspace(-3, 3, 7)
    compare(
        lambda a: row(np.histogram)(a, bins)[0],
        lambda a: np.histogram(a, bins)[0],
        np.nan_to_num(numbers("float64", 50)),
    )
    if LINE:
        n = 1 << 20
        find = row(np.searchsorted)
        cheap(Cost(find, spec(n), spec(n)), 4, 0, 1.1)
        cheap(Cost(find, spec(n), spec(n // 4)), 2, 0, 0.4)
        cheap(Cost(row(np.median), spec(n)), 2.5, 0.1)
        cheap(Cost(lambda x: row(selection.counted)(x, None, n), spec(n, dtype=np.int64)), 4, 0, 1.1)


TOPICS = [sorts, sorts_by_digits, picks, places, masks, ranks]

if __name__ == "__main__":
    for topic in TOPICS:
        if len(sys.argv) < 2 or topic.__name__ in sys.argv:
            topic()
    print("passed")
