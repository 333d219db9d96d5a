"""Which sweeps are compiled, and when: those that recur and have cost more than compiling them does.

Cost is counted in additions of elements, not measured, so a program takes the same course every time. A sweep that is
worth it is handed to one background thread; until its code is there, and where there is none, tiles run it.
`settings.compile`: 0 never, 1 so, 2 every sweep before its first run.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from _queue import SimpleQueue
from collections import deque
from collections.abc import Callable
from typing import Any

from ....runtime.settings import settings

# Additions of elements: what a second of sweeps amounts to on two cores. Before a program has done that much, the
# compiler is not even loaded.
START = 4_000_000_000
# What compiling takes, by count: a fixed part and one an instruction.
_FIXED, _EACH = 16_000_000, 1_000_000


class Record:
    """What became of one sweep, for `report`."""

    __slots__ = ("after", "before", "calls", "compiled", "from_disk", "groups", "milliseconds", "runs", "why")

    def __init__(self, steps: int) -> None:
        self.runs = 0  # before it was compiled
        self.compiled = 0  # instructions in compiled loops
        self.calls = steps  # instructions that stay calls of NumPy's loops
        self.groups = 0
        self.from_disk = 0  # groups whose code was on disk
        self.milliseconds = 0.0
        self.before = self.after = 0.0  # seconds of the fastest run, as tiles and compiled
        self.why = ""  # why it was not compiled

    def line(self) -> str:
        if self.why:
            return f"not compiled: {self.why}"
        gain = f", {self.before / self.after:.2f} times as fast" if self.before and self.after else ""
        return (
            f"{self.compiled} instructions in {self.groups} loops ({self.from_disk} from disk), {self.calls} calls, "
            f"{self.milliseconds:.1f} ms, after {self.runs} runs{gain}"
        )


class Counters:
    """What was done, for tests and for the curious: never read by the engine."""

    def __init__(self) -> None:
        self.sweeps = 0  # compiled
        self.loops = 0
        self.from_disk = 0
        self.failed = 0
        self.refused = 0  # with nothing to compile
        self.milliseconds = 0.0


counters = Counters()
records: deque[Record] = deque(maxlen=512)
_total = 0
_compiler: Any = None
_unavailable = ""
_lock = threading.Lock()
# Set by the engine: calls `ran` for runs of which nothing was heard yet, because C did them by itself.
hear: Callable[[], None] | None = None


def report() -> str:
    """Which sweeps were compiled, why not, how long it took, what it gained: a line each, the newest last."""
    if hear is not None:
        hear()
    lines = [
        f"{counters.sweeps} sweeps compiled ({counters.loops} loops, {counters.from_disk} from disk) in "
        f"{counters.milliseconds:.0f} ms; {counters.refused} with nothing to compile, {counters.failed} failed"
    ]
    if _unavailable:
        lines.append(f"no compiler: {_unavailable}")
    return "\n".join(lines + [record.line() for record in records])


def made(program: Any) -> None:
    """A program was translated."""
    if settings.compile == 2:
        _compile(program)


def ran(program: Any, seconds: float, times: int = 1) -> None:
    """A program has run, `times` and once in so many `seconds` at best; `program.load` is what that cost each time."""
    global _total
    record = program.record
    if record is None:
        if program.described is None:
            return
        _total += times * program.load
        program.work += times * program.load
        program.fastest = min(program.fastest, seconds)
        program.runs += times
        if (
            program.runs > 1
            and program.work > program.worth
            and _total > START
            and settings.compile
            and not _unavailable
        ):
            steps = sum(len(b) for b in program.described.blocks)
            program.record = Record(steps)
            program.record.runs = program.runs
            program.record.before = program.fastest
            _worker.ask(program)
    elif program.ready:
        record.after = min(record.after or seconds, seconds)


def worth(described: Any) -> int:
    """What compiling a program costs, in additions of elements."""
    return _FIXED + _EACH * sum(len(b) for b in described.blocks)


def _compile(program: Any) -> None:
    """Compile a program and give it its code; whatever goes wrong, it stays with tiles."""
    # Imported here: most programs end before they need a compiler.
    from logging import getLogger

    from . import compiler, groups, ir

    global _compiler, _unavailable
    log = getLogger("cunumeric.compile")
    described, program.described = program.described, None
    if described is None or _unavailable:
        return
    steps = sum(len(b) for b in described.blocks)
    record = program.record = program.record or Record(steps)
    records.append(record)
    start = time.perf_counter()
    with _lock:
        try:
            found = groups.find(described, all_of_them=settings.compile == 2)
            if not found:
                record.why = "no two instructions in a row are the compiler's"
                counters.refused += 1
                return
            if _compiler is None:
                _compiler = compiler.Compiler()
            codes = [_compiler.code(ir.text(g, described)) for g in found]
            attached = [g.attached(c.address, described) for g, c in zip(found, codes, strict=True)]
            program.native.attach(attached, codes)
        except compiler.Unavailable as error:
            record.why = _unavailable = str(error)
            log.info("sweeps are not compiled: %s", error)
            return
        except Exception as error:
            record.why = f"{type(error).__name__}: {error}"
            counters.failed += 1
            log.warning("a sweep stays with tiles: %s", record.why)
            return
        record.milliseconds = 1e3 * (time.perf_counter() - start)
        record.groups = len(found)
        record.compiled = sum(len(g.steps) for g in found)
        record.calls = steps - record.compiled
        record.from_disk = sum(c.from_disk for c in codes)
        counters.sweeps += 1
        counters.loops += record.groups
        counters.from_disk += record.from_disk
        counters.milliseconds += record.milliseconds
        program.ready = True
        log.debug("compiled: %s", record.line())


class _Worker:
    """The background thread; it begins with the first sweep that is asked for."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Any] = SimpleQueue()
        self.thread: threading.Thread | None = None
        self.asked = self.done = 0
        self.stopped = False

    def ask(self, program: Any) -> None:
        if self.stopped:
            return
        if self.thread is None:
            self.thread = threading.Thread(target=self._loop, name="cunumeric-compiler", daemon=True)
            self.thread.start()
            atexit.register(self.stop)
        self.asked += 1
        self.queue.put(program)

    def _loop(self) -> None:
        while (program := self.queue.get()) is not None and not self.stopped:
            _compile(program)
            self.done += 1

    def wait(self) -> None:
        """Until everything asked for is compiled (for tests and measurements)."""
        while self.done < self.asked and not self.stopped:
            time.sleep(0.001)

    def stop(self) -> None:
        """At the end of the process: LLVM must not be at work when its library goes."""
        self.stopped = True
        self.queue.put(None)
        if self.thread is not None:
            self.thread.join(5)


_worker = _Worker()


def wait() -> None:
    _worker.wait()


def _renew() -> None:
    """In a forked child there is no thread. Where the parent's was at work, the compiler's own locks are never free."""
    global _worker, _lock, _unavailable
    if _lock.locked():
        _unavailable = "the process was forked while a sweep was being compiled"
    _worker = _Worker()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
