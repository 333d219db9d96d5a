"""Bugs that the random programs found, each with the smallest program that shows it."""

from __future__ import annotations

import numpy
import pytest

import cunumeric
from cunumeric.runtime.settings import settings


@pytest.fixture(autouse=True, params=[True, False], ids=["in-c", "in-python"])
def everything_recorded(request, monkeypatch):
    cunumeric.synchronize()
    for name, value in {"tile": 4, "record_min": 0, "accelerate": request.param}.items():
        monkeypatch.setattr(settings, name, value)
    yield
    cunumeric.synchronize()


def same(program):
    expected, found = (program(np) for np in (numpy, cunumeric))
    assert found.dtype == expected.dtype
    assert numpy.array_equal(numpy.asarray(found), expected)


def test_a_shift_inside_rows_that_are_longer_than_a_tile():
    def program(np):
        a = np.arange(36.0).reshape(4, 9)
        a[:, 1:] = np.minimum(a[:, :-1], a[:, 1:] + 1)
        return a

    same(program)


def test_rows_of_size_one_have_any_stride():
    def program(np):
        a = np.arange(8).reshape(8, 1).T
        c = a.copy()
        a[:, :-1] = c[:, 1:]
        a[:1] = c[-1:]
        return a

    same(program)


def test_a_dead_copy_seen_as_real_is_not_its_original():
    def program(np):
        a = np.arange(6.0) + 1j
        c = a.copy()
        r = c.real
        del c
        return np.minimum(r, 3.0)

    same(program)


def test_a_reduction_of_some_rows_of_a_sweep():
    def program(np):
        a = np.arange(45.0).reshape(5, 9)
        a[1:] += 1
        return np.array([(a[1:4] * 2).sum(), a[2:].max()])

    same(program)


def test_an_operand_that_runs_the_window_while_another_is_recorded():
    def program(np):
        a = np.arange(12.0).reshape(3, 4)
        t = a * 2
        s = a[0, 1:2].reshape(())
        a[0, 1] = 7
        return np.add(t, s)

    same(program)


def test_bytes_in_the_other_order_are_not_taken_for_native_ones():
    def program(np):
        x = (np.arange(23) % 9).astype(">f8")
        y = x + x
        y[1:] -= x[:-1]
        return y

    same(program)


def test_equal_dtypes_keep_their_own_names():
    for code in ("l", "q"):
        assert cunumeric.arange(9.0).astype(code).dtype.char == numpy.dtype(code).char
