"""2,000 random programs against NumPy in each set-up. CUNUMERIC_TEST_SEED=N begins at another seed."""

from __future__ import annotations

import os
import warnings

import pytest

import cunumeric
from cunumeric.runtime.settings import settings

from .check import difference

FIRST = int(os.environ.get("CUNUMERIC_TEST_SEED", "0"))
SETUPS = {
    "default": {},
    "tiles-1-thread": {"tile": 4, "record_min": 0, "kernel_min": 0, "threads": 1},
    "tiles-2-threads": {"tile": 4, "record_min": 0, "kernel_min": 0, "threads": 2},
    "compiled": {"tile": 4, "record_min": 0, "kernel_min": 0, "threads": 2, "compile": 2, "cache": "0"},
    "tiles-in-python": {"tile": 4, "record_min": 0, "kernel_min": 0, "threads": 2, "accelerate": False},
}
CHUNK = 100


@pytest.fixture
def setup(request):
    wanted = SETUPS[request.param]
    before = {name: getattr(settings, name) for name in wanted}
    cunumeric.synchronize()
    for name, value in wanted.items():
        setattr(settings, name, value)
    yield
    cunumeric.synchronize()
    for name, value in before.items():
        setattr(settings, name, value)


def check(seeds, side=9, steps=14):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            found = difference(seed, side, steps)
            assert found is None, f"seed {seed}, side {side}, steps {steps}: {found}"


# Each sweep of "compiled" is compiled before its first run, which takes ten times as long as the program.
FIRSTS = [(name, first) for name in SETUPS for first in range(0, 300 if name == "compiled" else 2000, CHUNK)]


@pytest.mark.parametrize(("setup", "first"), FIRSTS, indirect=["setup"])
def test_small(setup, first):
    check(range(FIRST + first, FIRST + first + CHUNK))


@pytest.mark.parametrize("setup", SETUPS, indirect=True)
def test_long(setup):
    check(range(FIRST + 50_000, FIRST + 50_020), side=12, steps=60)


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_large_with_the_default_settings(first):
    """Arrays that are recorded as the settings are, with tiles of their size."""
    check(range(FIRST + 60_000 + first, FIRST + 60_010 + first), side=520, steps=10)
