"""What windows compile, wait for and move, by counters. `python -m tests.engines.xla.windows TOPIC`."""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import cunumeric as np
from cunumeric.arrays import picked
from cunumeric.engines.xla import execute, novelty, recipe
from cunumeric.graph import window
from cunumeric.runtime import lines, residence
from cunumeric.runtime.settings import settings

EXAMPLES = Path(__file__).parents[3] / "examples"


@contextlib.contextmanager
def assert_compiles(most: int, least: int = 0) -> Iterator[None]:
    """The block compiles so many programs."""
    np.synchronize()
    before = execute.counters.compiled
    yield
    np.synchronize()
    found = execute.counters.compiled - before
    assert least <= found <= most, f"{found} programs"


@contextlib.contextmanager
def assert_fetches(nbytes: int) -> Iterator[None]:
    """The block brings so many bytes home."""
    before = residence.counters.fetched
    yield
    assert residence.counters.fetched - before == nbytes


@contextlib.contextmanager
def assert_flushes(n: int) -> Iterator[None]:
    """The block runs so many windows."""
    before = window.counters.flushes
    yield
    assert window.counters.flushes - before == n


def transforms() -> None:
    """Inverse transforms of what is computed, which only GPUs turn into transforms forth, are NumPy's."""
    from cunumeric.ops.lowering import transforms as way

    fuses, turned = way._fuses, []
    way._fuses = lambda jx, a: turned.append(jx.computed(a)) or turned[-1]
    rng = numpy.random.default_rng(5)
    for shape in ((12,), (7, 10), (3, 4, 5)):
        x = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        for norm in (None, "ortho", "forward"):
            for f in "ifft", "ifftn":
                expected = getattr(numpy.fft, f)(x * 0.5, norm=norm)
                found = getattr(np.fft, f)(np.array(x) * 0.5, norm=norm)
                numpy.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    real = rng.normal(size=(9, 8))
    numpy.testing.assert_allclose(np.fft.ifft2(np.array(real) + 1), numpy.fft.ifft2(real + 1), rtol=1e-13, atol=1e-13)
    assert any(turned)
    numpy.testing.assert_allclose(np.fft.ifft2(np.array(x), (3, 7)), numpy.fft.ifft2(x, (3, 7)), rtol=1e-13, atol=1e-13)
    assert not turned[-1]
    way._fuses = fuses


def grouped() -> None:
    """Running sums and products by groups, which only GPUs take, are NumPy's."""
    from cunumeric.engines.xla.sharded import grouped as way

    suits, least = way.suits, way._FROM
    way.suits, way._FROM = (lambda jx, a, axis: axis == a.ndim - 1), 16
    rng = numpy.random.default_rng(5)
    try:
        for shape in ((1,), (7,), (8,), (17,), (100,), (4097,), (3, 129)):
            for dtype in ("float64", "int32", "complex64"):
                a = rng.integers(-3, 4, shape).astype(dtype)
                b = numpy.where(a > 2, -1, 1).astype(dtype)
                assert numpy.allclose(numpy.asarray(np.cumsum(np.array(a), -1)), numpy.cumsum(a, -1)), (shape, dtype)
                assert numpy.allclose(numpy.asarray(np.cumprod(np.array(b), -1)), numpy.cumprod(b, -1)), (shape, dtype)
    finally:
        way.suits, way._FROM = suits, least


def ingest() -> None:
    """What is made large from what is small, or comes from outside, is where the accelerator can write it: no window
    has to run on the host for it."""
    least, settings.record_min = settings.record_min, 1024
    x = np.linspace(0, 1, 64)
    outside = numpy.ones((64, 64))
    made = {
        "operator": x[:, None] * x,
        "comparison": (x[:, None] < x) + 0.0,
        "ufunc": np.hypot(x[:, None], x),
        "product": x[:, None] @ x[None],
        "asarray": np.asarray(outside),
        "concatenated": np.concatenate([x] * 64).reshape(64, 64),
    }
    before = execute.counters.hosted
    for name, a in made.items():
        a[1:-1] = 0.5 * (a[2:] + a[:-2])
        np.synchronize()
        assert execute.counters.hosted == before, name
    assert outside[1, 1] == 1  # an input is copied
    settings.record_min = least


