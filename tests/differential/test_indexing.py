"""Views, single elements, index arrays, masks; reading, writing and what is refused."""

import numpy
import pytest

from .compare import ALL, attempt, compared, for_dtypes, for_sizes, misfit, sample

KEYS = [
    "0", "-1", "5", "-7", "1.0", "None", "...", "()", "True", "False", "1:3", "::-1", "-1:0:-2", "10:20", "::0", "2, 3",
    "..., 0", "0, ...", "None, 1", ":, None", ":, -1", "1:3, ::2", "::-1, ::-1", "2, 9", "1, 2, 3", "1, 2, 3, 4",
    "..., ...", "[0, 2]", "[]", "[-1, 0], [1, 1]", "[0, 9]", "[True] * 6", "[[0, 1], [2, 3]]", "[0], ...",
    "1:, [0, 3]", "[0], 1, [2]", "[0], :, [2]", "'a'", "np.array(2)", "np.array([1, 2])",
    "np.array([True, False] * 3)", "np.array([True] * 5)", "np.int8(3)", "np.uint64(2)", "np.float64(1)",
    "np.array([1.0])", "np.array([], int)", "np.array([], float)", "slice(np.int64(1), np.array(4))",
    "slice(None, 2.5)", "np.ones((6, 5), bool)", "np.eye(6, 5) > 0", "x > 9", "x > 99", "(x > 9)[:, 0]",
    "(x > 9)[:, :3]", "np.ix_([0, 2], [1, 3])", "np.nonzero(x[..., 0] > 20)", "np.s_[1:3, ..., ::2]", "object()", "{}",
    "10**30", "np.array([0, 1], 'u1'), 2", "np.newaxis, [1, 2]", "None, None, 0, None",
]  # fmt: skip


VALUES = ["-1", "x.max()", "[1, 2, 3, 4]", "np.arange(4.0)", "np.arange(5)", "1j", "'a'", "None", "np.ones((1, 1, 1))"]


def cube(np):
    return np.arange(6 * 5 * 4.0).reshape(6, 5, 4)


@pytest.mark.parametrize("key", KEYS)
@compared
def test_getitem(np, key):
    x = cube(np)
    x = x + 0
    return attempt(lambda: x[eval(key, {"np": np, "x": x})])


@pytest.mark.parametrize("key", KEYS)
@compared
def test_setitem(np, key):
    results = []
    for value in VALUES:
        x = cube(np)
        x = x * 1
        results += [attempt(lambda x=x, v=value: x.__setitem__(eval(key, {"np": np, "x": x}), eval(v))), x]
    return results


@for_sizes
@compared
def test_views_show_writes_and_write_through(np, n):
    x = np.arange(n) * 1.0
    a, b, c = x[2:], x[::-1], x[::3]
    d = b[1:]
    x += 1
    first = [a + 0, b + 0, c + 0, d + 0]
    c *= 2
    b[:5] = -1
    d[-1] = 7
    a[...] = a * 2
    return [*first, x, a, b, c, d, a.base is x, d.base is x, b.base is x, x.base is None]


@for_sizes
@compared
def test_integer_arrays(np, n):
    x = np.arange(n) * 1.5
    index = np.array(numpy.random.default_rng(0).integers(-n, n, n))
    y = x[index]
    x[index] = np.arange(n)
    z = x.copy()
    z[index] += 1
    z[index[:5]] = [1, 2, 3, 4, 5]
    return [
        y, x, z, x.take(index), np.take(x, index, mode="wrap"), np.take(x, index, mode="clip"),
        attempt(np.take, x, index * 2), attempt(lambda: x[index * 2]), attempt(x.__setitem__, index * 2, 0), x,
        attempt(x.__setitem__, index, [1, 2]), x[index.reshape(1, -1)], x[index.astype("i1") % 5],
        x.reshape(-1, 1)[index], x.reshape(1, -1)[0, index], x.reshape(1, -1)[:, index],
    ]  # fmt: skip


