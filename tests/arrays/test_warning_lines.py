"""Warnings of NumPy name the line of the user's program."""

import inspect
import warnings

import pytest

import cunumeric as np

HERE = __file__


def line() -> int:
    return inspect.currentframe().f_back.f_lineno


@pytest.mark.parametrize(
    "warn", [lambda x: x / 0, lambda x: np.log(x), lambda x: np.nanmean(x[:0]), lambda x: x.astype("i1")], ids=range(4)
)
def test_the_users_line(warn):
    x = np.array([-1.0, numpy_nan()])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn(x)
    assert seen
    assert {w.filename for w in seen} == {HERE}


def numpy_nan():
    return float("nan")


def test_each_line_warns_once():
    x = np.zeros(3)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(3):
            x / 0
        first = line() - 1
        x / 0
    assert [w.lineno for w in seen] == [first, first + 2]


def test_filters_of_the_users_module_count():
    x = np.zeros(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=__name__.replace(".", r"\."))
        with pytest.raises(RuntimeWarning):
            x / 0


def test_once_means_once():
    x = np.zeros(3)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("once")
        x / 0
        x / 0
    assert len(seen) == 1
