"""The window: everything recorded and not yet run, in the program's order; one for the process.

`pending` holds the recorded nodes and stores. `memory` says for each array that owns memory which nodes read it and
which stores write it. All changes happen under `lock`; the check `if pending` in hot paths needs no lock, because a
thread sees at least its own recordings.

Memory that somebody outside can reach (`expose`) and foreign memory are never left to wait: what is recorded on them
runs at once.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any

import numpy as np

from ..runtime import memory as _memory
from ..runtime import residence, threads, weak
from ..runtime.settings import settings
from .node import Leaf, Node, Reduction, Store, is_foreign, operands, owner_of


class Traffic:
    """Recorded work on one owner's memory: that it is read, and what writes it."""

    __slots__ = ("owner", "stores")

    def __init__(self, owner: np.ndarray) -> None:
        self.owner = owner
        self.stores: list[Store] = []


class Counters:
    """What was done, for tests and for the curious: never read by the engine."""

    __slots__ = ("flushes", "plans", "recorded", "sweeps")

    def __init__(self) -> None:
        self.flushes = 0
        self.sweeps = 0
        self.plans = 0
        self.recorded = 0

    def values(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class _State:
    """What every recording asks for, or changes: slots, which C finds without looking a name up."""

    __slots__ = ("lingering", "running", "sequence")

    def __init__(self) -> None:
        self.lingering: Node | None = None  # see `_linger`
        self.running: bool | int = False  # or the thread that runs a window
        self.sequence = 0  # the last number given in the program's order


state = _State()
lock: Any = threading.RLock()
gate: Any = None  # recording in C puts one in the lock's place that C takes without a call: it is here, too
pending: list[Node | Store] = []
memory: dict[int, Traffic] = {}
counters = Counters()
_leaves: dict[int, Leaf] = {}
_exposed: dict[int, weakref.ref] = {}
# Set by the engine: runs the recorded work and gives every live node its memory.
run: Callable[[list[Node | Store], Reduction | None], None] = None  # type: ignore[assignment]


def _living(items: list[Node | Store]) -> int:
    return sum([p.nbytes for p in items if type(p) is Node and p.alive()])


# Bytes of the nodes of the window that have an array, and no memory yet; an engine may have it in C.
living: Callable[[list[Node | Store]], int] = _living
# Set by an engine that does so in C: `collect(pending, memory, leaves)` forgets nodes that have died and nothing needs.
collect: Callable[..., int] | None = None
# Set by an engine that does so in C: `again(reduction)` runs a window that has come round again, and empties it: True.
again: Callable[[Reduction | None], bool] | None = None
# Set by an engine that runs windows beside the program: returns when all of them are done.
wait: Callable[[], None] | None = None
# Set by an engine that shares windows out: over how many devices.
devices: Callable[[], int] | None = None
# Set by an engine that runs calls: `infer(bound, ((shape, dtype), ...))` says whether there are several results, and
# the shape and dtype of each; None where the engine has no way to do it.
infer: Callable[..., Any] = None  # type: ignore[assignment]


def sequence() -> int:
    """The next number in the program's order."""
    state.sequence += 1
    return state.sequence


def busy() -> bool:
    """Whether a flush is running (a finaliser or a signal handler that computes meanwhile must not record). Another
    thread's is waited for with an accelerator: what is not recorded works on the host's bytes, which the window may be
    sending. Without one that thread computes meanwhile."""
    return state.running is not False and (not residence.accelerated or state.running == get_ident())


# -- memory ------------------------------------------------------------------------------------------------------------


def touched(a: np.ndarray) -> bool:
    """Whether recorded work reads or writes the memory of `a`."""
    return id(owner_of(a)) in memory


def written(a: np.ndarray) -> bool:
    """Whether recorded work writes the memory of `a`."""
    traffic = memory.get(id(owner_of(a)))
    return traffic is not None and bool(traffic.stores)


def leaf(a: np.ndarray) -> Leaf:
    """The leaf of this window for `a`."""
    found = _leaves.get(id(a))
    if found is None:
        found = _leaves[id(a)] = Leaf(a, owner_of(a))
    return found


def traffic_of(owner: np.ndarray) -> Traffic:
    found = memory.get(id(owner))
    if found is None:
        found = memory[id(owner)] = Traffic(owner)
        _crowd.entered += owner.nbytes
    return found


def expose(a: Any) -> None:
    """The memory of `a` can be read and written past us from now on: what is recorded on it runs now."""
    if type(a) is Node:
        return  # not memory yet
    owner = owner_of(a)
    if id(owner) not in _exposed:
        key = id(owner)
        _exposed[key] = weak.entry(owner, _exposed, key)
    if pending and id(owner) in memory:
        flush()


def was_handed_out(a: np.ndarray) -> bool:
    """Whether `expose` was called for the memory of `a`."""
    return bool(_exposed) and id(owner_of(a)) in _exposed


def is_exposed(owner: np.ndarray) -> bool:
    return id(owner) in _exposed or is_foreign(owner)


def shared(x: Any) -> bool:
    """Whether other arrays show the memory of array `x` (for `resize`)."""
    a = x._a
    if a.base is not None and not isinstance(a.base, residence.OURS):
        return True
    return weakref.getweakrefcount(a) > 0 or _references(a) > 0


def _references(a: np.ndarray) -> int:
    import sys

    return sys.getrefcount(a) - 5  # x._a, the caller's, shared()'s, this function's, getrefcount's


# -- recording ---------------------------------------------------------------------------------------------------------


def note(node: Node) -> None:
    """Enter a node; its leaves are read from now on."""
    _enter(node)


class _Period:
    """Where to cut a stream of recordings that nothing reads: wherever the same run of operations comes round again,
    so that the windows of a loop have one form. The first window has `settings.window` items; of those in its second
    half the one is found after which the fewest bytes live that were not given memory, so that few temporaries are
    carried over. From then on windows end there, at the first such place after `settings.window` items; when it does
    not come round, after twice as many, and another one is looked for."""

    __slots__ = ("cut", "found", "least")

    TAIL = 6

    def __init__(self) -> None:
        self.cut: tuple[Any, ...] = ()  # the last recordings of windows
        self.found: tuple[Any, ...] = ()
        self.least = 0  # bytes that lived after those

    def ends(self) -> bool:
        """Whether the window should end with what was recorded last."""
        size, limit = len(pending), settings.window
        if size < (limit if self.cut else limit // 2):
            return False
        recent = tuple([_mark(item) for item in pending[-self.TAIL :]])
        if self.cut:
            if recent != self.cut and size < 2 * limit:
                return False
            if recent != self.cut:
                self.cut = ()
            return True
        bytes_ = living(pending)
        if not self.found or bytes_ < self.least:
            self.found, self.least = recent, bytes_
        if size < limit:
            return False
        self.cut, self.found = self.found, ()
        return True


def _mark(item: Node | Store) -> tuple[Any, Any]:
    """What tells recordings apart where turns of a loop are compared."""
    if type(item) is Node:
        return item.row, item.shape
    return item.destination.a.shape, item.destination.offset  # type: ignore[union-attr]


def _told_by(item: Node | Store) -> int:
    """Its mark as a number of 62 bits; C makes it, too."""
    first, second = _mark(item)
    return (hash(first) * 31 ^ hash(second)) % 2**62


_period = _Period()


class _Crowd:
    """Memory that is only read, and that nobody but the window holds any more, stays until the window runs: NumPy would
    have given it back. So much as new arrays will take for themselves costs nothing, and one array more is what NumPy
    takes for a temporary; of more the window is relieved."""

    __slots__ = ("checked", "entered")

    LEAST, ARRAYS = 16 << 20, 1

    def __init__(self) -> None:
        self.entered = 0  # bytes of all memory that the window meets
        self.checked = self.LEAST  # at how many of them to look next

    def ends(self) -> bool:
        """Whether the window should end for the sake of the memory that it holds."""
        if self.entered < self.checked:
            return False
        from .plan import is_dead

        relieve()
        self.checked = self.entered + self.LEAST
        views: dict[int, list[Leaf]] = {}
        for leaf in _leaves.values():
            views.setdefault(id(leaf.owner), []).append(leaf)
        idle = [t.owner.nbytes for key, t in memory.items() if not t.stores and key in views and is_dead(views[key])]
        return bool(idle) and sum(idle) - living(pending) > max(self.LEAST, self.ARRAYS * max(idle))


_crowd = _Crowd()


class _Loops:
    """Where to cut for an engine that compiles: at the turns of loops, so that the same windows come round again.

    Inside a loop the stream of recordings repeats itself; a run is as much of it as repeats with one period. A window
    that began inside a run is cut after whole turns; one that began before it, when the run ends, or if that is too
    far, where the fewest bytes live in the course of a turn, so that no temporary is carried from window to window.
    When a run ends in which was cut, what is left of it is a window of its own: the next one begins where the loop
    ended, however many turns there were. A read begins anew.

    Where values are read before a window was cut, turns are not looked for in so many recordings as the longest of
    such windows had; should one be longer, it is followed from its start.

    Many recordings a window save what starting it costs. Where a few keep the device busy for longer than that they are
    enough: it begins to work sooner, and holds less from turn to turn."""

    __slots__ = (
        "busy", "covered", "cut_in_run", "cutting", "due", "living", "marks", "period", "places", "quiet", "seeking",
        "start",
    )  # fmt: skip

    GRAM = 6  # so many equal recordings in a row are a turn
    KEPT = 4096
    FEW, BUSY = 32, 1 << 30  # so many recordings, with so many bytes of results

    def __init__(self) -> None:
        self.cutting = False
        self.quiet = 0  # recordings in which no turn is looked for
        self.begin()

    def begin(self) -> None:
        self.marks: list[int] = []
        self.start = 0  # where in `marks` the window begins
        self.places: dict[int, int] = {}  # where so many recordings in a row were seen last
        self.period = 0
        self.covered = 0  # items of the run so far
        self.cut_in_run = False
        self.seeking = False
        self.busy = False  # whether the window was seen to hold much work
        self.due = min(self.FEW, settings.window)  # recordings at which that is looked at next
        self.living: dict[int, int] = {}  # bytes that lived at the places of a turn

    def flushed(self) -> None:
        """The window was run; if that was not our doing, somebody has read a value."""
        self.quiet = 0 if self.cutting or self.start else max(self.quiet, len(self.marks))
        if not self.cutting or (len(self.marks) > self.KEPT and not self.period):
            self.begin()
        elif len(self.marks) > self.KEPT:  # inside a run, which goes on
            self.marks, self.places = self.marks[-self.period :], {}
        self.cutting = self.busy = False
        self.due = min(self.FEW, settings.window)
        self.start = len(self.marks)

    def saw(self, item: Node | Store) -> None:
        """`item` has entered the window: decide whether it should end, once the operation at hand is recorded."""
        mark = _told_by(item)
        if self.quiet:
            if len(self.marks) < self.quiet:
                self.marks.append(mark)
                return
            past, self.marks, self.quiet = self.marks, [], 0
            for earlier in past:
                self._follow(earlier, False)
        self._follow(mark, True)

    def _follow(self, mark: int, decides: bool) -> None:
        """The stream with one mark more; `decides`: whether the window may end with it."""
        marks, period = self.marks, self.period
        marks.append(mark)
        size, limit = len(marks) - self.start, settings.window
        if period:
            if marks[-1 - period] == mark:
                self.covered += 1
                if decides and size >= self.due and self._turned(size, limit):
                    self.cutting = True
                return
            if decides and (self.cut_in_run or size >= limit):
                self.cutting = True
            self.period, self.cut_in_run, self.seeking = 0, False, False
            self.living = {}
            return
        at = len(marks)
        gram = 0
        for mark in marks[-self.GRAM :]:
            gram = (gram * 31 + mark) % 2**62
        last = self.places.get(gram, at)
        self.places[gram] = at
        if at - last and at - last <= 2 * limit:
            self.period = at - last
            self.covered = self.period + self.GRAM
        elif decides and size >= 2 * limit:
            self.cutting = True

    def _turned(self, size: int, limit: int) -> bool:
        if self.covered >= size:
            turned = size % self.period == 0 and (size >= limit or self._busy(size))
            self.cut_in_run = self.cut_in_run or turned
            return turned or size >= 4 * limit
        self.seeking = size >= 2 * limit or (
            self.covered >= 3 * self.period and (self.busy or self.covered % self.period == 0) and self._busy(size)
        )
        return self.seeking

    def _busy(self, size: int) -> bool:
        """Whether the window's results have many bytes on each device; looked at again when it is twice as long."""
        if not self.busy:
            found = sum([p.nbytes for p in pending if type(p) is Node])
            self.busy = found >= self.BUSY and (devices is None or found >= self.BUSY * devices())
            self.due = size if self.busy else min(2 * size, max(size, settings.window))
        return self.busy

    def ended(self) -> bool:
        """Whether the window ends before the recording at hand."""
        if not self.cutting or not self.seeking or len(pending) >= 4 * settings.window:
            return self.cutting
        place = self.covered % self.period
        if place in self.living and self.living[place] == min(self.living.values()):  # a turn has been seen
            self.cut_in_run, self.seeking = True, False
            return True
        self.living.setdefault(place, _kept())
        self.cutting = self.seeking = False  # until the next item
        return False


def _kept() -> int:
    """Bytes of what the window computes and somebody can ask for."""
    from .canonical import dead_owners  # which needs this module

    total = living(pending)
    stores = [p for p in pending if type(p) is Store]
    written = {id(p.destination.owner): p.destination.owner.nbytes for p in stores}  # no reference: they are counted
    dead = dead_owners(stores)
    return total + sum(nbytes for key, nbytes in written.items() if key not in dead)


_loops = _Loops()


class _Company:
    """Whether recorded operations of middling size come alone. Recording costs what a cheap operation on 10⁵ elements
    takes, and brings it back only when others join: after several windows of one operation such operations run at
    once, but for every now and then one, which shows whether chains have come. To look costs up to twice what such an
    operation takes: at one in a hundred it is not felt; where arrays are smaller, one in five hundred. Which one it is
    moves: nothing would ever be seen to follow the second of two."""

    __slots__ = ("alone", "passed")

    ALONE, PROBE, STEP, WEIGHT, TURNS = 6, 512, 1 << 16, 5, 7

    def __init__(self) -> None:
        self.alone = 0  # windows of one operation, one after another
        self.passed = 0

    def expected(self, size: int) -> bool:
        """Whether to record an operation on so many elements that begins a chain, if there is one."""
        if self.alone < self.ALONE:
            return True
        weight = self.WEIGHT if size >= self.STEP else 1
        self.passed += weight
        if self.passed < self.PROBE:
            return False
        self.passed = -(self.alone % self.TURNS) * weight
        return True


company = _Company()


def cut() -> None:
    """Run the window if it has come to its end. That is seen at the next recording, not at the last: by then what the
    turn of a loop computed on its way has died."""
    if not pending or state.running:
        return
    with lock:
        if _loops.ended() if residence.accelerated else _crowd.ends() or _period.ends():
            flush()


def _enter(node: Node) -> None:
    for arg in node.args:
        if type(arg) is Leaf:
            traffic_of(arg.owner)
    pending.append(node)
    if residence.accelerated:
        _loops.saw(node)


def note_store(destination: Leaf, source: Any, fresh: bool = False) -> None:
    """Enter a store; a source that is a leaf is read by it."""
    store = Store(destination, source, sequence(), fresh)
    traffic_of(destination.owner).stores.append(store)
    if type(source) is Leaf:
        traffic_of(source.owner)
    pending.append(store)
    if residence.accelerated and not fresh:  # memory for a value depends on where the last window ended
        _loops.saw(store)


def place(x: Any) -> np.ndarray:
    """Give the array `x`, which stands for a node, memory of its own: the node's value is stored there in its turn."""
    with lock:
        node = x._a
        if type(node) is not Node:
            return node
        if node.strides is None:
            a = _memory.empty(node.shape, node.dtype)
        else:
            a = residence.reserve(node.shape, node.dtype, strides=node.strides)
        residence.made_at(a, node.line)
        source: Any = node
        if node.row.name == "copy" and type(node.args[0]) is Leaf and not _overwritten_since(node):
            source = node.args[0]
        note_store(leaf(a), source, fresh=True)
        node.handle = None
        x._a = a
        return a


def _overwritten_since(node: Node) -> bool:
    """Whether a store recorded after `node` writes the memory that it reads."""
    for arg in node.args:
        if type(arg) is Leaf:
            traffic = memory.get(id(arg.owner))
            if traffic is not None and traffic.stores and traffic.stores[-1].seq > node.seq:
                return True
    return False


# -- running -----------------------------------------------------------------------------------------------------------


def flush(reduction: Reduction | None = None) -> None:
    """Run everything recorded, and then `reduction`. When the host's memory runs out nothing has been run, and the
    error names what was asked for; what is recorded stays, to run when memory has been given back. When a device's
    does, what found no room and what builds on it is as if it had raised the error."""
    if not pending and reduction is None:
        return
    if again is None or not again(reduction):
        _flush(reduction)


def _flush(reduction: Reduction | None) -> None:
    """`flush` in Python."""
    with lock:
        if state.running:
            raise RuntimeError("an array was read by a signal handler or finaliser while its value was being computed")
        counters.flushes += 1
        state.running = get_ident()
        try:
            with threads.held_interrupts():
                run(pending, reduction)
        except MemoryError:
            raise
        except BaseException:
            forget()
            raise
        else:
            forget()
            if reduction is not None and type(reduction.source) is Node:
                from .plan import dying_of  # which needs this module

                for node in dying_of(reduction) or [reduction.source]:
                    _linger(node)
        finally:
            state.running = False


def _linger(node: Node) -> None:
    """The source of a reduction was taken for a temporary and given no memory. Should its array live on after all, the
    node waits in the next window like any other; `note` drops it when the array has died."""
    if node.place is not None or not node.alive():
        return
    chain: dict[int, Node] = {}
    stack: list[Any] = [node]
    while stack:
        n = stack.pop()
        if type(n) is Node and n.seq not in chain:
            n.args = tuple([arg.place if type(arg) is Node and arg.place is not None else arg for arg in n.args])
            chain[n.seq] = n
            stack.extend(n.args)
    for seq in sorted(chain):
        _enter(chain[seq])
    state.lingering = node


def _drop_lingering() -> None:
    """Forget what lingers and nobody asks for, where nothing was recorded since: another thread may have waited for the
    window with what it records."""
    with lock:
        node, state.lingering = state.lingering, None
        last = node is not None and bool(pending) and pending[-1] is node
        if last and not any(p.alive() for p in pending if type(p) is Node):
            forget()


def relieve() -> None:
    """Let go of what was recorded and has died since, and of the memory that only it would have read: large memory is
    about to be taken."""
    if collect is not None and pending and not state.running and not residence.accelerated and lock.acquire(False):
        try:
            collect(pending, memory, _leaves)
        finally:
            lock.release()


_memory.relieve_by(relieve)


def forget() -> None:
    """Empty the window."""
    counters.recorded += len(pending)
    if residence.accelerated:
        _loops.flushed()
    _crowd.entered, _crowd.checked = 0, _crowd.LEAST
    del pending[:]
    memory.clear()
    _leaves.clear()


def retain() -> None:
    """Forget the memory that what is still recorded does not concern: an engine has run the rest."""
    read = {id(v) for p in pending for v in operands(p)}
    stores = {id(p) for p in pending}
    for key in [key for key, found in _leaves.items() if id(found) not in read]:
        del _leaves[key]
    owners = {id(found.owner) for found in _leaves.values()}
    for key in [key for key in memory if key not in owners]:
        del memory[key]
    for traffic in memory.values():
        traffic.stores[:] = [s for s in traffic.stores if id(s) in stores]


def _after_fork() -> None:
    state.running = False
    lock.release()  # the thread that forked took it, and is the only one here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: lock.acquire(), after_in_parent=lambda: lock.release(), after_in_child=_after_fork
    )
