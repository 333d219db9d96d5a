"""Compiled code on disk, for the next process: one file an entry, in a directory that is the user's alone.

An entry is used only if the directory and the file belong to this user and nobody else may write them, and if the
digest in the file is that of its name and code. Anything else is ignored. Files appear by renaming, so processes that
share the directory see whole entries or none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

_MAGIC = b"cunumeric code 1\n"
_DIGEST = 32
# Bytes that all entries may take; the entries unused for longest go first.
MOST = 64 << 20
# A store in so many looks whether there is too much.
_SWEEP_EVERY = 32


def _private(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


class Cache:
    """Entries by name (a hexadecimal digest of everything that decides the code)."""

    def __init__(self, where: Path | None) -> None:
        self.where = where
        self.stored = 0
        if where is not None:
            try:
                where.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not _private(where.stat()):
                    self.where = None
            except OSError:
                self.where = None

    def _digest(self, name: str, code: bytes) -> bytes:
        return hashlib.sha256(_MAGIC + name.encode() + b"\n" + code).digest()

    def get(self, name: str) -> bytes | None:
        """The code of `name`, if there is a sound entry."""
        if self.where is None:
            return None
        path = self.where / name
        try:
            with open(path, "rb") as file:
                if not _private(os.fstat(file.fileno())):
                    return None
                content = file.read()
            begin = len(_MAGIC) + _DIGEST
            code = content[begin:]
            if content[:begin] != _MAGIC + self._digest(name, code):
                return None
            os.utime(path)
        except OSError:
            return None
        return code

    def put(self, name: str, code: bytes) -> None:
        """Keep the code; without a word where that cannot be done."""
        if self.where is None:
            return
        try:
            handle, temporary = tempfile.mkstemp(dir=self.where, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + self._digest(name, code) + code)
                os.replace(temporary, self.where / name)
            except BaseException:
                os.unlink(temporary)
                raise
            self.stored += 1
            if self.stored % _SWEEP_EVERY == 1:
                self.sweep()
        except OSError:
            return

    def sweep(self) -> None:
        """Remove the entries unused for longest while all take more than `MOST` bytes."""
        if self.where is None:
            return
        entries = []
        for entry in os.scandir(self.where):
            try:
                found = entry.stat(follow_symlinks=False)
                entries.append((found.st_mtime, found.st_size, entry.path))
            except OSError:
                continue  # another process was faster
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= MOST:
                break
            try:
                os.unlink(path)
            except OSError:
                continue
            total -= size
