"""Sorting, searching, counting, sets."""

import pytest

from .compare import attempt, compared, for_all_dtypes, for_sizes, sample

DTYPES = ["float64", "float32", "int64", "uint8", "bool"]


def rows(np, dtype, n):
    """A matrix of about `n` elements, with ties, and without NaN."""
    return sample(np, dtype, n - n % 3, 1, special=False).reshape(3, -1)


@for_sizes
@pytest.mark.parametrize("dtype", DTYPES)
@compared
def test_sort(np, dtype, n):
    x, m = sample(np, dtype, n, 2), rows(np, dtype, n)
    y, z = x.copy(), m.copy()
    y.sort()
    r = z.sort(axis=0)
    w = x + x if dtype != "bool" else ~x
    return [
        np.sort(x), y, z, r, np.sort(m), np.sort(m, axis=0), np.sort(m, axis=None), np.sort(x, kind="stable"),
        np.sort(x[::-1]), np.sort(w), np.argsort(x, kind="stable"), np.argsort(m, axis=0, stable=True), np.sort(m.T),
        np.sort(m, 1, "heapsort"), attempt(np.sort, x, 1), attempt(np.sort, x, kind="spam"), attempt(np.sort, 3),
        np.lexsort((x, -x if dtype != "bool" else x)), x[np.argsort(x)], np.sort(np.partition(x, n // 2)[: n // 2]),
        np.partition(x, n // 2)[n // 2], x[np.argpartition(x, 3)[3]], attempt(np.partition, x, n + 5),
    ]  # fmt: skip


@for_sizes
@compared
def test_sort_in_place_of_recorded_work(np, n):
    x = np.arange(n) * 7.0 % 11
    x += 1
    v = x[::2]
    v.sort()
    y = x * 2
    y.sort()
    x[::-1].sort()
    z = x + 0
    z.partition(3)
    return [x, v, y, z[3], attempt(np.asarray(range(3)).sort, 5)]


@for_sizes
@pytest.mark.parametrize("dtype", DTYPES)
@compared
def test_unique_and_sets(np, dtype, n):
    x, y = sample(np, dtype, n, 2), sample(np, dtype, n, 4, special=False)
    return [
        np.unique(x), np.unique(x, return_index=True, return_inverse=True, return_counts=True),
        np.unique(x, equal_nan=False), np.unique(rows(np, dtype, 24), axis=0), np.sort(np.unique_values(y)),
        tuple(np.unique_counts(y)), tuple(np.unique_inverse(y)), np.intersect1d(x, y), np.union1d(x, y),
        np.setdiff1d(y, x), attempt(np.setxor1d, x, y), np.isin(x, y), np.isin(y, x[:3], invert=True),
        np.intersect1d(x, y, return_indices=True),
    ]  # fmt: skip


@for_sizes
@pytest.mark.parametrize("dtype", DTYPES)
@compared
def test_search_and_count(np, dtype, n):
    x = sample(np, dtype, n, 2, special=False)
    s, y = np.sort(x), sample(np, dtype, n, 4, special=False)
    return [
        np.searchsorted(s, y), np.searchsorted(s, y, side="right"),
        np.searchsorted(x, y, sorter=np.argsort(x, kind="stable")), s.searchsorted(x[0]),
        attempt(np.searchsorted, s, y, "spam"), np.argmax(x), np.argmin(x), np.argmax(rows(np, dtype, n), 0),
        np.argmin(rows(np, dtype, n), 1, keepdims=True), np.nonzero(x), np.flatnonzero(x), np.count_nonzero(x),
        np.argwhere(rows(np, dtype, n)), np.where(x), np.extract(y, x), np.nonzero(rows(np, dtype, n)),
        attempt(np.nonzero, np.array(1)), attempt(np.argmax, x, 3), attempt(np.argmax, x[:0]), np.array_equal(x, x),
        np.allclose(x, x), np.isclose(x, y), np.array_equiv(x, x[None]),
    ]  # fmt: skip


@for_sizes
@compared
def test_counting(np, n):
    x = sample(np, "float64", n, 2, special=False)
    k = abs(x * 8).astype(int)
    w = x * x
    return [
        np.bincount(k), np.bincount(k, minlength=50), np.bincount(k, w), attempt(np.bincount, -k - 1),
        attempt(np.bincount, x), np.histogram(x), np.histogram(x, 7, (-1, 1)), np.histogram(x, [-2, 0, 1]),
        np.histogram(x, weights=k), np.histogram(x, density=True), attempt(np.histogram, x, 0),
        attempt(np.histogram, x * np.nan), np.histogram_bin_edges(x, "sturges"), np.digitize(x, [-1, 0, 1]),
        np.digitize(x, [1, 0, -1], right=True), attempt(np.digitize, x, [1, 0, 1]), np.histogram2d(x, w, 4),
        np.histogramdd((x, w), 3), np.interp(x, [-1, 0, 1], [3, 4, 5]), np.median(x), np.percentile(x, [10, 90]),
        np.nanmedian(x), np.cumsum(k), np.cumprod(k % 2),
    ]  # fmt: skip


@for_all_dtypes
@compared
def test_every_dtype(np, dtype):
    x = sample(np, dtype, 23, 2, special=False)
    return [
        attempt(np.sort, x), attempt(np.argsort, x, kind="stable"), attempt(np.unique, x), attempt(np.argmax, x),
        attempt(np.searchsorted, np.sort(x), x), attempt(np.nonzero, x), attempt(np.isin, x, x[:2]), attempt(np.max, x),
        attempt(np.count_nonzero, x), attempt(np.median, x), attempt(np.partition, x, 0),
        attempt(np.where, x == x[0], x, x[1]),
    ]  # fmt: skip


@compared
def test_sort_by_fields(np):
    t = np.array([(2, b"a"), (1, b"c"), (2, b"A")], [("k", "i4"), ("s", "S1")])
    return [
        np.sort(t, order=["k", "s"]), np.argsort(t, order="s"), np.partition(t, 1, order="k")["k"],
        attempt(np.sort, t, order="spam"),
    ]  # fmt: skip


@compared
def test_structured_and_nan(np):
    t = np.array([(2, b"a"), (1, b"c"), (2, b"A")], [("k", "i4"), ("s", "S1")])
    x = np.array([np.nan, 1.0, -np.inf, np.nan, 0.0, -0.0])
    z = np.array([1 + 1j, complex(np.nan, 1), 0, 1 - 1j])
    return [
        np.sort(t), np.sort(x), np.argsort(x), np.sort(z), np.sort_complex(z), np.unique(x), np.unique(z), np.argmax(x),
        np.argmin(x), np.nanargmin(x), np.searchsorted(np.sort(x), x),
    ]  # fmt: skip
