"""What was done, not how long it took: contexts over the window's counters.

with assert_sweeps(1):
    s = (4 * v + 1).sum()
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import cunumeric
from cunumeric.graph import window
from cunumeric.runtime import memory


class Count:
    """What the block did, once it is over."""

    flushes = sweeps = recorded = 0
    given: tuple[int, ...] = ()  # bytes of each piece of memory that recorded work was given


@contextlib.contextmanager
def counted(synchronize: bool = True) -> Iterator[Count]:
    """Count what a block does. What was recorded before does not count; what the block leaves recorded does
    (`synchronize`)."""
    cunumeric.synchronize()
    before = window.counters.values()
    count = Count()
    given: list[int] = []
    plain = memory.empty

    def empty(shape, dtype):
        a = plain(shape, dtype)
        given.append(a.nbytes)
        return a

    memory.empty = empty
    try:
        yield count
        if synchronize:
            cunumeric.synchronize()
    finally:
        memory.empty = plain
    count.given = tuple(given)
    for name, value in window.counters.values().items():
        setattr(count, name, value - before[name])


@contextlib.contextmanager
def assert_flushes(n: int) -> Iterator[Count]:
    """The block itself runs recorded work `n` times; what it leaves recorded does not count."""
    with counted(synchronize=False) as count:
        yield count
    assert count.flushes == n, f"{count.flushes} flushes, not {n}"


@contextlib.contextmanager
def assert_sweeps(n: int, given: int | None = None) -> Iterator[Count]:
    """The block, with what it leaves recorded, makes `n` sweeps, and is given memory for `given` arrays."""
    with counted() as count:
        yield count
    assert count.sweeps == n, f"{count.sweeps} sweeps, not {n}"
    if given is not None:
        assert len(count.given) == given, f"memory given {len(count.given)} times, not {given}: {count.given} bytes"
