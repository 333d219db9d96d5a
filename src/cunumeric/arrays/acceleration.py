"""Small operations in C, where the optional extension was built: see `_fast.c`. Imported when the classes are complete,
because it takes the place of slots that Python fills from their methods."""

from __future__ import annotations

from typing import Any

from ..graph import window
from ..runtime.settings import listen, settings
from .base import ndarray
from .ufunc import ufunc


def _start() -> bool:
    """Whether the extension is there and now in charge."""
    if not settings.accelerate:
        return False
    try:
        from . import _fast  # type: ignore[attr-defined]
    except ImportError:
        return False

    def heard(name: str, value: Any) -> None:
        if name == "record_min":
            _fast.set_limit(value)

    _fast.set_limit(settings.record_min)
    listen(heard)
    _fast.accelerate(ndarray, ufunc, window.pending)
    return True


ACCELERATED = _start()
