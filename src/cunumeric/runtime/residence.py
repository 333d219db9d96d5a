"""Where memory lives: on the host, on an accelerator, or in both places.

With an accelerator in charge (`accelerated`), the memory of a large array is a `Remote`: a range of host addresses
that need not have pages yet, and beside it the value on the device. Views, strides, overlap and flags are those of the
host addresses, so they are NumPy's own, wherever the bytes are. The engine that put a value on the device also brings
it home (`bring`, set by the engine).

- `value` is the device's array, or None; `home` says whether the bytes on the host are the newest.
- A kernel on the device reads `value` and leaves a new one; the host's bytes are old from then on.
- NumPy reads and writes the host's bytes after `fetch`; where it may have written, the device's value is dropped.
"""

from __future__ import annotations

import math
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from . import addresses, lines
from .lines import Line
from .memory import Lease, Raw

nd = np.ndarray
# What stands between a view that `as_strided` made and the array whose memory it shows.
Strided = type(np.lib.stride_tricks.as_strided(np.empty(1)).base)
# Whether an accelerator is in charge; set once, by the engine.
accelerated = False
# Set by the engine: writes a device's value into an array of the shape `layout`.
bring: Callable[[Any, np.ndarray], None] = None  # type: ignore[assignment]


# Set by the engine: a copy on the host of what a view shows.
show: Callable[[np.ndarray, Any], np.ndarray] = None  # type: ignore[assignment]


# Set by the engine: the kind of device ("cpu", "gpu"); the device's array of what a view shows; a copy of a foreign
# array that lives on the device.
kind: Callable[[], str] = None  # type: ignore[assignment]
lend: Callable[..., Any] = None  # type: ignore[assignment]
take: Callable[[Any], Any] = None  # type: ignore[assignment]
# Set by the engine: the value of an array of NumPy's on the device, or None where a copy on the host comes first.
move: Callable[[np.ndarray], Any] = None  # type: ignore[assignment]
# Set while something recorded has to be looked at when a value is next read (indices that may be out of bounds).
look: Callable[[], None] | None = None


class Remote(nd):
    """Memory that an accelerator may hold: host addresses, and the value on the device."""

    __slots__ = ("_start", "home", "kind", "layout", "line", "listed", "range", "value")

    value: Any  # the device's array, or None
    home: bool  # whether the host's bytes are the newest
    layout: tuple[int, ...]  # shape of the value: the lengths of the axes in descending order of strides
    kind: np.dtype
    line: Line | None  # of the program, that made it, where it is large
    range: addresses.Range | None  # the addresses, where they are kept for the next array
    listed: weakref.ref | None  # in `_held`, where it was given a value

    @property
    def start(self) -> int:
        """The first address."""
        if self._start is None:
            self._start: int | None = self.__array_interface__["data"][0]
        return self._start

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        self.value = None
        if self.range is not None and not ending():  # modules are empty by then
            addresses.give(self.range)


class Lost:
    """The value of memory for which a window found no room: whoever asks it for anything gets the error."""

    __slots__ = ("told",)

    def __init__(self, told: str) -> None:
        self.told = told

    def __getattr__(self, name: str) -> Any:
        raise MemoryError(self.told)


# Whether a value was ever lost.
losses = False


def lose(remote: Remote, told: str) -> None:
    """The value of `remote` cannot be computed."""
    global losses
    losses = True
    remote.value, remote.home = Lost(told), False


# Bases of arrays that count as owning their memory.
OURS = (Lease, Remote)


class Counters(threading.local):
    """What this thread moved, for tests, for the curious, and for what says so to the user."""

    def __init__(self) -> None:
        self.fetched = 0  # bytes from the device
        self.sent = 0  # bytes to the device


counters = Counters()


def suits(dtype: np.dtype) -> bool:
    """Whether the device has this dtype."""
    return dtype.char in "?bBhHiIlLqQefdFD" and dtype.isnative and dtype.fields is None


# Weak references to every remote that was given a value, by their identity.
_held: dict[int, weakref.ref[Remote]] = {}


def _gone(reference: weakref.ref[Remote], drop: Callable[..., Any] = _held.pop) -> None:
    drop(id(reference), None)


def hold(remote: Remote, value: Any, *, home: bool = False) -> None:
    """Give `remote` a value on the device; `home`: the host's bytes are the same."""
    remote.value, remote.home = value, home
    if remote.listed is None:
        reference = remote.listed = weakref.ref(remote, _gone)
        _held[id(reference)] = reference


def held(least: int = 0) -> list[Remote]:
    """Memory that is on the device, of at least so many bytes, the largest first."""
    found = [remote for reference in list(_held.values()) if (remote := reference()) is not None]
    large = [r for r in found if r.value is not None and r.value.nbytes >= least]
    return sorted(large, key=lambda r: -r.value.nbytes)


