"""Skewed sweeps: statements that follow each other through memory a few rows apart."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy
import pytest

import cunumeric
from cunumeric.engines.host import native, sweep
from cunumeric.graph import skew
from cunumeric.runtime.settings import settings
from tests.counting import counted

WITH_TILES = pytest.mark.skipif(
    not (settings.accelerate and native.available()),
    reason="the extension is not there, or not used: nothing runs skewed",
)


@pytest.fixture
def skewing(monkeypatch):
    """Everything recorded, in bands of few rows, and skewed wherever that is possible."""
    cunumeric.synchronize()
    for name, value in {"record_min": 0, "tile": 16, "window": 60, "kernel_min": 0}.items():
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(skew, "_ROW_LEAST", 1)
    many = skew.Skewed.pays
    monkeypatch.setattr(skew.Skewed, "pays", lambda group: len(group.sweeps) > 1 or many(group))
    sweep._templates.clear()
    yield
    cunumeric.synchronize()
    sweep._templates.clear()


def programs() -> list:
    return [s for t in sweep._templates.values() for s in t.steps if getattr(s, "skewed", False)]


def field(np, seed: int, shape: tuple[int, int]):
    return np.array(numpy.random.default_rng(seed).random(shape))


def relax(np, seed: int, rounds: int = 12):
    """A program of stencils in place, copies, boundaries and columns, as `seed` has it."""
    r = random.Random(seed)
    shape = (r.randint(5, 40), r.randint(4, 30))
    arrays = [field(np, seed + k, shape) for k in range(3)]
    inner = (slice(1, -1), slice(1, -1))
    around = [
        (slice(1, -1), slice(None, -2)), (slice(1, -1), slice(2, None)), (slice(None, -2), slice(1, -1)),
        (slice(2, None), slice(1, -1)), (slice(2, None), slice(2, None)), inner,
    ]  # fmt: skip
    for _ in range(rounds):
        kind = r.randrange(9)
        p, q = r.choice(arrays), r.choice(arrays)
        views = [r.choice(around) for _ in range(r.randint(1, 4))]
        if kind <= 2:
            source = q if kind else p.copy()
            total = source[views[0]]
            for view in views[1:]:
                total = total + source[view] * 0.25
            p[inner] = total * 0.4
        elif kind == 3:
            p[inner] += q[views[0]] * 0.1
        elif kind == 4:
            p[:, r.randint(-1, 1)] = q[:, r.randint(-2, 1)]
        elif kind == 5:
            p[r.choice([0, -1])] = q[r.choice([1, -2])]
        elif kind == 6:
            p[r.choice([0, 1, -1])] = r.random()
        elif kind == 7:
            edge = q[1:-1, 0] * 0.5
            p[1:-1, 0] = edge + p[2:, 1] * q[:1, 0]
            q[1:-1, -1] = edge * p[:-2, -1]
            old = p.copy()
            p[inner] = (old[views[0]] + old[views[-1]]) * 0.5
            p[1:-1, -1] = (old[1:-1, -2] + old[1:-1, 0] + old[2:, -1]) * 0.3
            p[-1] = p[-2]
        else:
            p[2:] = p[:-2] * 0.5 + q[1:-1] if shape[0] > 4 else p[2:]
    return arrays


@WITH_TILES
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("first", range(0, 150, 25))
def test_random_relaxations(skewing, monkeypatch, threads, first):
    monkeypatch.setattr(settings, "threads", threads)
    for seed in range(first, first + 25):
        expected = relax(numpy, seed)
        found = relax(cunumeric, seed)
        for e, f in zip(expected, found, strict=True):
            assert numpy.array_equal(e, numpy.asarray(f)), f"seed {seed}"
    assert programs()


@WITH_TILES
def test_a_repeated_stencil_is_one_sweep(skewing):
    def run(np, u):
        for _ in range(5):
            u[1:-1, 1:-1] = (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]) * 0.25
            u[:, 0] = u[:, 1]
            u[0] = u[1]

    mine = field(cunumeric, 1, (50, 20))
    cunumeric.synchronize()
    with counted() as count:
        run(cunumeric, mine)
    assert count.sweeps == 1
    (program,) = programs()
    # A stencil is two rows behind the one before; boundaries in between need no more.
    assert [b.held for b in program.blocks[:4]] == [1, -1, -1, 1]
    assert [b.lag for b in program.blocks[:4]] == [0, 1, 2, 2]
    theirs = field(numpy, 1, (50, 20))
    run(numpy, theirs)
    assert numpy.array_equal(theirs, numpy.asarray(mine))


@WITH_TILES
def test_memory_that_nobody_sees_is_a_ring(skewing):
    def run(np, p):
        for _ in range(4):
            old = p.copy()
            p[1:-1, 1:-1] = (old[:-2, 1:-1] + old[2:, 1:-1]) * 0.5
            p[1:-1, -1] = (old[1:-1, -2] + old[1:-1, 0]) * 0.5
        del old

    mine = field(cunumeric, 1, (60, 20))
    cunumeric.synchronize()
    run(cunumeric, mine)
    cunumeric.synchronize()
    (program,) = programs()
    assert len(program.rings) == 4
    assert all(span <= 3 for _, (_, span) in program.rings.values())
    theirs = field(numpy, 1, (60, 20))
    run(numpy, theirs)
    assert numpy.array_equal(theirs, numpy.asarray(mine))


def conjugate(np, seed: int, shape: tuple[int, int]) -> list:
    """Steps of conjugate gradients: updates of parts, and sums at the end."""
    p, r = field(np, seed, shape), field(np, seed + 1, shape)
    found = []
    for _ in range(3):
        p = r + 0.3 * p
        w = 4 * p
        w[1:] -= p[:-1]
        w[:-1] -= p[1:]
        w[:, 1:] -= p[:, :-1]
        w[:, :-1] -= p[:, 1:]
        found.append((p * w).sum())
        r -= 0.01 * w
        found.append((r * r).sum())
        found.append(r.max())
    return found


@WITH_TILES
@pytest.mark.parametrize("tile", [16, 512, 32768])
@pytest.mark.parametrize("shape", [(40, 34), (7, 90), (64, 64), (33, 500)])
def test_sums_do_not_depend_on_threads(monkeypatch, shape, tile):
    """Nor on whether sweeps are skewed."""
    for name, value in {"record_min": 0, "tile": tile}.items():
        monkeypatch.setattr(settings, name, value)
    results = []
    skewed = 0
    for threads in (1, 2, 3, 16, 0):
        monkeypatch.setattr(settings, "threads", threads or 2)
        if not threads:
            monkeypatch.setattr(skew.Skewed, "pays", lambda group: False)
        results.append(conjugate(cunumeric, 5, shape))
        skewed += bool(programs())
        sweep._templates.clear()
    assert all(r == results[0] for r in results)
    if native.available() and settings.accelerate:  # tiles in Python are never skewed
        assert 0 < skewed <= 4 or shape[1] > tile * 8
    assert numpy.allclose(results[0], conjugate(numpy, 5, shape), rtol=1e-12)


@WITH_TILES
def test_a_copy_that_lives_on_is_written(skewing):
    p = field(cunumeric, 1, (60, 20))
    cunumeric.synchronize()
    kept = []
    for _ in range(3):
        kept.append(p.copy())
        p[1:-1, 1:-1] = (kept[-1][:-2, 1:-1] + kept[-1][2:, 1:-1]) * 0.5
    a = field(numpy, 1, (60, 20))
    for one in kept:
        assert numpy.array_equal(a, numpy.asarray(one))
        b = a.copy()
        a[1:-1, 1:-1] = (b[:-2, 1:-1] + b[2:, 1:-1]) * 0.5
    assert numpy.array_equal(a, numpy.asarray(p))


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_few_units_do_not_wait_for_each_other(monkeypatch, threads):
    """Two sweeps, one of them dear, whose rows follow each other, keep one thread busy: with many threads they run one
    after another."""
    monkeypatch.setattr(settings, "threads", threads)
    group = skew.Skewed()
    group.sweeps = [None, None]
    group.units = [SimpleNamespace(shape=(10000, 100), rows=10000, held=0, base=0, lag=0)] * 2
    monkeypatch.setattr(skew, "_cost", lambda unit: 10)
    assert group.pays() is (threads == 1)
    group.units = [SimpleNamespace(shape=(10000, 100), rows=10000, held=-1, base=0, lag=0)] * 2
    assert group.pays()
    group.units = [SimpleNamespace(shape=(1, 10000), rows=1, held=-1, base=0, lag=0)] * 2
    assert group.pays() is (threads == 1)


def changed_in_turn(np, seed: int, rounds: int = 6) -> list:
    """Parts of one array that are changed in turn by parts of others, and what is then made of it."""
    r = random.Random(seed)
    shape = (r.randint(3, 40), r.randint(2, 30))
    v, u, s = field(np, seed, shape), field(np, seed + 1, shape), field(np, seed + 2, shape)
    column = field(np, seed + 3, (shape[0], 1))
    found = []
    for _ in range(rounds):
        v = u + 0.3 * v
        w = 4 * v
        for _ in range(r.randint(1, 5)):
            # Rows and columns of `w`, and as many of another array from another place.
            own, other = [], []
            for n in shape:
                size = r.randint(max(1, n - 3), n)
                own.append(slice(start := r.randint(0, n - size), start + size))
                other.append(slice(start := r.randint(0, n - size), start + size))
            source = r.choice([v, u, s])[tuple(other)]
            kind = r.randrange(7)
            if kind == 0:
                w[tuple(own)] = source * column[other[0]] - 0.5
            elif kind > 4:
                # Statements of one shape over different rows, which join each other.
                h = r.randint(1, shape[0] // 2)
                i, j, k = (r.randint(0, shape[0] - h) for _ in range(3))
                if kind == 5:
                    w[i : i + h] = s[k : k + h] * 2
                    w[j : j + h] = s[k : k + h] * 3
                else:
                    w[i : i + h] -= u[i : i + h]
                    w[j : j + h] -= v[j : j + h]
            elif kind == 1:
                w[tuple(own)] *= 0.5
            elif kind == 2:
                w[own[0]] += v[other[0]] - r.random()
            else:
                w[tuple(own)] -= source
        found.append((v * w).sum())
        u = u - 0.01 * w
        found.append(u.copy())
    return [*found, v, w]


@WITH_TILES
@pytest.mark.parametrize("compiled", [0, 2])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_of_one_array_are_changed_in_cells(skewing, monkeypatch, threads, compiled, tmp_path):
    monkeypatch.setattr(settings, "threads", threads)
    monkeypatch.setattr(settings, "compile", compiled)
    monkeypatch.setattr(settings, "cache", str(tmp_path))
    most = 0
    for seed in range(12 if compiled else 120):
        expected, found = changed_in_turn(numpy, seed), changed_in_turn(cunumeric, seed)
        for e, f in zip(expected, found, strict=True):
            if isinstance(e, numpy.ndarray):
                assert numpy.array_equal(e, numpy.asarray(f)), f"seed {seed}"
            else:
                assert numpy.isclose(e, f, rtol=1e-12), f"seed {seed}"
        most = max([most, *(len(p.blocks) for p in programs())])
        sweep._templates.clear()
    assert most > 12  # more than statements: cells


@WITH_TILES
def test_an_operator_of_five_statements_is_one_loop_inside(skewing):
    """Conjugate gradients' matrix: all of its statements at once where they all apply, at one time with what is added
    up of it."""
    shape = (40, 24)
    results = [conjugate(np, 5, shape) for np in (numpy, cunumeric)]
    assert numpy.allclose(*results, rtol=1e-12)
    (program, *_) = programs()
    *_, inside, last = program.blocks
    assert [row.name for row, *_ in inside.instructions] == ["multiply", *["subtract"] * 4]
    assert inside.shape == (38, 22) and (inside.lag, inside.turn) == (1, False)
    assert (last.lag, last.turn) == (1, True) and [row.name for row, *_ in last.instructions] == ["multiply"]
    assert len(program.blocks) == 1 + 9 + 1


@WITH_TILES
def test_a_sweep_alone_is_cut_into_cells(skewing):
    """Nothing follows it through other rows, and its statements change one array in turn all the same."""
    results = []
    for np in (numpy, cunumeric):
        v = np.array(numpy.arange(40.0 * 24).reshape(40, 24) % 7)
        if np is cunumeric:
            np.synchronize()
            sweep._templates.clear()
        w = 4.0 * v
        w[1:, :] -= v[:-1, :]
        w[:, 1:] -= v[:, :-1]
        results.append((float((v * w).sum()), numpy.array(w)))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    assert numpy.array_equal(results[0][1], results[1][1])
    (program, *_) = programs()
    *_, inside, last = program.blocks
    assert [row.name for row, *_ in inside.instructions] == ["multiply", *["subtract"] * 2]
    assert inside.shape == (39, 23) and last.turn
