"""Arrays shared with other packages on one device: pointers, values, and who sees whose writes.

On a machine with a GPU, CuPy, PyTorch and JAX `python -m pytest tests/engines/xla/test_on_accelerator.py` runs all of
it. Without a GPU the processor's devices pass for GPUs, and NumPy for CuPy."""

from __future__ import annotations

import importlib.util

import pytest

from cunumeric.runtime.cores import gpu_ready

from .test_lowerings import pytestmark as needs_jax
from .test_lowerings import run

pytestmark = needs_jax


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("peer", ["cupy", "torch", "jax"])
def test_on_a_gpu(peer):
    if not gpu_ready():
        pytest.skip("no GPU, or no JAX for it")
    needs(peer)
    assert run("tests.engines.xla.sharing", peer, "gpu").endswith("passed\n")


@pytest.mark.parametrize("peer", ["numpy", "torch", "jax"])
def test_on_the_processor(peer):
    needs(peer)
    assert run("tests.engines.xla.sharing", peer, "cpu", JAX_PLATFORMS="cpu").endswith("passed\n")
