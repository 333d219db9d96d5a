"""What is recorded, and for how long: operations alone run at once, memory that only the window holds is given back."""

import warnings

import numpy
import pytest

import cunumeric as np
from cunumeric.graph import canonical, window
from cunumeric.graph.node import Node
from cunumeric.runtime.settings import settings
from tests.counting import counted

MIDDLING = 1 << 16
LARGE = 1 << 21
in_c = pytest.mark.skipif(canonical.in_c is None, reason="what has died is told in C")


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


def test_chains_are_found_wherever_the_probe_falls(middling):
    """The operation that is recorded to see whether others follow it must not always be a chain's last."""
    for length in (2, 3, 4):
        left_alone(middling)
        window.company.passed = 0
        for _ in range(8 * window.company.PROBE):
            y = middling
            for _ in range(length):
                y = y * 0.5
            np.synchronize()
            if not window.company.alone:
                break
        assert window.company.alone == 0, length


@pytest.mark.parametrize(
    "f", [lambda x: x.astype("f4"), lambda x: x.copy(), lambda x: np.clip(x, 1.2, 1.7), lambda x: np.round(x), np.copy]
)
def test_functions_alone_run_at_once(f):
    x = np.array(numpy.linspace(1.0, 2.0, 1 << 18))
    assert is_recorded(f(x))
    np.synchronize()
    left_alone(x[:MIDDLING])
    window.company.passed = 0
    y = f(x)
    assert not is_recorded(y)
    window.company.passed = window.company.PROBE - 1
    z = f(x)
    assert is_recorded(z)
    assert z.dtype == y.dtype
    assert numpy.array_equal(y, z)


def test_threads_share_an_operation_alone():
    """In C, where there are several: the flags are heard at the line that recorded it."""
    a = numpy.linspace(-1.0, 2.1, 1 << 18)
    x = np.array(a)
    with pytest.warns(RuntimeWarning, match="invalid value encountered in log") as heard:
        y = np.log(x)
        np.synchronize()
    assert [w.filename for w in heard] == [__file__]
    with numpy.errstate(invalid="ignore"):
        assert numpy.array_equal(y, numpy.log(a), equal_nan=True)
    for dtype in "f4", "f2", "c16", "i8":
        b = numpy.linspace(1.0, 2.0, 1 << 19).astype(dtype)
        found = np.true_divide(np.array(b), 3)
        assert numpy.array_equal(found, b / 3)
        assert found.dtype == (b / 3).dtype


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
        kept = [np.sort(x) < 1.5 for _ in range(8)]  # what sort gave has died, and waits to be read
    assert count.flushes >= 2  # two arrays that have died are more than one
    assert all(y[0] for y in kept)
    with counted(synchronize=False) as count:
        kept = [np.sort(x) + 1.0 for _ in range(8)]  # these take that memory
    assert count.flushes == 0
    assert all(y[0] == 2.0 for y in kept)


@in_c
def test_what_died_before_it_ran_is_forgotten_when_memory_is_taken():
    x = np.array(numpy.linspace(2.0, 1.0, LARGE))
    np.synchronize()
    with counted(synchronize=False) as count:
        for _ in range(8):
            y = np.sort(x) + 1.0
            assert len(window.memory) <= 3
    assert count.flushes == 0
    assert len(window.pending) <= 2
    assert y[0] == 2.0


@in_c
def test_a_result_takes_the_memory_of_a_temporary():
    a = numpy.linspace(1.0, 2.0, LARGE)
    with counted() as count:
        y = np.sqrt(np.array(a))
    assert count.given == ()
    assert numpy.array_equal(y, numpy.sqrt(a))
    with counted() as count:
        t = np.array(a)
        y = (t * 2.0) / (t + 1.0)
        z = t - y
        del t
    assert count.given == (a.nbytes,)  # of y: z has that of t
    assert numpy.array_equal(y, a * 2.0 / (a + 1.0))
    assert numpy.array_equal(z, a - a * 2.0 / (a + 1.0))


@in_c
def test_memory_that_somebody_sees_is_not_taken():
    a = numpy.linspace(1.0, 2.0, LARGE)
    x, t = np.array(a), np.array(a)
    part, seen = x[3:], numpy.asarray(t)
    with counted() as count:
        y = x + 1.0
        z = t + 1.0
        w = y[:, None].reshape(-1) * 2.0
        del x, t
    assert a.nbytes in count.given
    assert numpy.array_equal(part, a[3:])
    assert numpy.array_equal(seen, a)
    assert numpy.array_equal(z, y)
    assert numpy.array_equal(w, (a + 1.0) * 2.0)


def test_windows_end_where_little_lives(monkeypatch):
    """No temporary of a step is carried from window to window."""
    monkeypatch.setattr(settings, "window", 40)
    window._period.cut = window._period.found = ()
    u, v = (np.array(numpy.linspace(1.0, 2.0, MIDDLING)) for _ in range(2))

    def turns(n):
        for _ in range(n):
            flux = (u + 0.5 * v) * (v - 0.25 * u) / (u * u + v * v + 1.0)
            u[1:] = u[1:] - 0.125 * (flux[1:] - flux[:-1])
            v[...] = v + 0.001 * flux

    with counted(synchronize=False) as count:
        turns(100)
    assert count.flushes > 20
    assert count.plans < 10
    assert len(count.given) <= 104  # `flux`, and what the first windows carry over


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


