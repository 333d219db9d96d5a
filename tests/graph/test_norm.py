"""The norm of what is recorded: one sweep, no memory, and NumPy's value."""

import numpy
import pytest

import cunumeric as np
from tests.counting import assert_sweeps

SIZE = 1 << 17


@pytest.fixture(params=["f4", "f8"])
def pair(request):
    a = numpy.linspace(-1.0, 2.0, SIZE).astype(request.param)
    return a, np.array(a)


def test_norm_of_an_expression(pair):
    a, x = pair
    with assert_sweeps(1, given=0):
        r = np.linalg.norm(2 * x - x * x)
    expected = numpy.linalg.norm(2 * a - a * a)
    assert type(r) is type(expected)
    assert float(r) == pytest.approx(float(expected), rel=4 * float(numpy.finfo(a.dtype).eps))


def test_norm_of_an_array_that_lives_on(pair):
    a, x = pair
    with assert_sweeps(1, given=1):
        y = 2 * x - x * x
        r = np.linalg.norm(y)
    assert numpy.array_equal(y, 2 * a - a * a)
    assert float(r) == pytest.approx(float(numpy.linalg.norm(2 * a - a * a)), rel=4 * float(numpy.finfo(a.dtype).eps))


@pytest.mark.parametrize("words", [{"ord": 1}, {"axis": 1}, {"keepdims": True}, {"ord": "fro"}])
def test_other_norms_are_numpys(pair, words):
    a, x = (v.reshape(2, -1) for v in pair)
    assert numpy.array_equal(np.linalg.norm(x * 2, **words), numpy.linalg.norm(a * 2, **words))


def test_squares_that_overflow_warn():
    a = numpy.full(SIZE, 1e300)
    x = np.array(a)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.linalg.norm(x + x) == numpy.inf
    with numpy.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        np.linalg.norm(x + x)
