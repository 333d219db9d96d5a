"""Compiled sweeps against NumPy, bit for bit: every operation that is compiled, on values that tell versions apart."""

from __future__ import annotations

import warnings

import numpy
import pytest

import cunumeric
from cunumeric.engines.host import native
from cunumeric.engines.host.compiled import casts, groups, ir, tier
from cunumeric.runtime.settings import settings

FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    2.5,
    -2.5,
    0.5,
    3e38,
    -3e38,
    1e-40,
    numpy.inf,
    -numpy.inf,
    numpy.nan,
    7.0,
    1e300,
    5e-324,
]
WIDTHS = {"i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (4, 8)}
DTYPES = ["?", *(f"{kind}{size}" for kind, sizes in WIDTHS.items() for size in sizes)]
UFUNCS = sorted(
    name
    for name, f in vars(numpy).items()
    if isinstance(f, numpy.ufunc) and f.nout == 1 and not f.signature and f.nin <= 2
)  # fmt: skip


def values(dtype: str, turn: int) -> numpy.ndarray:
    """37 values of a dtype (no multiple of a vector), among them those at which operations differ."""
    d = numpy.dtype(dtype)
    if d.kind == "f":
        with numpy.errstate(all="ignore"):
            found = numpy.array((FLOATS * 3)[:37], d)
        return numpy.roll(found, turn)
    if d.kind == "b":
        return numpy.arange(37) % (2 + turn) == 0
    info = numpy.iinfo(d)
    special = [info.min, info.max, 0, 1, 2, 3, 5, 7, 63, 64, 100, info.max // 2]
    special += [-1, -2, -100, info.min + 1] if d.kind == "i" else [info.max - 1]
    return numpy.roll(numpy.array((special * 4)[:37], d), turn)


def layouts(dtype: str, turn: int) -> list[numpy.ndarray]:
    """The same values one after another, apart, and one for all."""
    flat = values(dtype, turn)
    wide = numpy.zeros((37, 3), dtype)
    wide[:, 1] = flat
    return [flat, wide[:, 1], flat[3:4]]


def same(a: numpy.ndarray, b: numpy.ndarray) -> bool:
    """Equal bits; NaNs may differ in sign and payload, which IEEE leaves open."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind == "f":
        nan = numpy.isnan(a)
        if not numpy.array_equal(nan, numpy.isnan(b)):
            return False
        a, b = numpy.where(nan, 0, a), numpy.where(nan, 0, b)
    return a.tobytes() == b.tobytes()


def ours(a: numpy.ndarray) -> cunumeric.ndarray:
    """An array of ours with the layout of `a`."""
    if a.ndim and a.strides[0] != a.itemsize:
        whole = cunumeric.array(a.base)
        return whole[:, 1]
    return cunumeric.array(a)


def compiled(name: str, *dtypes: str) -> bool:
    """Whether the operation on these is compiled."""
    try:
        resolved = getattr(numpy, name).resolve_dtypes((*map(numpy.dtype, dtypes), None))
    except TypeError:
        return False
    return ir.supports(name, resolved)


def check(name: str, *arrays: numpy.ndarray) -> None:
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = getattr(numpy, name)(*arrays)
        mine = [ours(a) for a in arrays]
        found = numpy.asarray(getattr(cunumeric, name)(*mine))
    assert same(expected, found), f"{name} of {[a.dtype for a in arrays]}:\n{arrays}\n{expected}\nours:\n{found}"


@pytest.mark.parametrize("name", UFUNCS)
def test_operations(always, name):
    before, failed = tier.counters.loops + tier.counters.sweeps, tier.counters.failed
    wanted = 0
    for dtype in DTYPES:
        if getattr(numpy, name).nin == 1 and compiled(name, dtype):
            wanted += 1
            for a in layouts(dtype, 0)[:2]:
                check(name, a)
        elif getattr(numpy, name).nin == 2 and compiled(name, dtype, dtype):
            wanted += 1
            for x in layouts(dtype, 0):
                for turn in (1, 5, 12):
                    for y in layouts(dtype, turn):
                        if x.shape != (1,) or y.shape != (1,):
                            check(name, x, y)
    assert tier.counters.failed == failed
    assert (tier.counters.loops + tier.counters.sweeps > before) == (wanted > 0)


@pytest.mark.parametrize("to", DTYPES)
def test_casts(always, to):
    for dtype in filter(lambda dtype: ir.supports("cast", (numpy.dtype(dtype), numpy.dtype(to))), DTYPES):
        for a in layouts(dtype, 0)[:2]:
            with warnings.catch_warnings(), numpy.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                expected = a.astype(to)
                found = numpy.asarray(ours(a).astype(to))
            assert same(expected, found), f"{dtype} to {to}:\n{a}\n{expected}\nours:\n{found}"


@pytest.mark.parametrize("to", [f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)])
@pytest.mark.parametrize("source", ["f4", "f8"])
def test_casts_of_all_floats_to_integers(always, monkeypatch, source, to):
    """Numbers of every size, and those that do not fit, as NumPy's loop has them."""
    if not casts.exact(source, to):
        assert to == "u4", "only this one differs between the vectors and the rest of NumPy's own loop"
        return
    monkeypatch.setattr(settings, "tile", 32768)
    rng = numpy.random.default_rng(1)
    bits = rng.integers(0, 1 << 63, 20000, dtype="u8").view("f8") * rng.choice([-1, 1], 20000)
    scales = 10.0 ** rng.integers(-3, 21, 20000) * rng.choice([-1, 1], 20000)
    edges = numpy.array([2.0**k for k in range(70)])
    edges = numpy.concatenate([edges, -edges, numpy.nextafter(edges, 0), numpy.nextafter(edges, numpy.inf), -edges - 1])
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        a = numpy.concatenate([casts._NUMBERS, bits, rng.random(20000) * scales, edges]).astype(source)
        before = tier.counters.loops
        found = numpy.asarray((cunumeric.array(a) * 1).astype(to))
        assert tier.counters.loops > before
        assert same((a * 1).astype(to), found)


@pytest.mark.parametrize("to", ["i1", "u2", "i4", "i8", "u8"])
@pytest.mark.parametrize("source", ["f4", "f8"])
def test_casts_raise_numpys_flags(always, source, to):
    def told(a):
        heard = []
        with pytest.MonkeyPatch.context() as patch, numpy.errstate(invalid="warn", over="ignore"):
            patch.setattr(warnings, "warn_explicit", lambda message, *rest: heard.append(str(message)))
            y = (cunumeric.array(a) + 0).astype(to)
            cunumeric.synchronize()
            del y
        return heard

    for value in casts._NUMBERS:
        with numpy.errstate(all="ignore"):
            a = numpy.full(40, value).astype(source)
            try:
                with numpy.errstate(invalid="raise"):
                    (a + 0).astype(to)
                expected = []
            except FloatingPointError:
                expected = ["invalid value encountered in cast"]
        assert told(a) == expected, value


@pytest.mark.parametrize("dtype", DTYPES)
def test_where(always, dtype):
    for condition in layouts("?", 1):
        for x in layouts(dtype, 0):
            for y in layouts(dtype, 5):
                if max(a.size for a in (condition, x, y)) > 1:
                    expected = numpy.where(condition, x, y)
                    found = numpy.asarray(cunumeric.where(ours(condition), ours(x), ours(y)))
                    assert same(expected, found)


def test_bytes_of_booleans_are_kept(always):
    """A boolean whose byte is neither 0 nor 1 is true, and is copied as it is."""
    odd = numpy.array([0, 1, 2, 255, 0, 7] * 5, numpy.uint8).view(bool)
    mine = cunumeric.array(odd.view(numpy.uint8)).view(bool)
    for a, b in [
        (numpy.logical_not(odd), cunumeric.logical_not(mine)),
        (odd & True, mine & True),
        (odd.astype(float), mine.astype(float)),
        (odd.copy(), mine.copy()),
        (numpy.where(odd, odd, False), cunumeric.where(mine, mine, False)),
    ]:
        assert same(a, numpy.asarray(b))


@pytest.mark.parametrize("n", [5, 8, 9, 127, 128, 129, 300, 1000, 1999, 2048, 2049, 5003, 40001])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_sums_are_those_of_the_tiles(always, monkeypatch, n, dtype):
    monkeypatch.setattr(settings, "tile", 32768)

    def run():
        rng = numpy.random.default_rng(n)
        x = cunumeric.array((rng.random(n) - 0.5).astype(dtype))
        y = cunumeric.array(rng.random(n).astype(dtype))
        cunumeric.synchronize()
        found = [(x * x + y).sum(), (x * y - x).mean(), (x - y).std()]
        y += x * x
        y -= 0.25 * x
        found.append((y * y).sum())
        z = cunumeric.array(rng.random((3 + n // 50, 50)).astype(dtype))
        cunumeric.synchronize()
        found.append((2 * z[1:, 1:] + 1).sum())
        found += [(2 * z + 1).sum(axis=1), (z * z).max(axis=-1), (z - 0.5).mean(1), (z > 0.5).any(axis=1)]
        found.append(cunumeric.sqrt(x - 2).sum())
        x[n // 2] = numpy.inf
        found.append((x * y).sum())
        return [numpy.asarray(v).tobytes() for v in found]

    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        before = tier.counters.loops
        compiled = run()
        assert tier.counters.loops > before
        monkeypatch.setattr(settings, "compile", 0)
        assert compiled == run()


@pytest.mark.parametrize("chain", ["f4 f4", "f4 f8", "i2 f4", "u1 f4", "i4 f8"])
def test_sums_of_all_widths_are_added_up_in_the_loop(always, monkeypatch, chain):
    monkeypatch.setattr(settings, "tile", 32768)
    one, other = chain.split()
    a = (numpy.arange(50000) % 7).astype(one)
    x = cunumeric.array(a)
    cunumeric.synchronize()
    found = []
    plain = groups.Group.attached
    monkeypatch.setattr(groups.Group, "attached", lambda self, *rest: found.append(self.summed) or plain(self, *rest))
    for axis, shape in ((None, (-1,)), (1, (100, 500)), (1, (10, 5000))):
        del found[:]
        value = (x.reshape(shape).astype(other) * numpy.dtype(other).type(0.1)).sum(axis)
        assert max(found) >= 0
        expected = (a.reshape(shape).astype(other) * numpy.dtype(other).type(0.1)).sum(axis)
        if axis is None:
            assert numpy.allclose(value, expected, rtol=1e-5 if other == "f4" else 1e-13)
        else:
            assert same(numpy.asarray(value), expected)


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize("dtypes", ["f8 f8", "f4 f4", "i2 i2", "f8 f4", "f8 ?"])
def test_large_results_are_written_past_the_caches(always, monkeypatch, offset, dtypes):
    """From where memory is aligned on, in vectors; two results need not begin alike."""
    monkeypatch.setattr(native, "_STREAMED_FROM", 0)
    monkeypatch.setattr(settings, "tile", 4096)
    one, other = dtypes.split()
    x = numpy.arange(3000 + offset).astype(one)

    def run(np):
        a = np.array(x)
        to, second = np.zeros(3100, one), np.zeros(3100, other)
        getattr(np, "synchronize", int)()
        to[offset : offset + x.size] = a * a + 3 * a
        second[7 - offset % 8 : 7 - offset % 8 + x.size] = a * a > 50
        return numpy.asarray(to), numpy.asarray(second)

    for expected, found in zip(run(numpy), run(cunumeric), strict=True):
        assert same(expected, found)


@pytest.mark.parametrize("name", ["max", "sum", "min"])
@pytest.mark.parametrize("n", [3, 9, 40])
def test_rows_that_were_stored_are_reduced_where_they_lie(always, name, n):
    """What is reduced is an operand of the compiled loop in memory, not a value of its own."""
    rng = numpy.random.default_rng(n)
    a, b = rng.standard_normal((2, 12, n))
    x, y = cunumeric.array(a), cunumeric.array(b)
    for _ in range(3):
        a[1:-1, 1:] = a[1:-1, 1:] * 0.5 + b[1:-1, :-1] * b[2:, 1:]
        x[1:-1, 1:] = x[1:-1, 1:] * 0.5 + y[1:-1, :-1] * y[2:, 1:]
        assert getattr(x[1:-1, 1:], name)() == pytest.approx(getattr(a[1:-1, 1:], name)(), rel=1e-12)
    assert numpy.array_equal(x, a)


def test_rows_whose_flags_were_raised_are_done_over(always):
    """By instructions, which say whose the flags are; what is computed in place still has its old values then."""
    a = numpy.linspace(1.0, 2.0, 12 * 20).reshape(12, 20)
    a[5, 7] = 1e200
    x = cunumeric.array(a)
    with pytest.warns(RuntimeWarning, match="overflow encountered in multiply"):
        a *= a * a
    with pytest.warns(RuntimeWarning, match="overflow encountered in multiply") as heard:
        x[:, :] = x * (x * x)
        cunumeric.synchronize()
    assert len(heard) == 1
    assert numpy.array_equal(x, a)
