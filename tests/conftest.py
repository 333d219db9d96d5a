import os

import pytest

# Errors of ours inside lowerings are raised, also in the processes that tests start: users get NumPy's result instead.
os.environ.setdefault("CUNUMERIC_FAULTS", "1")

from cunumeric.graph import window


@pytest.fixture(autouse=True)
def in_company():
    """Operations of middling size are recorded, however little the windows of the test before did."""
    window.company.alone = 0
