"""Operations on small arrays whose rows do not follow one another, which NumPy's loops do row by row (`_rows.h`)."""

import itertools
import operator
import random
import warnings

import numpy
import pytest

import cunumeric

from .compare import attempt, compared

OPERATORS = "add sub mul truediv floordiv mod lt le eq ne gt ge".split()
FUNCTIONS = "add subtract multiply divide floor_divide remainder maximum minimum less equal greater_equal".split()
ALONE = "negative absolute square sqrt".split()
NUMBERS = [
    2,
    2.5,
    -1,
    0,
    True,
    1j,
    1 << 60,
    1 << 70,
    numpy.float64(1.5),
    numpy.float32(1.5),
    numpy.int64(3),
    float("nan"),
]


def views(np, r, count):
    """Arrays of one shape, or that broadcast to it, cut out of larger ones in all sorts of ways."""
    shape = tuple(r.choice([1, 2, 5, 12, 13, 33]) for _ in range(r.choice([2, 2, 2, 3, 4])))
    found = []
    for _ in range(count):
        dtype = r.choice(["float64"] * 4 + ["float32", "int64", "int64", "int32", "complex128", "bool"])
        cut = tuple(1 if r.random() < 0.1 else n for n in shape[r.choice([0, 0, 0, 0, 1]) :])
        margins = [r.choice([0, 0, 1, 2, 3]) for _ in cut]
        steps = [r.choice([1] * 9 + [2, -1]) for _ in cut]
        whole = [n * abs(s) + m for n, m, s in zip(cut, margins, steps, strict=True)]
        size = int(numpy.prod(whole))
        base = ((np.arange(size) * r.randint(1, 7) % r.randint(2, 9)) - 2).astype(dtype).reshape(whole)
        if r.random() < 0.15:
            base = base.copy(order="F")
        index = [
            slice(m, m + n * s, s) if s > 0 else slice(n - 1, None, -1)
            for n, m, s in zip(cut, margins, steps, strict=True)
        ]
        found.append((base, base[tuple(index)]))
    return found


@pytest.mark.parametrize("seed", range(40))
@compared
def test_operations_on_parts(np, seed):
    r = random.Random(seed)
    results = []
    with numpy.errstate(all="ignore"):
        for _ in range(12):
            (xs, x), (ys, y) = views(np, r, 2)
            other = r.choice([y, y, y, r.choice(NUMBERS)])
            f, g, h = r.choice(OPERATORS), r.choice(FUNCTIONS), r.choice(ALONE)
            results += [
                attempt(getattr(operator, f), x, other), attempt(getattr(operator, f), other, x),
                attempt(getattr(np, g), x, other), attempt(getattr(numpy, g), x, other), attempt(getattr(np, h), x),
                attempt(operator.neg, x), attempt(abs, x), attempt(operator.pow, x, 2), x, y,
            ]  # fmt: skip
            results += [attempt(getattr(operator, "i" + r.choice(["add", "sub", "mul", "truediv"])), x, other), xs]
            results += [attempt(lambda a=x, b=other, c=y, g=g: getattr(np, g)(a, b, out=c)), ys]
    return results


