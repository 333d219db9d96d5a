import threading

import numpy as np
import pytest

from cunumeric.engines.host import native
from cunumeric.engines.host.kernels import sorting
from cunumeric.runtime.settings import settings

from .compare import assert_same, check, layout

DTYPES = ["?", "i1", "u2", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16"]
KINDS = [None, "quicksort", "heapsort", "mergesort", "stable", "wrong", 3]


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    for name in ("LONG_LEAST", "LANES_LEAST", "PARTED_LEAST", "SEARCH_LEAST", "UNIQUE_LEAST", "QUICK_LEAST"):
        monkeypatch.setattr(sorting, name, 4)
    monkeypatch.setattr(sorting, "BLOCK", 64)
    monkeypatch.setattr(sorting, "SAMPLES", 8)


def data(rng, shape, dtype, pattern="random"):
    size = int(np.prod(shape))
    if pattern == "random":
        a = rng.integers(-100, 100, size).astype("f8")
    elif pattern == "few":
        a = rng.integers(0, 2, size) * 3.0
    elif pattern == "equal":
        a = np.full(size, 5.0)
    elif pattern == "sorted":
        a = np.arange(size, dtype="f8") - size // 2
    elif pattern == "reversed":
        a = size // 2 - np.arange(size, dtype="f8")
    else:
        a = rng.choice([-0.0, 0.0, 1.0, np.nan, -np.inf, np.inf], size)
    if np.dtype(dtype).kind in "biu":
        a = np.nan_to_num(a, posinf=99, neginf=-99).astype("i8")
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.integers(-2, 2, size)
    return a.astype(dtype).reshape(shape)


PATTERNS = ["random", "few", "equal", "sorted", "reversed", "special"]


def by_value(kernel, reference, *args, **kwargs):
    """As `check`, where equal values may differ in their bits."""
    try:
        expected = reference(*args, **kwargs)
    except Exception:
        assert kernel(*args, **kwargs) is NotImplemented
        return NotImplemented
    ours = kernel(*args, **kwargs)
    if ours is not NotImplemented:
        assert (ours.dtype, ours.shape, layout(ours)) == (expected.dtype, expected.shape, layout(expected))
        np.testing.assert_array_equal(ours, expected)
    return ours


def sorted_in_place(sort):
    def function(a, *args, **kwargs):
        a = a.copy(order="K")
        result = sort(a, *args, **kwargs)
        return result if result is NotImplemented else a

    return function


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sort_one_lane(rng, team, dtype, pattern):
    for size in (0, 1, 3, 7, 8, 9, 50, 500, 1001):
        a = data(rng, size, dtype, pattern)
        for source in (a, a[::-1], a.reshape(-1, 1), a.reshape(1, -1)):
            for kind in KINDS:
                compare = check if kind in ("stable", "mergesort") else by_value
                before = source.copy()
                compare(sorting.sort, np.sort, source, -1, kind)
                compare(sorting.sort, np.sort, source, None, kind)
                compare(sorting.sort, np.sort, source, 0, kind)
                assert_same(np.ascontiguousarray(source), np.ascontiguousarray(before))
                compare(sorted_in_place(sorting.sort_into), sorted_in_place(np.ndarray.sort), source, 0, kind)
        check(sorting.sort, np.sort, a, stable=True)
        by_value(sorting.sort, np.sort, a, stable=False)
        check(sorting.sort, np.sort, a, kind="stable", stable=True)
        for kind in ("stable", "mergesort"):
            check(sorting.argsort, np.argsort, a, -1, kind)
            check(sorting.argsort, np.argsort, a.reshape(-1, 1), None, kind)
    if np.dtype(dtype).itemsize > 2:
        assert (sorting.sort(a) is NotImplemented) == (team == 1)
        assert (sorting.argsort(a, stable=True) is NotImplemented) == (team == 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sort_lanes(rng, team, dtype, pattern):
    for shape in [(9, 11), (4, 5, 6), (30, 2), (2, 300), (0, 3), (3, 0), (3, 1)]:
        a = data(rng, shape, dtype, pattern)
        for source in (a, a.T, a[::-1]):
            for axis in range(-len(shape), len(shape) + 1):
                for kind in (None, "stable"):
                    compare = check if kind == "stable" else by_value
                    compare(sorting.sort, np.sort, source, axis, kind)
                    compare(sorted_in_place(sorting.sort_into), sorted_in_place(np.ndarray.sort), source, axis, kind)
                    check(sorting.argsort, np.argsort, source, axis, kind)
                for kth in (0, 1, -1, 2, 200, [0, 1]):
                    check(sorting.partition, np.partition, source, kth, axis)
                    check(sorting.argpartition, np.argpartition, source, kth, axis)
    for kernel in (sorting.sort, sorting.argsort):
        assert (kernel(data(rng, (9, 11), dtype)) is NotImplemented) == (team == 1)


def test_in_place_keeps_what_it_refuses(rng):
    a = data(rng, 100, "f8")
    a.flags.writeable = False
    assert sorting.sort_into(a) is NotImplemented
    b = data(rng, 100, "f8")
    before = b.copy()
    for arguments in ({"axis": 1}, {"kind": "wrong"}, {"axis": None}):
        assert sorting.sort_into(b, **arguments) is NotImplemented
        assert_same(b, before)
    for odd in (b.astype(">f8"), b.astype(object), b.view(np.recarray), b.tolist()):
        for kernel in (sorting.sort, sorting.sort_into, sorting.argsort, sorting.unique):
            assert kernel(odd) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", ["i4", "u1", "f4", "f8", "c16"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_searchsorted(rng, team, dtype, other, pattern):
    for size in (0, 1, 50):
        order = data(rng, size, dtype, pattern)
        a = np.sort(order)
        for shape in (0, 3, 200, (9, 11)):
            v = data(rng, shape, other, pattern)
            for side in ("left", "right", "middle"):
                check(sorting.searchsorted, np.searchsorted, a, v, side)
                check(sorting.searchsorted, np.searchsorted, a[::-1], v, side)
                sorter = np.argsort(order)
                check(sorting.searchsorted, np.searchsorted, order, v, side, sorter)
                check(sorting.searchsorted, np.searchsorted, order, v, side, sorter[:-1])
                check(sorting.searchsorted, np.searchsorted, order, v, side, sorter + 1)
    assert (sorting.searchsorted(a, v) is NotImplemented) == (team == 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_unique(rng, dtype, pattern):
    for shape in (0, 1, 3, 8, 50, 1000, (9, 11)):
        a = data(rng, shape, dtype, pattern)
        for equal_nan in (True, False):
            by_value(sorting.unique, np.unique, a, equal_nan=equal_nan)
        for arguments in ({"return_index": True}, {"return_counts": True}, {"axis": 0}, {"sorted": False}):
            assert sorting.unique(a, **arguments) is NotImplemented
    if np.dtype(dtype).kind == "i":
        limits = np.iinfo(dtype)
        wide = rng.integers(limits.min, limits.max, 300, dtype=dtype, endpoint=True)
        check(sorting.unique, np.unique, wide)
        check(sorting.unique, np.unique, np.full(300, limits.min, dtype), taken=True)
        check(sorting.unique, np.unique, np.full(300, limits.max, dtype), taken=True)


in_c = pytest.mark.skipif(not native.available(), reason="elements are dealt in C")
of_words = pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8", "f4", "f8"])


@in_c
@of_words
def test_elements_are_dealt_to_buckets(monkeypatch, team, dtype):
    """Where values are distinct; few distinct ones would leave a thread with most of them."""
    monkeypatch.setattr(settings, "threads", team + 1)
    monkeypatch.setattr(sorting, "_sorts_quickly", lambda dtype: False)
    dealt = []
    monkeypatch.setattr(native, "deal", lambda *args, deal=native.deal: dealt.append(len(args[0])) or deal(*args))
    rng = np.random.default_rng(7)
    a = rng.permutation(5000).astype(dtype)
    if np.dtype(dtype).kind == "f":
        a[rng.integers(0, 5000, 40)] = np.nan
        a[rng.integers(0, 5000, 40)] = -0.0
    elif np.dtype(dtype).kind == "i":
        a -= 2500
    assert_same(sorting.sort(a, kind="stable"), np.sort(a, kind="stable"))
    assert sum(dealt) == 5000
    b = a.copy()
    assert sorting.sort_into(b, kind="stable") is None
    assert_same(b, np.sort(a, kind="stable"))
    assert_same(sorting.argsort(a, kind="stable"), np.argsort(a, kind="stable"))
    assert sum(dealt) == 4 * 5000  # argsort deals values and positions
    few = np.where(np.arange(5000) < 10, a, 3).astype(dtype)
    assert_same(sorting.sort(few, kind="stable"), np.sort(few, kind="stable"))
    assert sum(dealt) == 4 * 5000


@in_c
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("dtype", ["i4", "u8", "f4", "f8"])
def test_few_buckets_where_numpy_sorts_quickly(monkeypatch, team, dtype, quick):
    monkeypatch.setattr(settings, "threads", team + 1)
    monkeypatch.setattr(sorting, "_sorts_quickly", lambda dtype: quick)
    monkeypatch.setattr(native, "split_most", lambda: 0)
    many = []
    monkeypatch.setattr(native, "classify", lambda *a, f=native.classify: many.append(len(a[1]) + 1) or f(*a))
    a = np.random.default_rng(7).permutation(100_000).astype(dtype)
    assert_same(sorting.sort(a), np.sort(a))
    least = 1 << (4 * (team + 1) - 1).bit_length()
    assert set(many) == {least if quick else 32}
    assert_same(sorting.argsort(a, kind="stable"), np.argsort(a, kind="stable"))
    assert many[-1] == 32  # stable sorts are not quick


packs = pytest.mark.skipif(not native.split_most(), reason="the processor does not pack registers, or C is not there")


@packs
@of_words
def test_registers_are_split_among_threads(monkeypatch, team, dtype):
    monkeypatch.setattr(settings, "threads", team + 1)
    monkeypatch.setattr(sorting, "_sorts_quickly", lambda dtype: True)
    done = []
    monkeypatch.setattr(native, "sort_split", lambda *args, f=native.sort_split: done.append(f(*args)) or done[-1])
    rng = np.random.default_rng(7)
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    for n in (*range(40, 80), 5000, 5003):  # all remainders of a register
        if limits is not None:
            a = rng.integers(limits.min, limits.max, n, dtype=dtype, endpoint=True)
        else:
            a = rng.standard_normal(n).astype(dtype)
            a[rng.integers(0, n, n // 20)] = np.nan
            a[rng.integers(0, n, 2)] = np.inf
            a[rng.integers(0, n, 2)] = -np.inf
        before = a.copy()
        assert_same(sorting.sort(a), np.sort(a))
        assert_same(a, before)
        b = a.copy()
        assert sorting.sort_into(b) is None
        assert_same(b, np.sort(a))
    assert sum(done) > len(done) // 2  # a small sample leaves buckets uneven now and then
    assert done[-2:] == [True, True]
    few = np.where(np.arange(5000) < 10, np.arange(5000), 3).astype(dtype)
    assert_same(sorting.sort(few), np.sort(few))
    assert done[-1] is False


@packs
def test_nothing_is_written_beyond_a_bucket_whose_elements_change():
    """Another thread writes to them between counting and dealing: no element leaves the array."""
    around = np.full(3 << 18, 7.0)
    x, out = np.random.default_rng(1).random(1 << 18), around[1 << 18 : 2 << 18]
    done = threading.Event()

    def write():
        while not done.is_set():
            x[:] = 1 - x

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [native.sort_split(x, np.array([0.5]), out, out) for _ in range(50)]
    finally:
        done.set()
        writer.join()
    assert (around[: 1 << 18] == 7).all()
    assert (around[2 << 18 :] == 7).all()
    assert native.sort_split(x, np.array([0.5]), out, out)
    assert_same(out, np.sort(x))
    assert set(found) <= {True, False}


@packs
def test_splitting_takes_only_vectors_that_fit():
    x, pivots = np.arange(8.0), np.array([4.0])
    out = np.zeros(8)
    for bad in (
        (x[::2], pivots, out[:4], out[:4]), (x, pivots.astype("f4"), out, out), (x, pivots, out[:7], out[:7]),
        (x, pivots, out.astype("f4"), out), (x, np.arange(16.0), out, out),
        (x.astype("f2"), pivots.astype("f2"), out, out),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="vectors of one dtype"):
            native.sort_split(*bad)
    assert not out.any()


@in_c
def test_dealing_takes_only_vectors_that_fit():
    x, pivots, counts = np.arange(8.0), np.arange(3.0), np.zeros(4, np.intp)
    ids = np.zeros(8, np.uint8)
    for bad in (
        (x[::2], pivots, ids[:4], counts), (x, pivots[:2], ids, counts[:3]), (x, pivots.astype("f4"), ids, counts),
        (x, pivots, ids[:7], counts), (x, pivots, ids.astype("i4"), counts), (x.astype("c16"), pivots, ids, counts),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="vectors of one dtype"):
            native.classify(*bad)
    with pytest.raises(ValueError, match="vectors of one dtype"):
        native.deal(x, ids[:3], counts, x.copy())
