"""A rank's line to its supervisor: one JSON object a line, over a socket that was inherited.

A thread reads, so that the supervisor is heard while the program computes. When the line ends, the supervisor is gone,
and with it whoever would end this process if another rank failed: it ends itself, and what it has started.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from . import ranks

LONGEST = 1 << 20  # bytes of a line
Message = dict[str, Any]


class Lines:
    """Bytes as they come, cut into lines, each a JSON object; nothing else is ever read from a socket."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes. Raises ValueError for what is none."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST:
            raise ValueError("a line without end")
        for line in lines:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("not an object")
            yield message


def packed(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Channel:
    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)
        self.socket.set_inheritable(False)
        self.going = threading.Event()
        self._hear: dict[str, Callable[[Message], None]] = {"go": lambda _: self.going.set()}
        self._early: list[Message] = []  # came before anybody listened
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="cunumeric-channel", daemon=True).start()

    def send(self, kind: str, **message: Any) -> None:
        with self._lock, contextlib.suppress(OSError):  # the reading thread sees the end of the line
            self.socket.sendall(packed({"kind": kind, **message}))

    def listen(self, kind: str, hear: Callable[[Message], None]) -> None:
        """Have `hear` called, by the reading thread, with messages of a kind; with those that have come already too."""
        with self._lock:
            self._hear[kind] = hear
            early, self._early = self._early, []
        for message in early:
            self._give(message)

    def _give(self, message: Message) -> None:
        with self._lock:
            hear = self._hear.get(message.get("kind", ""))
            if hear is None:
                self._early.append(message)
        if hear is not None:
            hear(message)

    def _read(self) -> None:
        lines = Lines()
        with contextlib.suppress(OSError, ValueError):
            while data := self.socket.recv(1 << 16):
                for message in lines.feed(data):
                    self._give(message)
        with contextlib.suppress(OSError):
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
        os._exit(1)


channel: Channel | None = None
# Called when the program has ended without an error, before the others are waited for.
at_end: list[Callable[[], None]] = []
# What the program ended with, and the error that ended it, as far as the driver has seen them.
status = 0
error = ""


def open_channel() -> None:
    """Take up the line, if this process is one of several."""
    global channel
    if ranks.control >= 0 and channel is None:
        channel = Channel(ranks.control)


def leave() -> None:
    """The end of this rank: say how the program ended; if it ended well, wait for the others. Never returns, but in a
    forked child, which is no rank."""
    if channel is None:
        return
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    if status == 0:
        for last in at_end:
            last()
        channel.send("ended")
        channel.going.wait()
    else:
        channel.send("failed", status=status, error=error)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    # Not by way of the interpreter: the runtimes of XLA would wait for each other once more, or end in an abort.
    os._exit(status)


def _forked() -> None:
    global channel
    if channel is not None:
        old, channel = channel, None
        old.socket.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