@pytest.mark.parametrize("seed", range(20))
@compared
def test_parts_of_one_array(np, seed):
    """What is read and what is written meet."""
    r = random.Random(seed)
    results = []
    for _ in range(10):
        n, m = r.randint(14, 40), r.randint(14, 40)
        x = (np.arange(n * m) * 3 % 7).astype(r.choice(["float64", "int64", "float32"])).reshape(n, m)

        def part(x=x, n=n, m=m):
            i, j = r.randint(0, 2), r.randint(0, 2)
            return x[i : n - 2 + i, j : m - 2 + j]

        a, b, c = part(), part(), part()
        f = r.choice(["add", "subtract", "multiply", "maximum"])
        getattr(np, f)(a, b, out=c)
        results.append(x.copy())
        a += b
        results.append(x.copy())
        b -= r.choice([1, 2])
        np.negative(c, out=a)
        results.append(x.copy())
        broadcast = np.broadcast_to(x[0], (n, m))
        y = (x[:12, None, 1:13] + x[None, :14, 1:13]).transpose(1, 0, 2)[1:]
        results += [y * 2, y + y[:, ::-1], y - x[1:14, None, 1:13], np.add(y, 1, out=y[::-1]), np.sqrt(abs(y))]
        results += [broadcast[:, 1:] + x[:, 1:], x[:, :1] * x[:, 1:], x[1:, None, :-1] - x[:-1, None, 1:]]
        if f == "add":
            windows = np.lib.stride_tricks.sliding_window_view(x.ravel(), 14, writeable=True)
            windows += 1
            results += [windows[:5, 1:] * 2, x]
    return results


@pytest.mark.parametrize("state", ["warn", "ignore", "raise", "call"])
@pytest.mark.parametrize(
    "code", ["x / y", "x * 1e300 * x", "x % y", "n // m", "x.__itruediv__(y)", "np.sqrt(x - 9)", "x < y"]
)
def test_flags_are_heard(code, state):
    told = []
    for np in (numpy, cunumeric):
        n = (np.arange(400).reshape(20, 20) % 5)[1:-1, 1:-1]
        x, y = n * 1e10, np.zeros((20, 20))[1:-1, 1:-1]
        m = np.zeros((20, 20), int)[1:-1, 1:-1]
        y[3, 3] = numpy.inf
        heard = []
        with (
            warnings.catch_warnings(record=True) as caught,
            numpy.errstate(all=state, call=lambda *a, h=heard: h.append(a)),
        ):
            warnings.simplefilter("always")
            value = attempt(eval, code, {"np": np, "n": n, "m": m, "x": x, "y": y})
            value = numpy.asarray(value).tolist() if isinstance(value, np.ndarray) else value
        told.append((repr(value), heard, [(str(w.message), w.category, w.filename, w.lineno) for w in caught]))
    assert told[0] == told[1]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "uint8", "bool", "complex128", "float16"])
@compared
def test_reductions_of_all(np, dtype):
    r = random.Random(dtype)
    results = []
    for shape in [(1,), (2,), (7,), (129,), (8, 8), (7, 31), (3, 1, 50), (8193,), (100, 100), (0,), ()]:
        size = int(numpy.prod(shape))
        x = ((np.arange(size) * r.randint(1, 7) % r.randint(2, 9)) - r.randint(0, 3)).astype(dtype).reshape(shape)
        if x.dtype.kind == "f":
            x = x / 8  # sums are exact in any order
            x = np.where(x == 0, -x, x)
        wholes = [x, x.T, x[::-1] if x.ndim else x, x.copy(order="F"), x[..., None], x[1:] if x.ndim else x]
        for v in wholes:
            for f in "sum mean max min any all amax amin".split() + ["prod"] * (size < 5 and dtype != "complex128"):
                results.append(attempt(getattr(np, f), v))
                results += [attempt(getattr(v, f))] if hasattr(v, f) else []
    return results


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sums_have_numpys_bits(dtype):
    r = numpy.random.default_rng(3)
    for shape in [(n,) for n in range(1, 300, 7)] + [(8192,), (20000,), (100, 100), (7, 13), (3, 5, 7), (90, 91)]:
        x = (r.standard_normal(shape) * 10.0 ** r.integers(-3, 6, shape)).astype(dtype)
        y = cunumeric.array(x)
        for a, b in ((x, y), (x.T, y.T), (x[1:], y[1:]), (x[::-1], y[::-1])):
            if a.size:
                assert (a.sum(), a.mean()) == (b.sum(), b.mean())


