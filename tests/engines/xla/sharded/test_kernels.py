"""Kernels for several devices, on a line of four and of three and on a grid; see `check`."""

from __future__ import annotations

import importlib.util
import os

import pytest

from ..test_lowerings import run

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="the accelerator's engine needs JAX, which is an extra"
)

TOPICS = "scans transforms products movements places".split()
# The processor's devices begin collectives that do not depend on each other in any order; on a grid, where they are
# between different devices, they can wait for each other for ever. GPUs keep the program's order.
FLAGS = "--xla_force_host_platform_device_count=4 --xla_cpu_enable_concurrency_optimized_scheduler=false"


CASES = [(topic, mesh) for topic in TOPICS for mesh in ("4", "2x2")]
CASES += [(topic, "3") for topic in ("scans", "transforms", "places")]


@pytest.mark.parametrize(("topic", "mesh"), CASES)
def test_kernels(topic, mesh):
    flags = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}"
    out = run(
        "tests.engines.xla.sharded.check", topic, CUNUMERIC_MESH=mesh, CUNUMERIC_SHARD_MIN="2", XLA_FLAGS=flags,
        JAX_PLATFORMS="cpu",
    )  # fmt: skip
    assert out.endswith("passed\n")
