"""Where what ranks write goes: as it is, behind the rank's number, or to a file for each.

A thread writes: whoever reads us may stop reading (a pager, a terminal at Ctrl-S), and ranks are watched meanwhile.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

BEHIND = 1 << 20  # bytes that may wait to be shown


class Output:
    def __init__(self, all_ranks: bool, folder: Path | None) -> None:
        self.all_ranks = all_ranks
        self.folder = folder
        self.failed = ""  # why what was written cannot be seen
        self._given = self._taken = 0  # bytes
        self._files: dict[Path, BinaryIO] = {}
        self._items: queue.SimpleQueue[tuple[tuple[int, ...], bytes, int, bytes]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def piped(self) -> bool:
        return self.all_ranks or self.folder is not None

    @property
    def waiting(self) -> int:
        return self._given - self._taken

    @property
    def behind(self) -> bool:
        """Whether so much waits that nothing more should be read from the ranks."""
        return self.waiting > BEHIND

    def shown(self, rank: int) -> bool:
        return self.all_ranks or rank == 0

    def lines(self, rank: int, stream: str, data: bytes) -> None:
        """Whole lines of a rank, or a part of one that is very long."""
        seen = data if self.shown(rank) else b""
        if self.all_ranks:
            seen = b"".join(b"[%d] %s" % (rank, line) for line in data.splitlines(keepends=True))
            seen += b"" if data.endswith((b"\n", b"\r")) else b"\n"
        self._put((rank,), data, 1 if stream == "stdout" else 2, seen)

    def verdict(self, ranks: Iterable[int], data: bytes, seen: bool) -> None:
        """What is to be said at the end, to all."""
        self._put(tuple(ranks), data, 2, data if seen else b"")

    def _put(self, ranks: tuple[int, ...], data: bytes, descriptor: int, seen: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_always, name="legate-output", daemon=True)
            self._thread.start()
        self._given += len(data)
        self._items.put((ranks, data, descriptor, seen))

    def _write_always(self) -> None:
        while True:
            ranks, data, descriptor, seen = self._items.get()
            self._try(write_all, descriptor, seen)
            if self.folder is not None:
                for rank in ranks:
                    self._try(self._log, self.folder / f"rank_{rank}.log", data)
            self._taken += len(data)

    def _try(self, write: Callable[[Any, bytes], None], where: Any, data: bytes) -> None:
        try:
            write(where, data)
        except OSError as error:
            name = f" to {error.filename}" if error.filename else ""
            self.failed = self.failed or f"the output of ranks cannot be written{name}: {error.strerror}"

    def _log(self, path: Path, data: bytes) -> None:
        if path not in self._files:
            self._files[path] = path.open("wb", buffering=0)
        try:
            write_all(self._files[path].fileno(), data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
