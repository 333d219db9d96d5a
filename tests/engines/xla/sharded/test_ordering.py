"""Sorts, searches and picks where axes are cut, on devices in a line and in a grid."""

import pytest

from ..test_lowerings import pytestmark, run  # noqa: F401


@pytest.mark.parametrize(("grid", "devices"), [("4", 4), ("3", 3), ("2x2", 4)])
def test_ordering(grid, devices):
    # The programs run for a moment: they need no optimised code.
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    words = {"XLA_FLAGS": flags, "CUNUMERIC_MESH": grid, "CUNUMERIC_SHARD_MIN": "1"}
    assert run("tests.engines.xla.sharded.ordering", **words).endswith("passed\n")
