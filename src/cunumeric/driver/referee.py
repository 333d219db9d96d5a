"""Who watches over the ranks of a program: whether they run the same windows, whether one failed, when all are done.

Nothing here waits or reads: `Referee.receive` is told what a rank has said or what has happened to it, `tick` looks at
the clock, and what is to be done goes out through `send(rank, message)`, rank None for all.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
WIDTH = 8  # hexadecimal digits of a window's digest
GRACE = 1.5  # seconds in which others may fail of the same cause before one is named
INTERRUPT = 4.0  # seconds that the program may take to end after Ctrl-C
TERMINATE = 20.0  # the same after SIGTERM: what sends it gives 30 before SIGKILL (Slurm, Kubernetes)
AGAIN = 0.2  # seconds after which a second signal is meant as one: `timeout` sends each twice
STOPPED = 5.0  # seconds that a rank may be stopped
ARRIVE = 0.3  # seconds in which ranks may come to where others have parted, to be counted
DETAIL = 2.0  # seconds in which ranks may say where they parted


@dataclass
class Standing:
    """What is known of a rank."""

    digests: str = ""  # of windows from `Referee.agreed` on
    ended: bool = False
    gone: int | None = None  # how its process ended: its status, or minus the signal
    said: str = ""  # the end of what it wrote to stderr
    stopped: float = 0.0  # since when
    failing: bool = False
    error: str = ""  # what ended its program
    writes: dict[int, str] = field(default_factory=dict)  # files that it waits to write, by the number of windows then


@dataclass
class Verdict:
    text: str
    status: int
    blamed: int | None = None


@dataclass
class Parting:
    """Ranks whose windows differ: who, where, since when it is known, and what they say of it."""

    ranks: tuple[int, int]
    number: int
    since: float
    details: dict[int, str] = field(default_factory=dict)


def status_of(code: int) -> int:
    """A process's end as a shell says it."""
    return 128 - code if code < 0 else code


