import numpy as np
import pytest

from cunumeric.engines.host.kernels import transforms as fft

from .compare import assert_same, check

DTYPES = ["f4", "f8", "c8", "c16", "i4", "u1", "?"]


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(fft, "LEAST", 4)
    monkeypatch.setattr(fft, "BLOCK", 64)
    monkeypatch.setattr(fft, "LANES", 3)


def data(rng, shape, dtype):
    a = rng.standard_normal(shape) * 10
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.standard_normal(shape)
    return np.abs(a).astype(dtype) if np.dtype(dtype).kind in "u?" else a.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
@pytest.mark.parametrize("norm", [None, "ortho", "forward", "wrong"])
def test_one_axis(rng, team, name, dtype, norm):
    ours, numpys = getattr(fft, name), getattr(np.fft, name)
    for shape in [(6, 8), (3, 4, 5), (17, 9), (1, 33), (2, 1), (40,)]:
        a = data(rng, shape, dtype)
        for axis in range(-len(shape), len(shape) + 1):
            for n in (None, 3, 12, 0):
                check(ours, numpys, a, n, axis, norm)
    if norm is None and not (name == "rfft" and a.dtype.kind == "c"):
        assert (ours(data(rng, (16, 8), dtype)) is NotImplemented) == (team == 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"])
def test_several_axes(rng, team, name, dtype):
    ours, numpys = getattr(fft, name), getattr(np.fft, name)
    for shape in [(6, 8), (3, 4, 5), (17, 9), (3, 1024)]:
        a = data(rng, shape, dtype)
        check(ours, numpys, a)
        check(ours, numpys, a.T)
        check(ours, numpys, a[::-1])
        check(ours, numpys, a, axes=(0, 1), norm="ortho")
        check(ours, numpys, a, axes=(1, 0))
        check(ours, numpys, a, s=(5, 12), axes=(0, -1))
        check(ours, numpys, a, s=(-1, -1), axes=(0, -1))
        check(ours, numpys, a, axes=(0, 0))
        check(ours, numpys, a, axes=(0, 7))


def test_out(rng, team):
    a = data(rng, (12, 16), "c16")
    for name in ("fft", "ifft", "fft2", "ifft2"):
        for axes in ({}, {"axes": (1, 0)}) if name.endswith("2") else ({}, {"axis": 0}):
            out = np.empty_like(a)
            result = getattr(fft, name)(a, out=out, **axes)
            if team > 1:
                assert result is out
                assert_same(out, getattr(np.fft, name)(a, **axes))
    out = np.empty((12, 16))
    if team > 1:
        assert fft.irfft(a[:, :9].copy(), out=out) is out
        assert_same(out, np.fft.irfft(a[:, :9]))
        assert fft.irfft2(a[:, :9].copy(), out=out) is out
        assert_same(out, np.fft.irfft2(a[:, :9]))
    assert fft.fft(a, out=a) is NotImplemented
    assert fft.fft(a, out=np.empty((12, 15), complex)) is NotImplemented
    assert fft.fft2(a, s=(4, 4), axes=(0, 1), out=np.empty((4, 4), complex)) is NotImplemented


def test_left_to_numpy(rng):
    a = data(rng, (16, 8), "f8")
    assert fft.fft(a.astype(">f8")) is NotImplemented
    assert fft.fft(a.astype("g")) is NotImplemented
    assert fft.fft(a.view(np.recarray)) is NotImplemented
    assert fft.fft(a.tolist()) is NotImplemented
    assert fft.fft(np.empty((0, 4))) is NotImplemented
    assert fft.fft2(a, s=(4, 4), axes=None) is NotImplemented


def test_floating_point_conditions_are_numpys(rng, team):
    a = data(rng, (16, 8), "f8")
    a[3, 2] = np.inf
    with np.errstate(all="ignore"):
        check(fft.fft, np.fft.fft, a, taken=team > 1)
    with np.errstate(all="raise"):
        check(fft.fft, np.fft.fft, a)
