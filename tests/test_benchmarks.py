"""The benchmarks know every ufunc and kernel, run, and agree with NumPy."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import cunumeric
from cunumeric.engines.host import kernels

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def functions():
    return load("functions")


@pytest.fixture(scope="module")
def programs():
    return load("programs")


def test_every_public_ufunc_has_a_line(functions):
    ufuncs = {name for name in numpy.__all__ if isinstance(getattr(numpy, name), numpy.ufunc)}
    assert not ufuncs - set(functions.NAMES)


def test_every_kernel_has_a_line(functions):
    from cunumeric.engines.host.kernels import random

    public = {name for name in vars(random) if name.endswith("_into")}
    assert not (set(kernels.__all__) | public) - set(functions.NAMES)


def test_names_are_given_once(functions):
    assert len(functions.NAMES) == len(set(functions.NAMES))


def test_every_case_runs_for_some_dtype(functions):
    ran = {r.name for r in functions.sweep([], [100], functions.DTYPES, 0.0)}
    assert set(functions.NAMES) - ran <= {"isnat"}  # times only


def test_large_cases_are_run_inside_the_clock(functions):
    (found,) = functions.sweep(["sin"], [300_000], ["float64"], 0.0)
    # What is only recorded would seem a hundred times faster.
    assert 0.02 < found.ratio < 50


def test_summary(functions, capsys):
    functions.main(["--sizes", "10", "1e5", "--dtypes", "float32", "--only", "add", "sum", "--budget", "0.01"])
    said = capsys.readouterr().out
    assert "Large: " in said
    assert "Small: " in said
    assert "| add | float32 | 10 |" in said


def test_programs_agree(programs, capsys):
    assert programs.main(["--n", "64", "--reps", "1", "--no-memory"]) == 0
    said = capsys.readouterr().out
    assert all(f"| {p.name} |" in said for p in programs.PROGRAMS)


def test_floors_and_memory(programs, capsys):
    assert programs.main(["--n", "64", "--reps", "1", "--only", "cumsum", "--floor", "cumsum=1e9"]) == 1
    said = capsys.readouterr()
    assert "cumsum: " in said.err
    numpys, ours = (int(cell) for cell in said.out.splitlines()[2].split("|")[6:8])
    assert 15 < numpys < 500
    assert 15 < ours < 500


def test_small_grids():
    words = [sys.executable, str(FOLDER / "grids.py"), "--sizes", "8", "--only", "stencil", "--reps", "1"]
    said = subprocess.run(words, env=os.environ | found_here(), capture_output=True, text=True, check=True).stdout
    assert "| stencil | 8² |" in said


def test_imports(capsys):
    load("imports").main(["--reps", "1"])
    assert "times" in capsys.readouterr().out


def found_here():
    """What lets a process of its own import the package that is tested."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(cunumeric.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="the accelerator's engine needs JAX, an extra")
def test_a_second_process_compiles_nothing(tmp_path):
    engine = {"CUNUMERIC_ENGINE": "xla", "CUNUMERIC_RECORD_MIN": "1024", "JAX_PLATFORMS": "cpu", **found_here()}
    words = ["--n", "48", "--sweeps", "3", "--json", str(tmp_path / "found.json")]
    subprocess.run([sys.executable, str(FOLDER / "startup.py"), *words], env=os.environ | engine, check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["first"]["from cache"] < found["first"]["programs"]
    assert found["second"]["from cache"] == found["second"]["programs"] == found["first"]["programs"]
