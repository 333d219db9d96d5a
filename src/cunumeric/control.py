"""What a program may say about recording: run it now, or do not record here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .graph import window
from .runtime import residence
from .runtime.settings import settings


def synchronize() -> None:
    """Run everything that is recorded; returns when it is done."""
    window.flush()
    if window.wait is not None:
        window.wait()
    if residence.look is not None:
        residence.look()


@contextmanager
def eager() -> Iterator[None]:
    """A context in which nothing is recorded: every operation runs when it is called, as in NumPy. For debugging."""
    window.flush()
    before, settings.eager = settings.eager, True
    try:
        yield
    finally:
        settings.eager = before
