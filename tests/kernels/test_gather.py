import numpy as np
import pytest

from cunumeric.engines.host import native
from cunumeric.engines.host.kernels import gather
from cunumeric.runtime.settings import settings

from .compare import assert_same, check

DTYPES = ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16"]


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    for name in (
        "TAKE_LEAST",
        "MASK_LEAST",
        "NONZERO_LEAST",
        "SET_LEAST",
        "EASY_MASK_LEAST",
        "COMPRESS_LEAST",
        "ALONE_LEAST",
    ):
        monkeypatch.setattr(gather, name, 4)
    monkeypatch.setattr(gather, "BLOCK", 16)


def data(rng, shape, dtype):
    a = (rng.standard_normal(shape) * 50).round()
    a[rng.random(shape) < 0.3] = 0
    return np.abs(a).astype(dtype) if np.dtype(dtype).kind in "u?" else a.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index_dtype", ["i1", "u1", "i4", "i8", "u8"])
@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
def test_take(rng, team, dtype, index_dtype, mode):
    for shape in [(100,), (10, 7), (5, 4, 6), (0,), (3, 0)]:
        a = data(rng, shape, dtype)
        for axis in (None, *range(-len(shape), len(shape) + 1)):
            n = a.size if axis is None else a.shape[axis] if axis < a.ndim else 5
            for size in (0, 3, 50, (9, 8)):
                index = rng.integers(0, max(n, 1), size).astype(index_dtype)
                check(gather.take, np.take, a, index, axis, None, mode)
                if index.dtype.kind == "i" and index.size:
                    check(gather.take, np.take, a, index - n, axis, None, mode)
                    index.flat[-1] = -n - 1
                    check(gather.take, np.take, a, index, axis, None, mode)
    if index_dtype != "u8":
        a = data(rng, (100,), dtype)
        assert (gather.take(a, index_array(rng, index_dtype)) is NotImplemented) == (team == 1)


def index_array(rng, dtype="i8"):
    return rng.integers(0, 100, 77).astype(dtype)


def test_take_out(rng, team):
    a, index = data(rng, (100,), "f8"), index_array(rng)
    out = np.zeros(77)
    if team > 1:
        assert gather.take(a, index, out=out) is out
        assert_same(out, np.take(a, index))
    out[:] = 0
    index[-1] = 100
    assert gather.take(a, index, out=out) is NotImplemented
    assert not out.any()
    index[-1] = 0
    assert gather.take(a, index, out=np.zeros(77, "f4")) is NotImplemented
    assert gather.take(a, index, out=a[:77]) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
def test_getitem_index(rng, team, dtype):
    for shape in [(100,), (10, 7), (10, 2, 3), (0,)]:
        a = data(rng, shape, dtype)
        for size in (0, 3, 50, (9, 8)):
            index = rng.integers(-max(len(a), 1), max(len(a), 1), size)
            for source in (a, a[::-1], a.T if a.ndim == 1 else np.asfortranarray(a)):
                for where in (index, index[::2], index.astype("i2"), np.asfortranarray(index)):
                    check(gather.getitem_index, lambda a, i: a[i], source, where)
            if index.size:
                check(gather.getitem_index, lambda a, i: a[i], a, np.full(size, len(a)))
    a = data(rng, (100,), dtype)
    for source in (a, a[::-1], a[::2]):
        taken = check(gather.getitem_index, lambda a, i: a[i], source, index_array(rng) % len(source))
        alone = native.available() and source.flags.c_contiguous
        assert (taken is NotImplemented) == (team == 1 and not alone)
    assert gather.getitem_index(a, np.array([True] * 100)) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0, 0.1, 0.5, 0.9, 1])
def test_masks(rng, team, dtype, density):
    if team == 3:
        settings.threads = 4
    for shape in [(100,), (10, 7), (10, 2, 3), (3,), (0,), (50, 2)]:
        a = data(rng, shape, dtype)
        for mask_shape in {shape, shape[:1], (4,)}:
            mask = rng.random(mask_shape) < density
            for source in (a, a[::-1], np.asfortranarray(a)):
                check(gather.getitem_mask, lambda a, m: a[m], source, mask)
            check(gather.getitem_mask, lambda a, m: a[m], a, mask[::-1])
            if mask.ndim == 1:
                check(gather.compress, lambda m, a: np.compress(m, a, axis=0), mask, a)
                check(gather.compress, lambda m, a, axis: np.compress(m, a, axis), mask, a, axis=0)
            for value in (True, 3, 2.5, 1e300, 1j, float("nan"), np.float32(2.5), np.int8(-3), -1, "x"):
                check_set(gather.setitem_mask, a, mask, value)
            if mask_shape == shape:
                check_set(gather.setitem_mask, a, mask, data(rng, np.count_nonzero(mask), dtype))
                check_set(gather.setitem_mask, a, mask, data(rng, 3, dtype))
    a = data(rng, (100,), dtype)
    half = np.arange(100) % 2 == 0
    check(gather.getitem_mask, lambda a, m: a[m], a, half, taken=True)
    # Blocks of every density.
    check(gather.getitem_mask, lambda a, m: a[m], a, np.sort(half), taken=True)
    check_set(gather.setitem_mask, a, np.sort(half), 1)