def channel_flow() -> None:
    """However many steps it runs, the example compiles at most four programs; and gives NumPy's flow."""
    spec = importlib.util.spec_from_file_location("channel_flow", EXAMPLES / "channel_flow.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for sweeps in (10, 50):
        example.np = np
        example.simulate(24, 24, 1, sweeps=sweeps)  # what is before and after the loop
        with assert_compiles(4):
            found = example.simulate(24, 24, 40, sweeps=sweeps)
        example.np = numpy
        expected = example.simulate(24, 24, 40, sweeps=sweeps)
        for ours, numpys in zip(found[:3], expected[:3], strict=True):
            assert numpy.allclose(numpy.asarray(ours), numpys, rtol=1e-9, atol=1e-12)


def arguments() -> None:
    """Changing numbers and moving slices are arguments of programs."""
    x = np.arange(400.0).reshape(20, 20).copy()
    for _ in range(2):
        (x * 2.5 + 1).sum().item()
    with assert_compiles(0):
        for k in range(5):
            (x * (k + 0.1) + k).sum().item()
    with assert_compiles(2, 2):  # a number that is equal to another for once
        for k in (3.0, 2.0, 5.0, 3.0, 1.0):
            found = (x * k + 3.0) * 5.0 - x / k
            np.synchronize()
            assert found[7, 3].item() == (143 * k + 3.0) * 5.0 - 143 / k
    y = numpy.asarray(x.copy())
    with assert_compiles(3):
        for k in range(1, 17):
            x[k] = x[k - 1] * 0.5 + x[k + 1 : k + 3].sum(axis=0)
            np.synchronize()
    for k in range(1, 17):
        y[k] = y[k - 1] * 0.5 + y[k + 1 : k + 3].sum(axis=0)
    assert numpy.allclose(x.copy().tolist(), y)


def literals() -> None:
    """Many numbers are in the program at first; when others come they are arguments, once and for all."""
    a = numpy.linspace(1, 2, 300)
    x = np.array(a)
    np.synchronize()

    def chain(v: Any, k: float) -> Any:
        return ((((v / 3.1 + k) / 7.3 - 0.1) / 1.9 + 5.7) / 2.3 - 1.3) / 0.7

    for k, programs in ((0.5, 1), (0.5, 0), (0.7, 1), (0.5, 0), (0.9, 0)):
        with assert_compiles(programs, programs):
            found = chain(x, k)
        assert found.tolist() == chain(a, k).tolist()  # quotients and sums alone: nothing is contracted


def changing() -> None:
    """Numbers that change from call to call do not compile again and again, and results are NumPy's."""
    rng = numpy.random.default_rng(3)
    table, line = rng.normal(size=(30, 40)), rng.normal(size=1300)
    single, odd = line.astype("f4"), numpy.where(line > 0, line, numpy.nan)
    cases: list[Callable[..., Any]] = [
        lambda np, a, b, c, d, i: np.clip(a, -0.1 * i, 0.1 * i),
        lambda np, a, b, c, d, i: c.clip(0.01 * i, None),
        lambda np, a, b, c, d, i: np.clip(np.arange(1300) - 600, -i, 5 * i),
        lambda np, a, b, c, d, i: np.clip(np.arange(1300, dtype="i4"), 0, 0.5 + i),
        lambda np, a, b, c, d, i: np.roll(b, i),
        lambda np, a, b, c, d, i: np.roll(a, -3 * i, axis=1),
        lambda np, a, b, c, d, i: np.quantile(b, 0.07 * i),
        lambda np, a, b, c, d, i: np.percentile(a, 7.1 * i, axis=0),
        lambda np, a, b, c, d, i: np.nanpercentile(d, 3 * i, method="hazen"),
        lambda np, a, b, c, d, i: np.quantile(a, 0.05 * i, axis=1, method="higher", keepdims=True),
        lambda np, a, b, c, d, i: np.linspace(0.1, 1.0 * i, 1300),
        lambda np, a, b, c, d, i: np.linspace(-i, 3.3, 1300, endpoint=False, dtype="f4"),
        lambda np, a, b, c, d, i: np.arange(0.1 * i, 130.0 + 0.1 * i, 0.1),
        lambda np, a, b, c, d, i: np.arange(i, 1300 + i, dtype="f4"),
        lambda np, a, b, c, d, i: np.arange(i, 13 * i, 1),
        lambda np, a, b, c, d, i: np.arange(-i, 1300 - i),
        lambda np, a, b, c, d, i: np.eye(40, k=i) + np.tri(40, 40, -i),
        lambda np, a, b, c, d, i: np.tril(a, i - 3) + np.triu(a, i),
        lambda np, a, b, c, d, i: np.pad(a, 2, constant_values=0.1 * i),
        lambda np, a, b, c, d, i: a.max(axis=0, initial=0.2 * i),
        lambda np, a, b, c, d, i: np.min(c, initial=-0.3 * i),
        lambda np, a, b, c, d, i: np.max(c.astype("f8"), axis=0, initial=0.1 * i) == 0.1 * i,
        lambda np, a, b, c, d, i: np.maximum.reduce(a, initial=0.2 * i),
        lambda np, a, b, c, d, i: np.nan_to_num(d, nan=0.1 * i),
        lambda np, a, b, c, d, i: np.nan_to_num(d.astype("f4"), nan=0.1 * i, posinf=3.0),
        lambda np, a, b, c, d, i: np.isclose(a, 0.3, rtol=0.1 * i),
        lambda np, a, b, c, d, i: np.isclose(c, 0.1 * i, rtol=1e-3, atol=0.1 * i),
        lambda np, a, b, c, d, i: np.diff(b, prepend=0.1 * i, append=i),
        lambda np, a, b, c, d, i: np.delete(b, i),
        lambda np, a, b, c, d, i: np.delete(a, -i, axis=0),
        lambda np, a, b, c, d, i: np.insert(b, -i, 0.5),
        lambda np, a, b, c, d, i: np.insert(a, i, np.arange(30.0), axis=1),
        lambda np, a, b, c, d, i: np.insert(a, i, a[:, :2], axis=1) if i < 0 else np.insert(a, 3 * i, 0.1, axis=0),
    ]
    there = [np.array(v) for v in (table, line, single, odd)]
    for k, case in enumerate(cases):
        for i in range(1, 6):  # up to four as they are, and one as an operand
            found = case(np, *there, i)
            np.synchronize()
        before = execute.counters.ran
        for i in range(6, 10):
            with assert_compiles(1 if k in (14, 17) else 0):  # another length; two numbers in one window
                found = case(np, *there, i)
            expected = case(numpy, table, line, single, odd, i)
            assert found.dtype == expected.dtype and found.shape == expected.shape, k
            if 6 <= k <= 8:  # between neighbours a product is added, which XLA contracts
                numpy.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-15)
            else:
                assert numpy.array_equal(numpy.asarray(found), expected, equal_nan=True), (k, i)
        assert execute.counters.ran > before, k
    x = np.array(line)
    for zero in (0.0, -0.0, 0.0, -0.0):  # which are equal
        assert numpy.signbit(numpy.asarray(np.pad(x, 1, constant_values=zero))[0]) == numpy.signbit(zero)
    fixed: list[Callable[..., Any]] = [  # NumPy's scalars
        lambda np, x: np.roll(x, numpy.int64(3)),
        lambda np, x: np.delete(x, numpy.int64(-3)),
        lambda np, x: np.insert(x, numpy.int64(3), 0.5),
        lambda np, x: np.pad(x, 2, constant_values=numpy.float64(0.5)),
        lambda np, x: np.percentile(x, numpy.float64(50)),
        lambda np, x: np.insert(x, numpy.int64(4), 0.5),
        lambda np, x: np.insert(x, numpy.int64(5), 0.5),
        lambda np, x: np.insert(x, numpy.array(6), 0.25),
        lambda np, x: np.roll(x, numpy.array(2)) + np.roll(x, numpy.array(5)),
    ]
    for f in fixed:
        before = execute.counters.ran
        assert numpy.array_equal(numpy.asarray(f(np, x)), f(numpy, line))
        assert execute.counters.ran > before
    # What NumPy refuses is refused as ever.
    refused: list[Callable[..., Any]] = [
        lambda i: np.quantile(x, 1.0 + i),
        lambda i: np.delete(x, 1300 + i),
        lambda i: np.insert(x, 2000 + i, 0),
        lambda i: np.delete(x, numpy.int64(1300 + i)),
        lambda i: np.insert(x, numpy.int64(2000 + i), 0),
    ]
    for bad in refused:
        for i in range(1, 8):
            with pytest.raises((ValueError, IndexError)):
                bad(i)


