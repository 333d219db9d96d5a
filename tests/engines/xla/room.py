"""Memory of the device: who takes whose, and where it is short. `python -m tests.engines.xla.room TOPIC`."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy
import pytest

import cunumeric as np
from cunumeric.engines.xla import backend, execute, pressure, storage
from cunumeric.runtime import lines, memory, residence
from cunumeric.runtime.settings import settings


def given() -> None:
    """A result takes the memory of what is read for the last time, and of nothing else."""

    def taken() -> int:
        np.synchronize()
        return execute.programs()[-1].call.memory_analysis().alias_size_in_bytes

    x = np.arange(1.0 * (1 << 18)) * 1
    y = x + 1
    np.synchronize()
    y = y * x
    assert taken() == y.nbytes
    z = y - x
    assert taken() == 0
    row = z[:5]
    z = z * 3  # `row` shows the old values
    assert taken() == 0
    assert (row.tolist(), z[2], y[3]) == ([0.0, 1.0, 4.0, 9.0, 16.0], 12.0, 12.0)

    def steps(np: Any, turns: int) -> Any:
        """Each array is the successor of one, in another order than they are read in."""
        p, x = np.arange(1.0 * (1 << 18)).reshape(512, 512) / 7, np.ones((512, 512))
        r = p * 3
        for _ in range(turns):
            w = 4.0 * p
            w[1:] -= p[:-1]
            x = x + 0.25 * w
            r = r - 0.5 * x
            p = r + 0.125 * p
            del w
            if np is not numpy:
                np.synchronize()
        return x, r, p

    for a, b in zip(steps(np, 4), steps(numpy, 4), strict=True):
        assert numpy.allclose(a.tolist(), b, rtol=1e-15)
    text = execute.programs()[-1].call.as_text()
    assert taken() == 3 * 8 << 18
    if residence.kind() == "cpu":  # for a GPU XLA computes r and p together, where neighbours are still to be read
        assert " copy(" not in text


def shortage() -> None:
    """Idle arrays go home, windows are cut in two, and then an error names the largest; the program goes on."""
    settings.fbmem = 10
    n = 1 << 18
    xs = [np.arange(n) * 1.0 + k for k in range(8)]
    z = [x * 2 for x in xs]
    total = sum(z)
    assert float(total[1]) == 2 * (8 + sum(range(8)))
    assert pressure.counters.spilled > 0
    assert pressure.counters.split > 0
    # What both halves of a window read lives until the second has run.
    split = pressure.counters.split
    a = xs[0] * 1
    np.synchronize()
    t = a + 1
    t[1:] += 2
    outs = [t * k + a for k in range(1, 9)]
    del t, a
    np.synchronize()
    assert pressure.counters.split > split
    assert [float(v[2]) for v in outs] == [5.0 * k + 2 for k in range(1, 9)]
    del outs
    x = np.zeros(n)
    for _ in range(30):
        x += 1
    w = x * 2
    w = (w + z[0]) * w
    assert (x[0], w[1]) == (30.0, 62.0 * 60)
    big = None
    line = sys._getframe().f_lineno + 1
    made = [xs[0] + 1, np.sort(xs[0]), numpy.sqrt(xs[0]), np.ones(n), xs[0].copy(), xs[0][::-1] * xs[1]]
    np.synchronize()
    assert {lines.told(residence.remote_of(y._a).line) for y in made} == {f"{__file__}:{line}"}
    del made
    # The memory of a temporary that one of the halves makes is nobody else's, though the whole did not fit.
    settings.fbmem, spilled = 26, pressure.counters.spilled
    first = np.ones(1 << 21) * 1.5
    second = np.ones(1 << 21) + 1
    np.synchronize()
    assert pressure.counters.spilled > spilled
    assert (first[3], second[-1]) == (1.5, 2.0)
    del first, second
    settings.fbmem = 24
    line = sys._getframe().f_lineno + 1
    whole = np.ones(1 << 21)
    np.synchronize()
    try:
        big = whole * 3
        big.sum().item()
        raise AssertionError("no error")
    except MemoryError as error:
        assert "MiB more are needed" in str(error)
        assert f"float64 (2097152,), 16 MiB, made at {__file__}:{line}" in str(error)
    del big, whole
    assert [float(x[5]) for x in xs] == [5.0 + k for k in range(8)]
    settings.fbmem = 0
    try:
        np.add.outer(np.arange(1 << 23) * 1.0, np.arange(1 << 23) * 1.0)
        raise AssertionError("no error")
    except MemoryError as error:
        assert "(8388608, 8388608)" in str(error)


def halves() -> None:
    """Windows that are cut where the memory ends, wherever that is: NumPy's values. What finds no room at all is as if
    it had raised the error, and so is what builds on it."""
    n = 1 << 18  # two MiB an array

    def values(m: Any, many: int, update: bool = True) -> list[Any]:
        spare = m.arange(n) * 2.0  # read by the first, and then nobody's
        made = [m.arange(n) * 1.0 + spare]
        del spare
        for k in range(many):
            made.append(made[-1] * 2 + made[k // 2])
        if update:
            made[many // 2][1:] += made[0][:-1]
        return [*made, made[many // 2][::-1] - made[-1]]

    short = lost = 0
    for cap in range(5, 20, 2):
        for many in range(2, 10):
            ours, theirs = values(np, many), values(numpy, many)
            before = values(numpy, many, False)[many // 2]
            settings.fbmem, failed = cap, False
            try:
                np.synchronize()
            except MemoryError as error:
                assert "MiB more are needed" in str(error)
                short, failed = short + 1, True
                np.synchronize()  # is over
            for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                try:
                    found = numpy.asarray(a)
                    assert (found == b).all() or (failed and k == many // 2 and (found == before).all()), (cap, many, k)
                except MemoryError:
                    assert failed and ((a + 1).shape, str(a.dtype)) == ((n,), "float64")
                    lost += 1
                    late = a + 1
                    a[...] = k  # begins anew, and what read it before does not
                    for x in (a, late):  # at the first read, and where it is asked for
                        with pytest.raises(MemoryError):
                            float(x[3])
                    assert a[3] == k
            settings.fbmem = 0
    assert 0 < short < 10 and short <= lost < 50 and pressure.counters.split > 50


def pieces() -> None:
    """Much memory goes to a GPU and comes back a piece at a time, so that it never stands on the host twice; less of it
    comes through pinned memory."""
    on_gpu, storage._on_gpu = backend.kind() == "gpu", lambda: True
    storage._PINNED_FROM, storage._IN_PIECES_FROM = 1 << 12, 1 << 15
    storage._WAITED_FROM = 1 << 13 if on_gpu else 1 << 15  # what is not in pieces shares memory on the processor
    storage._BROUGHT, storage._SENT = 1 << 12, 1 << 13
    asked, whole, bring = [], [], storage._bring_pinned
    storage._bring_pinned = lambda *args: whole.append(args) or bring(*args)
    ways = storage._piece_ways
    storage._piece_ways = lambda *form: asked.append(form) or ways(*form)
    for dtype in "?bhfdD":
        for shape in ((40_000,), (3, 12_345), (2, 2, 9_001), (3_700,)):
            a = numpy.arange(math.prod(shape)).reshape(shape).astype(dtype)
            if dtype == "?":
                a = (numpy.arange(math.prod(shape)).reshape(shape) % 7).astype("u1").view("?")
            x = np.array(a)
            assert (residence.remote_of(x._a).home is False) == (a.nbytes >= storage._WAITED_FROM)
            changed = a.copy()
            a[...] = 0  # the copy does not see it
            a, changed = changed, a
            y = x | x if dtype == "?" else x + x
            back = numpy.asarray(y)
            assert (back == (a | a if dtype == "?" else a + a)).all(), (dtype, shape)
            np.synchronize()
            assert (numpy.asarray(x[..., ::-1]) == a[..., ::-1]).all()
    assert len(asked) >= 18
    assert len(whole) >= 3
    storage._PINNED_FROM, storage._WAITED_FROM, storage._IN_PIECES_FROM = 1 << 20, 1 << 22, 1 << 26
    # What finds no room at home stays.
    settings.fbmem, available, memory.available = 4, memory.available, lambda: 0
    held = [np.arange(1 << 17) * 1.0 + k for k in range(3)]
    np.synchronize()
    spilled = pressure.counters.spilled
    try:
        more = held[0] * 2 + held[1]
        more = np.sort(more), more * 3
        np.synchronize()
        raise AssertionError("no error")
    except MemoryError as error:
        assert "MiB more are needed" in str(error)
    assert pressure.counters.spilled == spilled
    memory.available = available
    more = held[0] * 2 + held[1]
    more = np.sort(more), more * 3
    np.synchronize()
    assert pressure.counters.spilled > spilled
    assert [float(x[5]) for x in held] == [5.0, 6.0, 7.0] and float(more[1][5]) == 48.0


TOPICS = (given, halves, pieces, shortage)


def main() -> None:
    assert settings.engine == "xla"
    for topic in sys.argv[1:]:
        {f.__name__: f for f in TOPICS}[topic]()
        print(topic, "passed", flush=True)


if __name__ == "__main__":
    main()