def _owned(raw: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, strides: Any, order: Any) -> np.ndarray:
    remote = raw.view(Remote)
    remote.value, remote.home, remote.kind, remote.range = None, True, dtype, None
    remote._start = remote.line = remote.listed = None
    if strides is None:
        a: np.ndarray = np.ndarray(shape, dtype, buffer=remote, order=order)
        remote.layout = shape if order == "C" else shape[::-1]
    else:
        a = np.ndarray(shape, dtype, buffer=remote, strides=strides)
        axes = sorted(range(len(shape)), key=lambda k: -strides[k])
        remote.layout = tuple([shape[k] for k in axes])
    return a


# Set by the engine: the bytes that all devices together can hold.
capacity: Callable[[], int] = None  # type: ignore[assignment]
_ASKED_FROM = 1 << 30


def ask(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise NumPy's MemoryError for a result that no device could hold, at the call that asks for it."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes >= _ASKED_FROM and nbytes > capacity():
        raise np._core._exceptions._ArrayMemoryError(shape, dtype)  # type: ignore[attr-defined]


def reserve(
    shape: tuple[int, ...],
    dtype: np.dtype,
    order: Literal["C", "F"] = "C",
    strides: tuple[int, ...] | None = None,
    *,
    touched: bool = True,
) -> np.ndarray:
    """Memory for a result on the device: addresses without pages; `touched`: the host may write there unasked."""
    nbytes = math.prod(shape) * dtype.itemsize
    found = addresses.take(nbytes)
    if found is None:
        return _owned(Raw((nbytes,), np.uint8), shape, dtype, strides, order)
    a = _owned(found.raw, shape, dtype, strides, order)
    remote: Any = a.base
    remote.range, remote._start = found, found.start
    found.touched = touched
    return a


def made_at(a: np.ndarray, line: Line | None) -> None:
    """Keep the line that made memory of an accelerator's."""
    if type(a.base) is Remote:
        a.base.line = line


def make(shape: tuple[int, ...], dtype: np.dtype, order: Literal["C", "F"] = "C") -> np.ndarray:
    """`reserve` for an array that the program asks for, with the line where it does."""
    a = reserve(shape, dtype, order)
    made_at(a, lines.here())
    return a


def adopt(a: np.ndarray) -> np.ndarray:
    """`a`, a fresh array of NumPy's to which nobody else refers, as memory that the device may hold; the same array
    where it cannot."""
    if not a.size or not a.ndim or not suits(a.dtype) or not a.flags.writeable:
        return a
    b: Any = a.base
    if b is not None:
        # A view of memory that only it refers to (its slot, `b`, and getrefcount's argument).
        if type(b) is not nd or b.base is not None or sys.getrefcount(b) > 3 or b.nbytes > 2 * a.nbytes:
            return a
        owner = adopt(b)
        if owner is b:
            return a
        start = a.__array_interface__["data"][0] - b.__array_interface__["data"][0]
        return np.ndarray(a.shape, a.dtype, owner, start, a.strides)
    if a.flags.c_contiguous:
        a = _owned(a.reshape(-1).view(np.uint8).view(Raw), a.shape, a.dtype, None, "C")
    elif a.flags.f_contiguous:
        a = _owned(a.T.reshape(-1).view(np.uint8).view(Raw), a.shape, a.dtype, None, "F")
    if a.nbytes >= lines.KEPT_FROM:
        made_at(a, lines.here())
    return a


def remote_of(a: np.ndarray) -> Remote | None:
    """The `Remote` under `a`, or None where it is plain host memory."""
    b: Any = a.base
    while type(b) is nd or type(b) is Strided:
        b = b.base  # type: ignore[union-attr]
    return b if type(b) is Remote else None


def fetch(a: np.ndarray, *, writes: bool = True) -> None:
    """Make the host's bytes of the memory of `a` the newest; `writes`: they may change past us."""
    remote = remote_of(a)
    if remote is None or remote.value is None:
        return
    if look is not None and not remote.home:
        look()
    fetch_remote(remote)
    if writes:
        remote.value = None


def host_bytes(remote: Remote) -> np.ndarray:
    """The host's bytes of `remote`, in its layout."""
    return remote.view(nd).view(remote.kind).reshape(remote.layout)


def fetch_remote(remote: Remote) -> None:
    """Make the host's bytes of `remote` the newest."""
    if not remote.home:
        host = host_bytes(remote)
        if remote.range is not None:
            remote.range.touched = True
        bring(remote.value, host)
        counters.fetched += host.nbytes
        remote.home = True


def on_device(a: np.ndarray) -> bool:
    """Whether the newest bytes of `a` are on the device alone."""
    if not accelerated:
        return False
    remote = remote_of(a)
    return remote is not None and not remote.home