def quotients() -> None:
    """Quotients and roots are rounded once, as NumPy's are, whatever they are computed with."""
    rng = numpy.random.default_rng(0)
    a, b, c, d = (rng.random(5000) * 9 + 0.1 for _ in range(4))
    n, huge = numpy.arange(1.0, 5001), numpy.full(5000, 1e200)
    table = a[:4900].reshape(49, 100)
    cases: list[Callable[..., Any]] = [
        lambda np, a, b, c, d, n, huge, table: n / 49.0,
        lambda np, a, b, c, d, n, huge, table: np.floor(n / 49),
        lambda np, a, b, c, d, n, huge, table: n.astype("f4") / np.float32(49),
        lambda np, a, b, c, d, n, huge, table: (n % 2000).astype("f2") / np.float16(49),
        lambda np, a, b, c, d, n, huge, table: n / n.max(),
        lambda np, a, b, c, d, n, huge, table: n.reshape(50, 100) / 49,
        lambda np, a, b, c, d, n, huge, table: n.reshape(10, 5, 100) / n[:5, None],
        lambda np, a, b, c, d, n, huge, table: n.reshape(10, 5, 100) / n[:10, None, None],
        lambda np, a, b, c, d, n, huge, table: table / table[:, :1],
        lambda np, a, b, c, d, n, huge, table: table / table[0],
        lambda np, a, b, c, d, n, huge, table: (table * 0 + 1).mean(0),
        lambda np, a, b, c, d, n, huge, table: np.average(table * 0 + 3, axis=0),
        lambda np, a, b, c, d, n, huge, table: np.nanmean(table * 0 + 1, axis=0),
        lambda np, a, b, c, d, n, huge, table: np.gradient(n * n, 0.3),
        lambda np, a, b, c, d, n, huge, table: a / b / c,
        lambda np, a, b, c, d, n, huge, table: a / 3.3 / 1.1,
        lambda np, a, b, c, d, n, huge, table: a / (b / c),
        lambda np, a, b, c, d, n, huge, table: (a / b) / (c / d),
        lambda np, a, b, c, d, n, huge, table: a / np.sqrt(b),
        lambda np, a, b, c, d, n, huge, table: 1 / np.sqrt(b),
        lambda np, a, b, c, d, n, huge, table: np.reciprocal(np.sqrt(b)),
        lambda np, a, b, c, d, n, huge, table: np.sqrt(a.astype("f4")) / np.sqrt(b.astype("f4")),
        lambda np, a, b, c, d, n, huge, table: huge / (huge / huge),
        lambda np, a, b, c, d, n, huge, table: a**2.0,
    ]
    there = [np.array(v) for v in (a, b, c, d, n, huge, table)]
    for k, case in enumerate(cases):
        before = execute.counters.ran
        found = numpy.asarray(case(np, *there))
        assert execute.counters.ran > before, k
        assert (found == case(numpy, a, b, c, d, n, huge, table)).all(), k


