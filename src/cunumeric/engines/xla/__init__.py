"""The accelerator's engine: windows compiled by XLA, through JAX. JAX is imported by the first window, not before."""

from __future__ import annotations

from ...graph import window
from ...runtime import memory, residence
from ...runtime.settings import settings


def start() -> None:
    """Take charge, if the settings say so."""
    if settings.engine != "xla":
        return
    from ...ops.lowering import chapters  # noqa: F401  (they fill the table)
    from . import backend, execute, infer, recipe

    residence.accelerated = True
    memory.empty = recipe.reserve
    window.run = execute.run
    window.infer = infer.infer
    window.wait = execute.wait
    window.devices = backend.devices
    settings.accelerate = settings.accelerate and settings.record_min > 0


start()
