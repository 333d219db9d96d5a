"""A fixed share of NumPy's own tests, in each configuration; `run.py` runs them all."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")

# Collecting alone takes half a minute for each of the four runs (NumPy, and three configurations); this share keeps the
# whole at a few minutes on two cores.
SHARE = "0.1"


# The accelerator's engine compiles a program for nearly every test: a share of one folder, which collects quickly.
XLA = ["--folder", "lib/tests", "--share", "0.04"]


@pytest.mark.parametrize("config", ["default", "forced", "compiled", "xla"])
def test_share_of_numpys_tests(config):
    if config == "compiled":
        pytest.importorskip("llvmlite", reason="the extra `compiled` is not installed")
    if config == "xla":
        pytest.importorskip("jax", reason="the extra `xla` is not installed")
    done = subprocess.run(
        [sys.executable, str(RUN), "--config", config, *(XLA if config == "xla" else ["--share", SHARE])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:]
