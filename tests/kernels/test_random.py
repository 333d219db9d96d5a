import numpy as np
import pytest

from cunumeric.engines.host.kernels import random

from .compare import assert_same


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(random, "LEAST", 8)
    monkeypatch.setattr(random, "BLOCK", 16)


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox])
@pytest.mark.parametrize("shape", [0, 3, 16, 17, 1000, (9, 11)])
def test_stream_and_state_are_numpys(team, bits, shape):
    ours, numpys = np.random.Generator(bits(5)), np.random.Generator(bits(5))
    for prelude in (0, 1, 2):
        # An odd number of 32-bit draws leaves half a draw behind.
        assert_same(ours.random(prelude, dtype="f4"), numpys.random(prelude, dtype="f4"))
        out = np.empty(shape)
        result = random.random_into(ours, out)
        if result is NotImplemented:
            ours.random(out=out)
        assert_same(out, np.asarray(numpys.random(shape)))
        for low, high in ((0.0, 1.0), (-3, 7.5), (2, 2), (0.1, 1e300)):
            if random.uniform_into(ours, out, low, high) is NotImplemented:
                out = ours.uniform(low, high, shape)
            assert_same(out, np.asarray(numpys.uniform(low, high, shape)))
        assert str(ours.bit_generator.state) == str(numpys.bit_generator.state)
    taken = random.random_into(ours, np.empty(1000)) is not NotImplemented
    assert taken == (team > 1 and bits in (np.random.PCG64, np.random.PCG64DXSM))


def test_left_to_numpy():
    generator = np.random.default_rng(1)
    state = generator.bit_generator.state
    for out in (np.empty(100, "f4"), np.empty(200)[::2], [0.0] * 100):
        assert random.random_into(generator, out) is NotImplemented
    for low, high in ((1.0, 0.0), (0.0, np.inf), (-1.7e308, 1.7e308), (10**400, 0), (np.zeros(100), 1.0), (0, np.nan)):
        assert random.uniform_into(generator, np.empty(100), low, high) is NotImplemented
    assert random.random_into(np.random.RandomState(1), np.empty(100)) is NotImplemented
    assert generator.bit_generator.state == state
