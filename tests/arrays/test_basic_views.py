"""Views that C makes at once (`_view.h`): the same memory, shape, strides and flags as NumPy's, the same errors."""

import numpy as np
import pytest

import cunumeric as cn

PARTS = [
    0, 1, -1, 2, 5, -7, 2**70, slice(None), slice(1, None), slice(None, -1), slice(None, None, -1), slice(3, 1),
    slice(-100, 100, 2), slice(4, None, -3), slice(0, 0), slice(None, None, -(2**70)), None, Ellipsis,
    True, np.int64(1),
]  # fmt: skip


def arrays():
    x = np.arange(5 * 4 * 3, dtype="f8").reshape(5, 4, 3)
    still = x.copy()
    still.flags.writeable = False
    yield from (x, x[::-1, 1:, ::2], x.T, np.broadcast_to(x[0, 0], (5, 4, 3)), still, x[:0], np.asfortranarray(x))
    yield from (np.arange(6), np.array(3.5), np.zeros((3, 0, 2)), np.ones((1,) * 18), np.arange(24, dtype="i2")[1:20:3])
    yield np.zeros(4, [("a", "i4"), ("b", "f8")])
    yield np.frombuffer(bytes(range(1, 34)), "f4", 8, 1)  # not aligned
    yield np.arange(5, dtype=">i4")


def outcome(f):
    try:
        return f(), None
    except Exception as error:
        return None, (type(error), str(error))


def same(ours, numpys):
    assert type(ours) is cn.ndarray
    assert (ours.shape, ours.strides, ours.dtype) == (numpys.shape, numpys.strides, numpys.dtype)
    assert ours.flags.num == numpys.flags.num


def check(f, a):
    """`f` of ours over the memory of `a`, and of `a` itself."""
    x = cn.asarray(a)
    (ours, error), (numpys, expected) = outcome(lambda: f(cn, x)), outcome(lambda: f(np, a))
    assert error == expected
    if isinstance(numpys, list):
        assert len(ours) == len(numpys)
        for mine, other in zip(ours, numpys, strict=True):
            same(mine, other)
    elif isinstance(numpys, np.ndarray):
        same(ours, numpys)
        if numpys.base is not None and (numpys.base is a or numpys.base is a.base):
            assert ours.__array_interface__["data"] == numpys.__array_interface__["data"]
            assert ours.base is not None
    else:
        assert type(ours) is type(numpys) and repr(ours) == repr(numpys)


@pytest.mark.parametrize("a", arrays(), ids=lambda a: f"{a.dtype}{a.shape}")
def test_indices(a):
    for key in [*PARTS, (), *[(p, q) for p in PARTS for q in PARTS]]:
        check(lambda np, x, key=key: x[key], a)
    rng = np.random.default_rng(4)
    for _ in range(300):
        key = tuple(PARTS[k] for k in rng.integers(0, len(PARTS), rng.integers(3, 6)))
        check(lambda np, x, key=key: x[key], a)


@pytest.mark.parametrize("a", arrays(), ids=lambda a: f"{a.dtype}{a.shape}")
def test_functions(a):
    for f in (
        lambda np, x: x.T,
        lambda np, x: np.transpose(x),
        lambda np, x: x.transpose(),
        lambda np, x: np.flip(x),
        lambda np, x: np.flipud(x),
        lambda np, x: np.fliplr(x),
    ):
        check(f, a)
    for axis in (0, 1, -1, -2, 3, -19, 2**70, True, None):
        check(lambda np, x, axis=axis: np.flip(x, axis), a)
        check(lambda np, x, axis=axis: np.expand_dims(x, axis), a)
        for other in (0, -1, 2, 5):
            check(lambda np, x, axis=axis, other=other: np.swapaxes(x, axis, other), a)
            check(lambda np, x, axis=axis, other=other: x.swapaxes(other, axis), a)
            check(lambda np, x, axis=axis, other=other: np.moveaxis(x, axis, other), a)
    for parts in (1, 2, 3, 5, 6, 7, 0, -1, 2**70):
        check(lambda np, x, parts=parts: np.split(x, parts), a)


@pytest.mark.parametrize("a", arrays(), ids=lambda a: f"{a.dtype}{a.shape}")
@pytest.mark.parametrize("value", [7, -1, 2.5, 2**53 + 1, 2**64, -(2**63), float("nan"), True, 1e300])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_elements(a, value):
    for key in (0, -1, 3, 9, -9, (0, 0, 0), (1, 2), (4, 3, -1), (0, 0, 0, 0), True):
        mine, other = a.copy("K"), a.copy("K")
        mine.flags.writeable = other.flags.writeable = a.flags.writeable
        x = cn.asarray(mine)

        def put(x, key=key):
            x[key] = value

        assert outcome(lambda x=x: put(x)) == outcome(lambda other=other: put(other))
        assert x.tobytes() == other.tobytes()


def test_the_memory_of_a_view_lives_on():
    x = cn.arange(10)
    parts = cn.split(x[::-1], 2)
    del x
    assert parts[1].tolist() == [4, 3, 2, 1, 0]


def test_a_view_of_what_waits():
    x = cn.ones((300, 300))
    y = x * 2
    row, turned = y[3], y.T
    y[3] = 5
    assert row[7] == 5 and turned[7, 3] == 5 and turned[7, 4] == 2
