import numpy as np
import pytest

from cunumeric.engines.host.kernels import scan

from .compare import assert_same, check

DTYPES = ["?", "i1", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
UFUNCS = [
    np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.bitwise_and, np.bitwise_or, np.bitwise_xor,
    np.logical_and, np.logical_or, np.logical_xor, np.subtract, np.hypot,
]  # fmt: skip


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(scan, "LEAST", 4)
    monkeypatch.setattr(scan, "BLOCK", 16)
    monkeypatch.setattr(scan, "ROW", 5)
    monkeypatch.setattr(scan, "ROWS_LEAST", 20)


def data(rng, shape, dtype):
    """Whole numbers, so that sums are exact in every order."""
    a = rng.integers(-90, 90, shape)
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.integers(-9, 9, shape)
    return a.astype(dtype)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ufunc", UFUNCS)
def test_every_axis(rng, ufunc, dtype):
    for shape in [(100,), (9, 11), (4, 5, 6), (30, 2), (1, 20), (20, 1), (0,), (3, 0), ()]:
        a = data(rng, shape, dtype)
        if ufunc is np.multiply and a.size:
            a.flat[rng.integers(0, a.size, 3)] = 0
        for source in (a, a.T, a[::-1] if shape else a):
            for axis in range(-len(shape), len(shape) + 1):
                with np.errstate(all="ignore"):
                    check(lambda *args: scan.accumulate(ufunc, *args), ufunc.accumulate, source, axis)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wanted", [None, "i4", "i8", "f4", "f8", "c16", "O", "nonsense"])
def test_cumsum_cumprod(rng, dtype, wanted):
    for shape in [(100,), (9, 11)]:
        a = data(rng, shape, dtype)
        for axis in (None, 0, -1, 2, "x"):
            with np.errstate(all="ignore"):
                check(scan.cumsum, np.cumsum, a, axis, wanted)
                check(scan.cumprod, np.cumprod, a, axis, wanted)


@pytest.mark.parametrize("size", [8, 9, 15, 16, 17, 31, 64, 1000])
def test_long_lanes(rng, team, size):
    for dtype in ("f8", "c16", "f4"):
        check(scan.cumsum, np.cumsum, data(rng, size, dtype), taken=team > 1)
    check(scan.cumsum, np.cumsum, data(rng, size, "i8"), taken=False)
    check(scan.cumprod, np.cumprod, data(rng, size, "i8"), taken=False)
    for ufunc in (np.maximum, np.fmin):
        check(lambda a, ufunc=ufunc: scan.accumulate(ufunc, a), ufunc.accumulate, data(rng, size, "i4"), taken=team > 1)


def test_sums_are_as_accurate_and_repeatable(rng, team):
    a = rng.random(100_000).astype("f4")
    ours = scan.cumsum(a)
    if team == 1:
        assert ours is NotImplemented
        return
    exact = np.cumsum(a, dtype="f8")
    assert np.abs(ours - exact).max() <= np.abs(np.cumsum(a) - exact).max()
    assert_same(scan.cumsum(a), ours)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 0.0, -0.0])
@pytest.mark.parametrize("where", [0, 3, 40, 99])
def test_special_values(rng, special, where):
    a = data(rng, 100, "f8")
    a[where] = special
    for ufunc in (np.add, np.maximum, np.minimum, np.fmax, np.fmin):
        check(lambda a, ufunc=ufunc: scan.accumulate(ufunc, a), ufunc.accumulate, a)
        check(lambda a, ufunc=ufunc: scan.accumulate(ufunc, a), ufunc.accumulate, np.where(a == special, special, -0.0))
    two = a.reshape(10, 10)
    check(scan.cumsum, np.cumsum, two, 0)
    check(scan.cumsum, np.cumsum, two, 1)


def test_conditions_are_left_to_numpy(team):
    a = np.zeros(100)
    a[[10, 90]] = np.inf, -np.inf
    assert scan.cumsum(a) is NotImplemented
    a[[10, 30, 90]] = 1e308, 1e308, -1e308
    assert scan.cumsum(a) is NotImplemented
    assert scan.cumsum(a.reshape(10, 10).T.copy(), 0) is not None
    with np.errstate(all="ignore"):
        check(scan.cumsum, np.cumsum, a)


def test_out(rng, team):
    a = data(rng, 100, "f8")
    out = np.empty(100)
    if team > 1:
        assert scan.cumsum(a, out=out) is out
        assert_same(out, np.cumsum(a))
    assert scan.cumsum(a, out=a) is NotImplemented
    assert scan.cumsum(a, out=np.empty(99)) is NotImplemented
    assert scan.cumsum(a, out=np.empty(100, "f4")) is NotImplemented
    assert scan.cumsum(data(rng, 100, "i4"), out=np.empty(100, "i8")) is NotImplemented
    assert scan.cumsum(a.astype(object)) is NotImplemented
    assert scan.cumsum(a.view(np.recarray)) is NotImplemented
