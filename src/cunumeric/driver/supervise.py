"""The ranks of this machine: started, listened to, watched, and ended together.

One thread waits for everything at once: what ranks say on their lines (`runtime/channel.py`), what they write, children
that ended or were stopped, signals. What it learns goes to the referee, here or on another machine, and what that one
says is done: `go`, `ask`, `end`. A rank's long computation is no fault, because nothing here waits for an answer.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from cunumeric.runtime.channel import Lines, Message, packed
from cunumeric.runtime.ranks import CONTROL

from .launch import RUNS, Setting
from .output import Output, write_all

SAID = 1 << 16  # bytes kept of what a rank writes to stderr, and of a line without end
PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)  # to the ranks of this machine, as they are
PATIENCE = 1.5  # seconds between asking a rank to end and ending it
TICK = 0.05


class Guide(Protocol):
    """The referee, or the line to it."""

    def receive(self, rank: int, message: Message) -> None: ...

    def tick(self) -> None: ...


class Child:
    """A rank's process."""

    def __init__(self, rank: int, process: subprocess.Popen, line: socket.socket) -> None:
        self.rank = rank
        self.process = process
        self.line = line
        self.lines = Lines()
        self.code: int | None = None
        self.said = b""
        self.partial = {"stdout": b"", "stderr": b""}
        self.open: set[str] = set()

    def tell(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            self.line.sendall(packed(message))

    def signal(self, number: int) -> None:
        """To the process and what it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


# A process that outlives a killed supervisor, and ends what it had started: ranks that are stopped, too, and their
# children. It reads the process groups; "done" is said at the end.
_GUARD = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
said = sys.stdin.read().split()
for group in said if "done" not in said else []:
    try:
        os.killpg(int(group), signal.SIGKILL)
    except OSError:
        pass
"""


@contextlib.contextmanager
def _affinity(cores: list[int] | None) -> Iterator[None]:
    """Processes started in the block are bound to these cores."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Supervisor:
    def __init__(self, output: Output, tells: bool) -> None:
        self.output = output
        self.tells = tells  # whether the verdict is written here
        self.guide: Guide = None  # type: ignore[assignment]  # set before `run`
        self.children: dict[int, Child] = {}
        self.status: int | None = None  # set by the verdict
        self.ending = 0.0
        self.selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, text=True,
        )  # fmt: skip
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        self.selector.register(self._wake, selectors.EVENT_READ, self._woke)

    # -- starting ------------------------------------------------------------------------------------------------------

    def start(self, rank: int, setting: Setting, words: list[str], environ: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        add = setting.environ | {CONTROL: str(theirs.fileno()), RUNS: "1"}
        out: Any = None
        err: Any = None
        if self.output.piped:
            add["PYTHONUNBUFFERED"] = "1"
            out = err = subprocess.PIPE
        elif rank != 0:
            out, err = subprocess.DEVNULL, subprocess.PIPE
        with _affinity(setting.cores), theirs:
            process = subprocess.Popen(
                [*setting.prefix, *words], env=environ | add, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                pass_fds=(theirs.fileno(),), process_group=0,
            )  # fmt: skip
        child = self.children[rank] = Child(rank, process, ours)
        self._tell_guard(process.pid)
        ours.settimeout(PATIENCE)
        self.selector.register(ours, selectors.EVENT_READ, lambda: self._hear(child))
        for name in ("stdout", "stderr"):
            pipe = getattr(process, name)
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                child.open.add(name)
                self.selector.register(pipe, selectors.EVENT_READ, lambda name=name: self._read(child, name))

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Until all is decided and every child is gone; the status to end with."""
        while self.status is None or any(c.code is None for c in self.children.values()):
            for key, _ in self.selector.select(TICK):
                key.data()
            if self.output.behind:
                time.sleep(TICK)
            elif self.output.failed and self.status is None:
                self.guide.receive(next(iter(self.children)), {"kind": "lost", "why": self.output.failed})
            self._signalled()
            self._reap()
            self.guide.tick()
            if self.status is not None and self.ending and time.monotonic() > self.ending:
                for child in self._running():
                    child.signal(signal.SIGKILL)
        if self.status:
            for child in self.children.values():
                child.signal(signal.SIGKILL)  # what they have started
        self.release()
        self._flush_output(PATIENCE if self.status else float("inf"))
        if self.output.failed and not self.status:
            with contextlib.suppress(OSError):
                write_all(2, f"legate: {self.output.failed}\n".encode())
            return 1
        return self.status

    def _flush_output(self, patience: float) -> None:
        """Who reads it may be slow; a signal ends that too."""
        self._signals.clear()
        until = time.monotonic() + patience
        while self.output.waiting and time.monotonic() < until:
            if {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} & set(self._signals):
                return
            time.sleep(TICK / 10)

    def release(self) -> None:
        """Nothing is left to be guarded."""
        self._tell_guard("done")
        self._guard.communicate()

    def _tell_guard(self, word: object) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            self._guard.stdin.write(f"{word}\n")
            self._guard.stdin.flush()

    def catch_signals(self) -> None:
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, *PASSED_ON):
            if signal.getsignal(number) is signal.SIG_IGN:  # by `nohup`, or a shell that runs this in the background
                continue
            signal.signal(number, lambda number, _: self._signals.append(number))

    def _woke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _signalled(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self.guide.receive(next(iter(self.children)), {"kind": "interrupt", "signal": int(number)})
            elif number in PASSED_ON:
                for child in self._running():
                    child.process.send_signal(number)

    def _running(self) -> list[Child]:
        return [child for child in self.children.values() if child.code is None]

    def _hear(self, child: Child) -> None:
        try:
            data = child.line.recv(1 << 16, socket.MSG_DONTWAIT)
            for message in child.lines.feed(data):
                self.guide.receive(child.rank, message)
        except (BlockingIOError, TimeoutError):
            return
        except (OSError, ValueError):
            data = b""
        if not data:
            with contextlib.suppress(KeyError):
                self.selector.unregister(child.line)

    def _read(self, child: Child, name: str) -> bool:
        """Take what the child has written; whether there was something."""
        if self.output.behind and child.code is None:
            return False
        pipe = getattr(child.process, name)
        try:
            data = os.read(pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self.selector.unregister(pipe)
            child.open.discard(name)
            self._write(child, name, b"\n" if child.partial[name] else b"")
            return False
        self._write(child, name, data)
        return True

    def _write(self, child: Child, name: str, data: bytes) -> None:
        if name == "stderr":
            child.said = (child.said + data)[-SAID:]
        if self.output.piped:
            data = child.partial[name] + data
            # Lines of a progress bar end in a return; one at the very end may have its newline yet to come.
            cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1 or len(data) * (len(data) > SAID)
            whole, child.partial[name] = data[:cut], data[cut:]
            if whole:
                self.output.lines(child.rank, name, whole)

    def _reap(self) -> None:
        for child in self._running():
            pid, state = os.waitpid(child.process.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if not pid:
                continue
            if os.WIFSTOPPED(state):
                self.guide.receive(child.rank, {"kind": "stopped"})
            elif os.WIFCONTINUED(state):
                self.guide.receive(child.rank, {"kind": "continued"})
            else:
                child.code = child.process.returncode = os.waitstatus_to_exitcode(state)
                self._hear(child)
                for name in sorted(child.open):
                    while name in child.open and self._read(child, name):
                        pass
                # What could be seen as it was written need not be shown again.
                said = "" if self.output.shown(child.rank) else child.said.decode(errors="replace")
                self.guide.receive(child.rank, {"kind": "exited", "status": child.code, "said": said})

    # -- what the referee says -----------------------------------------------------------------------------------------

    def deliver(self, rank: int | None, message: Message) -> None:
        """A message of the referee to a rank of this machine, or to all."""
        kind = message.get("kind")
        for child in self._running() if rank is None else [c for c in self._running() if c.rank == rank]:
            if kind == "interrupt":
                number = int(message["signal"])
                if number == signal.SIGINT:
                    child.signal(number)  # as a terminal does it
                else:
                    child.process.send_signal(number)
            elif kind != "end":
                child.tell(message)
        if kind == "end":
            self.end(message)

    def end(self, message: Message) -> None:
        """End what still runs, and say why."""
        if self.status is not None:
            return
        self.status = int(message["status"])
        self.ending = time.monotonic() + PATIENCE
        for child in self._running():
            child.signal(signal.SIGTERM)
            child.signal(signal.SIGCONT)
        text = str(message.get("text") or "")
        if not text:
            return
        said = str(message.get("said") or "").rstrip()
        data = (f"{said}\nlegate: {text}\n" if said else f"legate: {text}\n").encode()
        if self.output.piped:
            self.output.verdict(self.children, data, self.tells)
        elif self.tells:
            with contextlib.suppress(OSError):
                write_all(2, data)
