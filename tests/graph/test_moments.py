"""Variances of all elements: one sweep, no memory, and no less accurate than NumPy's two passes."""

import numpy
import pytest

import cunumeric as np
from cunumeric.runtime.settings import settings
from tests.counting import assert_sweeps

SIZE = (1 << 17) + 77


def exact(a, ddof=0):
    a = a.astype(numpy.longdouble)
    return numpy.square(a - a.mean()).sum() / (a.size - ddof)


@pytest.mark.parametrize("name", ["var", "std"])
def test_one_sweep_without_memory(name):
    a = numpy.random.default_rng(1).random(SIZE)
    x = np.array(a)
    with assert_sweeps(1, given=0):
        r = getattr(2 * x - x * x, name)()
    expected = getattr(2 * a - a * a, name)()
    assert type(r) is type(expected)
    assert r == pytest.approx(expected, rel=1e-14)


def test_of_an_array_that_lives_on():
    a = numpy.random.default_rng(1).random(SIZE)
    x = np.array(a)
    with assert_sweeps(1, given=1):
        y = 2 * x
        r = y.std()
    assert numpy.array_equal(y, 2 * a)
    assert r == pytest.approx((2 * a).std(), rel=1e-14)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8, -1e12])
def test_a_mean_far_from_zero_costs_no_accuracy(offset):
    a = numpy.random.default_rng(2).random(SIZE) + offset
    wanted = exact(a)
    ours = abs(np.array(a).__mul__(1.0).var() - wanted) / wanted
    numpys = abs(a.var() - wanted) / wanted
    assert ours <= max(numpys, 4 * numpy.finfo(float).eps)


def test_means_of_parts_far_from_each_other():
    a = numpy.linspace(-1e9, 1e9, SIZE)
    assert np.array(a).__mul__(1.0).var() == pytest.approx(float(exact(a)), rel=1e-14)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1"])
@pytest.mark.parametrize("words", [{"ddof": 1}, {"keepdims": True}, {"axis": (0, 1)}, {"axis": 1}, {"axis": 0}])
def test_words_and_dtypes(dtype, words):
    a = numpy.random.default_rng(3).integers(0, 100, (512, 300)).astype(dtype)
    r, expected = (np.array(a) * np.dtype(dtype).type(2)).var(**words), (a * a.dtype.type(2)).var(**words)
    assert r.dtype == expected.dtype
    assert r.shape == expected.shape
    assert numpy.allclose(r, expected, rtol=1e-4 if dtype == "f4" else 1e-13)


def test_strided_memory_and_what_is_not_finite():
    a = numpy.random.default_rng(4).random((700, 400))
    x = np.array(a)
    np.synchronize()
    assert (x[3:, 5:-7] + x[:-3, 5:-7]).var() == pytest.approx((a[3:, 5:-7] + a[:-3, 5:-7]).var(), rel=1e-14)
    x[5, 5] = numpy.inf
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert numpy.isnan((x * 2.0).std())
    x[5, 5] = numpy.nan
    assert numpy.isnan((x * 2.0).std())


def test_variances_do_not_depend_on_threads():
    x = np.array(numpy.random.default_rng(5).random((900, 411)))
    before, found = settings.threads, set()
    try:
        for threads in (1, 2, 5):
            settings.threads = threads
            found.add(float((x * 2.0 + 1.0).var()))
    finally:
        settings.threads = before
    assert len(found) == 1
