"""The tier: what is compiled, when, and what happens where that fails. Counted, not timed."""

from __future__ import annotations

import gc
import logging
import os
import stat
import subprocess
import sys
import warnings

import numpy
import pytest

import cunumeric
from cunumeric.engines.host import sweep
from cunumeric.engines.host.compiled import cache, compiler, tier
from cunumeric.runtime.settings import settings

from .soak import soak


@pytest.fixture
def count():
    """What the tier has done since the test began."""
    before = dict(vars(tier.counters))

    class Since:
        def __getattr__(self, name):
            return vars(tier.counters)[name] - before[name]

    return Since()


def array(n: int = 300, dtype: str = "f8") -> cunumeric.ndarray:
    x = cunumeric.arange(n).astype(dtype)
    cunumeric.synchronize()
    return x


def test_a_chain_is_one_loop(always, count):
    x, y = array(), array() + 1
    cunumeric.synchronize()
    before = count.loops
    z = 2 * x + y * y - x / y
    cunumeric.synchronize()
    assert count.loops - before == 1
    record = tier.records[-1]
    assert (record.groups, record.compiled, record.calls, record.why) == (1, 5, 0, "")
    a, b = numpy.arange(300.0), numpy.arange(300.0) + 1
    assert numpy.array_equal(numpy.asarray(z), 2 * a + b * b - a / b)


def test_other_functions_stay_calls_between_loops(always):
    x = array()
    y = numpy.asarray(cunumeric.exp(-0.5 * x * x) * 3 + 1)
    record = tier.records[-1]
    assert (record.groups, record.compiled, record.calls) == (2, 4, 1)
    a = numpy.arange(300.0)
    assert numpy.array_equal(y, numpy.exp(-0.5 * a * a) * 3 + 1)


def test_one_text_serves_all_sizes(always, count):
    results = []
    for n in (100, 203, 999):
        x = array(n)
        results.append(x * x - 3 * x)
        cunumeric.synchronize()
    assert len({id(r) for r in list(tier.records)[-3:]}) == 3
    assert len(tier._compiler.known) < count.loops


@pytest.mark.parametrize("operation", ["z = x / y * 2", "z = x * x * x + y", "x += y * y"])
def test_flags_are_reported_where_they_were_raised(always, operation):
    """Warnings name the operation and the line, as they do without the tier."""

    def told() -> list[tuple[str, int]]:
        heard = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warnings, "warn_explicit", lambda message, *rest: heard.append((message, rest[2])))
            x, y = array(50), array(50)
            x *= 1e200
            y[3:] = 1e200
            y[0] = 0
            cunumeric.synchronize()
            space = {"x": x, "y": y, "__name__": "somebody"}
            exec(compile("\n\n" + operation, "program.py", "exec"), space)
            exec("import cunumeric; cunumeric.synchronize()", space)
        return heard

    compiled = told()
    settings.compile = 0
    plain = told()
    assert plain
    assert compiled == plain


def test_no_flag_is_made_up(always):
    """Comparisons with NaN raise a flag in vectors; nobody hears of it."""
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "warn_explicit", lambda *what: heard.append(what))
        x = array(50)
        x[::3] = numpy.nan
        y = cunumeric.where(x > 3, x * 2, 1.0) + x
        cunumeric.synchronize()
    assert not heard
    assert numpy.isnan(numpy.asarray(y)[::3]).all()


def test_it_waits_until_a_sweep_has_cost_more_than_compiling_it(always, count, monkeypatch):
    monkeypatch.setattr(settings, "compile", 1)
    monkeypatch.setattr(tier, "START", 0)
    x = array(4096)
    program = None
    for _ in range(3):
        y = x * x + 3 * x
        cunumeric.synchronize()
    assert count.sweeps == 0
    (program,) = [s for t in sweep._templates.values() for s in t.steps if getattr(s, "runs", 0) == 2]
    monkeypatch.setattr(program, "work", program.worth)
    for _ in range(20):  # of the runs that C does by itself, Python hears now and then
        y = x * x + 3 * x
        cunumeric.synchronize()
    tier.wait()
    assert count.sweeps == 1
    assert 4 <= program.record.runs <= 20
    assert program.ready
    y = x * x + 3 * x
    a = numpy.arange(4096.0)
    assert numpy.array_equal(numpy.asarray(y), a * a + 3 * a)
    assert "times as fast" in tier.report()