def check_set(kernel, a, index, value):
    ours, numpys = a.copy(), a.copy()
    with np.errstate(all="ignore"):
        result = kernel(ours, index, value)
        try:
            numpys[index] = value
        except Exception:
            assert result is NotImplemented
    if result is NotImplemented:
        assert_same(ours, a.copy())
    else:
        assert result is None
        assert_same(ours, numpys)
    return result


@pytest.mark.parametrize("dtype", DTYPES)
def test_set_by_index(rng, team, dtype):
    a = data(rng, (100,), dtype)
    for value in (True, 1, 300, 2.5, 1j, np.float32(2.5), np.ones(()), "x"):
        check_set(gather.setitem_index, a, index_array(rng), value)
        check_set(gather.setitem_index, a, index_array(rng) - 100, value)
        check_set(gather.setitem_index, a, index_array(rng) - 101, value)
        check_set(gather.setitem_index, a, index_array(rng) + 1, value)
    assert (check_set(gather.setitem_index, a, index_array(rng), True) is NotImplemented) == (team == 1)
    for index in (index_array(rng), rng.integers(-100, 100, (40, 2)), index_array(rng) + 1):
        ours, numpys = a.copy().reshape(10, 10), a.copy().reshape(10, 10)
        if gather.put(ours, index, True) is None:
            np.put(numpys, index, True)
        assert_same(ours, numpys)
    frozen = a.copy()
    frozen.flags.writeable = False
    assert gather.setitem_index(frozen, index_array(rng), True) is NotImplemented
    assert gather.setitem_mask(frozen, frozen != 0, True) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
def test_nonzero(rng, team, dtype):
    for shape in [(100,), (9, 11), (5,), (0,), ()]:
        a = data(rng, shape, dtype) if shape else np.ones((), dtype)
        for source in (a, a[::-1] if shape else a, np.asfortranarray(a)):
            check(gather.flatnonzero, np.flatnonzero, source)
            check(gather.nonzero, lambda a: a.nonzero(), source)
    a = data(rng, (100,), dtype)
    assert (gather.nonzero(a) is NotImplemented) == (team == 1 or dtype == "?")
    settings.threads = 4
    assert gather.nonzero(a) is not NotImplemented
    check(gather.nonzero, lambda a: a.nonzero(), a)


def test_left_to_numpy(rng):
    a, index = data(rng, (100,), "f8"), index_array(rng)
    for odd in (a.astype(">f8"), a.astype(object), a.view(np.recarray), a.tolist()):
        assert gather.take(odd, index) is NotImplemented
        assert gather.getitem_index(odd, index) is NotImplemented
        assert gather.getitem_mask(odd, a > 0) is NotImplemented
        assert gather.flatnonzero(odd) is NotImplemented
        assert gather.setitem_mask(odd, a > 0, 1) is NotImplemented
    assert gather.take(a, index.astype(">i8")) is NotImplemented
    assert gather.take(a, index.tolist()) is NotImplemented


@pytest.mark.skipif(not native.available(), reason="elements are gathered in C")
@pytest.mark.parametrize("dtype", ["?", "i2", "f4", "f8", "c16"])
def test_positions_are_checked_as_they_are_read(rng, dtype):
    a = rng.integers(0, 2, 50).astype(dtype)
    positions = rng.integers(-50, 50, 200)
    out = np.empty(200, dtype)
    assert native.gather(a, positions, out)
    assert_same(out, a[positions])
    for wrong in 50, -51, 2**62, -(2**63):
        positions[120] = wrong
        assert not native.gather(a, positions, out)
        assert gather.getitem_index(a, positions) is NotImplemented
    for bad in (a[::2], positions, out), (a, positions.astype("i4"), out), (a, positions, out[:-1]):
        with pytest.raises(ValueError, match="gathered"):
            native.gather(*bad)


def test_long_and_longlong_are_one(rng):
    a = rng.integers(0, 100, 50)
    positions = rng.integers(-50, 50, 200)
    for char in "lq":
        for where in "lq":
            expected = a.astype(char)[positions]
            check(gather.getitem_index, lambda a, i: a[i], a.astype(char), positions.astype(where))
            for out in "lq":
                found = gather.take(a.astype(char), positions.astype(where), out=np.empty(200, out))
                assert found is NotImplemented or np.array_equal(found, expected)
