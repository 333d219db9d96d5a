"""The channel flow example: the same source under NumPy and under the package gives the same arrays."""

import re
import subprocess
import sys
import types
from pathlib import Path

import numpy
import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "channel_flow.py"
IMPORT = "import cunumeric as np\n"


def load(import_line):
    """The example as a module, with another line in place of its import of the package."""
    source = PROGRAM.read_text(encoding="utf-8")
    assert source.count(IMPORT) == 1
    module = types.ModuleType("channel_flow")
    exec(compile(source.replace(IMPORT, import_line), str(PROGRAM), "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def ours():
    return load(IMPORT)


@pytest.fixture(scope="module")
def theirs():
    return load("import numpy as np\n")


def test_import_line_is_the_only_mention():
    rest = PROGRAM.read_text(encoding="utf-8").replace(IMPORT, "")
    assert not re.search("cunumeric|legate", rest, re.IGNORECASE)


@pytest.mark.parametrize(
    ("nx", "ny", "steps", "sweeps"),
    [
        (3, 3, 2, 3),  # one inner column: the seam's columns are each other's only neighbours but one
        (41, 41, 20, 50),
        (23, 70, 15, 7),
        (64, 33, 0, 50),
        (300, 260, 3, 4),  # large enough for results to be recorded and run in tiles
        (400, 30, 5, 11),
    ],
)
@pytest.mark.parametrize("swirl", [0.0, 2.0])
def test_simulate_gives_numpys_arrays(ours, theirs, nx, ny, steps, sweeps, swirl):
    got = ours.simulate(nx, ny, steps, sweeps, swirl=swirl)
    expected = theirs.simulate(nx, ny, steps, sweeps, swirl=swirl)
    for name, mine, numpys in zip("uvp", got, expected, strict=True):
        assert type(numpys) is numpy.ndarray
        assert mine.shape == (ny, nx)
        assert mine.dtype == numpys.dtype
        assert numpy.isfinite(numpys).all()
        assert numpy.array_equal(mine, numpys), name


def test_given_time_step(ours, theirs):
    """The lesson's own case: from rest with dt = 0.01, which is stable as long as nothing varies along x."""
    got, expected = (module.simulate(41, 41, 30, 50, dt=0.01, swirl=0) for module in (ours, theirs))
    assert numpy.array_equal(got[0], expected[0])
    assert ours.check(got[0], 0.3) == theirs.check(expected[0], 0.3)


def test_flow_rate_follows_theory(ours):
    """From rest, the flow rate is that of the exact solution, to the error of the grid (first order in dt)."""
    u, v, p = ours.simulate(21, 41, 300, 1, dt=0.002, swirl=0)
    assert float(ours.flow_rates(u).mean()) == pytest.approx(float(ours.expected_flow_rate(0.6)), rel=5e-3)
    assert not numpy.asarray(v).any()
    assert (numpy.asarray(p) == 1).all()


def test_sections_carry_the_same_flow(ours):
    """The pressure equation keeps the flow free of divergence, so every section passes the same amount of fluid."""
    u, _, _ = ours.simulate(41, 41, 100)
    rates = numpy.asarray(ours.flow_rates(u))
    assert numpy.ptp(rates) < 0.01 * abs(rates.mean())


def test_progress_wraps_the_steps(ours):
    seen = []
    ours.simulate(5, 5, 4, 1, progress=lambda steps: (seen.append(step) or step for step in steps))
    assert seen == [0, 1, 2, 3]


def run(*words, cwd):
    return subprocess.run(
        [sys.executable, str(PROGRAM), *words], cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def test_command_line_writes_picture_and_arrays(tmp_path, theirs):
    result = run("--nx", "24", "--ny", "20", "--steps", "6", "--sweeps", "5", "--save", "flow.npz", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    picture = (tmp_path / "flow.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) > 10_000

    # The bar is for the eye: results on stdout stay clean for a pipe.
    assert "6/6" in result.stderr
    assert "step/s" in result.stderr or "s/step" in result.stderr
    assert "6/6" not in result.stdout
    assert "elapsed time" in result.stdout
    assert "mean flow rate" in result.stdout

    with numpy.load(tmp_path / "flow.npz") as saved:
        for name, expected in zip("uvp", theirs.simulate(24, 20, 6, 5), strict=True):
            assert numpy.array_equal(saved[name], expected), name


def test_command_line_without_picture(tmp_path):
    result = run("--size", "9", "--steps", "2", "--swirl", "0", "--no-plot", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())


def test_picture_of_a_uniform_pressure(tmp_path):
    result = run("--size", "9", "--steps", "2", "--swirl", "0", "--output", "rest.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "rest.png").exists()


@pytest.mark.parametrize("words", [["--size", "2"], ["--steps", "-1"], ["--dt", "0"], ["--dt", "nan"]])
def test_command_line_refuses(tmp_path, words):
    result = run(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("usage:")
    assert "Traceback" not in result.stderr