def test_before_the_first_second_nothing_is_loaded(always, count, monkeypatch):
    monkeypatch.setattr(settings, "compile", 1)
    monkeypatch.setattr(tier, "_total", 0)
    x = array(4096)
    for _ in range(20):
        y = x * x + 3 * x
        cunumeric.synchronize()
        for template in sweep._templates.values():
            for step in template.steps:
                if hasattr(step, "work"):
                    step.work = 1 << 60
    assert count.sweeps == 0
    assert tier._compiler is None
    assert float(y[1]) == 4


def test_the_switch(always, count, monkeypatch):
    monkeypatch.setattr(settings, "compile", 0)
    x = array()
    y = x * x + 3 * x
    assert float(y[2]) == 10
    assert count.sweeps == count.failed == 0


@pytest.mark.parametrize("error", [compiler.Unavailable("none here"), RuntimeError("broken")])
def test_without_a_compiler_tiles_run_it(always, count, monkeypatch, caplog, error):
    def raises():
        raise error

    monkeypatch.setattr(compiler, "Compiler", raises)
    monkeypatch.setattr(tier, "_unavailable", "")
    with caplog.at_level(logging.INFO, "cunumeric.compile"):
        x = array()
        y = x * x + 3 * x
        assert float(y[2]) == 10
    assert count.sweeps == 0
    lines = [r for r in caplog.records if r.name == "cunumeric.compile"]
    assert lines
    assert str(error) in lines[0].getMessage()


def test_many_distinct_sweeps(always, monkeypatch):
    """A short soak; `python -m tests.compiled.soak` is the long one, which looks at memory."""
    monkeypatch.setattr(settings, "cache", "0")
    made, _, _ = soak(120)
    assert made >= 100
    gone = len(tier._compiler.known)
    sweep._templates.clear()
    gc.collect()
    assert len(tier._compiler.known) < gone / 4, "code dies with the programs that use it"


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_entries_are_found_again(always, count, monkeypatch):
    x = array()
    assert float((x * x + 3 * x)[2]) == 10
    assert count.from_disk == 0
    loops = count.loops
    monkeypatch.setattr(tier, "_compiler", None)
    sweep._templates.clear()
    assert float((x * x + 3 * x)[2]) == 10
    assert count.from_disk == count.loops - loops >= 1


@pytest.mark.parametrize("harm", ["cut", "changed", "renamed", "empty", "others-may-write"])
def test_an_unsound_entry_is_not_used(tmp_path, harm):
    kept = cache.Cache(tmp_path / "c")
    name, code = "a" * 64, b"code" * 100
    kept.put(name, code)
    assert kept.get(name) == code
    path = tmp_path / "c" / name
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"X")
    elif harm == "renamed":
        path.rename(tmp_path / "c" / ("b" * 64))
        name = "b" * 64
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.chmod(0o666)
    assert kept.get(name) is None
    assert kept.get("c" * 64) is None


def test_a_directory_of_others_is_not_used(tmp_path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    kept = cache.Cache(open_to_all)
    kept.put("a" * 64, b"code")
    assert kept.get("a" * 64) is None
    assert not list(open_to_all.iterdir())
    mine = cache.Cache(tmp_path / "mine")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700
    assert mine.where is not None


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST", 10_000)
    kept = cache.Cache(tmp_path / "c")
    for k in range(100):
        kept.put(f"{k:064x}", bytes(1000))
        os.utime(tmp_path / "c" / f"{k:064x}", (k, k))
    kept.sweep()
    left = sorted(int(p.name, 16) for p in (tmp_path / "c").iterdir())
    assert left == list(range(100 - len(left), 100))
    assert 5 <= len(left) <= 10


def test_ten_processes_share_a_cold_cache(always, tmp_path):
    program = (
        "import cunumeric as np, numpy\n"
        "from cunumeric.engines.host.compiled import tier\n"
        "a = numpy.arange(5000.0)\n"
        "x = np.array(a)\n"
        "for k in range(1, 6):\n"
        "    y = x\n"
        "    for j in range(k):\n"
        "        y = y * x + j\n"
        "    e = a\n"
        "    for j in range(k):\n"
        "        e = e * a + j\n"
        "    assert numpy.array_equal(numpy.asarray(y), e)\n"
        "assert tier.counters.sweeps >= 5 and not tier.counters.failed, tier.report()\n"
        "print(tier.counters.from_disk)\n"
    )
    environment = dict(
        os.environ, CUNUMERIC_COMPILE="always", CUNUMERIC_RECORD_MIN="0", CUNUMERIC_CACHE=str(tmp_path / "shared")
    )
    command = [sys.executable, "-c", program]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert int(out) >= 0
    names = [p.name for p in (tmp_path / "shared").iterdir()]
    assert len(names) >= 5
    assert all(len(name) == 64 for name in names), "no half-written file is left"
    last = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert int(last.stdout) >= 5
