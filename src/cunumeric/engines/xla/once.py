"""What several ranks would do to the same file, done once: one of them writes it, the others wait until it has.

All ranks must have come there first. Another may still read what the file held before, and where ranks have parted that
is said before anything is overwritten. The referee knows both from the course (`processes.py`); it also compares the
names: ranks that name different files, of a temporary folder each, write their own.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from typing import Any

from ...runtime import channel, ranks
from .processes import course

LONGEST = 2000  # characters of an argument of an error that is told


class _Answers:
    """What the referee says of this rank's writes, by their numbers in the course."""

    def __init__(self) -> None:
        self._waiting: dict[int, queue.SimpleQueue[channel.Message]] = {}

    def expect(self, number: int) -> queue.SimpleQueue[channel.Message]:
        return self._waiting.setdefault(number, queue.SimpleQueue())

    def hear(self, message: channel.Message) -> None:
        waiting = self._waiting.get(int(message["number"]))
        if waiting is not None:
            waiting.put(message)

    def forget(self, number: int) -> None:
        del self._waiting[number]


_answers = _Answers()


def write(what: str, file: str, act: Callable[[], Any]) -> Any:
    """Call `act`, which writes `file`, on the first of the ranks that name it; where it fails, all of those fail with
    its error. Gives what `act` gives, None on the others. `what`: how messages call the write."""
    line = channel.channel
    if line is None:
        return act()
    course.start()
    for kind in ("write", "written"):
        line.listen(kind, _answers.hear)
    number = course.fold(f"{what} to {file}", [b"write", what.encode()])
    answers = _answers.expect(number)
    try:
        course.send()
        line.send("write", number=number, file=file)
        writer = answers.get()["writer"]
        if writer != ranks.rank:
            error = answers.get()["error"]
            if error is not None:
                raise _error(writer, error)
            return None
    finally:
        _answers.forget(number)
    told: Any = None
    try:
        return act()
    except BaseException as error:
        told = _told(error)
        raise
    finally:
        line.send("written", number=number, error=told)


def _told(error: BaseException) -> dict[str, Any]:
    values = error.args
    if isinstance(error, OSError) and error.filename is not None:
        values = (error.errno, error.strerror, error.filename)
    plain = [v if isinstance(v, (int, float, type(None))) else str(v)[:LONGEST] for v in values]
    kind = type(error)
    return {"module": kind.__module__, "name": kind.__name__, "values": plain, "text": str(error)[:LONGEST]}


def _error(writer: int, told: dict[str, Any]) -> BaseException:
    """The error that another rank has told of, as one of this rank's."""
    kind = getattr(sys.modules.get(told["module"]), told["name"], None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        try:
            return kind(*told["values"])
        except Exception:  # it takes something else
            pass
    return RuntimeError(f"rank {writer}: {told['name']}: {told['text']}")