@for_sizes
@compared
def test_masks(np, n):
    x = np.arange(n) * 1.5
    mask = x % 2 > 1
    y = x[mask]
    x[mask] = 0
    z = x + 1
    z[z > 4] = np.nan
    w = x.copy()
    w[mask] = y * 2
    w[~mask] += 1
    return [
        y, x, z, w, x[~mask], attempt(lambda: x[mask[:-1]]), attempt(x.__setitem__, mask, [1, 2]), x[mask, None],
        x.reshape(1, -1)[:, mask], x.reshape(1, -1)[mask[None]], np.compress(mask, x), np.extract(mask, x),
        x[np.nonzero(mask)], np.flatnonzero(mask), np.argwhere(mask), np.where(mask), np.where(mask, x, -x),
        np.count_nonzero(mask), x[mask].base,
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ALL)
@compared
def test_every_dtype(np, dtype):
    x = sample(np, dtype, (4, 6))
    y = x.copy()
    y[1:3, ::2] = x[:2, ::2]
    y[0] = x[3, 0]
    y[:, [0, 1]] = x[:, [3, 2]]
    return [x[0], x[0, 0], x[..., 0], x[[0, 2]], x[1:, ::-1], x[x == x[0, 0]], y, x[0, 0, ...], x.item(3), x.tolist()]


@compared
def test_broadcasting_of_what_is_assigned(np):
    x = np.zeros((4, 6))
    x[...] = np.arange(6)
    x[:, 0] = 9
    x[1:3] = np.arange(2)[:, None]
    x[0] = [[1, 2, 3, 4, 5, 6]]
    x[2:3, 1:] = np.ones((1, 1, 5))
    return [
        x, attempt(x.__setitem__, slice(None), np.ones(5)), attempt(x.__setitem__, (0, 0), [1, 2]),
        attempt(x.__setitem__, 0, np.ones((2, 6))), attempt(x.__setitem__, ..., np.ones((2, 4, 6))), x,
        attempt(np.zeros(3, int).__setitem__, 0, 1.9), attempt(np.zeros(3, int).__setitem__, 0, np.nan),
        attempt(np.zeros(3, "i1").__setitem__, 0, 300), attempt(np.zeros(3).__setitem__, 0, "1.5"),
    ]  # fmt: skip


@for_sizes
@compared
def test_assignment_casts(np, n):
    results = []
    for source in ("float64", "int64", "bool", "complex128", "float32"):
        for target in ("int32", "float32", "uint8", "bool", "complex64"):
            x = (np.arange(n) % 5).astype(source)
            y = np.zeros(n, target)
            results += [attempt(y.__setitem__, slice(None), x + x), y, attempt(y.fill, 3), y, attempt(y.fill, 1j)]
    return results


@for_dtypes("float64", "float32", "int64", "uint8", "bool", "complex128", "datetime64[s]", "U3")
@compared
def test_parts_take_numbers_and_arrays(np, dtype):
    def fresh():
        return (np.arange(24) % 5).astype(dtype).reshape(4, 6)

    values = [1, 2.5, True, 1j, 300, -1, numpy.float64(2.5), numpy.int8(3), None, "7", (), [1, 2, 3, 4, 5, 6]]
    values += [np.arange(6), np.arange(6.0)[None, None], np.ones((4, 1)), np.ones(5), np.zeros((0, 6)), np.array(3)]
    keys = [0, -1, (1, 2), slice(1, 3), (slice(None), 1), (slice(None, None, -1), slice(2)), ..., (..., 0), None]
    keys += [slice(3, 1), (None, 1), 4, (0, 6), (slice(None), 7), (0, 0, 0), (2, ..., 3)]
    results = []
    for key in keys:
        for value in values:
            x = fresh()
            results += [attempt(x.__setitem__, key, value), x]
        x = fresh()
        results += [attempt(x.__setitem__, key, attempt(x.__getitem__, key)), x]
    return results


@compared
def test_what_is_shown_is_stored_there(np):
    """`x[i] op= y` ends with `x[i] = x[i]`: other views of the memory are not that."""
    x = np.arange(12.0)
    x[2:5] = x[2:5]
    x[2:5] = x[4:1:-1]
    y = np.arange(12.0).reshape(3, 4)
    y[:, :3] = y[:, 1:]
    y[...] = y.T.reshape(3, 4)
    z = np.arange(4).view("f8")
    w = z.view("i8")
    w[1:3] = z[1:3]
    x[3:7] += x[3:7]
    x.flags.writeable = False
    return [x, y, z, w, attempt(x.__setitem__, slice(2, 5), x[2:5]), x]


