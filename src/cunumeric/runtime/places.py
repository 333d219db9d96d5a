"""Where things are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from .settings import settings


def directory() -> Path | None:
    """Where compiled code is kept, or None where there is no place for it (CUNUMERIC_CACHE=0)."""
    if settings.cache == "0":
        return None
    if settings.cache:
        return Path(settings.cache)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "cunumeric"
    except RuntimeError:
        return None
