"""Arrays from nothing, from ranges, from Python's and others' objects, from files and texts."""

import array
import io

import pytest

from .compare import ALL, LARGE, NUMERIC, attempt, compared, for_dtypes, for_sizes, misfit

CALLS = """
zeros(5)
zeros((2, 3), int, 'F')
zeros([2, 3])
zeros(())
zeros(-1)
zeros((2, -3))
zeros(2.0)
zeros('a')
zeros(3, 'spam')
zeros(3, order='Q')
zeros((0, 5))
zeros(np.array([2, 3]))
zeros(np.int64(4))
ones(5, 'u1')
ones((2, 2), 'c8', order='F')
ones(3, 'S2')
ones(2, object)
full(3, 7)
full((2, 2), 1.5, int)
full(3, [1, 2, 3])
full(3, [1, 2])
full((2, 2), np.arange(2), order='F')
full(2, 'ab')
full(2, 300, 'u1')
full(70000, 2)
full(70000, np.float32(2))
full(70000, 1j)
full(70000, True)
ones(70000)
ones((300, 300), 'f4', order='F')
zeros(70000).sum()
empty(70000).shape
empty((3, 4), 'f4').strides
empty((3, 4), order='F').strides
arange(5)
arange(1, 5)
arange(5, 1, -1.5)
arange(0, 1, 0.1)
arange(5, dtype='f4')
arange(3, 3)
arange(1, 2, 0)
arange('a')
arange()
arange(np.array(5))
arange(10**30)
arange(2**63, 2**63 + 3)
arange('2020-01', '2020-04', dtype='M8[M]')
arange(70000) + 1
arange(5, step=2)
linspace(0, 1)
linspace(0, 1, 5, endpoint=False)
linspace(0, [1, 2], 3)
linspace(0, 10, 4, dtype=int)
linspace(0, 1, 3, retstep=True)
linspace(0, 1, -1)
linspace(1, 2, 140001)
logspace(0, 3, 4)
geomspace(1, 1000, 4)
eye(3)
eye(3, 4, 1, int)
identity(3, 'f4')
tri(3, 4, -1)
vander([1, 2, 3])
diagflat([1, 2])
fromfunction(lambda i, j: i * 2 + j, (2, 3))
fromiter((k * 2 for k in range(5)), int)
fromiter([1], 'i4', count=3)
frombuffer(b'abcdef', 'u1')
frombuffer(b'abcdef', 'u1', 2, 1)
frombuffer(b'abc', 'i4')
fromstring('1 2 3', sep=' ')
fromstring('1,2', int, sep=',')
array(3)
array([1, 2.5])
array([[1, 2], [3, 4]], order='F')
array([1, 2], ndmin=3)
array([[1], [2, 3]])
array([1, 'a'])
array(None)
array([None, 1])
array({1: 2})
array(range(4))
array((1, True, 2.5, 1j))
array([2**63, -1])
array([2**70])
array('abc')
array([b'a', 'b'])
array([1.5], int)
array([300], 'u1')
array([-1], 'u1')
array(['1', '2'], float)
array(['a'], float)
array([np.arange(3), np.arange(3) + 1])
array([np.arange(3), [1.0, 2, 3]])
array((np.array(1), np.array(2.5)))
array(array.array('i', [1, 2, 3]))
array(memoryview(b'abc'))
array(bytearray(b'abc'))
array([], 'i4')
array(np.arange(3), copy=False)
array([1, 2], copy=False)
asarray([1, 2], 'f4')
asarray(np.arange(3), 'f4')
asarray(np.arange(3), copy=False)
asarray_chkfinite([1.0, np.nan])
ascontiguousarray(3)
copy(np.arange(6).reshape(2, 3).T)
zeros_like(np.arange(6.0).reshape(2, 3).T)
ones_like([1, 2], dtype='c8')
full_like(np.arange(3), 2.7)
full_like(np.arange(3.0), [1, 2, 3], dtype=int)
full_like(np.arange(3.0) + 1, 2)
zeros_like(np.arange(3), shape=(2, 2))
empty_like(np.arange(6.0).reshape(2, 3), order='F').strides
meshgrid([1, 2], [3, 4, 5], sparse=True)
meshgrid(np.arange(3), np.arange(2))
mgrid[0:1:3j, :2]
ogrid[:3, :2]
r_['-1', [1, 2], 3]
c_[[1, 2], [3, 4]]
indices((2, 2), sparse=True)
loadtxt(io.StringIO('1 2\\n3 4'))
genfromtxt(io.StringIO('1,2\\n3,x'), delimiter=',')
asmatrix([[1, 2]])
bmat([[np.eye(2), np.eye(2)]])
dtype('i4,f8')
fromregex(io.StringIO('a1b22'), r'(\\d+)', [('n', 'i4')])
ndarray((2, 3)).shape
ndarray((2,), 'i4', b'\\1\\0\\0\\0\\2\\0\\0\\0')
ndarray((2,), 'i4', buffer=np.arange(3), offset=8).shape
ndarray(3, strides=(0,)).shape
isscalar(3)
iinfo('i4').max
finfo('f4').eps
result_type('i4', np.arange(3, dtype='u4'), 1.0)
can_cast('i8', 'f4')
promote_types('i8', 'u8')
min_scalar_type(300)
common_type(np.arange(3.0), np.arange(3, dtype='f4'))
""".strip().splitlines()


