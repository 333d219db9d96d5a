"""Every body runs in each set-up. With the accelerator's engine, what is known to differ must differ."""

import os
import zlib
from pathlib import Path

import pytest

from .compare import SETUPS, XLA, configured

KNOWN = Path(__file__).with_name("known_failures_xla.txt")
ON_GPU = Path(__file__).with_name("known_failures_gpu.txt")


def listed(path):
    """Reason by the test's id below this folder."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {test.strip(): reason.strip() for test, _, reason in (line.rpartition(" # ") for line in lines)}


def known_failures():
    """What fails with the accelerator's engine where the tests run: on a processor, or on a GPU."""
    from cunumeric.engines.xla import backend

    known = listed(KNOWN)
    if backend.modules().jax.default_backend() == "gpu":
        for test, reason in listed(ON_GPU).items():
            if test.startswith("- "):
                del known[test[2:]]
            else:
                known[test] = reason
    return known


def pytest_collection_modifyitems(config, items):
    if not XLA:
        return
    known = known_failures()
    # A fixed share of the tests, chosen by their ids.
    share = float(os.environ.get("CUNUMERIC_TEST_SHARE", "1"))
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    left_out = [item for item in mine if zlib.crc32(item.name.encode()) % 1000 >= 1000 * share]
    for item in mine:
        reason = known.get(f"{item.path.name}::{item.name}")
        if reason is not None:
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    config.hook.pytest_deselected(items=left_out)
    dropped = set(map(id, left_out))
    items[:] = [item for item in items if id(item) not in dropped]


@pytest.fixture(params=list(SETUPS))
def setup(request):
    """The package in one of the set-ups; its name."""
    given = request.node.callspec.params
    for setups, parameters, reason in getattr(request.function, "fails_in", []):
        if request.param in setups and all(given[name] == value for name, value in parameters.items()):
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    with configured(**SETUPS[request.param]):
        yield request.param
