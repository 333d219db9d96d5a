"""Floating-point warnings and errors, at the user's line, also of work that runs later; memory that is not there."""

import linecache
import warnings

import numpy
import pytest

import cunumeric
from cunumeric.runtime.settings import settings

from .compare import LARGE, Raised, attempt

# Each line below warns; `np` and `x` (zeros), `y` (huge), are given, and `r` is the result that is read later.
LINES = [
    "r = 1 / x", "r = x / x", "r = np.log(x)", "r = np.log(x - 1)", "r = np.sqrt(x - 1)", "r = y * y", "r = np.exp(y)",
    "r = y + y", "r = x ** -1.0", "r = np.arcsin(y)", "r = (y * y) - (y * y)", "r = np.power(y, 2.0)", "x /= 0",
    "r = x // 0.0", "r = np.mod(x, 0)", "r = np.float32(2) / x", "r = np.divide(x, 0, out=y)", "r = y.astype('f4')",
    "r = np.tan(x + np.inf)", "r = np.floor_divide(x, x)", "r = np.log1p(x - 1)", "r = np.reciprocal(x)",
    "r = np.square(y)", "r = y ** 2", "r = (x - 1) ** 0.5", "r = np.ldexp(y, 9)",
    "r = np.arctanh(x + 1)", "r = np.fmod(x, x)", "r = x.astype('c16') / 0", "r = np.cosh(y)",
    "h = (x + 9000).astype('f2'); h[0]; d = h * np.float16(9); r = (x - 1).astype('f4') * np.float32(2)",
    "h = y.astype('g'); h[0]; d = h * np.longdouble('1e4900'); r = (x - 1).astype('f4') * np.float32(2)",
]  # fmt: skip
SIZES = [5, LARGE]
FILE = "a user's file.py"


def program(line):
    return compile("\n\n\n" + line + "\n\n", FILE, "exec")


def told(np, code, n, action="always", errstate=None):
    """The warnings (text, category, file, line) of a program and what it computed. What `catch_warnings` does not
    record is heard through `showwarning`: a recording block would have everything run at once."""
    heard = []
    cunumeric.synchronize()
    before = warnings.filters[:], warnings.showwarning
    scope = {"np": np, "x": np.zeros(n), "y": np.full(n, 1e308), "r": None, "__name__": "user"}

    def show(message, category, filename, lineno, file=None, line=None):
        heard.append((str(message), category, filename, lineno))

    try:
        warnings.simplefilter(action)
        warnings.showwarning = show
        with np.errstate(**(errstate or {})):
            error = attempt(exec, code, scope)
        cunumeric.synchronize()
    finally:
        warnings.filters[:], warnings.showwarning = before
        warnings._filters_mutated()
    values = [scope[name].tolist() for name in "xyr" if scope[name] is not None]
    return sorted(set(heard), key=str), error, values


def same(a, b):
    return repr(a) == repr(b)


def words(heard):
    return sorted({w[:2] for w in heard}, key=str)


def size_of(setup, n=LARGE):
    return 23 if setup != "default" else n


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("n", SIZES)
def test_what_warnings_say(setup, line, n):
    code = program(line)
    expected, found = (told(np, code, min(n, size_of(setup))) for np in (numpy, cunumeric))
    assert expected[0], "the line is meant to warn"
    assert words(found[0]) == words(expected[0])
    assert found[1] == expected[1]
    assert same(found[2], expected[2])


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("n", SIZES)
def test_warnings_name_the_line(setup, line, n):
    found = told(cunumeric, program(line), min(n, size_of(setup)))
    assert {w[2:] for w in found[0]} == {(FILE, 4)}


@pytest.mark.parametrize("action", ["ignore", "warn", "raise"])
@pytest.mark.parametrize("line", [line for line in LINES[:12] if line != "r = x ** -1.0"])
def test_errstate(setup, line, action):
    for kind in ("all", "divide", "over", "invalid"):
        code = program(line)
        expected, found = (told(np, code, size_of(setup), errstate={kind: action}) for np in (numpy, cunumeric))
        assert words(found[0]) == words(expected[0])
        assert found[1] == expected[1]
        if action != "raise":
            assert same(found[2], expected[2])


@pytest.mark.parametrize("line", LINES[:8])
def test_warnings_as_errors(setup, line):
    """The exception comes at the call, not when the work runs."""
    code = program(line)
    expected, found = (told(np, code, size_of(setup), "error") for np in (numpy, cunumeric))
    assert isinstance(expected[1], Raised)
    assert found[:2] == expected[:2]


@pytest.mark.parametrize("action", ["once", "default", "module", "ignore"])
@pytest.mark.parametrize("n", SIZES)
def test_filters(setup, action, n):
    """What nobody holds any more is not computed and does not warn: hold all of it."""
    code = compile("z = []\nfor _ in range(3):\n    z.append(np.log(x))\nr = np.log(x)", FILE, "exec")
    expected, found = (told(np, code, min(n, size_of(setup)), action)[0] for np in (numpy, cunumeric))
    assert words(found) == words(expected)
    assert len(found) == len(expected)


