"""Memory that waits for reuse."""

import resource
import tracemalloc

import numpy
import pytest

import cunumeric
from cunumeric.runtime import memory


@pytest.mark.skipif(memory.ways is None, reason="only the extension knows what was written to")
def test_memory_that_was_not_written_to_does_not_drive_other_memory_off_the_shelf():
    n, double = 1 << 20, numpy.dtype(float)
    memory.empty((n,), double).fill(1)
    untouched = memory.empty((3 * n,), double)
    memory.empty((n,), double).fill(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        memory.empty((n,), double).fill(1)  # 8 MiB: four faults at least, if the pages were fresh
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 100
    assert untouched.size == 3 * n


@pytest.mark.skipif(memory.ways is None, reason="only the extension knows what was written to")
def test_both_of_two_that_were_alive_together_are_kept():
    n, double = 6 << 20, numpy.dtype(float)

    def turn():
        first = memory.empty((n,), double)
        first.fill(1)
        second = memory.empty((n,), double)
        second.fill(1)
        del first
        return second

    memory.trim()
    for _ in range(3):
        turn()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        turn()  # 48 MiB: 24 faults at least, if the pages of one were fresh
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 100


in_pieces = pytest.mark.skipif(memory.ways is None, reason="only the extension keeps small memory")


@in_pieces
def test_the_memory_of_a_small_array_is_that_of_the_next():
    double = numpy.dtype(float)
    memory.trim()
    for n in (128, 1000, 10_000):
        a = memory.empty((n,), double)
        at = a.ctypes.data
        assert at % 64 == 0 and a.flags.owndata
        del a
        assert memory.empty((n,), double).ctypes.data == at


@in_pieces
def test_small_arrays_change_their_size_as_numpys_do():
    a = memory.empty((1000,), numpy.dtype(float))
    a[:] = numpy.arange(1000)
    for n in (3000, 1, 0, 70_000, 200):
        kept = a[:n].copy()
        a.resize(n, refcheck=False)
        assert a.size == n and (a[: kept.size] == kept).all() and not a[kept.size :].any()


@in_pieces
def test_small_memory_is_traced():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        a = memory.empty((5000,), numpy.dtype(float))
        assert tracemalloc.get_traced_memory()[0] - before >= 40_000
        del a
        assert tracemalloc.get_traced_memory()[0] - before < 1000
    finally:
        tracemalloc.stop()


@in_pieces
def test_what_is_kept_of_small_memory_is_bounded():
    """Of 30 MB in pieces no more than 2 MiB wait."""
    memory.trim()
    pieces = [memory.empty((100_000,), numpy.dtype("u1")) for _ in range(300)]
    places = {a.ctypes.data for a in pieces}
    del pieces
    assert memory._extension.kept() <= 2 << 20
    first = memory.empty((100_000,), numpy.dtype("u1"))
    assert first.ctypes.data in places
    memory.trim()
    assert memory._extension.kept() == 0


RESULTS = {
    "sum 0": lambda np, x: (x + 1).sum(0),
    "sum 1": lambda np, x: (x + 1).sum(1, keepdims=True),
    "sum": lambda np, x: (x + 1).sum(keepdims=True),
    "max of few columns": lambda np, x: (x.reshape(-1, 4) + 1).max(0),
    "argmax": lambda np, x: (x + 1).argmax(0),
    "mean": lambda np, x: (x * 2).mean(1),
    "argsort": lambda np, x: np.argsort(x, None, "stable"),
    "unique": lambda np, x: np.unique(x.astype(int)),
    "unique floats": lambda np, x: np.unique(x),
    "an expression": lambda np, x: x * 2 + 1,
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("rows", [3, 400])
def test_results_own_their_memory(name, rows):
    """They can be resized, and show nobody else's."""
    rng = numpy.random.default_rng(0)
    for np in (numpy, cunumeric):
        x = np.array(rng.integers(0, 99, (rows, 600)) / 1.0)
        r = RESULTS[name](np, x)
        assert r.flags.owndata and r.base is None
        r.resize(5, refcheck=False)
        assert r.shape == (5,)
