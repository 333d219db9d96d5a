"""Several Python threads, forked and spawned processes, Ctrl-C."""

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy
import pytest

import cunumeric
from cunumeric.runtime import threads

from .compare import LARGE

N = 20_011


def work(np, seed, n=N, rounds=12):
    """A program with views, in-place writes and reductions on arrays of its own."""
    x = np.arange(n) * 1.0 % (seed + 3)
    total = 0.0
    for k in range(rounds):
        y = x * 2 + k
        y[1:] += x[:-1]
        x[::2] = y[::2] % 7
        x[1:-1] = (x[:-2] + x[2:]) * 0.5
        total += float(y.max()) + float(x[seed % n])
    return total, x.tolist()


def test_threads_with_their_own_arrays(setup):
    n = N if setup == "default" else 203
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: work(cunumeric, seed, n), range(8)))
    assert found == [work(numpy, seed, n) for seed in range(8)]


def test_threads_with_their_own_arrays_recorded():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: work(cunumeric, seed, LARGE, 4), range(6)))
    assert found == [work(numpy, seed, LARGE, 4) for seed in range(6)]


def test_threads_that_read_one_array(setup):
    n = LARGE if setup == "default" else 203
    x = cunumeric.arange(n) * 2.0
    expected = (numpy.arange(n) * 2.0 + 1).tolist()
    gate = threading.Barrier(4)

    def read(_):
        gate.wait()
        return (x + 1).tolist()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(read, range(4)))