def ranges() -> None:
    """Results take the addresses of arrays that died, in C where that is there: values, views, lines and what is held
    are as on new ones."""
    from cunumeric.runtime import addresses

    least, addresses.UNBACKED_FROM, kept, lines.KEPT_FROM = addresses.UNBACKED_FROM, 1, lines.KEPT_FROM, 1
    try:
        a = numpy.arange(24.0).reshape(4, 6)
        x, starts = np.array(a), set()
        for k in range(12):
            y, z = x * (k + 1.5), (x + k).T  # both of the size of those that die
            w = y.copy()
            w[1:3] -= z.T[1:3]
            np.synchronize()
            remote = residence.remote_of(y._a)
            assert remote is not None
            assert remote.range is not None
            assert not remote.range.touched
            assert (remote.layout, remote.kind, remote.home) == ((4, 6), numpy.dtype(float), False)
            starts.add(remote.start)
            flags = y._a.flags
            assert (flags.c_contiguous, flags.writeable, flags.owndata) == (True, True, False)
            expected = a * (k + 1.5)
            assert (y.tolist(), z.tolist()) == (expected.tolist(), (a + k).T.tolist())
            expected[1:3] -= (a + k)[1:3]
            assert numpy.allclose(w.tolist(), expected)
            w[0, 0] = k  # NumPy may write there
            assert numpy.asarray(w)[0, 0] == k
        assert len(starts) < 12
        held = len(residence.held())
        del x, y, z, w, remote
        gc.collect()
        assert len(residence.held()) < held
    finally:
        addresses.UNBACKED_FROM, lines.KEPT_FROM = least, kept


