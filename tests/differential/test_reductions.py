"""Sums and their like: axes, keepdims, dtype, out, initial, where, ddof, empty arrays; how exact float sums are."""

from fractions import Fraction

import numpy
import pytest

from .compare import (
    NUMERIC,
    Near,
    attempt,
    compared,
    exact_sum,
    for_dtypes,
    for_numeric_dtypes,
    for_sizes,
    misfit,
    sample,
)

NAMES = "sum prod min max any all mean std var argmin argmax ptp".split()
NAN = "nansum nanprod nanmin nanmax nanmean nanstd nanvar nanargmin nanargmax nancumsum".split()
AXES = [None, 0, 1, 2, -1, -3, (0, 1), (1, 2), (0, 2), (0, 1, 2), (), 3, -4, (0, 0), 1.0, "a"]


def whole(np, dtype, shape=(3, 4, 5)):
    """Small whole numbers, whose sums are exact in any order; products too, of the few that are not 1."""
    size = int(numpy.prod(shape))
    return np.array((numpy.arange(size) * 7 % 3).astype(dtype).reshape(shape))


@pytest.mark.parametrize("name", NAMES)
@for_numeric_dtypes
@compared
def test_all_and_by_rows(np, name, dtype):
    x = whole(np, dtype, (16, 4))
    if name in ("std", "var"):
        x = x * 0 + np.arange(4).astype(x.dtype)  # a mean and squares that are exact
    f, method = getattr(np, name), getattr(x, name, None)
    results = [attempt(f, x), attempt(f, x, axis=0), attempt(f, x, axis=1), attempt(f, x.T), attempt(f, x[::-1, ::2])]
    if method is not None:
        results += [attempt(method), attempt(method, 1), attempt(method, axis=0), attempt((x + x).min)]
    return results


@pytest.mark.parametrize("name", NAMES)
@compared
def test_axes(np, name):
    x = whole(np, "float64")
    f = getattr(np, name)
    if name in ("std", "var", "mean"):
        x = x * 0 + 2
    results = []
    for axis in AXES:
        for view in (x, x.T, x[:, ::-1], x[:, :, 1:2]):
            results += [attempt(f, view, axis=axis), attempt(f, view, axis=axis, keepdims=True)]
    return results


@for_sizes
@pytest.mark.parametrize("name", NAMES)
@compared
def test_sizes(np, name, n):
    """Of arrays and of expressions, alone and before other uses."""
    results = []
    for dtype in ("int32", "float64", "bool", "uint8"):
        x = whole(np, dtype, n)
        f = getattr(np, name)
        if name in ("std", "var", "mean"):
            x = x * 0
        y = x + x
        results += [f(x), f(x * x), f(y), y, f(x > 1), attempt(f, x, keepdims=True)]
        z = y * 1
        z[1:] = z[:-1]
        results += [f(z), f(z[::2]), z]
    return results


@compared
def test_keywords(np):
    x = whole(np, "float64", (6, 8))
    mask = x > 0
    out, scalar_out, small = np.zeros(8), np.zeros(()), np.zeros(3)
    results = [
        x.sum(dtype="f4"), x.sum(0, "i8"), np.sum(x, 0, out=out) is out, out, np.sum(x, out=scalar_out), scalar_out,
        attempt(np.sum, x, 0, out=small), np.sum(x, initial=5), np.sum(x, where=mask), np.max(x, initial=9),
        np.sum(x, 1, where=mask, keepdims=True), attempt(np.max, x, where=mask), np.max(x, where=mask, initial=-1),
        np.mean(x * 0, dtype="f4"), np.mean(x * 0, 1, where=mask), np.std(x * 0, ddof=1), np.var(x * 0, 0, ddof=2),
        attempt(np.var, x * 0, ddof=48), attempt(np.var, x * 0, ddof=99), np.var(x * 0, correction=1),
        np.std(x * 0, mean=np.zeros((1, 1))), np.any(x, where=mask), np.all(x, 0, where=mask),
        np.any(x, out=np.zeros((), bool)), np.count_nonzero(x), np.count_nonzero(x, 1),
        np.count_nonzero(mask, keepdims=True), np.prod(x, 0, initial=2), np.argmax(x, 0, np.zeros(8, int)),
        np.argmin(x, keepdims=True), np.ptp(x, 1), np.median(x, 0), np.average(x, 0), np.average(x, weights=mask),
        np.percentile(x, [0, 50, 100]), np.quantile(x, 0.5, axis=1), np.cumsum(x), np.cumsum(x, 1), np.cumprod(x, 0),
        np.cumulative_sum(x[0]), np.cumulative_sum(x, axis=1, include_initial=True), np.diff(x), np.diff(x, 2, 0),
        np.ediff1d(x), np.gradient(x), np.trapezoid(x), np.cov(x * 0), np.bincount(x[0].astype(int)),
    ]  # fmt: skip
    for f in (np.sum, np.mean, np.max, np.any):
        results += [misfit(f), misfit(f, x, spam=1), attempt(f, x, out=3), attempt(f, x, keepdims="yes")]
        results += [attempt(f, x, dtype="spam") if f in (np.sum, np.mean) else None]
    return results


