"""Reductions along axes, and positions of extremes: in the sweep that computes the values, without memory for these,
and with NumPy's bits wherever its order is sequential or does not matter."""

import itertools
import sys
import warnings

import numpy
import pytest

import cunumeric as np
from cunumeric.engines.host import native, sweep
from cunumeric.graph import window
from cunumeric.runtime.settings import settings
from tests.counting import assert_sweeps, counted

# Shapes that take all ways (engines/host/along.py): long and short rows and columns, few and many, and single ones.
SHAPES = [
    (300, 400), (9000, 40), (60, 5000), (4, 40000), (40000, 4), (50000, 3), (40, 60, 50), (30, 4000, 3), (300, 40, 5),
    (1, 70000), (70000, 1), (5, 1, 9000), (2, 300, 2, 40),
]  # fmt: skip
DTYPES = ["f8", "f4", "i8", "i4", "u1", "?"]
EXACT = ["max", "min", "any", "all"]


@pytest.fixture(params=["tiles", "compiled", "python"])
def engine(request, monkeypatch, tmp_path):
    """The extension's loops, compiled ones, and NumPy calls on tiles."""
    np.synchronize()
    if request.param == "python":
        monkeypatch.setattr(native, "translate", lambda *what: None)
    elif native._tiles is None:
        pytest.skip("the extension was not built")
    elif request.param == "compiled":
        pytest.importorskip("llvmlite", reason="the extra `compiled` is not installed")
        monkeypatch.setattr(settings, "cache", str(tmp_path))
    monkeypatch.setattr(settings, "compile", 2 if request.param == "compiled" else 0)
    monkeypatch.setattr(settings, "record_min", 0)
    sweep._templates.clear()
    yield request.param
    np.synchronize()
    sweep._templates.clear()


def operands(shape, dtype):
    rng = numpy.random.default_rng(len(shape))
    if dtype[0] == "f":
        return [(rng.random(shape) - 0.4).astype(dtype) for _ in "ab"]
    return [rng.integers(0, 2 if dtype == "?" else 100, shape).astype(dtype) for _ in "ab"]


def axes_of(shape):
    return [axes for n in range(1, len(shape) + 1) for axes in itertools.combinations(range(len(shape)), n)]


def agree(name, expected, found, sequential, where):
    expected, found = numpy.asarray(expected), numpy.asarray(found)
    assert (expected.dtype, expected.shape) == (found.dtype, found.shape), where
    if name in EXACT or expected.dtype.kind in "iu" or sequential:
        assert expected.tobytes() == found.tobytes(), where
    else:
        eps = numpy.finfo(expected.dtype).eps
        assert numpy.allclose(expected, found, rtol=64 * eps, atol=300 * eps), where


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_axes(engine, shape, dtype):
    a, b = operands(shape, dtype)
    x, y = np.array(a), np.array(b)
    names = ["sum", "max", "min", "any", "all", "mean", "prod"]
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        for k, axes in enumerate(axes_of(shape)):
            for name in (names[k % 7], names[(k + 3) % 7]) if len(shape) > 2 else names:
                expected = getattr(a * b, name)(axis=axes)
                found = getattr(x * y, name)(axis=axes)
                agree(name, expected, found, False, (name, axes))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_sums_over_leading_axes_have_numpys_bits(engine, dtype):
    if engine == "python":
        pytest.skip("tiles are added up each for itself")
    for shape in [(300, 400), (3000, 257), (70, 5001), (3, 9000), (20, 30, 300)]:
        a, b = operands(shape, dtype)
        x, y = np.array(a), np.array(b)
        for axes in [(0,), (0, 1)] if len(shape) == 3 else [(0,)]:
            for name in ("sum", "mean", "prod"):
                agree(name, getattr(a * b, name)(axis=axes), getattr(x * y, name)(axis=axes), True, (shape, axes, name))
        views = a[:, 1:] - b[:, :-1], x[:, 1:] - y[:, :-1]
        agree("sum", views[0].sum(0), views[1].sum(0), True, shape)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_sums_of_rows_have_numpys_bits(engine, dtype):
    """Pairwise in NumPy's order, also in rows longer than a chunk."""
    for shape in [(9, 7), (40, 100), (30, 1000), (20, 2049), (9, 5003), (8, 40001), (10, 9, 300), (6, 50, 6000)]:
        a, b = operands(shape, dtype)
        x, y = np.array(a), np.array(b)
        agree("sum", (a * b).sum(-1), (x * y).sum(-1), True, shape)
        agree("sum", (a - b[..., :1]).sum(-1), (x - y[..., :1]).sum(-1), True, shape)
        if len(shape) == 3:
            agree("sum", (a * b).sum((0, 2)), (x * y).sum((0, 2)), True, shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (90000,)], ids=str)
