"""Every ufunc over dtypes, the operators in all their forms, scalars, `out=`, `where=`, casting."""

import operator

import numpy
import pytest

from .compare import (
    COMPLEX,
    FLOATS,
    NUMERIC,
    SIGNED,
    UNSIGNED,
    attempt,
    compared,
    for_dtypes,
    for_sizes,
    misfit,
    sample,
)

UFUNCS = sorted(
    {f.__name__ for name, f in vars(numpy).items() if isinstance(f, numpy.ufunc) and f.signature is None}
    & set(vars(numpy))
)
BINARY = "add sub mul truediv floordiv mod pow lshift rshift and_ or_ xor lt le gt ge eq ne".split()
INPLACE = "iadd isub imul itruediv ifloordiv imod ipow ilshift irshift iand ior ixor".split()
UNARY = "neg pos abs invert".split()
SCALARS = [2, -3, 0, 300, 2**40, 2.5, float("nan"), 1 + 2j, True, 2**70]


def operands(np, name, dtype, n):
    f = getattr(numpy, name)
    second = sample(np, dtype, n, 5, special=False)
    if name in ("power", "float_power", "left_shift", "right_shift", "ldexp"):
        second = abs(second) % 7 if numpy.dtype(dtype).kind in "biuf" else second
    return [sample(np, dtype, n, 3), second][: f.nin]


@for_sizes
@pytest.mark.parametrize("name", UFUNCS)
@compared
def test_every_ufunc(np, name, n):
    f = getattr(np, name)
    dtypes = NUMERIC if n < 1000 else ["int32", "float32", "float64", "complex128"]
    return [attempt(f, *operands(np, name, dtype, n)) for dtype in dtypes]


@pytest.mark.parametrize("name", UFUNCS)
@compared
def test_every_ufunc_on_views(np, name):
    """Reversed, strided, transposed and broadcast operands."""
    f = getattr(np, name)
    results = []
    for dtype in ("int64", "float32", "float64"):
        args = [x.reshape(4, 6) for x in operands(np, name, dtype, 24)]
        results += [attempt(f, *[x[::-1] for x in args]), attempt(f, *[x[:, ::2] for x in args])]
        results += [attempt(f, *[x.T for x in args]), attempt(f, args[0], *[x[1] for x in args[1:]])]
        results.append(attempt(f, args[0].T, *args[1:]))
    return results


@pytest.mark.parametrize("name", UFUNCS)
@compared
def test_out_and_where(np, name):
    f = getattr(np, name)
    results = []
    for dtype in ("int32", "float64"):
        args = operands(np, name, dtype, 23)
        for to in ("float64", "int64", "bool", "complex128", "float32"):
            outs = tuple(np.zeros(23, to) for _ in range(f.nout))
            r = attempt(f, *args, out=outs if f.nout > 1 else outs[0])
            results += [r, outs, r is outs[0]]
        mask = np.arange(23) % 3 == 0
        outs = tuple(np.full(23, 7.0) for _ in range(f.nout))
        results += [attempt(f, *args, out=outs, where=mask), outs]
        results.append(attempt(f, *args, out=np.zeros(22)))
    return results


@for_dtypes(*NUMERIC)
@compared
def test_operators(np, dtype):
    x, y = sample(np, dtype, 23, 3), sample(np, dtype, 23, 5, special=False)
    results = [attempt(getattr(operator, name), x, y) for name in BINARY]
    results += [attempt(getattr(operator, name), x) for name in UNARY]
    results += [attempt(divmod, x, y), attempt(operator.matmul, x, y), attempt(bool, x), attempt(bool, x[:1])]
    for name in INPLACE:
        z = x.copy()
        w = z
        r = attempt(getattr(operator, name), z, y)
        results += [r, w, r is w]
    return results


@for_dtypes("bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64", "complex64")
@compared
def test_python_and_numpy_scalars(np, dtype):
    """NEP 50: Python scalars are weak, NumPy's are not."""
    x = sample(np, dtype, 23, 3)
    results = []
    for s in [*SCALARS, np.float64(3), np.float32(3), np.int8(3), np.uint64(3), np.array(3), np.complex64(1j)]:
        for name in ("add", "mul", "truediv", "pow", "floordiv", "mod", "lt", "eq", "and_"):
            f = getattr(operator, name)
            results += [attempt(f, x, s), attempt(f, s, x)]
        for name in ("iadd", "imul", "itruediv", "ipow"):
            z = x.copy()
            results += [attempt(getattr(operator, name), z, s), z]
    return results