def in_words(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


# What XLA's service writes when another process has gone: this one is not the cause.
SECOND_HAND = ("JAX distributed service detected", "Connection closed by peer", "Gloo ", "Connection reset by peer")


class Referee:
    def __init__(
        self,
        size: int,
        send: Callable[[int | None, Message], None],
        read: Callable[[int, int, int], None] | None = None,
    ) -> None:
        self.ranks = [Standing() for _ in range(size)]
        self.send = send
        self.read = read  # standard input, for a rank
        self.agreed = 0  # windows that all ranks have run alike
        self.verdict: Verdict | None = None
        self.parting: Parting | None = None
        self.noticed = 0.0  # since when windows are known to differ
        self.failed: list[int] = []  # in the order in which it was noticed
        self.failed_at = 0.0
        self.going = 0  # 0: nobody may leave; 1: all but rank 0; 2: all
        self.interrupted = 0.0
        self.signal = 0  # that interrupted it
        self.before = 0  # windows that rank 0 had run then, as far as is known
        self.waited: set[int] = set()  # numbers of writes for which it waited then
        self.alone = False  # whether rank 0 has written since without the others
        self.writing: dict[tuple[int, int], list[int]] = {}  # number and writer of a file: who waits for it
        self._fresh = False

    def receive(self, rank: int, message: Message) -> None:
        if not 0 <= rank < len(self.ranks):
            return
        standing = self.ranks[rank]
        kind = message.get("kind")
        if kind == "windows":
            standing.digests += str(message.get("digests", ""))
            self._fresh = True
        elif kind == "detail":
            self._detail(rank, message)
        elif kind == "address":
            self.send(None, {"kind": "address", "address": str(message.get("address"))})
        elif kind == "write":
            standing.writes[int(message["number"])] = str(message.get("file"))
            self._fresh = True
        elif kind == "written":
            for other in self.writing.pop((int(message["number"]), rank), ()):
                self.send(other, {"kind": "written", "number": message["number"], "error": message.get("error")})
        elif kind == "read" and self.read is not None:
            self.read(rank, int(message["at"]), int(message["most"]))
        elif kind == "ended":
            standing.ended = self._fresh = True
        elif kind == "failed":
            standing.error = str(message.get("error", ""))
            self._fails(rank)
        elif kind == "exited":
            standing.gone, standing.said = int(message["status"]), str(message.get("said", ""))
            standing.stopped = 0.0
            if standing.gone == 0 and not standing.failing:
                standing.ended = True
            else:
                self._fails(rank)
        elif kind == "stopped":
            standing.stopped = time.monotonic()
        elif kind == "continued":
            standing.stopped = 0.0
        elif kind == "lost":
            self._decide(str(message.get("why")), 1, rank)
        elif kind == "interrupt":
            number = int(message.get("signal", signal.SIGINT))
            if not self.interrupted:
                self.interrupted, self.signal = time.monotonic(), number
                self.before = self.agreed + len(self.ranks[0].digests) // WIDTH
                self.waited = set(self.ranks[0].writes)
                self.send(None, {"kind": "interrupt", "signal": number})
            elif time.monotonic() - self.interrupted > AGAIN:
                self._decide("", 128 + number)

    def _fails(self, rank: int) -> None:
        if not self.failed:
            self.failed_at = time.monotonic()
        if rank not in self.failed:
            self.failed.append(rank)
        self.ranks[rank].failing = True

    def tick(self) -> None:
        if self.verdict is not None:
            return
        now = time.monotonic()
        if self.interrupted:
            if self._fresh:
                self._fresh = False
                self._compare(now)
            self._let_write()
            self._let_go()
            if now - self.interrupted > (INTERRUPT if self.signal == signal.SIGINT else TERMINATE):
                waits = "a file was not written: the signal found ranks at different places."
                self._decide(waits if self.ranks[0].writes.keys() - self.waited else "", 128 + self.signal)
            return
        if self._fresh:
            self._fresh = False
            self._compare(now)
            self._let_write()
        if self.parting is not None:
            if now - self.parting.since > DETAIL or len(self.parting.details) == 2:
                self._parted(self.parting)
            return
        if self.failed:
            if now - self.failed_at > GRACE or all(r.gone is not None for r in self.ranks):
                self._failure()
            return
        for rank, standing in enumerate(self.ranks):
            if standing.stopped and now - standing.stopped > STOPPED:
                self._decide(f"rank {rank} was stopped by a signal and does not go on", 1, rank)
                return
        self._let_go()

    def _let_go(self) -> None:
        if not all(r.ended or r.gone is not None for r in self.ranks):
            return
        if self.going == 0:
            self.going = 1
            for rank in range(1, len(self.ranks)):
                self.send(rank, {"kind": "go"})
        # Rank 0 holds XLA's service: without it the others would end in an abort.
        if self.going == 1 and all(r.gone is not None for r in self.ranks[1:]):
            self.going = 2
            self.send(0, {"kind": "go"})
        if all(r.gone is not None for r in self.ranks):
            codes = {r.gone for r in self.ranks}  # not all 0 only after an interrupt
            self._decide("", status_of(codes.pop() or 0) if len(codes) == 1 else 128 + self.signal)

    # -- files ---------------------------------------------------------------------------------------------------------

    def _let_write(self) -> None:
        """Where all ranks have come to a write, and alike: the first of those that name a file writes it."""
        if self.interrupted:
            self._let_write_alone()
        if self.parting is not None:
            return
        for number in sorted(self.ranks[0].writes):
            if number > self.agreed or not all(number in r.writes for r in self.ranks):
                return
            writers: dict[str, int] = {}
            for rank, standing in enumerate(self.ranks):
                writer = writers.setdefault(standing.writes.pop(number), rank)
                waiting = self.writing.setdefault((number, writer), [])
                if rank != writer:
                    waiting.append(rank)
                self.send(rank, {"kind": "write", "number": number, "writer": writer})

    def _let_write_alone(self) -> None:
        """A signal finds each rank somewhere else. What rank 0 has it may write, and nobody waits then; but if it has
        run windows since, or read what is shared, the others may have done so with other values."""
        mine = self.ranks[0].writes
        for number in [n for n in mine if n - 1 <= self.before and n not in self.waited]:
            del mine[number]
            self.alone = True
            self.send(0, {"kind": "write", "number": number, "writer": 0})
        for rank, standing in enumerate(self.ranks):
            if rank and self.alone:
                for number in standing.writes:
                    self.send(rank, {"kind": "write", "number": number, "writer": 0})
                    self.send(rank, {"kind": "written", "number": number, "error": None})
                standing.writes.clear()

    # -- windows -------------------------------------------------------------------------------------------------------

    def _compare(self, now: float) -> None:
        """Look for the first window that is not the same on two ranks."""
        if self.parting is not None:
            return
        longest = max(self.ranks, key=lambda r: len(r.digests))
        reference = longest.digests
        first: int | None = None  # window
        for standing in self.ranks:
            mine = standing.digests
            at = len(mine) // WIDTH
            if mine != reference[: len(mine)]:
                at = next(k for k in range(at) if mine[k * WIDTH : (k + 1) * WIDTH] != reference[k * WIDTH :][:WIDTH])
            elif not standing.ended or len(mine) == len(reference):
                continue  # it may still come so far
            first = at if first is None else min(first, at)
        if first is not None:
            self._differ(first, now)
            return
        common = min(len(r.digests) for r in self.ranks)
        if common:
            self.agreed += common // WIDTH
            for standing in self.ranks:
                standing.digests = standing.digests[common:]

    def _differ(self, at: int, now: float) -> None:
        """Windows differ: when others have come there too, name a rank of the most, and one of those that parted."""
        groups: dict[str, list[int]] = {}
        for rank, standing in enumerate(self.ranks):
            there = standing.digests[at * WIDTH :][:WIDTH]
            if there or standing.ended:
                groups.setdefault(there, []).append(rank)
        self.noticed = self.noticed or now
        if sum(map(len, groups.values())) < len(self.ranks) and now - self.noticed < ARRIVE:
            self._fresh = True
            return
        most, *others = sorted(groups.values(), key=lambda ranks: (-len(ranks), ranks[0]))
        pair = (most[0], min(ranks[0] for ranks in others))
        self.parting = Parting(pair, self.agreed + at, now)
        for rank in pair:
            if self.ranks[rank].ended and len(self.ranks[rank].digests) // WIDTH <= at:
                self.parting.details[rank] = "had ended"
            else:
                self.send(rank, {"kind": "ask", "number": self.parting.number})

    def _detail(self, rank: int, message: Message) -> None:
        parting = self.parting
        if parting is not None and rank in parting.ranks and message.get("number") == parting.number:
            parting.details[rank] = f"was at {message.get('line')} ({message.get('what')})"

    def _parted(self, parting: Parting) -> None:
        a, b = parting.ranks
        said = [parting.details.get(r, "does not answer") for r in (a, b)]
        self._decide(
            f"rank {b} parted from rank {a} at window {parting.number}: rank {a} {said[0]}, rank {b} {said[1]}.\n"
            "All ranks must run the same operations in the same order.",
            1,
        )

    # -- failures ------------------------------------------------------------------------------------------------------

    def _failure(self) -> None:
        codes = {r.gone for r in self.ranks}
        if len(codes) == 1 and (code := self.ranks[0].gone) is not None and code > 0:
            self._decide("", code)  # all alike, and rank 0 has said why
            return
        first = [r for r in self.failed if not self._second_hand(r)] or self.failed
        rank = first[0]
        standing = self.ranks[rank]
        if standing.gone is None:
            self._decide(f"rank {rank} failed and did not end", 1, rank)
        else:
            self._decide(f"rank {rank} {in_words(standing.gone)}", status_of(standing.gone) or 1, rank)

    def _second_hand(self, rank: int) -> bool:
        standing = self.ranks[rank]
        if standing.gone is None and rank != self.failed[0]:
            return True
        said = standing.said + standing.error
        return standing.gone in (None, 1, -signal.SIGABRT) and any(words in said for words in SECOND_HAND)

    def _decide(self, text: str, status: int, blamed: int | None = None) -> None:
        if self.verdict is not None:
            return
        said = ""
        if blamed is not None:
            said = self.ranks[blamed].said
            text += "; all ranks were ended."
        self.verdict = Verdict(text, status, blamed)
        self.send(None, {"kind": "end", "text": text, "status": status, "blamed": blamed, "said": said})