@pytest.mark.parametrize("call", CALLS)
@compared
def test_call(np, call):
    scope = {"np": np, "array": array, "io": io}
    f = misfit if call in ("arange()",) else attempt
    if call.startswith("array(array."):
        call = "np." + call.replace("array.array(", "__import__('array').array(")
        return attempt(eval, call, scope)
    return f(eval, "np." + call, scope)


@for_dtypes(*ALL)
@compared
def test_every_dtype(np, dtype):
    return [
        attempt(np.zeros, 3, dtype), attempt(np.ones, (2, 2), dtype), attempt(np.arange, 3, dtype=dtype),
        attempt(np.full, 3, 1, dtype), attempt(np.array, [0, 1], dtype), attempt(np.eye, 2, dtype=dtype),
        attempt(np.asarray, [True], dtype), np.empty(0, dtype), attempt(np.zeros_like, np.ones(3), dtype),
        attempt(np.linspace, 0, 1, 3, dtype=dtype),
    ]  # fmt: skip


@for_dtypes(*NUMERIC)
@for_sizes
@compared
def test_astype(np, dtype, n):
    x = (np.arange(n) % 7).astype(dtype)
    y = x + x
    results = []
    for to in ["float64", "int8", "complex64", "bool", "float16", ">i4"] + (["U5", "object", "S3"] if n < 1000 else []):
        results += [x.astype(to), attempt(y.astype, to, casting="safe"), attempt(x.astype, to, copy=False) is x]
    return [
        *results,
        attempt(x.astype, "spam"),
        misfit(x.astype),
        y.astype(dtype) is y,
        y.astype("f8", "F").flags.c_contiguous,
    ]


@compared
def test_files(np):
    x = np.arange(12.0).reshape(3, 4) * 2
    f, h = io.BytesIO(), io.StringIO()
    np.save(f, x)
    np.savetxt(h, x, fmt="%.3f")
    for s in (f, h):
        s.seek(0)
    return [np.load(f), h.getvalue(), np.loadtxt(h), f.getvalue()]


@pytest.mark.xfail(strict=True, reason="the arrays of a .npz file (numpy.lib.npyio.NpzFile) are NumPy's, not ours")
@compared
def test_archives(np):
    f = io.BytesIO()
    x = np.arange(12.0).reshape(3, 4) * 2
    np.savez(f, x=x, y=x[0])
    f.seek(0)
    z = np.load(f)
    return [sorted(z), z["x"], z["y"]]


@compared
def test_text(np):
    x = np.arange(12.0).reshape(3, 4) / 7
    y = x + 1
    big = np.arange(5000.0) * 2
    return [
        repr(x), str(y), repr(big), f"{y}", f"{y[0, 0]:.3f}", attempt(format, y, ".3f"),
        np.array2string(y, precision=2), np.array_repr(y), np.array_str(y), repr(np.array([])), repr(np.array("a")),
        repr(y.astype("f4")), repr(np.array([1, None])), repr(np.zeros((0, 3))),
    ]  # fmt: skip


@compared
def test_random_is_reproducible(np):
    g = np.random.default_rng(3)
    np.random.seed(5)
    s = np.random.RandomState(4)
    return [
        g.random(5), g.normal(size=(2, 3)), g.integers(0, 9, 7), g.permutation(5), g.choice(10, 3), g.random(),
        g.random(LARGE), np.random.rand(3), np.random.randint(0, 9, 4), np.random.randn(2, 2), s.uniform(0, 1, 4),
        g.uniform(0, 5, LARGE), g.standard_normal(9), g.shuffle(np.arange(4)), np.random.permutation(6),
        np.random.random(), g.random(out=np.zeros(4)), attempt(g.random, out=np.zeros(4, "i4")),
        g.random(9, dtype="f4"), g.exponential(2, 3), attempt(g.normal, 0, -1), g.multinomial(5, [0.5, 0.5]),
        g.bytes(4),
    ]  # fmt: skip