@pytest.mark.parametrize("left", [*SIGNED[::3], *UNSIGNED[::3], "bool", "float16", "float32", "complex64"])
@compared
def test_mixed_dtypes(np, left):
    x = sample(np, left, 23, 3, special=False)
    results = []
    for right in NUMERIC:
        y = sample(np, right, 23, 5, special=False)
        results += [attempt(f, x, y) for f in (np.add, np.multiply, np.true_divide, np.maximum, np.equal, np.arctan2)]
    return results


@pytest.mark.parametrize("casting", ["no", "equiv", "safe", "same_kind", "unsafe"])
@compared
def test_casting(np, casting):
    x, z = np.arange(23.0), np.zeros(23, np.int64)
    return [
        attempt(np.add, x, 1, out=z, casting=casting),
        z,
        attempt(np.add, x, 1, dtype="f4", casting=casting),
        attempt(np.add, x, 1, dtype=">f8"),
        attempt(np.add, x, 1, dtype=int),
        attempt(np.sqrt, np.arange(23), dtype="f4", casting=casting),
        attempt(np.add, x, x, signature="dd->d"),
        attempt(np.add, x, x, signature="ff->f", casting=casting),
        attempt(np.add, x, x, order="F"),
        attempt(np.add, x.reshape(1, 23), x, subok=False),
    ]


@compared
def test_broadcasting(np):
    x, y = np.arange(12.0).reshape(3, 4), np.arange(4.0)
    z = np.zeros((3, 4))
    return [
        x + y, x + y[:, None][:3], x[:, :1] * y, x[None] - x[:, None], attempt(np.add, x, np.arange(3.0)),
        attempt(np.add, x, np.arange(5.0)), np.add(y, y, out=z), z, attempt(np.add, x, x, out=y),
        np.ones((3, 0)) + np.ones((1, 0)), np.array(2.0) + x, x + np.ones((1, 1, 1)),
        np.add(np.array(1.0), np.array(2.0)), np.array(1.0) + 1, np.array(1.0)[...] + 1,
        attempt(operator.iadd, y, x), attempt(operator.iadd, x, y), x,
    ]  # fmt: skip


@compared
def test_too_few_operands_after_as_many_as_needed(np):
    """What is remembered of a call with two operands is not taken for one, whatever the addresses of the two are."""
    found = []
    for n in range(1, 900):
        x = np.arange(float(n))
        found += [np.add(x, x), attempt(np.add, x)]
    return found


@compared
def test_wrong_calls(np):
    x = np.arange(23.0)
    return [
        attempt(np.add), attempt(np.add, x), attempt(np.add, x, x, x, x), attempt(np.add, x, "a"),
        attempt(np.add, x, None), attempt(np.add, x, x, spam=1), attempt(np.add, x, x, out=3),
        attempt(np.add, x, x, out=(x, x)), attempt(np.invert, x), attempt(np.add, x, x, where=3.5),
        attempt(operator.add, x, "a"), attempt(operator.add, x, None), attempt(operator.add, x, [1, 2]),
        attempt(operator.add, x, object()), attempt(operator.lt, x, "a"), attempt(operator.eq, x, "a"),
        attempt(operator.lshift, x, 1), misfit(pow, x, 2, 3), attempt(np.add, x, x, dtype="spam"),
    ]  # fmt: skip


@compared
def test_lists_and_tuples_are_operands(np):
    x = np.arange(3.0)
    y = np.maximum(x, [[1], [2]])
    return [x + [1, 2, 3], (1, 2, 3) * x, np.add([1, 2], [3, 4]), np.add([x, x], 1), y, x == [0]]


@for_sizes
@compared
def test_python_powers(np, n):
    """NumPy's operator takes short ways for some exponents, with results of their own."""
    results = []
    for dtype in ("int32", "float32", "float64", "complex128", "float16", "bool"):
        x = sample(np, dtype, n, 1)
        for k in (2, 1, 0, -1, 0.5, 3, 2.0, -0.5, 1.5, np.float64(2), np.array(2)):
            results += [attempt(operator.pow, x, k), attempt(operator.ipow, x.copy(), k)]
    return results


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@compared
def test_clip_round_and_friends(np, dtype):
    x = sample(np, dtype, 23, 2)
    return [
        attempt(np.clip, x, 0, 1), attempt(np.clip, x, None, 1), attempt(np.clip, x, np.zeros(23), 2),
        attempt(np.clip, x, 0, 1, out=x.copy()), attempt(x.clip, 0, 1), attempt(x.clip, min=0), attempt(x.clip),
        np.round(x), attempt(np.round, x, 1), x.round(1), np.where(x == x, x, 0), np.where(x, 1, 2), x.conj(), x.real,
        x.imag, np.real(x), np.imag(x), np.angle(x), attempt(np.sinc, x), np.nan_to_num(x), attempt(np.heaviside, x, 1),
    ]  # fmt: skip
