import numpy as np
import pytest

from cunumeric.engines.host.kernels import select

from .compare import check


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(select, "LEAST", 16)


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "i8", "f2", "f4", "f8", "c16"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_first_extremum(rng, team, name, dtype):
    ours, numpys = getattr(select, name), getattr(np, name)
    for shape in (0, 1, 3, 100, (9, 11), ()):
        a = np.asarray(rng.integers(0, 8, shape)).astype(dtype)
        for source in (a, a.T, a[::-1] if a.ndim else a, a * 0):
            for axis in (None, 0, -1, 1, 5):
                check(ours, numpys, source, axis)
        check(ours, numpys, a, keepdims=True)
        if a.dtype.kind in "fc" and a.size > 3:
            for where in ((0,), (-1,), (a.size // 2, -1), (1, 2)):
                b = a.copy()
                b.flat[list(where)] = np.nan
                check(ours, numpys, b)
                b.flat[list(where)] = -0.0
                check(ours, numpys, b)
    if dtype == "f8":
        check(ours, numpys, rng.random(100), taken=team > 1)
