"""When the device's memory runs short: what is idle goes home, and if that is not enough, an error says who holds it.

The budget is what the device's allocator may take, or less (`CUNUMERIC_FBMEM`, MiB)."""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any

import numpy as np

from ...graph.node import Node, Store
from ...runtime import lines, memory, ranks, residence
from ...runtime.residence import Remote
from ...runtime.settings import settings
from . import backend, storage

log = logging.getLogger("cunumeric")
# Smaller values are not worth moving, nor naming.
_LARGE = 1 << 20
_NAMED = 8  # arrays that an error names
_LEFT = 1 << 30  # bytes of the host's memory that arrays that are sent home leave free


class Counters:
    """What was done, for tests and for the curious: never read by the engine."""

    def __init__(self) -> None:
        self.spilled = 0  # bytes sent home to make room
        self.split = 0  # windows cut in two because they needed too much


counters = Counters()


# Programs that take less than this are run without asking how much is free.
_WATCHED_FROM = 1 << 28
# What was free when the allocator was asked last, less what has been taken since.
_left = 0


def fits(wanted: int) -> bool:
    """Whether a program finds `wanted` bytes; the allocator is asked only when it might not. They count as taken."""
    global _left
    if settings.fbmem:
        return False
    if wanted > _left and wanted >= _WATCHED_FROM:
        _left = room() or 0
        if wanted > _left:
            return False
    _left -= wanted
    return True


def room() -> int | None:
    """Bytes that can still be taken on the device; None where nobody knows."""
    limit = settings.fbmem << 20 or (_agreed() if ranks.size > 1 else 0)
    if limit:  # all ranks count the same
        return limit - sum(storage.share(r.value) for r in residence.held(_LARGE))
    if ranks.size > 1:
        return None
    stats = backend.modules().jax.local_devices()[0].memory_stats()
    if not stats or "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats["bytes_in_use"]


@functools.cache
def _agreed() -> int:
    """The least that the allocator of any rank's device may take; 0 where nobody knows. What is free at a moment is not
    asked: ranks that differed in it would part."""
    jx = backend.modules()
    mesh: Any = jx.mesh
    stats = jx.jax.local_devices()[0].memory_stats() or {}
    mine = np.array([stats.get("bytes_limit", 0)], np.int64)
    limits = jx.jax.make_array_from_callback((mesh.size,), mesh.line, lambda index: mine)
    return int(jx.jax.jit(jx.np.min, out_shardings=mesh.whole)(limits))


def spill(wanted: int, busy: list[Remote]) -> int:
    """Send idle values home, the largest first, until `wanted` bytes have gone; how many did. None where all of them
    are fewer."""
    # What a host has left differs from rank to rank, and they have to choose alike.
    gone, idle, left = 0, [], memory.available() - _LEFT if ranks.size == 1 else sys.maxsize
    kept = {id(r) for r in busy}
    for remote in residence.held(_LARGE):
        fetched = 0 if remote.home else remote.nbytes
        if id(remote) not in kept and fetched <= max(left, 0):
            idle.append(remote)
            left -= fetched
    if sum(storage.share(r.value) for r in idle) < wanted:
        return 0
    for remote in idle:
        if gone >= wanted:
            break
        nbytes = storage.share(remote.value)
        residence.fetch_remote(remote)
        remote.value = None
        gone += nbytes
    if gone:
        counters.spilled += gone
        log.warning("the device's memory is full: %d MiB of idle arrays were moved to the host", gone >> 20)
    return gone


def shortage(wanted: int | None, item: Node | Store | None = None) -> MemoryError:
    """The error for a window, or an item of it, that cannot be run, naming the largest arrays on the device."""
    named = []
    for r in residence.held(_LARGE)[:_NAMED]:
        made = f", made at {lines.told(r.line)}" if r.line else ""
        named.append(f"  {r.kind.name} {r.layout}, {r.value.nbytes / 2**20:,.0f} MiB{made}")
    asked = "" if wanted is None else f": {wanted / 2**20:,.0f} MiB more are needed"
    if asked and type(item) is Node and item.line:
        asked += f" for {item.dtype.name} {item.shape} of {lines.told(item.line)}"
    held = "\nThe largest arrays there are\n" + "\n".join(named) if named else ""
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
