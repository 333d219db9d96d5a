"""Every kernel is tried with one, two and three threads, and with thresholds low enough for small arrays."""

import numpy as np
import pytest

from cunumeric.runtime.settings import settings


@pytest.fixture(params=[1, 2, 3], autouse=True)
def team(request, monkeypatch):
    """The number of threads."""
    monkeypatch.setattr(settings, "threads", request.param)
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(7)