def repeated() -> None:
    """Calls of one array that were recorded before are recorded in C, where that is there; others are not."""
    from cunumeric.arrays import lowered

    x, y = np.arange(12.0).reshape(3, 4).copy(), np.arange(12.0).reshape(3, 4).T.copy("F")
    np.synchronize()
    for _ in range(2):
        assert (float(x.sum()), np.sort(x).tolist(), x.argmax()) == (66.0, x.tolist(), 11)
        np.synchronize()
    asked = []
    first = lowered.recorded
    lowered.recorded = lambda *args: asked.append(args[0]) or first(*args)
    try:
        with assert_flushes(0):
            s, m = x.sum(), (x * 2).sum()
            t = s / m + x.sum() * 2.0 - 1.0 / s
            z = t * x
        assert not asked or lowered.again is None
        assert (y.sum() == 66, np.sort(y).flags.f_contiguous, x.sum(axis=0).tolist()) == (
            True, numpy.sort(numpy.zeros((4, 3), order="F")).flags.f_contiguous, [12.0, 15.0, 18.0, 21.0],
        )  # fmt: skip
        with numpy.errstate(all="raise"), pytest.raises(FloatingPointError):
            (x * 1e308).sum()
        assert numpy.allclose(z.tolist(), (66 / 132 + 132.0 - 1 / 66) * numpy.arange(12.0).reshape(3, 4))
    finally:
        lowered.recorded = first
    with np.eager():
        assert x.sum() == 66
    w = numpy.asarray(x)  # from here on its owner writes past us
    w[0, 0] = 5
    assert x.sum() == 71


def scalars() -> None:
    """A full reduction does not wait; asking does."""
    x = np.arange(10.0) + 1
    with assert_flushes(0):
        s = x.sum()
        t = (s / 2 + 1) * x.max() - 3 * s
        y = x * t
        z = numpy.float64(2) * numpy.sqrt(s)
    with assert_flushes(1):
        assert isinstance(s, numpy.float64)
        assert f"{s:.1f}" == "55.0"
    assert (s == 55, hash(s) == hash(55.0), int(s), [4, 5][x.argmin()]) == (True, True, 55, 4)
    assert numpy.allclose([t, z, y[2]], [120.0, 2 * 55**0.5, 360.0])
    assert np.array([s, s]).tolist() == [55.0, 55.0]