@pytest.mark.parametrize("n", SIZES)
def test_a_recording_block_records_what_is_called_in_it(setup, n):
    x = cunumeric.zeros(min(n, size_of(setup)))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        y = cunumeric.log(x)
    assert [str(w.message) for w in seen] == ["divide by zero encountered in log"]
    assert y[0] == -numpy.inf


@pytest.mark.parametrize("n", SIZES)
def test_a_recording_block_names_the_line(setup, n):
    x = cunumeric.zeros(min(n, size_of(setup)))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cunumeric.log(x)
    assert seen[0].filename == __file__
    assert "cunumeric.log(x)" in linecache.getline(__file__, seen[0].lineno)


def test_a_block_that_is_over_hears_nothing_of_later_work(setup):
    x = cunumeric.zeros(size_of(setup))
    with cunumeric.errstate(divide="ignore"):
        y = cunumeric.log(x)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        y.sum()
    assert seen == []


def test_errstate_of_the_call_counts_not_of_the_run(setup):
    x = cunumeric.zeros(size_of(setup))
    with cunumeric.errstate(all="ignore"):
        y = cunumeric.log(x)
    with cunumeric.errstate(all="raise"):
        assert y.tolist()[0] == -numpy.inf


def test_call_and_log(setup):
    n = size_of(setup)
    heard = []

    class Log:
        def write(self, text):
            heard.append(text)

    x = cunumeric.zeros(n)
    with cunumeric.errstate(divide="call", call=lambda kind, flag: heard.append((kind, flag))):
        cunumeric.log(x)
        assert heard == [("divide by zero", 1)]
    with cunumeric.errstate(divide="log", call=Log()):
        cunumeric.log(x)
    assert heard[1:] == ["Warning: divide by zero encountered in log\n"]


def test_raise_leaves_the_program_going(setup):
    n = size_of(setup)
    x = cunumeric.zeros(n)
    x += 1
    with cunumeric.errstate(all="raise"), pytest.raises(FloatingPointError, match="divide by zero encountered in log"):
        cunumeric.log(x - 1)
    x += 1
    assert x.tolist() == [2.0] * n


@pytest.mark.parametrize("name", ["seterr", "geterr", "setbufsize", "getbufsize", "seterrcall", "geterrcall"])
def test_error_state_is_shared_with_numpy(name):
    assert getattr(cunumeric, name).__name__ == name
    old = cunumeric.seterr(under="warn")
    try:
        assert numpy.geterr()["under"] == "warn"
    finally:
        cunumeric.seterr(**old)
    assert numpy.geterr() == old


# -- memory ------------------------------------------------------------------------------------------------------------

HUGE = [
    "np.zeros((1 << 23, 1 << 23))", "np.empty(1 << 46)", "np.ones(1 << 46, 'f4')", "np.full((1 << 45, 2), 1.5)",
    "np.arange(1 << 46)", "np.broadcast_to(np.zeros(1), (1 << 46,)) + 1",
    "np.sqrt(np.broadcast_to(np.zeros((2, 1), 'f4'), (2, 1 << 46)))",
    "np.broadcast_to(np.zeros(1), (1 << 46,)).copy()", "np.add.outer(np.zeros(1 << 23), np.zeros(1 << 23))",
    "np.zeros((1 << 40, 1 << 40))", "np.tile(np.zeros(1 << 20), 1 << 26)",
    "np.where(np.broadcast_to(np.array(True), (1 << 46,)), 1.0, 2.0)", "np.linspace(0, 1, 1 << 46)",
]  # fmt: skip


@pytest.mark.parametrize("call", HUGE)
def test_memory_error_names_what_was_asked_for(setup, call):
    expected, found = (attempt(eval, call, {"np": np}) for np in (numpy, cunumeric))
    assert expected.kind in (MemoryError, numpy._core._exceptions._ArrayMemoryError, ValueError)
    assert found == expected
    x = cunumeric.arange(LARGE) * 1.0
    assert (x + 1).sum() == LARGE * (LARGE + 1) / 2


def test_memory_that_runs_out_later(setup, monkeypatch):
    """The window asks for memory when it runs: the error names it, and the work waits until there is some."""
    from cunumeric.runtime import memory

    n = size_of(setup)
    x = cunumeric.arange(n) * 1.0
    cunumeric.synchronize()
    y = x + 1
    plain = memory.empty

    def empty(shape, dtype, order="C"):
        numpy.empty((1 << 40, *shape), dtype)

    monkeypatch.setattr(memory, "empty", empty)
    with pytest.raises(MemoryError, match=rf"shape \(\d+, {n}\) and data type float64"):
        y.tolist()
    monkeypatch.setattr(memory, "empty", plain)
    assert y.tolist() == [k + 1.0 for k in range(n)]
    assert settings.threads >= 1
