"""What tiles do not work on: structured, text, objects, times, half and long doubles, foreign byte order."""

import datetime
import decimal
import operator

import numpy
import pytest

from .compare import ALL, Loose, attempt, compared, for_dtypes, for_sizes, sample

OPERATORS = "add sub mul truediv floordiv mod pow lt eq ne and_".split()


@for_dtypes(*ALL, ">f8", ">i4", "<U9", ">c8")
@compared
def test_arithmetic(np, dtype):
    x, y = sample(np, dtype, 23, 1, special=False), sample(np, dtype, 23, 2, special=False)
    y = np.where(y == y[0] * 0 if numpy.dtype(dtype).kind in "biufc" else False, x, y).astype(dtype)
    z = x.copy()
    return [
        *[attempt(getattr(operator, name), x, y) for name in OPERATORS], attempt(operator.iadd, z, y), z,
        x.astype(dtype) is x, attempt(np.negative, x), attempt(np.sum, x[:1]), attempt(np.max, x), attempt(np.isnan, x),
        x.tolist(), repr(x), x.dtype.str, np.where(x == y, x, y), np.concatenate([x, y]),
        x[:5].real if x.dtype.kind == 'c' else None, attempt(np.mean, x[:1]),
    ]  # fmt: skip


@for_sizes
@for_dtypes(">f8", ">i2", ">c8", "float16", "longdouble", "clongdouble")
@compared
def test_strange_numbers(np, dtype, n):
    x = (np.arange(n) % 9).astype(dtype)
    y = x + x
    y *= 2
    y[1:] -= x[:-1]
    x += 1
    return [
        x,
        y,
        x + np.arange(n),
        np.maximum(x, 3) if x.dtype.kind != "c" else x,
        (x * 0 + 1).sum(),
        y.astype("f4"),
        x == y,
        x[::-1] + y,
    ]


@for_sizes
@compared
def test_structured(np, n):
    t = np.zeros(n, [("x", "f8"), ("k", "i4", (2,)), ("s", "U3")])
    t["x"] = np.arange(n) * 2.0
    t["k"][:, 0] = np.arange(n) + 1
    v = t["x"]
    v += 1
    t["s"][::2] = "ab"
    t[0] = (9, [1, 2], "c")
    w = t[["x", "s"]]
    r = t.view(np.recarray)
    return [
        t, v, t["x"] * 2, t[1], Loose(t[1]["k"]), t[1].item()[0], w, w.dtype, attempt(lambda: t["spam"]), t == t,
        attempt(operator.add, t, 1), t.dtype.names, np.sort(v), r.x.sum() >= 0, t[t["x"] > 5]["k"], t.copy(),
        np.concatenate([t, t])["x"], repr(t[:2]), attempt(np.sum, t),
    ]  # fmt: skip


@compared
def test_records(np):
    r = np.rec.array([(1, 2.0), (3, 4.0)], names="a,b")
    s = np.rec.fromarrays([np.arange(3), np.arange(3.0)], names="x,y")
    return [Loose(r.a), Loose(r.b), r[0].a, Loose(s.x), Loose(s.y + 1), type(r).__name__, repr(s.dtype)]


@compared
def test_text(np):
    x = np.array(["apple", "Fig", ""])
    b = np.array([b"a", b"bc"])
    v = np.array(["a", "bcd"], np.dtypes.StringDType())
    return [
        np.char.upper(x), np.strings.str_len(x), np.strings.add(x, "s"), x + "s", attempt(operator.mul, x, 2),
        np.char.multiply(x, 2), x == "Fig", x < "b", np.sort(x), np.unique(x), np.char.join("-", x),
        np.char.split("a b"), x.astype("S5"), b.astype("U2"), np.strings.find(x, "p"), np.char.array(["a "])[0], v + v,
        v == "a", np.strings.upper(v), v.astype("U3"), np.isin(x, ["Fig"]), x[x != ""], np.char.add(b, b),
    ]  # fmt: skip


