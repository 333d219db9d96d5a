"""Every row of the table gives NumPy's values, dtypes and shapes, and stays on the device.

The engine is chosen at import: the calls run in a process of their own (`check`). Each is run with one dtype; with all
that it is for if CUNUMERIC_TEST_ALL_DTYPES=1."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ALL = "float64 float32 float16 complex128 complex64 bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="the accelerator's engine needs JAX, which is an extra"
)


def run(module: str, *words: str, **environment: str) -> str:
    """What a module prints that runs with the accelerator's engine, everything recorded."""
    import cunumeric

    # The package under test may be found by a path of the caller's; a cold cache of programs is part of the test.
    path = os.pathsep.join([str(Path(cunumeric.__file__).parents[1]), str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"CUNUMERIC_ENGINE": "xla", "CUNUMERIC_RECORD_MIN": "0", "PYTHONPATH": path} | environment
    done = subprocess.run([sys.executable, "-m", module, *words], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_row_gives_what_numpy_gives():
    dtypes = ",".join(ALL) if os.environ.get("CUNUMERIC_TEST_ALL_DTYPES") else "once"
    out = run("tests.engines.xla.check", "all", dtypes)
    found = json.loads(out.rpartition("result:")[2])
    assert not found["problems"], "\n".join(p for chapter in found["problems"].values() for p in chapter)
    assert not found["missing"], "rows that no case calls: " + ", ".join(found["missing"])
    assert found["rows"] > 280


def test_ends_in_silence():
    """Arrays that outlive the modules leave without a word."""
    lines = """
        import numpy, cunumeric as np
        x = np.arange(30000.0); y = numpy.asarray(x); z = x + 1; w = numpy.asarray(z)
        class Last:
            def __init__(self): self.x, self.y = np.linspace(0, 1, 30000), numpy.asarray(np.ones(30000))
        numpy.kept = Last(), x, z
    """
    env = os.environ | {"CUNUMERIC_ENGINE": "xla", "CUNUMERIC_RECORD_MIN": "100"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(lines)], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


TOPICS = (
    "arguments bounds canaries changing channel_flow complex_parts copies dying fork ingest literals "
    "loops novelties parts quotients ranges reads repeated scalars sharing busy temporaries transforms"
).split()


@pytest.mark.parametrize("topic", TOPICS)
def test_windows(topic):
    assert run("tests.engines.xla.windows", topic).endswith("passed\n")


@pytest.mark.parametrize("topic", ["given", "halves", "pieces", "shortage"])
def test_room(topic):
    assert run("tests.engines.xla.room", topic).endswith("passed\n")


def test_sorts_by_digits():
    assert run("tests.engines.xla.digits").endswith("passed\n")


def test_share_of_the_decorated_tests():
    """A tenth; `CUNUMERIC_ENGINE=xla CUNUMERIC_RECORD_MIN=0 python -m pytest tests/differential` runs all."""
    words = "-v -p no:cacheprovider -p no:xdist tests/differential".split()
    assert " passed" in run("pytest", *words, CUNUMERIC_TEST_SHARE="0.1").splitlines()[-1]


@pytest.mark.parametrize("record_min", ["0", "20"])
def test_random_programs(record_min):
    """A share; `python -m tests.random_programs.check 0 2000` with the engine chosen as here runs more. Some arrays are
    small, or all are recorded."""
    first, count = ("0", "60") if record_min == "0" else ("60", "60")
    assert ", 0 differ;" in run("tests.random_programs.check", first, count, CUNUMERIC_RECORD_MIN=record_min)


def test_random_programs_in_halves():
    assert ", 0 differ;" in run("tests.engines.xla.halving", "0", "25")


@pytest.mark.parametrize(
    "topic", "errors fallback views small_views created threads strict faults plain hosted timer unusable".split()
)
def test_behaviour(topic):
    assert run("tests.engines.xla.behaviour", topic).endswith("passed\n")
