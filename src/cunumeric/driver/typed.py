"""Standard input, beside the referee: read when a rank asks, and given to each rank that asks for the same place."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable

from cunumeric.runtime.channel import Message


class Typed:
    def __init__(
        self, selector: selectors.BaseSelector, size: int, send: Callable[[int | None, Message], None], source: int = 0
    ) -> None:
        self.selector, self.send, self.source = selector, send, source
        self.kept = b""  # what not all ranks have read
        self.start = 0  # its place
        self.ended = False
        self.reading = False
        self.places = [0] * size  # that ranks have come to
        self.waiting: dict[int, int] = {}  # rank: bytes that it wants

    def ask(self, rank: int, at: int, most: int) -> None:
        """A rank, which has read up to `at`, wants at most so many bytes; of 0, whether they are typed."""
        self.places[rank] = at
        done = min(self.places) - self.start
        if done > 0:
            self.kept, self.start = self.kept[done:], self.start + done
        self.waiting[rank] = most
        self._answer()
        if self.waiting and not self.reading:  # which it has not ended, or it would have been answered
            self.reading = True
            try:
                self.selector.register(self.source, selectors.EVENT_READ, self._read)
            except (OSError, ValueError):  # a file, which never keeps anybody waiting
                self._take()

    def _read(self) -> None:
        self.selector.unregister(self.source)
        self._take()

    def _take(self) -> None:
        self.reading = False
        try:
            data = os.read(self.source, max(self.waiting.values()))
        except OSError:
            data = b""
        self.kept += data
        self.ended = not data
        self._answer()

    def _answer(self) -> None:
        for rank, most in list(self.waiting.items()):
            at = self.places[rank]
            data = self.kept[at - self.start :][:most]
            if data or self.ended or most == 0:
                del self.waiting[rank]
                said = {"at": at, "most": most, "data": data.decode("latin-1"), "terminal": os.isatty(self.source)}
                self.send(rank, {"kind": "typed", **said})