def test_threads_that_write_parts_of_one_array(setup):
    n = 4 * LARGE if setup == "default" else 400
    x = cunumeric.zeros(n)
    x += 1
    parts = [x[k * n // 4 : (k + 1) * n // 4] for k in range(4)]

    def write(k):
        for _ in range(10):
            parts[k][...] = parts[k] * 2 - k
            parts[k][1:] = parts[k][:-1] + 0

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    y = numpy.ones(n)
    for k in range(4):
        p = y[k * n // 4 : (k + 1) * n // 4]
        for _ in range(10):
            p[...] = p * 2 - k
            p[1:] = p[:-1].copy()
    assert x.tolist() == y.tolist()


def test_a_thread_reads_what_another_recorded(setup):
    x = cunumeric.arange(203) * 3.0
    box = []
    t = threading.Thread(target=lambda: box.append(x.sum()))
    t.start()
    t.join(30)
    assert box == [numpy.arange(203).sum() * 3.0]


# -- processes ---------------------------------------------------------------------------------------------------------


def spawned(seed):
    return work(cunumeric, seed, LARGE, 3)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_processes(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map_async(spawned, range(3)).get(90)
    assert found == [work(numpy, seed, LARGE, 3) for seed in range(3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_with_recorded_work():
    """The child has the parent's recorded work, and threads of its own."""
    code = """
        import os, sys
        import cunumeric as np
        from cunumeric.runtime.settings import settings
        settings.threads = 2
        x = np.arange(300_000) * 1.0
        (x + 1).sum()  # the team runs
        y = x * 2 + 1
        pid = os.fork()
        expected = (299_999 * 300_000.0) + 300_000
        ok = y.sum() == expected and (y + x)[5] == 16
        if pid == 0:
            os._exit(0 if ok else 1)
        _, status = os.waitpid(pid, 0)
        sys.exit(0 if ok and status == 0 else 1)
    """
    assert script(code).returncode == 0


def test_sweeps_of_many_threads_one_team():
    """Who finds the team busy does all parts alone; workers that slept wake, those that look out are there at once."""
    code = """
        import threading, time
        import numpy
        import cunumeric as np
        from cunumeric.runtime.settings import settings
        settings.threads = 4
        wrong = []

        def work(seed):
            a = numpy.random.default_rng(seed).random((400, 300))
            x = np.array(a)
            for k in range(60):
                y = x * 2 + k
                y[1:-1] -= x[:-2] + x[2:]
                b = a * 2 + k
                b[1:-1] -= a[:-2] + a[2:]
                if not numpy.array_equal(y, b) or abs((x * y).sum() - (a * b).sum()) > 1e-9 * abs(a * b).sum():
                    wrong.append((seed, k))
                if k % 20 == seed:
                    time.sleep(0.002)

        threads = [threading.Thread(target=work, args=(s,)) for s in range(3)]
        [t.start() for t in threads]
        work(3)
        [t.join() for t in threads]
        assert not wrong, wrong
    """
    assert script(code).returncode == 0


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


def script(code, **kwargs):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=90, check=False, **kwargs)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1])
def test_ctrl_c_leaves_each_array_old_or_new(count, delay):
    code = f"""
        import os, signal, sys, threading, time
        import numpy
        import cunumeric as np
        from cunumeric.runtime.settings import settings
        settings.threads = {count}
        n = 3_000_000
        x, y = np.zeros(n), np.zeros(n)
        np.synchronize()
        def press():
            time.sleep({delay})
            os.kill(os.getpid(), signal.SIGINT)
        stopped = False
        try:
            threading.Thread(target=press).start()
            for k in range(10_000):
                x += np.sin(y) ** 2 + np.cos(y) ** 2
                y[...] = np.sqrt(x * x)
                np.synchronize()
        except KeyboardInterrupt:
            stopped = True
        a, b = numpy.asarray(x), numpy.asarray(y)
        assert stopped, "no KeyboardInterrupt"
        assert (a == a[0]).all() or abs(a - a[0]).max() < 1e-6, "x is half new"
        assert abs(b - b[0]).max() < 1e-6, "y is half new"
        x[...] = 1
        assert (x + 1).sum() == 2 * n
    """
    r = script(code, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("accelerate", ["0", "1"])
def test_a_timer_that_raises_leaves_each_array_old_or_new(accelerate):
    code = """
        import signal
        import numpy
        import cunumeric as np
        class Late(Exception):
            pass
        def late(*_):
            raise Late
        signal.signal(signal.SIGALRM, late)
        def work(y, x):
            while True:
                y += x
                y *= 1.0
                np.synchronize()
        found = []
        for k in range(12):
            x, y = np.ones(1_000_000), np.zeros(1_000_000)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.01 + 0.003 * k)
                work(y, x)
            except Late:
                a = numpy.asarray(y)
                found.append(a.min() == a.max())
        assert found == [True] * 12, found
    """
    r = script(code, capture_output=True, text=True, env=os.environ | {"CUNUMERIC_ACCELERATE": accelerate})
    assert r.returncode == 0, r.stderr


def test_handlers_of_signals_in_a_block_are_called_at_its_end():
    calls = []

    def first(*_):
        calls.append("first")
        raise KeyError

    def second(*_):
        calls.append("second")

    before = signal.signal(signal.SIGUSR1, first), signal.signal(signal.SIGUSR2, second)
    try:
        with pytest.raises(KeyError), threads.held_interrupts():
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR2)
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)
            assert calls == []
        assert sorted(calls) == ["first", "second"]
        assert signal.getsignal(signal.SIGUSR1) is first
        assert signal.getsignal(signal.SIGUSR2) is second
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])


def test_a_signal_handler_may_compute(setup):
    seen = []
    small = cunumeric.arange(5.0)

    def handler(*_):
        seen.append((small + 1).tolist())

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        x = cunumeric.arange(103) * 2.0
        y = x + 1
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.01)
        assert y.sum() == (numpy.arange(103) * 2.0 + 1).sum()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [[1.0, 2.0, 3.0, 4.0, 5.0]]


def test_finalisers_may_compute(setup):
    class Owner:
        def __init__(self):
            self.me = self
            self.x = cunumeric.ones(103)

        def __del__(self):
            self.x += 1

    for _ in range(50):
        Owner()
        z = cunumeric.arange(103) * 2.0
        z += 1
    assert z[2] == 5
