"""Ranges of addresses that need not have pages: the host's side of memory whose bytes are on an accelerator.

Mapping a range and giving it back costs the kernel more than a window's dispatch costs us, so ranges are kept when
their array dies, and handed to the next array of that size. What pages they were given go back to the system.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from typing import Any

import numpy as np

from .memory import Raw

# Below this, memory is NumPy's; from here on it is asked for without a promise of pages, so that an array may be larger
# than the host's memory.
UNBACKED_FROM = 1 << 20
# Ranges that are kept for one size, and in all.
_KEPT, _KEPT_IN_ALL = 16, 64
# Ranges of so many bytes or more have huge pages: the system gives small ones at a tenth of the speed of a GPU's link.
_HUGE_FROM = 1 << 26
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)  # named since Python 3.12
_spare: dict[int, list[Range]] = {}


class Range:
    """A range of addresses: `raw` is the array over all of it; `touched`: it may have pages."""

    __slots__ = ("pages", "raw", "start", "touched")

    def __init__(self, nbytes: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        try:
            self.pages = mmap.mmap(-1, nbytes, flags)
        except OSError:
            raise MemoryError(f"no addresses are left for {nbytes} bytes") from None
        if nbytes >= _HUGE_FROM and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without them
                self.pages.madvise(mmap.MADV_HUGEPAGE)
        self.touched = True
        self.raw: Any = np.frombuffer(self.pages, np.uint8).view(Raw)
        self.start: int = self.raw.__array_interface__["data"][0]


def take(nbytes: int) -> Range | None:
    """A range for `nbytes`; None where NumPy's memory will do."""
    if nbytes < UNBACKED_FROM or not _NORESERVE:
        return None
    kept = _spare.get(nbytes)
    try:
        return kept.pop() if kept else Range(nbytes)
    except IndexError:  # another thread was faster
        return Range(nbytes)


def give(found: Range) -> None:
    """Keep a range that no array shows any more."""
    if found.touched:  # asking costs a tenth of a small window where a driver listens
        found.pages.madvise(mmap.MADV_DONTNEED)
    kept = _spare.setdefault(found.raw.nbytes, [])
    if len(kept) < _KEPT:
        kept.append(found)
    if sum(map(len, _spare.values())) > _KEPT_IN_ALL:
        _spare.pop(next(iter(_spare)))