def test_positions_of_extremes(engine, shape, dtype):
    a, b = operands(shape, dtype)
    if dtype[0] == "f":
        a = numpy.round(a * 50)  # with equal ones
        b[...] = 1
    x, y = np.array(a), np.array(b)
    for name in ("argmax", "argmin"):
        for axis in (None, *range(-1, len(shape) - 1)):
            expected, found = getattr(a * b, name)(axis), getattr(x * y, name)(axis)
            assert type(found) is (numpy.int64 if numpy.ndim(expected) == 0 else np.ndarray)
            assert numpy.array_equal(expected, found), (name, axis)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, -numpy.inf])
@pytest.mark.parametrize("shape", [(70, 500), (3, 20000), (9000, 5), (40000,)], ids=str)
def test_extremes_that_are_not_finite(engine, shape, value):
    a, _ = operands(shape, "f8")
    for dtype in ("f8", "f4"):
        for where in (slice(None), slice(7, None, 91)):
            b = a.astype(dtype)
            b.reshape(-1)[where] = value
            b.reshape(-1)[:1] = -value
            x = np.array(b)
            for name in ("argmax", "argmin", "max", "min"):
                for axis in (None, *range(len(shape))):
                    with numpy.errstate(all="ignore"):
                        expected, found = getattr(b * 1, name)(axis), getattr(x * 1, name)(axis)
                    assert numpy.array_equal(expected, found, equal_nan=name in ("max", "min")), (name, axis)


@pytest.mark.parametrize("words", [{"axis": 1}, {"axis": 0, "keepdims": True}, {"keepdims": True}, {"axis": -1}])
def test_words(words):
    a, b = operands((300, 400), "f8")
    x, y = np.array(a), np.array(b)
    for name in ("argmax", "argmin"):
        expected = getattr(numpy, name)(a * b, **words)
        for found in (getattr(x * y, name)(**words), getattr(np, name)(x * y, **words)):
            assert found.shape == expected.shape
            assert numpy.array_equal(found, expected)
    for name in ("sum", "max", "mean", "std"):
        assert numpy.allclose(getattr(x * y, name)(**words), getattr(a * b, name)(**words), rtol=1e-13)


def test_words_that_numpy_refuses():
    x = np.array(operands((300, 400), "f8")[0])
    with pytest.raises(numpy.exceptions.AxisError):
        (x * 2).argmax(2)
    with pytest.raises(TypeError):
        (x * 2).argmax((0, 1))
    with pytest.raises(ValueError, match="duplicate"):
        (x * 2).sum((0, 0))
    with pytest.raises(numpy.exceptions.AxisError):
        (x * 2).sum((0, 5))


@pytest.mark.skipif(native._tiles is None, reason="the extension was not built: values are kept in tiles")
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (0, 1), (1, 2)])
def test_one_sweep_and_memory_for_no_more_than_an_eighth(axis):
    x, y = (np.array(v) for v in operands((50, 60, 70), "f8"))
    np.synchronize()
    with counted() as count:
        (x * y).sum(axis)
        if isinstance(axis, int):
            (x * y).argmin(axis)
    assert count.sweeps == (2 if isinstance(axis, int) else 1)
    assert sum(count.given) <= x.nbytes / 8


def test_the_position_in_an_expression_takes_one_sweep_without_memory():
    x, y = (np.array(v) for v in operands((200000,), "f8"))
    with assert_sweeps(1) as count:
        k = (x * y + 1).argmax()
    assert sum(count.given) < 10000 or native._tiles is None
    assert k == (numpy.asarray(x) * numpy.asarray(y) + 1).argmax()


def test_an_array_that_lives_on_is_there_afterwards():
    a, b = operands((300, 400), "f8")
    x, y = np.array(a), np.array(b)
    z = x * y
    assert numpy.array_equal(z.argmax(0), (a * b).argmax(0))
    w = z + 1
    assert numpy.array_equal(w.sum(0), (a * b + 1).sum(0))
    assert numpy.array_equal(z, a * b)
    assert numpy.array_equal(w, a * b + 1)