@pytest.mark.parametrize("name", NAMES)
@compared
def test_empty_and_single(np, name):
    f = getattr(np, name)
    shapes = [(0,), (0, 3), (3, 0), (1,), (1, 1), ()]
    return [attempt(f, np.ones(s), axis=axis) for s in shapes for axis in (None, 0, 1)]


@pytest.mark.parametrize("name", NAN)
@compared
def test_nan_functions(np, name):
    x = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, 0.0], [1.0, 1.0, 1.0]])
    f = getattr(np, name)
    return [attempt(f, x), attempt(f, x, axis=0), attempt(f, x, axis=1), attempt(f, x[2]), attempt(f, x[1, :2])]


@for_sizes
@pytest.mark.parametrize("name", ["min", "max", "argmin", "argmax", "any", "all", "sum"])
@for_dtypes("float32", "float64", "complex128")
@compared
def test_special_values(np, name, dtype, n):
    x = sample(np, dtype, n, 2)
    y = x * 0 + 1
    zeros = np.where(np.arange(n) % 2 == 0, 0.0, -0.0).astype(dtype)
    f = getattr(np, name)
    results = [f(x) if name != "sum" else np.isnan(f(x)), f(y), f(-y)]
    if name in ("min", "max"):  # of zeros of both signs NumPy's answer depends on how it blocks the work
        return [*results, f(zeros) == 0, f(-zeros) == 0, f(zeros[1::2])]
    return [*results, f(zeros), f(-zeros), f(zeros[1::2])]


@compared
def test_lists_scalars_and_other_types(np):
    return [
        np.sum([1, 2, 3]), np.sum(3), np.max([[1, 2], [3, 4]], axis=0), np.mean((1.0, 2.0)), np.any([]), np.all([]),
        np.sum(np.array(["a", "b"], object)), attempt(np.sum, np.array(["a", "b"])), np.max(np.array(["a", "b"])),
        np.max(np.array([1, 5], "M8[s]")), attempt(np.sum, np.array([1, 5], "M8[s]")),
        np.sum(np.array([1, 5], "m8[s]")), np.mean(np.array([1, 5], "m8[s]")), np.sum(np.array([], object)),
        np.sum([]), attempt(np.max, []), attempt(np.argmax, []), np.ptp([3, 9]),
    ]  # fmt: skip


# -- exactness ---------------------------------------------------------------------------------------------------------


def positive(dtype, shape, seed=1):
    return numpy.random.default_rng(seed).random(shape).astype(dtype)


def scaled(data):
    """Numbers of `positive` as whole multiples of 2**-53, which they all are: exact and quicker than fractions."""
    return [int(v) for v in (data * data.dtype.type(2**53))]


@for_dtypes("float32", "float64", "longdouble")
@for_sizes
@compared
def test_sum_and_mean_are_as_exact(np, dtype, n):
    data = positive(dtype, n)
    x, exact = np.array(data), Fraction(sum(scaled(data)), 2**53)
    return [
        Near(x.sum(), exact), Near(np.sum(x[::-1]), exact), Near(np.mean(x), exact / n), Near(np.add.reduce(x), exact),
        Near((x + 0).sum(), exact), Near((x * 2).sum(), 2 * exact),
    ]  # fmt: skip


@for_dtypes("float32", "float64")
@for_sizes
@compared
def test_variance_is_as_exact(np, dtype, n):
    data = positive(dtype, n, 2)
    x, whole_numbers = np.array(data), scaled(data)
    squares = Fraction(n * sum(v * v for v in whole_numbers) - sum(whole_numbers) ** 2, n * 2**106)
    # Each square was rounded twice before it is summed: a few units are luck on either side.
    return [
        Near(np.var(x), squares / n, 4),
        Near(x.var(ddof=1), squares / (n - 1), 4),
        Near((x * 1).var(), squares / n, 4),
    ]


@for_dtypes("float32", "float64")
@compared
def test_sums_along_axes_are_as_exact(np, dtype):
    data = positive(dtype, (37, 41))
    x = np.array(data)
    results = [Near(x.sum(axis), exact_sum(data, axis)) for axis in (0, 1)]
    return [*results, Near((x + 0).sum(1), exact_sum(data, 1)), Near(x.T.sum(0), exact_sum(data, 1))]


@for_sizes
@compared
def test_products_of_powers_of_two(np, n):
    x = np.where(np.arange(n) % 2 == 0, 2.0, 0.5)
    return [x.prod(), (x * 1).prod(), np.multiply.reduce(x)]


@pytest.mark.parametrize("dtype", [d for d in NUMERIC if d[0] in "iub" and d != "bool"])
@compared
def test_integer_sums_wrap(np, dtype):
    x = np.full(103, numpy.iinfo(dtype).max, dtype)
    return [x.sum(), np.sum(x, dtype=dtype), x.prod(), (x + x).sum(), np.cumsum(x), x.sum(dtype="f8")]
