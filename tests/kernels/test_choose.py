import numpy as np
import pytest

from cunumeric.engines.host.kernels import choose
from cunumeric.runtime.settings import settings

from .compare import check
from .test_gather import DTYPES, data


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(choose, "AT_ALL", 4)
    monkeypatch.setattr(choose, "LEAST", 4)
    monkeypatch.setattr(choose, "BLOCK", 16)


@pytest.mark.parametrize("density", [0, 0.5, 1])
def test_where(rng, team, monkeypatch, density):
    monkeypatch.setattr(settings, "threads", {3: 4}.get(team, team))
    scalars = [True, 1, 2.5, 1j, 300, -1, 10**30, np.float32(1), np.int8(3), "x", None]
    for shape in [(100,), (9, 11), (5,), (0,)]:
        c = rng.random(shape) < density
        arrays = [data(rng, shape, dtype) for dtype in DTYPES]
        for x in arrays:
            for y in [*arrays, *scalars, x[::-1], x.astype(object), x[:1]]:
                check(choose.where3, np.where, c, x, y)
                check(choose.where3, np.where, c, y, x)
        for x in scalars:
            check(choose.where3, np.where, c, x, 1)
    c = rng.random(100) < 0.5
    check(choose.where3, np.where, c, 1, 2.5, taken=True)
    x = data(rng, 100, "f8")
    check(choose.where3, np.where, c, x, x + 1, taken=True)
    special = rng.choice([np.nan, -np.nan, 0.0, -0.0, np.inf], 100)
    check(choose.where3, np.where, c, x, special, taken=True)
    check(choose.where3, np.where, c, special.astype("f4"), x, taken=True)
