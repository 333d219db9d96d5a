"""Every sweep compiled before its first run, in tiles of few elements, with a cache of the test's own."""

from __future__ import annotations

import pytest

import cunumeric
from cunumeric.engines.host import native, sweep
from cunumeric.engines.host.compiled import tier
from cunumeric.runtime.settings import settings


@pytest.fixture
def always(tmp_path, monkeypatch):
    if native._tiles is None:
        pytest.skip("the extension was not built: there is nothing to compile for")
    pytest.importorskip("llvmlite", reason="the extra `compiled` is not installed")
    monkeypatch.setattr(tier, "_compiler", None)
    wanted = {"cache": str(tmp_path / "cache"), "compile": 2, "record_min": 0, "tile": 4, "threads": 2}
    cunumeric.synchronize()
    for name, value in wanted.items():
        monkeypatch.setattr(settings, name, value)
    sweep._templates.clear()
    yield
    cunumeric.synchronize()
