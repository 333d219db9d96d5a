"""Standard input of a rank: what comes to rank 0's supervisor, for every rank the same (`driver/typed.py`).

It is asked for when the program reads, not before: what the program leaves belongs to whoever reads next.
"""

from __future__ import annotations

import io
import queue
import sys

from . import channel

MOST = 1 << 14  # bytes asked for at once


class _Typed(io.RawIOBase):
    def __init__(self, line: channel.Channel) -> None:
        super().__init__()
        self._at = 0
        self._answers: queue.SimpleQueue[channel.Message] = queue.SimpleQueue()
        line.listen("typed", self._answers.put)

    def _ask(self, most: int) -> channel.Message:
        if channel.channel is None:  # a forked child
            return {"data": "", "terminal": False}
        while not self._answers.empty():  # of a question that was interrupted
            self._answers.get()
        channel.channel.send("read", at=self._at, most=most)
        while True:
            answer = self._answers.get()
            if (answer["at"], answer["most"]) == (self._at, most):
                return answer

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self._ask(min(len(buffer), MOST))["data"].encode("latin-1")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._ask(0)["terminal"])


def start() -> None:
    """Take the place of `sys.stdin`, which leads nowhere."""
    line = channel.channel
    assert line is not None
    old = sys.stdin
    raw = io.BufferedReader(_Typed(line), MOST)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(raw, encoding=old.encoding, errors=old.errors)  # type: ignore[misc]