@for_sizes
@compared
def test_what_was_recorded_before_it_became_read_only(np, n):
    """The value is what it would have been; memory of its own can be written again."""
    x, y, z = np.arange(n) * 2.0, np.arange(n) * 3.0, np.zeros(n)
    x.flags.writeable = False
    y.setflags(write=False)
    z += 1
    z.flags["W"] = False
    found = [x, y, z, x[2], y[3], attempt(x.__setitem__, 0, 5.0), attempt(y.__iadd__, 1)]
    v = x[1:]
    found += [attempt(v.setflags, write=True), v]
    for a in (x, y, z):
        a.flags.writeable = True
        a.setflags(write=True)
        a[0] = 7
        a += 1
    return [*found, x, y, z, x.flags.owndata, v]


@compared
def test_read_only(np):
    x = np.arange(6.0)
    x.flags.writeable = False
    b = np.broadcast_to(np.arange(3), (2, 3))
    return [
        attempt(x.__setitem__, 0, 1), attempt(x.__setitem__, slice(2), 1), attempt(x.__iadd__, 1), attempt(x.sort),
        attempt(np.add, x, 1, out=x), attempt(x.fill, 1), attempt(x[1:].__setitem__, 0, 1),
        attempt(b.__setitem__, 0, 1), attempt(x.__setitem__, [0], 1), attempt(x.__setitem__, x > 1, 1),
        attempt(np.copyto, x, 1), attempt(x.put, 0, 1), x, x + 1,
    ]  # fmt: skip


@compared
def test_functions_that_index(np):
    x = np.arange(24.0).reshape(4, 6)
    i = np.array([[0, 2], [1, 1], [3, 0], [5, 5]])
    y, z, w = x.copy(), x.copy(), x.copy()
    np.put(y, [0, 30, -1], [7, 8], mode="clip")
    np.put_along_axis(z, i, -1, 1)
    np.fill_diagonal(w, 9)
    v = x.copy()
    np.place(v, v > 5, [1, 2])
    u = x.copy()
    np.putmask(u, u > 5, [1, 2])
    return [
        y, z, w, v, u, np.take_along_axis(x, i, 1), np.choose([0, 1, 2, 3], x[:, :4]),
        np.select([x > 5, x > 2], [x, -x], 9), np.diag(x), np.diag([1, 2]), np.diagonal(x, 1), np.tril(x),
        np.triu(x, 1), np.tril_indices(3), np.unravel_index(7, (2, 5)), np.ravel_multi_index(([0, 1], [1, 2]), (2, 5)),
        np.ix_([0], [1, 2]), np.ogrid[:2, :3], np.mgrid[:2, :3], np.indices((2, 3)), np.r_[1:3, 0, x[0]],
        np.c_[x[0], x[1]], np.insert(x, 1, 0, 0), np.delete(x, [0, 2], 1), np.append(x, 1), x.item(1, 2),
        attempt(x.item), attempt(x.item, 99), x.diagonal().flags.writeable, np.trim_zeros([0, 1, 0]),
        np.diag_indices(3), np.apply_along_axis(np.sum, 0, x), list(np.ndindex(2, 2)),
        [k for k, _ in np.ndenumerate(x[:2, :2])],
    ]  # fmt: skip


@compared
def test_elements_are_numpys_scalars(np):
    x = np.arange(6.0) * 1
    y = np.arange(6) + 0
    return [
        x[0], y[1], (y > 2)[3], x.item(0), list(y), y.tolist(), x[0] + y[0], x.sum(), float(x[2]), int(y[2]), [*x[:2]],
        x[0, ...], y[1:2].item(), misfit(x.item, 1, 2, 3, 4), len(x), 3.0 in x, 9 in y, list(x.reshape(2, 3)),
    ]  # fmt: skip
