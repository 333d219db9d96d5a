"""reduce, accumulate, reduceat, outer, at."""

import numpy
import pytest

from .compare import attempt, compared, for_sizes, misfit

BINARY = sorted(
    {
        f.__name__
        for f in vars(numpy).values()
        if isinstance(f, numpy.ufunc) and f.signature is None and f.nin == 2 and f.nout == 1
    }
)


def whole(np, dtype, shape, seed=0):
    """Small whole numbers: exact in any order."""
    size = int(numpy.prod(shape))
    return np.array((numpy.arange(size) * 7 % 5 + seed).astype(dtype).reshape(shape))


@pytest.mark.parametrize("name", BINARY)
@compared
def test_reduce(np, name):
    f = getattr(np, name)
    results = []
    for dtype in ("bool", "int8", "int64", "float64", "complex128"):
        x = whole(np, dtype, (4, 6))
        if name in ("power", "float_power", "divide", "logaddexp", "logaddexp2", "hypot", "arctan2", "nextafter"):
            x = x[:2]
        if name in ("add", "multiply", "maximum", "minimum", "logical_or", "logical_and", "bitwise_or"):
            results += [attempt(f.reduce, x, axis) for axis in (0, 1, -1, None, (0, 1), (1,), (), 2, (0, 0))]
            results += [attempt(f.reduce, x, initial=3), attempt(f.reduce, x, 1, where=x > 1, initial=1)]
            results += [attempt(f.reduce, x, 0, keepdims=True), attempt(f.reduce, x, None, None, None, True)]
            results += [attempt(f.reduce, x[:0]), attempt(f.reduce, x, 0, "f4"), attempt(f.reduce, x[:, :0], 1)]
        else:
            results += [attempt(f.reduce, x), attempt(f.reduce, x, 0, keepdims=True), attempt(f.reduce, x[:0])]
    return results


@pytest.mark.parametrize("name", BINARY)
@compared
def test_accumulate_outer_reduceat(np, name):
    f = getattr(np, name)
    results = []
    for dtype in ("int8", "int64", "float64"):
        x = whole(np, dtype, 23, 1)
        m = x[:20].reshape(4, 5)
        results += [attempt(f.accumulate, x), attempt(f.accumulate, m, 1), attempt(f.accumulate, m.T)]
        results += [attempt(f.outer, x[:5], m), attempt(f.outer, x, 2), attempt(f.accumulate, x, out=np.zeros(23))]
        results += [attempt(f.reduceat, x, [0, 5, 3, 20]), attempt(f.reduceat, m, [0, 2], axis=1)]
        results += [attempt(f.reduceat, x, [0, 40]), attempt(f.accumulate, np.array(3)), attempt(f.outer, x)]
    return results


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "subtract", "logical_or", "negative", "floor_divide"])
@compared
def test_at(np, name):
    f = getattr(np, name)
    results = []
    for dtype in ("int32", "float64"):
        x = whole(np, dtype, 23)
        second = () if f.nin == 1 else (2,)
        f.at(x, [1, 1, 2], *second)
        f.at(x, np.array([3, 3]), *(() if f.nin == 1 else (np.array([1, 2], x.dtype),)))
        f.at(x, slice(5, 7), *second)
        f.at(x, x > 3, *second)
        results += [x, attempt(f.at, x, [99], *second), attempt(f.at, [1, 2], [0], *second)]
    return results


@compared
def test_methods_that_do_not_exist(np):
    x = np.arange(5.0)
    return [
        attempt(np.sin.reduce, x), attempt(np.sin.accumulate, x), attempt(np.modf.reduce, x),
        attempt(np.sin.outer, x, x),
        attempt(np.divmod.reduce, x), misfit(np.add.reduce), misfit(np.add.reduce, x, spam=1),
        attempt(np.add.reduce, x, out=np.zeros(3)), attempt(np.matmul.reduce, x), attempt(np.sin.at, x, 0),
    ]  # fmt: skip


@compared
def test_reduce_into_out(np):
    x = whole(np, "float64", (4, 6))
    out, whole_out = np.zeros(6), np.zeros(())
    r = np.add.reduce(x, 0, out=out)
    s = np.add.reduce(x, None, out=whole_out)
    return [r is out, s is whole_out, out, whole_out, np.add.reduce(x * 2, 1, None, np.zeros(4))]


@for_sizes
@compared
def test_reduce_of_an_expression(np, n):
    x = whole(np, "float64", n)
    return [
        np.add.reduce(x * 2), np.maximum.reduce(x - 3), np.logical_or.reduce(x > 3), np.logical_and.reduce(x > -1),
        np.bitwise_xor.reduce((x * 3).astype(int)), np.minimum.reduce(x * 0 - 1), np.multiply.reduce(x * 0 + 1),
    ]  # fmt: skip


@compared
def test_ufunc_attributes(np):
    return [
        (f.nin, f.nout, f.nargs, f.ntypes, f.types, f.identity, f.signature, f.__name__, f.__doc__, repr(f), str(f))
        for f in (np.add, np.sin, np.modf, np.divmod, np.matmul, np.logical_and)
    ]  # fmt: skip


@compared
def test_frompyfunc(np):
    f = np.frompyfunc(lambda x, y: x * y + 1, 2, 1)
    x = np.arange(23)
    return [f(x, 2), f.outer(x[:3], x[:4]), f.reduce(x[:4]), f.accumulate(x[:4]), f(2, 3), f.nin]


@compared
def test_resolve_dtypes(np):
    d = np.dtype
    return [np.add.resolve_dtypes((d("f4"), int, None)), attempt(np.add.resolve_dtypes, (d("f4"), d("U3"), None))]
