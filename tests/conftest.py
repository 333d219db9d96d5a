import pytest

from cunumeric.graph import window


@pytest.fixture(autouse=True)
def in_company():
    """Operations of middling size are recorded, however little the windows of the test before did."""
    window.company.alone = 0