def loops() -> None:
    """A loop without reads is cut where it comes round, and what it throws away is not written out."""
    u, v = np.ones(64), np.ones(64)
    with assert_compiles(2):
        for _ in range(400):
            w = u * 0.5 + v
            u, v = w - 0.25 * v, w * 0.125 + 1
    assert numpy.isfinite(u.sum())
    expected = numpy.ones(64), numpy.ones(64)
    for _ in range(400):
        w = expected[0] * 0.5 + expected[1]
        expected = w - 0.25 * expected[1], w * 0.125 + 1
    assert numpy.allclose(numpy.asarray(v), expected[1])


def reads() -> None:
    """Where every window ends in a read no loop is looked for; one that comes later, without reads, is found."""
    x = np.ones(64)
    for k in range(6):
        for _ in range(20 + k):
            x = x * 0.5 + 1
        with assert_flushes(1):
            assert float(x[3]) <= 2
        assert window._loops.quiet >= 40
    before = window.counters.flushes
    with assert_compiles(3):
        for _ in range(300):
            x = np.sqrt(x) * 0.5 + 1
        np.synchronize()
    assert window.counters.flushes - before in range(4, 9) and not window._loops.quiet
    expected = numpy.ones(64)
    for k in range(6):
        for _ in range(20 + k):
            expected = expected * 0.5 + 1
    for _ in range(300):
        expected = numpy.sqrt(expected) * 0.5 + 1
    assert numpy.array_equal(x.tolist(), expected)  # halves and roots: contraction changes nothing


def novelties() -> None:
    """Shapes that never come again are not compiled for ever; what comes again is, and what is much work."""
    before, settings.record_min = settings.record_min, 100
    limits = novelty._FIXED, novelty._EACH
    try:
        rng = numpy.random.default_rng(1)
        start = rng.random((60, 60)) + 60 * numpy.eye(60)

        def eliminated(np: Any) -> Any:
            a = np.array(start)
            for k in range(40):
                a[k + 1 :, k] /= a[k, k]
                a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
            return a

        hosted = execute.counters.hosted
        with assert_compiles(2 * novelty.PATIENCE):
            found = eliminated(np)
        assert execute.counters.hosted > hosted + 5
        numpy.testing.assert_allclose(found, eliminated(numpy), rtol=1e-13)  # XLA contracts products with sums
        a = np.array(start)
        for step in range(5):  # the second time it is compiled, from the third on there is a program
            with assert_compiles(int(step == 1), int(step == 1)):
                x = np.sqrt(a) * 0.5 + np.exp(a * 0.01)
        assert novelty.alone == 0
        # XLA has an `exp` of its own.
        numpy.testing.assert_allclose(x, numpy.sqrt(start) * 0.5 + numpy.exp(start * 0.01), rtol=1e-13)
        novelty.alone = novelty.PATIENCE
        novelty._FIXED, novelty._EACH = 30_000, 0
        for n, programs in ((1000, 0), (2000, 0), (4000, 1), (5000, 1)):
            a = np.array(rng.random(n))
            with assert_compiles(programs, programs):
                x = np.sin(a) * 2
            assert x.shape == (n,)
    finally:
        settings.record_min, (novelty._FIXED, novelty._EACH) = before, limits


def temporaries() -> None:
    """Windows of a loop end where no temporary lives, wherever the loop began."""
    p = np.ones((40, 40)) * 1
    for _ in range(3):
        p = np.sqrt(p) + 1

    def step(p: Any) -> Any:
        w = 4.0 * p
        w[1:] -= p[:-1]
        w[:-1] -= p[1:]
        return p - 0.01 * w

    for _ in range(200):
        p = step(p)
    np.synchronize()
    long = [program.lowering for program in execute.programs() if len(program.lowering.items) > 100]
    made = [len(lowering.written) + sum(item[4] for item in lowering.items if len(item) > 2) for lowering in long]
    assert set(made) == {1}, made


