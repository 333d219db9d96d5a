"""Every body runs in each set-up."""

import pytest

from .compare import SETUPS, configured


@pytest.fixture(params=list(SETUPS))
def setup(request):
    """The package in one of the set-ups; its name."""
    given = request.node.callspec.params
    for setups, parameters, reason in getattr(request.function, "fails_in", []):
        if request.param in setups and all(given[name] == value for name, value in parameters.items()):
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    with configured(**SETUPS[request.param]):
        yield request.param