@compared
def test_times(np):
    d = np.array(["2020-01-30", "2021-02-28", "NaT"], "M8[D]")
    t = np.array([1, 2, 3], "m8[h]")
    return [
        d + np.timedelta64(1, "D"), d[1] - d[0], d - d[0], np.isnat(d), t * 2, t / t[0], t // 2, t % t[1],
        attempt(operator.add, d, d), t.sum(), t.astype("m8[s]"), d.astype("M8[M]"),
        np.busday_count("2020-01", "2020-02"), np.is_busday(d[:2]), np.busday_offset(d[:2], 1, "forward"),
        np.datetime_as_string(d), d.tolist(), np.array([datetime.datetime(2020, 1, 1)]), np.sort(d), d > d[0],
        np.arange(d[0], d[1], 100), t.max(), np.abs(-t), d.astype(int), attempt(operator.mul, t, t),
        np.minimum(d[0], d[1]), repr(d),
    ]  # fmt: skip


@for_sizes
@compared
def test_objects(np, n):
    x = np.array([decimal.Decimal(k) for k in range(n if n < 1000 else 50)], object)
    y = x + x
    y[1:] += x[:-1]
    s = np.array([[1], "a", None, {}], object)
    return [
        y,
        x.sum(),
        y - 1,
        attempt(np.sqrt, np.array([4], object)),
        s,
        attempt(np.sort, s),
        x > 3,
        s[0] is s.tolist()[0],
    ]


@for_sizes
@compared
def test_booleans(np, n):
    x = np.arange(n) % 3 == 0
    y = ~x
    return [
        x + y, x * y, attempt(operator.sub, x, y), attempt(operator.neg, x), x & y, x | y, x ^ True, x / 2, x**2,
        x < y, x.sum(), x.mean(), (x & y).any(), (x | y).all(), x.astype(int) - 1, np.logical_not(x),
        attempt(operator.iadd, x.copy(), 1), x.copy() | 3, -x.astype("i1"),
    ]  # fmt: skip


@for_sizes
@compared
def test_complex(np, n):
    z = np.arange(n) * (1 - 2j) + 3
    return [
        z.real, z.imag, z.conj(), abs(z), np.angle(z), z * z, z / (z + 1), z**2, z**0.5, np.exp(1j * z.real / n),
        z == z.conj(), np.sqrt(z), z.T @ z if n < 1000 else 0, attempt(operator.lt, z, z), np.maximum(z, 5),
        attempt(operator.mod, z, 2), z.astype("f8") if n < 1000 else 0, np.sort(z), (z * 0).sum(), np.isclose(z, z),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "float16", "float32"])
@compared
def test_overflow_and_wrap(np, dtype):
    info = numpy.iinfo(dtype) if numpy.dtype(dtype).kind in "iu" else numpy.finfo(dtype)
    x = np.full(23, info.max, dtype)
    return [
        x + x, x + 1, attempt(operator.add, x, 10**6), x * x, -x, abs(-x), attempt(operator.floordiv, x, 0),
        attempt(operator.mod, x, 0), x // 2, attempt(operator.lshift, x, 3), np.negative(x), attempt(np.add, x, -1),
        x.astype("i1"), x.astype("u4"), attempt(operator.iadd, x, 1), x, attempt(operator.iadd, x, 10**25),
        attempt(operator.lt, x, 10**25), attempt(operator.eq, x, -1), attempt(np.array, [10**25], dtype),
    ]  # fmt: skip


@compared
def test_dtype_objects(np):
    return [
        np.dtype("i4,f8").names, np.dtype([("a", "i4")]).fields["a"][0] == np.dtype("i4"),
        np.float32(3) + 1, np.int8(100), attempt(np.dtype, "spam"), np.float64 is numpy.float64,
        np.issubdtype("f4", np.floating), np.float64(1).dtype, np.bool is np.bool_, np.finfo("f4").eps,
        np.iinfo("i2").min, np.sctypeDict["f8"], np.dtypes.Float64DType(), np.typename("d"),
        np.isdtype(np.dtype("f4"), "real floating"),
    ]  # fmt: skip
