"""When the device's memory runs short: what is idle goes home, and if that is not enough, an error says who holds it.

The budget is what the device's allocator may take, or less (`CUNUMERIC_FBMEM`, MiB)."""

from __future__ import annotations

import logging
from typing import Any

from ...runtime import residence
from ...runtime.residence import Remote
from ...runtime.settings import settings
from . import backend, storage

log = logging.getLogger("cunumeric")
# Smaller values are not worth moving, nor naming.
_LARGE = 1 << 20
_NAMED = 8  # arrays that an error names


class Counters:
    """What was done, for tests and for the curious: never read by the engine."""

    def __init__(self) -> None:
        self.spilled = 0  # bytes sent home to make room
        self.split = 0  # windows cut in two because they needed too much


counters = Counters()


def room() -> int | None:
    """Bytes that can still be taken on the device; None where nobody knows."""
    if settings.fbmem:
        return (settings.fbmem << 20) - sum(storage.share(r.value) for r in residence.held(_LARGE))
    stats = backend.modules().jax.local_devices()[0].memory_stats()
    if not stats or "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats["bytes_in_use"]


def spill(wanted: int, busy: list[Remote]) -> int:
    """Send idle values home, the largest first, until `wanted` bytes have gone; how many did."""
    gone = 0
    kept = {id(r) for r in busy}
    for remote in residence.held(_LARGE):
        if gone >= wanted:
            break
        if id(remote) in kept:
            continue
        nbytes = storage.share(remote.value)
        residence.fetch_remote(remote)
        remote.value = None
        gone += nbytes
    if gone:
        counters.spilled += gone
        log.warning("the device's memory is full: %d MiB of idle arrays were moved to the host", gone >> 20)
    return gone


def shortage(wanted: int | None) -> MemoryError:
    """The error for a window that cannot be run, naming the largest arrays on the device."""
    lines = [f"  {r.kind.name} {r.layout}, {r.value.nbytes / 2**20:,.0f} MiB" for r in residence.held(_LARGE)[:_NAMED]]
    asked = "" if wanted is None else f": {wanted / 2**20:,.0f} MiB more are needed"
    held = "\nThe largest arrays there are\n" + "\n".join(lines) if lines else ""
    return MemoryError(f"the device's memory is full{asked}.{held}")


def exhausted(error: Exception) -> bool:
    """Whether XLA ran out of memory."""
    return "RESOURCE_EXHAUSTED" in str(error)


def needs(compiled: Any) -> int:
    """Bytes that a compiled program takes beside its arguments."""
    try:
        analysis = compiled.memory_analysis()
    except Exception:  # not every backend tells
        return 0
    if analysis is None:
        return 0
    return int(analysis.temp_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes)