def busy() -> None:
    """Where a few recordings keep the device busy, windows are a few turns long; the loop inside a loop is not cut."""
    ran: list[int] = []
    before, least = window.run, window._Loops.BUSY
    window._Loops.BUSY = 1 << 16
    window.run = lambda pending, reduction: ran.append(len(pending)) or before(pending, reduction)
    try:
        p, b = np.ones((40, 40)) * 1, np.ones((40, 40))
        with assert_compiles(5):
            for _ in range(60):
                p = np.sqrt(p) * 0.5 + b
            np.synchronize()
        assert max(ran[1:]) < 2 * window._Loops.FEW and len(set(ran[1:-1])) == 1, ran
        del ran[:]
        for _ in range(12):
            b = np.sqrt(p) - 0.5 * b
            for _ in range(5):
                old = p.copy()
                p[1:-1] = 0.25 * (old[:-2] + old[2:]) + b[1:-1]
                p[0], p[-1] = p[1], p[-2]
        np.synchronize()
        assert len(ran) >= 9 and len(set(ran[3:])) == 1, ran  # a step each
    finally:
        window.run, window._Loops.BUSY = before, least


def parts() -> None:
    """Reading a part moves that part."""
    x = np.arange(10_000.0).reshape(100, 100) * 1
    np.synchronize()
    with assert_fetches(8):
        assert x[5, 7] == 507
    with assert_fetches(80):
        assert str(x[5, :10] + 0)[:5] == "[500."
    with assert_fetches(0):
        assert (x.T[::2].shape, x.reshape(-1)[3:].strides) == ((50, 100), (8,))


def copies() -> None:
    """What only reads an array leaves it on the device: it is not sent there again."""
    x = np.arange(1000.0) * 2
    np.synchronize()
    y = x + 1
    np.synchronize()
    sent = residence.counters.sent
    reads: list[Callable[[], Any]] = [
        lambda: (str(x), repr(x), np.array2string(x), format(x[3:4], "")),
        lambda: (x.tolist(), x.tobytes(), x.item(3), x.tofile(os.devnull)),
        lambda: (np.save(io.BytesIO(), x), np.savez(io.BytesIO(), x=x)),
        lambda: (list(x[:3]), 4.0 in x, copy.copy(x), copy.deepcopy(x)),
    ]
    for read in reads:
        read()
        y = x + 1
        np.synchronize()
        assert residence.counters.sent == sent
    assert y[3] == 7


def bounds() -> None:
    """Indices out of bounds are errors at the next read, and write nothing."""
    x = np.arange(10.0) * 1
    far = np.array([1, 2, 11]) + 1
    y = x[far] * 2
    try:
        y.tolist()
        raise AssertionError("no error")
    except IndexError as error:
        assert "index 12 is out of bounds" in str(error)
        assert "windows.py" in error.__notes__[0]
    with contextlib.suppress(IndexError):
        x[far] = 7
        np.synchronize()
    with contextlib.suppress(IndexError):
        x[np.array([1, 2, 11]) + 1] = 7
        np.synchronize()
    assert x.tolist() == list(range(10))
    # What was looked at is not looked at again, until it changes.
    near = np.array([1, 2, 3]) + 1
    np.synchronize()
    x[near].tolist()
    recorded = window.counters.recorded
    for _ in range(3):
        assert x[near].tolist() == [2, 3, 4]
    assert window.counters.recorded == recorded + 3
    near += 6
    try:
        x[near].tolist()
        raise AssertionError("no error")
    except IndexError as error:
        assert "index 10 is out of bounds" in str(error)
    with contextlib.suppress(IndexError):
        x[near].tolist()
        raise AssertionError("no error")
    for k in range(200):  # what nobody reads does not pile up
        y = x[near - 6 - k % 2]
    assert len(picked._watched) <= picked._WATCHED_MOST
    order = np.array([1, 1, 1]) + 1
    x[order] = np.array([7.0, 8.0, 9.0])
    assert x[2] == 9


