import numpy as np
import pytest

from cunumeric.engines.host.kernels import count, sorting

from .compare import check


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(count, "LEAST", 4)
    monkeypatch.setattr(count, "COUNT_LEAST", 4)
    monkeypatch.setattr(sorting, "SEARCH_LEAST", 4)
    monkeypatch.setattr(count, "COUNT_BLOCK", 64)
    monkeypatch.setattr(count, "MOST_COUNTS", 64)


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i4", "u4", "i8", "u8", "f8"])
def test_bincount(rng, team, dtype):
    for size in (0, 1, 50, 500, (5, 6)):
        for high in (2, 20, 64, 100):
            x = rng.integers(0, high, size).astype(dtype)
            for minlength in (0, 5, 30, 100, -1, None):
                check(count.bincount, np.bincount, x, None, minlength)
            check(count.bincount, np.bincount, x, rng.random(size))
            if x.size:
                x.flat[-1] = -1 if x.dtype.kind == "i" else 0
                check(count.bincount, np.bincount, x)
    taken = count.bincount(np.arange(60, dtype="i4")) is not NotImplemented
    assert taken == (team > 2)


# Blocks are NumPy's own, and so is the size at which a second one begins.
@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("bins", [1, 7, 100, np.int64(10), 0, -1, True, 2.5, "auto", [0, 1, 5]])
def test_histogram(rng, dtype, bins):
    for size in (0, 1, 50, 70_000, 140_000):
        a = (rng.random(size) * 100).round(1).astype(dtype)
        for outer in (None, (0, 1), (10.5, 90), (-5, 200), (3, 3), (5, 2), (0, np.nan), (0.1, 0.7)):
            check(count.histogram, np.histogram, a, bins, outer)
            if outer is None or outer[0] == -5:
                check(count.histogram, np.histogram, a, bins, outer, weights=rng.random(size))
                check(count.histogram, np.histogram, a, bins, outer, density=True)
                check(count.histogram, np.histogram, a, bins, outer, density=True, weights=np.arange(size))


def test_histogram_specials(rng, team):
    a = rng.standard_normal(70_000)
    check(count.histogram, np.histogram, a, 50, taken=team > 1)
    check(count.histogram, np.histogram, a.astype("f4"), 50, (np.float64(-1), 1), taken=team > 1)
    check(count.histogram, np.histogram, rng.integers(-(2**63), 2**63 - 1, 70_000), 50, taken=team > 1)
    for special in (np.nan, np.inf):
        for where in (0, 65_536, 69_999):
            b = a.copy()
            b[where] = special
            check(count.histogram, np.histogram, b, 50)
            check(count.histogram, np.histogram, b, 50, (-1, 1), taken=team > 1)
    check(count.histogram, np.histogram, np.linspace(0, 1, 140_001), 10, taken=team > 1)
    check(count.histogram, np.histogram, a.reshape(7, -1), 10, taken=team > 1)
    check(count.histogram, np.histogram, a.reshape(7, -1).T, 10)
    check(count.histogram, np.histogram, a[::-1], 10)


@pytest.mark.parametrize("right", [False, True])
def test_digitize(rng, team, right):
    for dtype in ("i4", "f4", "f8", "?"):
        x = rng.integers(0, 20, (9, 11)).astype(dtype)
        for bins in ([], [3], [1, 4, 4, 9], [9, 4, 4, 1], [5, 5], [1, 3, 2], [1, np.nan], [np.nan, 1]):
            check(count.digitize, np.digitize, x, np.array(bins, float), right)
    check(count.digitize, np.digitize, x, np.array([3, 1, 0]), right, taken=team > 1)
