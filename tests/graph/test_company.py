"""What is recorded, and for how long: operations alone run at once, memory that only the window holds is given back."""

import warnings

import numpy
import pytest

import cunumeric as np
from cunumeric.graph import window
from cunumeric.graph.node import Node
from tests.counting import counted

MIDDLING = 1 << 16
LARGE = 1 << 21


@pytest.fixture
def middling():
    x = np.array(numpy.linspace(1.0, 2.0, MIDDLING))
    np.synchronize()
    return x


def is_recorded(x):
    return type(x._a) is Node


def left_alone(x):
    """Windows of one operation, until nothing more comes of recording them."""
    for _ in range(2 * window.company.ALONE):
        y = x + 1
        np.synchronize()
        del y


@pytest.mark.parametrize(
    "f", [lambda x: x + 1, lambda x: 2 * x, lambda x: -x, lambda x: x < 1.5, np.sqrt, lambda x: x**2]
)
def test_operations_alone_run_at_once(middling, f):
    assert is_recorded(f(middling))  # seen once, it is known in C
    np.synchronize()
    left_alone(middling)
    window.company.passed = 0
    y = f(middling)
    assert not is_recorded(y)
    assert numpy.array_equal(y, f(numpy.linspace(1.0, 2.0, MIDDLING)))


WRITES = {
    "copied": lambda np, x, y: y.__setitem__(Ellipsis, x),
    "shifted": lambda np, x, y: x.__setitem__(slice(1, None), x[:-1]),
    "in place": lambda np, x, y: y.__iadd__(x),
    "out": lambda np, x, y: np.add(x, y, out=y),
    "out by place": lambda np, x, y: np.multiply(x, y, y),
    "out elsewhere": lambda np, x, y: np.sqrt(x, out=y),
    "cast": lambda np, x, y: y.astype("f4").__setitem__(Ellipsis, x),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("size", [MIDDLING, LARGE + 1])
def test_writes_alone(name, size):
    """Middling ones run at once, large ones need no plan."""
    write = WRITES[name]
    a, b = numpy.linspace(1.0, 2.0, size), numpy.linspace(3.0, 5.0, size)
    x, y = np.array(a), np.array(b)
    for _ in range(window.company.ALONE + 2):
        write(numpy, a, b)
        write(np, x, y)
        np.synchronize()
    window.company.passed = 0
    with counted(synchronize=False) as count:
        write(numpy, a, b)
        write(np, x, y)
        waits = len(window.pending)
        np.synchronize()
    assert (waits == 0) == (size == MIDDLING)
    if name != "cast":  # two statements
        assert count.plans == 0
    assert numpy.array_equal(x, a)
    assert numpy.array_equal(y, b)


def test_a_write_waits_for_what_reads_the_memory(middling):
    window.company.alone, window.company.passed = 0, 0
    other = np.array(numpy.zeros(MIDDLING))
    y = middling + 1
    window.company.alone = window.company.ALONE
    middling[...] = other
    other[...] = y
    np.add(y, 1, out=middling)
    assert numpy.array_equal(y, numpy.linspace(1.0, 2.0, MIDDLING) + 1)
    assert numpy.array_equal(other, y)
    assert numpy.array_equal(middling, y + 1)


def test_a_probe_finds_company_again(middling):
    left_alone(middling)
    window.company.passed = window.company.PROBE - 1
    y = middling + 1
    assert is_recorded(y)
    for _ in range(20):
        y = y * 0.5 + middling
    np.synchronize()
    assert is_recorded(middling + 1)


def test_operations_that_join_are_recorded(middling):
    y = middling + 1
    window.company.alone, window.company.passed = window.company.ALONE, 0
    assert is_recorded(middling * 2)  # on memory that waits
    assert is_recorded(y * 2)
    other = np.array(numpy.zeros(MIDDLING)) + 1
    assert not is_recorded(other)


def test_memory_that_only_the_window_holds_is_given_back():
    x = np.array(numpy.linspace(2.0, 1.0, LARGE))
    np.synchronize()
    with counted(synchronize=False) as count:
        for _ in range(8):
            y = np.sort(x) + 1.0  # what sort gave has died, and waits to be read
    assert count.flushes == 2  # two arrays that have died are more than one
    assert y[0] == 2.0


def test_a_loop_that_replaces_its_arrays_stays_together():
    x, v = (np.array(numpy.linspace(1.0, 2.0, LARGE)) for _ in range(2))
    np.synchronize()
    with counted(synchronize=False) as count:
        for _ in range(8):
            x = x + 0.5 * v
            v = v - 0.5 * x
    assert count.flushes <= 1


def test_a_warning_names_the_line_that_recorded_in_c(middling):
    middling[7] = -1.0
    np.synchronize()
    found = []
    for turn in range(2):  # recorded in Python, then in C
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            shown, warnings.showwarning = warnings.showwarning, lambda *a, **_: found.append((str(a[0]), a[2], a[3]))
            try:
                y = (
                    np.sqrt(middling)
                    + 1.0
                )  # fmt: skip
                np.synchronize()
            finally:
                warnings.showwarning = shown
        assert len(found) == turn + 1
        del y
    assert found[0] == found[1]
    assert found[0][0] == "invalid value encountered in sqrt"
    assert found[0][1] == __file__