@in_c
def test_a_value_that_needs_memory_takes_that_of_an_operand_that_died():
    a, b = numpy.linspace(1.0, 2.0, LARGE), numpy.linspace(3.0, 4.0, LARGE)
    x, y = np.array(a), np.array(b)
    with counted() as count:
        x = y + 0.5 * x
        x[1:] -= y[:-1]
    assert count.given == ()
    expected = b + 0.5 * a
    expected[1:] -= b[:-1]
    assert numpy.array_equal(x, expected)


@in_c
@pytest.mark.parametrize("how", ["read by another", "held", "a view is held", "written before", "of another dtype"])
def test_memory_of_an_operand_that_is_needed_is_not_taken(how):
    a, b = numpy.linspace(1.0, 2.0, LARGE), numpy.linspace(3.0, 4.0, LARGE)

    def run(np):
        x, y = np.array(a), np.array(b)
        kept = None
        if how == "read by another":
            kept = x * 3.0
        elif how == "held":
            kept = x
        elif how == "a view is held":
            kept = x[7:]
        elif how == "written before":
            x[5:] = y[:-5]
        x = (y + 0.5 * x).astype("f4") if how == "of another dtype" else y + 0.5 * x
        x[1:] -= y[:-1].astype(x.dtype)
        return x, kept

    (x, kept), (expected, other) = run(np), run(numpy)
    assert numpy.array_equal(x, expected)
    assert kept is None or numpy.array_equal(kept, other)


@pytest.mark.parametrize("size", [100, 20_000, 100_000, LARGE])
def test_extremes_never_have_their_output_by_position(size):
    """NumPy 2.4 warns of that, and the line would be the user's."""
    a, b = numpy.linspace(1.0, 2.0, size), numpy.linspace(2.0, 1.0, size)
    x, y = np.array(a), np.array(b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(window.company.ALONE + 3):
            z = np.maximum(x, y)
            assert z[0] == 2.0
            w = np.minimum(x, y) + np.maximum(x, 1.5)
            assert w[0] == 2.5
            np.maximum(x, y, out=z)
            assert z[-1] == 2.0


@pytest.mark.parametrize("drop", [lambda x: window._drop_lingering(), lambda x: x + 2])  # C drops it as it records
def test_what_another_thread_recorded_is_not_forgotten(monkeypatch, drop):
    """It may have waited for the window while a reduction ran, and have looked for what lingers before."""
    a = numpy.linspace(1.0, 2.0, LARGE)
    x = np.array(a)
    (x * 2).sum()
    assert window.state.lingering is not None
    with monkeypatch.context() as patch:
        patch.setattr(window.state, "lingering", None)
        y = x + 1
        assert is_recorded(y)
    drop(x)
    assert window.state.lingering is None
    assert y._a in window.pending
    z = y * 2
    assert numpy.array_equal(z, (a + 1) * 2)


@in_c
@pytest.mark.parametrize("dtype, recorded", [("f8", True), ("f4", False), ("i4", False), ("u1", False), ("c16", False)])
def test_narrow_and_complex_numbers_are_recorded_from_more_elements_on(dtype, recorded, monkeypatch):
    """NumPy does several of the former in the time of one double; the latter are not compiled."""
    monkeypatch.setattr(settings, "record_min", 64)
    monkeypatch.setattr(window.company, "alone", 0)
    np.synchronize()
    for n, expected in ((100, recorded), (300, True)):
        x = np.array(numpy.ones(n, dtype))
        y = x + x  # the first time Python learns of it
        np.synchronize()
        y = x + x
        assert is_recorded(y) == expected, n
        assert (y == 2).all()


LAYOUTS = {
    "C": lambda a: a,
    "F": lambda a: a.copy("F"),
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1],
    "columns": lambda a: a[:, ::2],
}


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8"])
@pytest.mark.parametrize("whose", ["numpys", "ours", "shown"])
def test_what_runs_at_once_has_the_order_of_its_operands(whose, dtype):
    """Also where the same call on arrays in C order was recorded before: what is known of its result is their order."""
    a = numpy.linspace(1.0, 9.0, 300 * 400).reshape(300, 400).astype(dtype)
    for alone in (0, window.company.ALONE):
        for layout in LAYOUTS.values():
            x, e = np.array(a), layout(a)
            x = e if whose == "numpys" else layout(x)
            if whose == "shown":
                assert memoryview(x) is not None
            np.synchronize()
            for name, others in (("negative", ()), ("sqrt", ()), ("square", ()), ("multiply", (2,)), ("add", (e,))):
                window.company.alone, window.company.passed = alone, 0
                y = getattr(np, name)(x, *others)
                expected = getattr(numpy, name)(e, *others)
                assert (y.strides, y.dtype) == (expected.strides, expected.dtype), name
                assert numpy.array_equal(y, expected)
