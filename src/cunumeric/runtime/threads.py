"""One team of threads for the whole process: `run(body, parts)` calls `body(0) … body(parts-1)` side by side.

The caller works too, and does the parts that no worker has begun when it is through with its own: on a machine that is
busy with other things a worker may be woken late, and nobody should wait for that. A team serves one job at a time; a
job that comes while the team is busy (from another Python thread, or from inside a job) runs its parts one after
another in the caller, which is always correct because parts may not wait for each other.

Interrupts: NumPy never leaves an operation half done on Ctrl-C or when a timer's handler raises, so neither may a job.
While a job runs in the main thread, Python's signal handlers are held, and called when the job is finished. The cyclic
collector is held too: it could run a user's finaliser on a worker, which would wait for locks that the caller of the
job holds.
"""

from __future__ import annotations

import _signal
import _thread
import contextlib
import gc
import itertools
import os
import threading
from _thread import get_ident
from collections.abc import Callable
from typing import Any, ClassVar

from .settings import settings


class _Worker:
    """A daemon thread that waits for a body, runs it, and says so."""

    def __init__(self, number: int) -> None:
        self.start, self.done, self.claim = (_thread.allocate_lock() for _ in range(3))
        self.start.acquire()
        self.done.acquire()
        self.claim.acquire()
        self.body: Callable[[int], None] | None = None
        self.part = 0
        self.finished = True
        self.error: BaseException | None = None
        threading.Thread(target=self._loop, name=f"cunumeric-{number}", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self.start.acquire()
            if not self.claim.acquire(False):
                continue  # the caller has done it
            try:
                self.body(self.part)  # type: ignore[misc]
            except BaseException as error:
                self.error = error
            self.body = None
            self.finished = True
            with contextlib.suppress(RuntimeError):  # nobody waits: see `wait`
                self.done.release()

    def give(self, body: Callable[[int], None], part: int) -> None:
        """Have the worker do a part, unless somebody takes the claim to it first."""
        self.body, self.part, self.error, self.finished = body, part, None, False
        self.claim.release()
        if self.start.locked():  # else it is still to wake for a part that the caller did
            self.start.release()

    def wait(self) -> BaseException | None:
        """Wait for the body to end, whatever is raised meanwhile by a signal handler; returns that, or None.

        `finished` is what counts; the lock only wakes the waiter, and may be left free by an exception that came
        between waking and looking."""
        raised: BaseException | None = None
        while not self.finished:
            try:
                self.done.acquire()
            except BaseException as error:
                raised = error
        return raised


class _Team:
    def __init__(self) -> None:
        self.busy = _thread.allocate_lock()
        self.workers: list[_Worker] = []

    def run(self, body: Callable[[int], None], parts: int) -> None:
        if parts <= 1 or not self.busy.acquire(blocking=False):
            for part in range(parts):
                body(part)
            return
        try:
            while len(self.workers) < parts - 1:
                self.workers.append(_Worker(len(self.workers) + 1))
            crew = self.workers[: parts - 1]
            for part, worker in enumerate(crew, 1):
                worker.give(body, part)
            error: BaseException | None = None
            try:
                body(0)
            except BaseException as caught:
                error = caught
            for part, worker in enumerate(crew, 1):
                if worker.claim.acquire(False):
                    worker.body = None
                    try:
                        body(part)
                    except BaseException as caught:
                        error = error or caught
                else:
                    error = worker.wait() or error or worker.error
                worker.error = None
        finally:
            self.busy.release()
        if error is not None:
            raise error


_team = _Team()
_main = threading.main_thread().ident


def _renew() -> None:
    """In a forked child the workers are gone: begin with a new team. The thread that forked is the main one now."""
    global _team, _main
    _team = _Team()
    _main = get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


_without_collector = False


def stop_collector() -> None:
    """The cyclic collector runs no more by itself, also after a block that holds it."""
    global _without_collector
    _without_collector = True
    gc.disable()


# What programs interrupt themselves by: Ctrl-C, timers, and requests to end.
_INTERRUPTS = [
    getattr(_signal, name)
    for name in "SIGINT SIGALRM SIGVTALRM SIGPROF SIGTERM SIGHUP SIGUSR1 SIGUSR2".split()
    if hasattr(_signal, name)
]


class held_interrupts:
    """Context: Python's signal handlers wait until the end of the block (main thread only); the cyclic collector too.
    Blocks nest."""

    __slots__ = ("caught", "gc", "nested", "previous")
    _inside: ClassVar[set[int]] = set()  # threads inside a block

    def __enter__(self) -> None:
        me = get_ident()
        self.nested = me in self._inside
        if self.nested:
            return
        self._inside.add(me)
        self.previous: dict[int, Any] = {}
        self.caught: dict[int, Any] = {}
        self.gc = gc.isenabled()
        gc.disable()
        if me == _main:
            # The C functions: those of `signal` make enumeration members, which takes longer than a small sweep.
            try:
                for number in _INTERRUPTS:
                    handler = _signal.getsignal(number)
                    if callable(handler):
                        self.previous[number] = handler
                        _signal.signal(number, self._catch)
            except BaseException:  # a handler that was not yet replaced has raised
                self.__exit__()
                raise

    def _catch(self, number, frame) -> None:
        self.caught[number] = frame

    def __exit__(self, *exc) -> None:
        if self.nested:
            return
        self._inside.discard(get_ident())
        if self.gc and not _without_collector:
            gc.enable()
        raised = None
        for number, handler in self.previous.items():
            back = False
            while not back:
                try:
                    _signal.signal(number, handler)
                    back = True
                except BaseException as error:  # raised by a handler that is back already
                    raised = error
        for number, frame in self.caught.items():
            try:
                self.previous[number](number, frame)
            except BaseException as error:
                raised = error
        if raised is not None:
            try:
                raise raised
            finally:
                del raised  # whose traceback holds this frame


def count() -> int:
    """Threads that a job may use."""
    return settings.threads


def run(body: Callable[[int], None], parts: int) -> None:
    """Call `body(k)` for every k below `parts`, on as many threads; the first error is raised when all have ended."""
    if parts <= 1:
        for part in range(parts):
            body(part)
        return
    with held_interrupts():
        _team.run(body, parts)


def split(n: int, parts: int) -> list[tuple[int, int]]:
    """`n` items as at most `parts` contiguous, nearly equal, non-empty ranges."""
    parts = max(1, min(parts, n))
    edges = [n * k // parts for k in range(parts + 1)]
    return list(itertools.pairwise(edges))