def test_single_elements_have_numpys_bits():
    """The sign of a zero and the last bit of a complex product: NumPy's loops have other ways for steps of nothing."""
    zeros = [0.0, -0.0, 1.5]
    factors = [1.5 + 1.3j, 0.7 - 7.1j, -2.5 + 0.7j, 3.3 + 3.3j, complex("nan+1j")]
    with numpy.errstate(all="ignore"):
        for shape in ((1,), (1, 1), (2,)):
            for names, dtypes, values in (
                ("fmax fmin", "float32 float64", zeros),
                ("add subtract multiply", "complex128 complex64", factors),
            ):
                for name, dtype, a, b in itertools.product(names.split(), dtypes.split(), values, values):
                    x, y = numpy.full(shape, a, dtype), numpy.full(shape, b, dtype)
                    found = getattr(cunumeric, name)(cunumeric.array(x), cunumeric.array(y))
                    assert numpy.asarray(found).tobytes() == getattr(numpy, name)(x, y).tobytes(), (name, dtype, a, b)
        for a in factors:
            x = numpy.full(1, a)
            assert numpy.asarray(cunumeric.array(x) ** 2).tobytes() == (x**2).tobytes(), a


def test_metadata_of_dtypes_are_handed_on():
    told = []
    for np in (numpy, cunumeric):
        x = np.zeros(300, numpy.dtype(float, metadata={"unit": "m"}))
        y = np.zeros(300)
        results = [x + 1, 1 - x, x * y, y * x, -x, np.floor(x), x[None, 1:] + x[:20, None], x.copy(), np.array(x)]
        told.append([r.dtype.metadata for r in results])
    assert told[0] == told[1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sums_of_several_nan_are_numpys(dtype):
    """Which of them it is shows in the sign."""
    r = numpy.random.default_rng(5)
    for n in (2, 9, 20, 129, 300, 5000):
        for _ in range(30):
            x = r.standard_normal(n).astype(dtype)
            x[r.integers(0, n, 1 + n // 20)] = numpy.nan
            x[r.integers(0, n, 1 + n // 20)] = -numpy.float64(numpy.nan)
            y = cunumeric.array(x)
            for f in ("sum", "mean"):
                assert getattr(x, f)().tobytes() == getattr(y, f)().tobytes(), (f, n)


@compared
def test_reductions_of_what_is_special(np):
    results = []
    with numpy.errstate(all="ignore"):
        for values in (
            [-0.0],
            [-0.0, -0.0],
            [0.0, -0.0],
            [numpy.nan, 1],
            [numpy.inf, -numpy.inf],
            [1e308, 1e308],
            [-numpy.inf],
        ):
            for n in (1, 5, 20):
                x = np.array(values * n)
                results += [x.sum(), x.mean(), x.max(), x.min(), np.sum(x.astype("f4")), (x > 0).any(), (x > 0).all()]
        truths = np.zeros(9, bool)
        truths[3] = True
        results += [truths.any(), truths.all(), truths.max(), truths.sum(), truths[4:].any(), truths[3:4].all()]
        x = np.arange(5.0)
        x.flags.writeable = False
        results += [
            x.sum(),
            x.max(axis=0),
            x.sum(0),
            x.sum(dtype="f4"),
            np.max(x, initial=9),
            attempt(np.max, np.zeros(0)),
        ]
    return results


@compared
def test_clip(np):
    results = []
    for dtype in ("float64", "float32", "int64", "uint8", "complex128"):
        x = (np.arange(12) * 5 % 7).astype(dtype)
        for low, high in (
            (1, 3),
            (1.5, 4.5),
            (None, 3),
            (2, None),
            (None, None),
            (-1, 300),
            (3, 1),
            (numpy.float64(2.5), 4),
            (x, 3),
        ):
            results += [attempt(np.clip, x, low, high), attempt(x.clip, low, high), attempt(x[::2].clip, low, high)]
        results += [
            attempt(np.clip, x, 2),
            attempt(x.clip, 2),
            attempt(np.clip, x, a_max=2),
            attempt(np.clip, x, 1, x[:5]),
        ]
    return results
