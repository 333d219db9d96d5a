"""Whoever holds the memory itself reads and writes it past us: nothing recorded on it may wait."""

import numpy
import pytest

import cunumeric

N = 103


def by_asarray(x):
    return numpy.asarray(x)


def by_memoryview(x):
    return memoryview(x)


def by_data(x):
    return x.data


def by_dlpack(x):
    return numpy.from_dlpack(x)


def by_frombuffer(x):
    return numpy.frombuffer(x)


def by_flat(x):
    return x.flat


def by_ctypes(x):
    return numpy.ctypeslib.as_array(
        x.ctypes.data_as(numpy.ctypeslib.ctypes.POINTER(numpy.ctypeslib.ctypes.c_double)), (N,)
    )


def by_array_interface(x):
    class Holder:
        __array_interface__ = x.__array_interface__
        owner = x

    return numpy.asarray(Holder())


def by_slice_of_asarray(x):
    return numpy.asarray(x[:])


def by_view_of_subclass(x):
    return x.view(numpy.matrix).view(numpy.ndarray)[0]


WAYS = [v for k, v in list(globals().items()) if k.startswith("by_")]


@pytest.fixture(params=WAYS, ids=lambda f: f.__name__[3:])
def way(request):
    return request.param


def fresh():
    """Recorded work waits on the array."""
    x = cunumeric.zeros(N)
    cunumeric.synchronize()
    x += 1
    x[1:] += x[:-1]
    return x


EXPECTED = [1.0] + [2.0] * (N - 1)


def test_what_was_recorded_is_seen(setup, way):
    assert list(way(fresh())) == EXPECTED


def test_what_is_recorded_later_is_seen(setup, way):
    x = fresh()
    m = way(x)
    x += 1
    x[::2] = x[::2] * 2
    assert list(m)[:3] == [4.0, 3.0, 6.0]


def test_writes_past_us_are_seen(setup, way):
    x = fresh()
    y = x + 1
    m = way(x)
    z = x * 2
    v = x[5:]
    w = v + 1
    m[6] = 50.0
    assert (y[6], z[6], w[1]) == (3.0, 4.0, 3.0)
    assert x[6] == v[1] == 50.0
    assert (x + 0)[6] == 50.0
    assert x.sum() == sum(EXPECTED) + 48


def test_memory_that_came_from_outside(setup):
    m = numpy.zeros(N)
    x = cunumeric.asarray(m)
    y = x + 1
    m[3] = 7
    assert y[3] == 1
    assert (x + 1)[3] == 8
    x += 1
    assert m[3] == 8
    x[4:] = x[:-4] * 2
    assert m[7] == 16


def test_foreign_buffers(setup):
    b = bytearray(8 * N)
    x = cunumeric.frombuffer(b)
    y = x + 1
    b[:8] = numpy.float64(5).tobytes()
    assert y[0] == 1
    assert x[0] == 5
    x += 1
    assert numpy.frombuffer(b)[0] == 6


def test_operands_of_numpys(setup):
    """A NumPy array given as an operand can change afterwards: its value at the call counts."""
    m = numpy.ones(N)
    x = cunumeric.ones(N)
    cunumeric.synchronize()
    y = x + m
    z = cunumeric.where(x > 0, m, x)
    x[...] = m * 3 + x
    m[:] = 100
    assert y.tolist() == [2.0] * N
    assert z.tolist() == [1.0] * N
    assert x.tolist() == [4.0] * N


def test_nditer(setup):
    x = fresh()
    with cunumeric.nditer(x, op_flags=["readwrite"]) as it:
        for element in it:
            element[...] = element * 2
    x += 1
    assert x.tolist() == [3.0] + [5.0] * (N - 1)
    with cunumeric.nditer([x, None]) as it:
        for a, b in it:
            b[...] = a
        assert it.operands[1].tolist() == x.tolist()


def test_flat_writes(setup):
    x = fresh()
    f = x.flat
    x += 1
    f[0] = 9
    y = x + 1
    f[1:3] = [7, 8]
    x.flat = cunumeric.arange(N)
    assert y.tolist()[:3] == [10.0, 4.0, 4.0]
    assert x[5] == 5
    assert [v for v, _ in zip(x.flat, range(3), strict=False)] == [0, 1, 2]


def test_iteration_over_rows_that_are_written(setup):
    x = cunumeric.zeros((20, 5))
    x += 1
    for k, row in enumerate(x):
        row *= k
    assert x[:, 0].tolist() == [float(k) for k in range(20)]


def test_reading_into(setup, tmp_path):
    x = fresh()
    x.tofile(tmp_path / "x")
    with open(tmp_path / "x", "rb") as f:
        y = cunumeric.zeros(N)
        y += 3
        f.readinto(y)
    assert y.tolist() == EXPECTED
    g = numpy.random.default_rng(0)
    z = cunumeric.zeros(N) + 1
    g.random(out=numpy.asarray(z))
    assert z.tolist() == numpy.random.default_rng(0).random(N).tolist()


def test_numpys_functions_that_write(setup):
    x, m = fresh(), numpy.zeros(N)
    numpy.copyto(m, x)
    numpy.add(m, x, out=m)
    x += 1
    numpy.put(x, [0], [9])
    numpy.multiply(x, 2, out=x)
    y = x + m
    numpy.negative(x, out=m)
    assert y.tolist()[:2] == [20.0, 10.0]
    assert m.tolist()[:2] == [-18.0, -6.0]
