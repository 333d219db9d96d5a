"""Large buffers whose pages stay mapped when an array dies, to be handed to the next array.

Fresh pages cost two to four times the arithmetic that fills them. Memory is owned by a `Raw`; an array gets it through
a `Lease`, which is the array's base and dies with the last array on it: its finaliser puts the raw memory on the
shelf instead of freeing it. (Two types, because NumPy shortens chains of bases of one type, and would leave the lease
out.) The shelf never makes the process larger than the arrays alone have made
it: before new memory is taken, as much shelved memory is freed.

The optional extension `_shelf` does the same without Python's price, and looks whether memory was written to.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any, Literal

import numpy as np

from .cores import read
from .settings import settings

# Below this, malloc serves from its own warm heap.
SHELVED_FROM = 128 * 1024


class Raw(np.ndarray):
    """Bytes that own their memory."""

    __slots__ = ()


class Lease(np.ndarray):
    """One life of a `Raw`, from `empty` to the death of the last array on it."""

    __slots__ = ()

    def __del__(self) -> None:
        raw = self.base
        if type(raw) is Raw:
            _shelf.put(raw)


class _Shelf:
    def __init__(self) -> None:
        self.by_size: dict[int, list[Raw]] = {}
        self.bytes = 0
        # Finalisers may run inside any allocation of this module: the lock must admit the same thread again.
        self.lock = threading.RLock()

    def put(self, raw: Raw) -> None:
        with self.lock:
            self.by_size.setdefault(raw.nbytes, []).append(raw)
            self.bytes += raw.nbytes

    def take(self, nbytes: int) -> Raw | None:
        """Memory of `nbytes`; else None, after dropping shelved memory of about that size in all."""
        with self.lock:
            stack = self.by_size.get(nbytes)
            if stack:
                self.bytes -= nbytes
                return stack.pop()
            self._drop(nbytes)
            return None

    def _drop(self, nbytes: int) -> None:
        for size in sorted(self.by_size, key=lambda s: abs(s - nbytes)):
            stack = self.by_size[size]
            while stack and nbytes > 0:
                nbytes -= size
                self.bytes -= size
                stack.pop()
            if not stack:
                del self.by_size[size]
            if nbytes <= 0:
                break

    def clear(self) -> None:
        with self.lock:
            self._drop(self.bytes + 1)


_shelf = _Shelf()


def available() -> int:
    """Bytes that the host still has for this process: what the system calls available, and what its cgroup may take;
    plenty where neither is told."""
    found = [sys.maxsize]
    try:
        lines = read("/proc/meminfo").splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        pass
    for most, used, freed in _CGROUPS:
        try:
            limit, taken = (int(read(name)) for name in (most, used))  # "max": no limit
            stat = dict(line.split() for line in read(freed).splitlines())
            found.append(limit - taken + int(stat.get("inactive_file", stat.get("total_inactive_file", 0))))
        except (OSError, ValueError):
            pass
    return min(found)


# The memory's limit, what is taken of it, and what of that the system would give back, of both kinds of cgroups.
_CGROUPS = (
    [f"/sys/fs/cgroup/memory.{name}" for name in ("max", "current", "stat")],
    [f"/sys/fs/cgroup/memory/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")],
)


def trim() -> None:
    """Free all shelved memory."""
    _shelf.clear()


def relieve_by(f: Any) -> None:
    """Call `f` before large memory is taken anew, which it may make unnecessary; in C alone."""


def empty(shape: tuple[int, ...], dtype: np.dtype, order: Literal["C", "F"] = "C") -> np.ndarray:
    """`np.empty` for the engine's results; large ones on shelved memory. Raises NumPy's MemoryError, which names the
    shape, the dtype and the bytes, after giving back what is shelved."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < SHELVED_FROM or dtype.hasobject:
        return np.empty(shape, dtype, order)
    size = -(-nbytes // 4096) * 4096
    raw = _shelf.take(size)
    if raw is None:
        try:
            raw = Raw((size,), np.uint8)
        except MemoryError:
            trim()
            return np.empty(shape, dtype, order)
    return np.ndarray(shape, dtype, buffer=raw.view(Lease), order=order)


_set_shape: Any = getattr(np.ndarray, "_set_shape", None) or np.ndarray.shape.__set__  # type: ignore[attr-defined]


def shaped(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`a`, contiguous and known to nobody else, in another shape: the same array, which owns its memory as before."""
    if a.shape != shape:
        _set_shape(a, shape)
    return a


def allow_writes(a: np.ndarray) -> None:
    """Make an array that has all its memory to itself writeable again. NumPy, which sees a lease, refuses to."""
    a.flags.writeable = True


def _load() -> Any:
    if not settings.accelerate:
        return None
    try:
        from . import _shelf as extension  # type: ignore[attr-defined]
    except ImportError:
        return None
    extension.start(SHELVED_FROM)
    return extension


# For C: the functions that make an array, and hear of memory taken elsewhere.
ways: Any = None
_extension = _load()
if _extension is not None:
    Lease, empty, trim = _extension.Lease, _extension.empty, _extension.trim  # type: ignore[misc]
    relieve_by = _extension.relieve_by
    allow_writes = _extension.allow_writes
    ways = _extension.ways
