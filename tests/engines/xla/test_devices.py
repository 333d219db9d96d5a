"""The engine over several devices of one process: a line of four and of three, and a grid of two by two.

Everything is cut that has two elements, so that arrays of three and five go through it too. More by hand:
`XLA_FLAGS=--xla_force_host_platform_device_count=4 CUNUMERIC_ENGINE=xla CUNUMERIC_RECORD_MIN=0 CUNUMERIC_SHARD_MIN=1
python -m tests.random_programs.check 0 2000`, and `python -m pytest tests/differential` likewise."""

from __future__ import annotations

import importlib.util
import json

import pytest

from .relaxation import TURNS
from .test_lowerings import run

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="the accelerator's engine needs JAX, which is an extra"
)


def cut(module: str, *words: str, devices: int = 4, mesh: str = "", **more: str) -> str:
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    return run(module, *words, CUNUMERIC_SHARD_MIN="1", CUNUMERIC_MESH=mesh, **flags, **more)


@pytest.mark.parametrize(
    "chapters", ["creation,scans,sorting,movement", "reductions,selection,comparisons", "products,transforms,linalg"]
)
def test_rows_on_a_line(chapters):
    out = cut("tests.engines.xla.check", chapters, "once")
    assert not json.loads(out.rpartition("result:")[2])["problems"]


def test_rows_on_a_grid():
    out = cut("tests.engines.xla.check", "movement,reductions,ufuncs,views", "once", mesh="2x2")
    assert not json.loads(out.rpartition("result:")[2])["problems"]


@pytest.mark.parametrize("topic", ["grouped ingest", "parts scalars sharing", "quotients repeated"])
def test_windows(topic):
    assert cut("tests.engines.xla.windows", *topic.split()).endswith("passed\n")


@pytest.mark.parametrize(("devices", "mesh"), [(4, ""), (3, ""), (4, "2x2")])
def test_random_programs(devices, mesh):
    """A share; see above for more."""
    assert ", 0 differ;" in cut("tests.random_programs.check", "0", "12", devices=devices, mesh=mesh)


def test_share_of_the_decorated_tests():
    words = "-v -p no:cacheprovider -p no:xdist tests/differential".split()
    assert " passed" in cut("pytest", *words, CUNUMERIC_TEST_SHARE="0.02").splitlines()[-1]


def said_on_paper(devices: int, side: int) -> list[tuple[int, list[tuple[str, int]]]]:
    """How often each window of a relaxation runs; kinds and bytes of what it says then."""
    more = {"CUNUMERIC_PAPER": str(devices), "CUNUMERIC_SHARD_MIN": "65536", "XLA_FLAGS": ""}
    return json.loads(run("tests.engines.xla.relaxation", str(side), **more))


def test_communication_does_not_grow_with_the_devices():
    """Weak scaling: the same grid for each device, sixteen times the devices."""
    few, many = said_on_paper(16, 1024), said_on_paper(256, 4096)
    assert any(kind == "collective-permute" for _, window in few for kind, _ in window)
    assert few == many


@pytest.mark.parametrize(("devices", "neighbours"), [(4, 2), (16, 4)])
def test_a_sweep_tells_neighbours_a_row_and_walls_tell_nothing(devices, neighbours):
    said = [collective for runs, window in said_on_paper(devices, 1024) for collective in runs * window]
    side = 1024 if devices == 4 else 256  # of a block
    # Reading the element that is asked for at the end is the all-reduce that may be there.
    assert {tuple(c) for c in said if c[0] != "all-reduce"} == {("collective-permute", 8 * side)}
    assert sum(c[0] == "collective-permute" for c in said) == neighbours * TURNS
    assert sum(nbytes for kind, nbytes in said if kind == "all-reduce") <= 8


@pytest.mark.parametrize(("devices", "mesh"), [(4, ""), (3, ""), (4, "2x2")])
def test_walls_and_seams(devices, mesh):
    assert cut("tests.engines.xla.walls", devices=devices, mesh=mesh).endswith("passed\n")
