"""Windows that come round again are run in C: the same values, warnings and errors, and nothing is lost."""

import gc
import warnings

import numpy
import pytest

import cunumeric
from cunumeric.engines.host import native, sweep
from cunumeric.graph import window
from cunumeric.runtime import memory, residence
from cunumeric.runtime.settings import settings

pytestmark = pytest.mark.skipif(
    residence.accelerated or not settings.accelerate or not native.available(), reason="replays are the host's, in C"
)


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    cunumeric.synchronize()
    monkeypatch.setattr(settings, "record_min", 64)
    monkeypatch.setattr(sweep, "_THIN", 0)
    monkeypatch.setattr(window.company, "alone", 0)
    sweep._templates.clear()
    yield
    sweep._templates.clear()


def runs() -> int:
    """Programs that C has run by itself since the last call."""
    found = [t.replay for t in sweep._templates.values() if t.replay is not None]
    return sum(n for replay in found for _, n, _ in native.tally(replay))


def relaxed(np, turns: int) -> list:
    """A stencil, boundaries, temporaries, scalars that change, buffers that swap, and sums: several kinds of window."""
    u, v = np.arange(400.0).reshape(20, 20), np.ones((20, 20))
    found = []
    for k in range(turns):
        w = 0.25 * (u[1:-1, :-2] + u[1:-1, 2:]) + v[1:-1, 1:-1] * k
        u[1:-1, 1:-1] = w - v[1:-1, 1:-1] / (k + 1)
        u[:, 0] = u[:, 1]
        u[-1, :] = 0
        z = u * v - k
        found += [float((z * z).sum()), float((z + 1).max()), float(u.sum())]
        u, v = v + 0.0, u * 0.5
        if k % 3 == 0:
            found.append(numpy.array(v))
    return [*found, numpy.array(u), numpy.array(v)]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_values_are_numpys(monkeypatch, threads):
    monkeypatch.setattr(settings, "threads", threads)
    ours, expected = relaxed(cunumeric, 30), relaxed(numpy, 30)
    assert runs() > 0
    for mine, numpys in zip(ours, expected, strict=True):
        if isinstance(mine, numpy.ndarray):
            assert numpy.array_equal(mine, numpys)
        else:  # sums, which are added up in another order
            assert mine == pytest.approx(numpys, rel=1e-14)


def test_a_value_lives_on_where_its_sum_was_asked_for():
    x = cunumeric.arange(200.0)
    kept = []
    for k in range(12):
        y = x * 2 + k
        total = y.sum()  # no temporary: the window gives it memory, or lets it linger
        z = (y + 1).sum()
        kept.append((y, total, z, k))
    assert runs() > 0
    for y, total, z, k in kept:
        expected = numpy.arange(200.0) * 2 + k
        assert numpy.array_equal(numpy.asarray(y), expected)
        assert total == expected.sum()
        assert z == (expected + 1).sum()


@pytest.mark.parametrize("threads", [1, 2])
def test_whether_any_or_all_hold(monkeypatch, threads):
    monkeypatch.setattr(settings, "threads", threads)

    def told(np, n: int) -> list:
        x, found = np.arange(float(n)).reshape(-1, 2), []
        for k in range(-1, n, n // 9):
            low, high = x * 2 > k + 0.5, (x + 1) * 2 > 2 * k
            found += [(low & (x < 4)).any(), (low & high).all(), np.any(x + x == 2 * k), np.all(x - 1 < k), low.any()]
        return found

    for n in (200, 100_000):
        ours, numpys = told(cunumeric, n), told(numpy, n)
        assert ours == numpys
        assert {type(v) for v in ours} == {numpy.bool_}
        assert {*ours} == {True, False}
    assert runs() > 0


def test_temporaries_that_somebody_keeps_keep_their_values():
    x, kept = cunumeric.arange(200.0), []

    def total(y):
        kept.append(y)
        return y.sum()

    for k in range(12):
        assert total(x + k) == (numpy.arange(200.0) + k).sum()
        x[3] = x[3]
    for k, y in enumerate(kept):
        assert numpy.array_equal(numpy.asarray(y), numpy.arange(200.0) + k)


def test_every_turn_warns():
    x = cunumeric.arange(200.0)
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "warn_explicit", lambda text, *rest: heard.append((text, rest[2])))
        for _ in range(8):
            y = 1 / x + x - 1
            y *= 2
            cunumeric.synchronize()
    assert runs() > 0
    line = test_every_turn_warns.__code__.co_firstlineno + 6
    assert [text for text, _ in heard] == ["divide by zero encountered in divide"] * 8
    assert {at for _, at in heard} == {line}


def test_a_sum_that_overflows_says_so():
    x = cunumeric.full(200_000, 1.7e308)
    found = []
    for _ in range(6):
        with numpy.errstate(all="ignore"):
            found.append(float((x * 1.0).sum()))
    assert found == [numpy.inf] * 6


def test_a_lack_of_memory_loses_nothing(monkeypatch):
    x = cunumeric.arange(200.0)

    def turn(k):
        y, z = x + k, x * k
        z -= 1
        y *= z
        return y, z

    for k in range(4):
        y, z = turn(k)
        cunumeric.synchronize()
    assert runs() > 0
    y, z = turn(7)
    with monkeypatch.context() as patch:
        patch.setitem(vars(memory), "empty", lambda *what: (_ for _ in ()).throw(MemoryError("none is left")))
        with pytest.raises(MemoryError, match="none is left"):
            cunumeric.synchronize()
    assert window.pending
    a = numpy.arange(200.0)
    assert numpy.array_equal(numpy.asarray(z), a * 7 - 1)
    assert numpy.array_equal(numpy.asarray(y), (a + 7) * (a * 7 - 1))


def test_settings_have_replays_of_their_own(monkeypatch):
    x = cunumeric.arange(4096.0)

    def turn():
        y = x * 2 + 1
        y -= x
        z = y * y
        return z.sum(), y

    expected = ((numpy.arange(4096.0) + 1) ** 2).sum()
    for tile in (32768, 4, 32768, 64):
        monkeypatch.setattr(settings, "tile", tile)
        for _ in range(4):
            total, y = turn()
            assert total == pytest.approx(expected, rel=1e-15)
            assert numpy.array_equal(numpy.asarray(y), numpy.arange(4096.0) + 1)


def test_replays_go_with_their_templates():
    x = cunumeric.arange(300.0)
    for _ in range(5):
        y = x + 1
        y *= x
        y -= 3
        cunumeric.synchronize()
    assert runs() > 0
    sweep._templates.clear()
    gc.collect()
    plans = window.counters.plans
    y = x + 1
    y *= x
    y -= 3
    cunumeric.synchronize()
    assert window.counters.plans == plans + 1
    assert numpy.array_equal(numpy.asarray(y), (numpy.arange(300.0) + 1) * numpy.arange(300.0) - 3)