@pytest.mark.parametrize(
    "shape", [(900, 411), (9000, 40), (4, 90000), (90000, 3), (30, 500, 7), (7, 30, 1100)], ids=str
)
def test_results_do_not_depend_on_threads(shape, monkeypatch):
    monkeypatch.setattr(settings, "record_min", 0)  # else NumPy, whose order is another, takes some that come alone
    x = np.array(operands(shape, "f4")[0])
    for axis in axes_of(shape):
        found = set()
        for threads in (1, 2, 5):
            monkeypatch.setattr(settings, "threads", threads)
            found.add((x * 2.0 + 1.0).sum(axis).tobytes())
            if len(axis) == 1:
                found.add((x * 2.0 + 1.0).argmax(axis[0]).tobytes())
        assert len(found) == (2 if len(axis) == 1 else 1), axis


def test_many_rows_of_short_lines_are_no_less_accurate_than_numpys():
    """Lines that do not follow each other in memory are added up pairwise as well."""
    a = numpy.random.default_rng(7).random((9, 3000, 50)).astype("f4")
    x = np.array(a)
    wanted = (a[:, 1:].astype("f8") + a[:, :-1]).sum((1, 2))
    ours = numpy.abs(numpy.asarray((x[:, 1:] + x[:, :-1]).sum((1, 2))) - wanted).max()
    assert ours <= 2 * numpy.abs((a[:, 1:] + a[:, :-1]).sum((1, 2)) - wanted).max() + wanted.max() * 2.0**-24


@pytest.mark.parametrize("axis", [0, 1, (0, 1), None])
def test_flags_of_the_reduction(engine, axis, monkeypatch):
    """What overflows in the sum is told at the line of the sum, once."""
    heard = []
    monkeypatch.setattr(warnings, "warn_explicit", lambda *what: heard.append(what))
    x = np.array(numpy.full((70, 600), 1e308))
    y = x * 0.9
    found = y.sum(axis)
    line = sys._getframe().f_lineno - 1
    assert numpy.isinf(found).all()
    assert [(str(message), file, at) for message, _, file, at, *_ in heard] == [
        ("overflow encountered in reduce", __file__, line)
    ]


def test_comparisons_with_nan_raise_no_flags(engine):
    a = numpy.full((70, 600), numpy.nan)
    x = np.array(a)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = x + 1
        assert y.argmax(0).sum() == y.argmin(1).sum() == 0
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "warn_explicit", lambda *what: heard.append(what))
        for axis in (0, 1, None):
            (x + 1).argmax(axis)
            (x + 1).max(axis)
    assert not heard


def test_plain_arrays_along_any_axis(monkeypatch):
    """Large memory of which nothing was recorded."""
    monkeypatch.setattr(settings, "record_min", 0)
    for shape in [(400, 300), (50, 60, 70), (20000, 4), (9, 20000), (40, 500, 3)]:
        a, _ = operands(shape, "f8")
        x = np.array(a)
        before = window.counters.sweeps
        with numpy.errstate(all="ignore"):
            for axes in axes_of(shape):
                agree("sum", a.sum(axes), x.sum(axes), False, (shape, axes))
                agree("max", a.max(axes), x.max(axes), False, (shape, axes))
        assert window.counters.sweeps > before


def test_flags_of_the_chain_are_told_where_they_were_raised(engine, monkeypatch):
    """A band in which a compiled loop has raised a flag begins anew, and nothing joins twice."""
    heard = []
    monkeypatch.setattr(warnings, "warn_explicit", lambda message, *rest: heard.append((str(message), rest[2])))
    a, b = operands((300, 700), "f8")
    b[170, 333] = 0
    x, y = np.array(a), np.array(b)
    for axis in (0, 1):
        del heard[:]
        z = x / y
        found = (z * 2).sum(axis)
        line = sys._getframe().f_lineno - 2
        assert heard == [("divide by zero encountered in divide", line)]
        with numpy.errstate(all="ignore"):
            expected = (a / b * 2).sum(axis)
        if engine != "python":
            assert numpy.array_equal(found, expected)
        assert numpy.isinf(found).sum() == 1