def sharing() -> None:
    """JAX reads the device's value; what comes from it is copied."""
    import jax.numpy as jnp

    x = np.arange(1000.0) * 2
    with assert_fetches(0):
        y = jnp.asarray(x)
        row = x.reshape(10, 100)[::2, 5:].__jax_array__()
        x += 1
    assert (float(y[3]), row.shape, float(row[1, 0]), x[3]) == (6.0, (5, 95), 410.0, 7.0)
    assert (np.from_dlpack(jnp.arange(5.0)) + 1).tolist() == [1, 2, 3, 4, 5]


def complex_parts() -> None:
    """Programs that differ in nothing but the part of complex numbers are two."""
    for dtype in ("complex64", "complex128"):
        for part, expected in (("imag", 0.0), ("real", 3.0), ("imag", 0.0)):
            assert getattr(np.arange(4, dtype=dtype), part).max() == expected
            x = np.arange(4, dtype=dtype) + 0
            getattr(x, part)[1:] = 7
            assert x.tolist() == [0, *([7, 7, 7] if part == "real" else [1 + 7j, 2 + 7j, 3 + 7j])]


def dying() -> None:
    """Arrays that the collector finds when a window's key has been made: the program is that of the key."""
    x = np.arange(1000.0) + 0
    for _ in range(3):
        for seen in (True, False):
            y, cycle = x * 3 - 2, [x * 2]
            cycle.append(cycle)
            with pytest.MonkeyPatch.context() as patch:
                if seen:
                    form = recipe.Recipe.form
                    patch.setattr(recipe.Recipe, "form", lambda self, form=form: (gc.collect(), form(self))[1])
                del cycle
                assert y[3] == 7
            gc.collect()


def fork() -> None:
    """A child has everything at home, and the host's engine."""
    x = np.arange(1000.0) * 2
    y = x + 1
    child = os.fork()
    if not child:
        good = y.sum() == 1_000_000 and (y * 2)[3] == 14
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (y + 1)[3] == 8


def canaries() -> None:
    """XLA's miscompiles that lowerings avoid (openxla/xla#49176: a shifted write and then a new axis)."""
    x = np.arange(12.0)
    x[1:] = x[:-1]
    y = x.reshape(12, 1) * 1
    assert y.ravel().tolist() == [0, *range(11)]
    a = numpy.asarray([-7, 7, -7, 0, 5], numpy.int64)
    b = numpy.asarray([2, -2, 0, 0, 63], numpy.int64)
    with numpy.errstate(all="ignore"):
        for f in ("floor_divide", "remainder", "fmod", "left_shift", "right_shift"):
            assert (getattr(np, f)(np.array(a), np.array(b)) == getattr(numpy, f)(a, b)).all(), f
        strange = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 1e300, -3.9])
        for kind in ("int64", "int32", "int16", "uint8"):
            assert (np.array(strange).astype(kind) == strange.astype(kind)).all(), kind
        mixed = numpy.array([-1, 3], numpy.int64), numpy.array([2**63, 3], numpy.uint64)
        assert (np.less(*map(np.array, mixed)) == numpy.less(*mixed)).all()


TOPICS: dict[str, Any] = {
    f.__name__: f
    for f in (
        arguments, bounds, busy, canaries, changing, channel_flow, complex_parts, copies, dying, fork, grouped,
        ingest, literals, loops, novelties, parts, quotients, ranges, reads, repeated, scalars, sharing,
        temporaries, transforms,
    )
}  # fmt: skip


def main() -> None:
    assert settings.engine == "xla"
    for topic in sys.argv[1:] or TOPICS:
        TOPICS[topic]()
        print(topic, "passed", flush=True)


if __name__ == "__main__":
    main()
