"""Supervisors on several machines, or several started by a launcher on one: rank 0's has the referee, and each of the
others one connection to it.

Over a connection go JSON objects, one a line, of limited length; the first must hold the job's token. A beat each
second tells a machine that cannot be reached from one that has nothing to say. Ranks that are all started here need
none of it: their referee is a plain object, and nothing listens.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import os
import secrets
import selectors
import socket
import tempfile
import time
from pathlib import Path

from cunumeric.runtime.channel import Lines, Message, packed
from cunumeric.runtime.places import directory

from .launch import Place
from .referee import Referee
from .supervise import Supervisor
from .typed import Typed

BEAT = 1.0  # seconds between beats
SILENT = 15.0  # seconds without a beat after which a machine counts as unreachable
HELLO = 5.0  # seconds in which a connection must say who it is
MOST = 1 << 26  # bytes that may wait to be sent


class NotReached(Exception):
    """The ranks did not come together; the message says which and why."""


def _patience() -> float:
    """Seconds in which all ranks must come together."""
    return float(os.environ.get("CUNUMERIC_START_SECONDS", "").strip() or 25)


def _seed() -> str:
    """What generators without a seed begin with, on all ranks: another in each run, unless it is given."""
    return os.environ.get("CUNUMERIC_JOB_SEED", "").strip() or secrets.token_hex(16)


class Wire:
    """One connection: messages in and out, never waiting."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.lines = Lines()
        self.waiting = b""
        self.closed = ""  # why
        self.heard = self.beat = time.monotonic()

    def send(self, message: Message) -> None:
        self.waiting += packed(message)
        if len(self.waiting) > MOST:
            self.closed = self.closed or "it takes nothing that is sent to it"
        self.flush()

    def flush(self) -> None:
        try:
            while self.waiting and not self.closed:
                self.waiting = self.waiting[self.socket.send(self.waiting) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self.closed = error.strerror or str(error)

    def receive(self) -> list[Message]:
        try:
            data = self.socket.recv(1 << 16)
            self.heard = time.monotonic()
            if not data:
                self.closed = self.closed or "the connection was closed"
            return list(self.lines.feed(data))
        except BlockingIOError:
            return []
        except OSError as error:
            self.closed = error.strerror or str(error)
        except ValueError as error:
            self.closed = f"what it said makes no sense: {error}"
        return []

    def tick(self, now: float) -> None:
        if now - self.beat > BEAT:
            self.beat = now
            self.send({"kind": "beat"})
        self.flush()
        if now - self.heard > SILENT:
            self.closed = self.closed or f"nothing was heard for {SILENT:.0f} s"


class Alone:
    """All ranks are here."""

    address = "127.0.0.1"

    def __init__(self, supervisor: Supervisor, size: int) -> None:
        self.seed = _seed()
        typed = Typed(supervisor.selector, size, supervisor.deliver)
        supervisor.guide = Referee(size, supervisor.deliver, typed.ask)

    def close(self, until: float) -> None:
        pass


class Hub:
    """At rank 0: the referee, and a connection to the supervisor of each other rank."""

    def __init__(self, supervisor: Supervisor, size: int, listener: socket.socket, address: str, token: str) -> None:
        self.seed = _seed()
        self.supervisor, self.listener, self.address, self.token = supervisor, listener, address, token
        self.referee = Referee(size, self._send, Typed(supervisor.selector, size, self._send).ask)
        self.wires: dict[int, Wire] = {}
        self.strangers: list[Wire] = []
        self.missing = set(range(1, size))
        self.until = time.monotonic() + _patience()
        self.held: list[Message] = []  # for ranks that are still to come
        supervisor.guide = self
        listener.setblocking(False)
        supervisor.selector.register(listener, selectors.EVENT_READ, self._accept)

    def receive(self, rank: int, message: Message) -> None:
        if message.get("kind") == "interrupt" and self.missing:
            self.supervisor.end({"text": "", "status": 128 + int(message["signal"])})
        self.referee.receive(rank, message)

    def tick(self) -> None:
        now = time.monotonic()
        for rank, wire in self.wires.items():
            wire.tick(now)
            if wire.closed:
                self.referee.receive(rank, {"kind": "lost", "why": f"rank {rank} cannot be reached: {wire.closed}"})
        for wire in [w for w in self.strangers if w.closed or now - w.beat > HELLO]:
            self._forget(wire)
        if self.missing and now > self.until:
            who = ", ".join(map(str, sorted(self.missing)))
            why = f"rank{'s' * (len(self.missing) > 1)} {who} did not come within {_patience():.0f} s"
            self.referee.receive(min(self.missing), {"kind": "lost", "why": why})
        self.referee.tick()

    def _send(self, rank: int | None, message: Message) -> None:
        if rank is None or rank == 0:
            self.supervisor.deliver(rank, message)
        for number, wire in self.wires.items():
            if rank in (None, number):
                wire.send(message)
        if rank is None:
            self.held.append(message)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            if len(self.strangers) > 2 * len(self.missing) + 16:
                connection.close()
                return
            wire = Wire(connection)
            self.strangers.append(wire)
            self.supervisor.selector.register(connection, selectors.EVENT_READ, lambda: self._greet(wire))

    def _stop_listening(self) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.supervisor.selector.unregister(self.listener)
        self.listener.close()

    def _forget(self, wire: Wire) -> None:
        self.strangers.remove(wire)
        with contextlib.suppress(KeyError):
            self.supervisor.selector.unregister(wire.socket)
        wire.socket.close()

    def _greet(self, wire: Wire) -> None:
        """The first message of a connection."""
        messages = wire.receive()
        if not messages:
            return
        hello, *rest = messages
        rank = hello.get("rank")
        if hello.get("kind") != "hello" or not hmac.compare_digest(str(hello.get("token")), self.token):
            wire.closed = "a stranger"
            return
        size = len(self.referee.ranks)
        why = ""
        if hello.get("size") != size:
            why = f"it counts {hello.get('size')} ranks, rank 0 counts {size}"
        elif not isinstance(rank, int) or rank not in self.missing:
            why = f"there is a rank {rank} already, or there should be none"
        if why:
            wire.send({"kind": "refused", "why": why})
            wire.closed = why
            return
        assert isinstance(rank, int)
        wire.send({"kind": "welcome", "seed": self.seed})
        for message in self.held:
            wire.send(message)
        self.strangers.remove(wire)
        self.missing.discard(rank)
        self.wires[rank] = wire
        if not self.missing:  # nobody else has a reason to come
            self._stop_listening()
        self.supervisor.selector.modify(wire.socket, selectors.EVENT_READ, lambda: self._listen(rank, wire))
        self._take(rank, rest)

    def _listen(self, rank: int, wire: Wire) -> None:
        self._take(rank, wire.receive())
        if wire.closed:
            with contextlib.suppress(KeyError):
                self.supervisor.selector.unregister(wire.socket)

    def _take(self, rank: int, messages: list[Message]) -> None:
        for message in messages:
            if message.get("kind") != "beat":
                with contextlib.suppress(KeyError, ValueError, TypeError):  # nonsense changes nothing
                    self.referee.receive(rank, message)

    def close(self, until: float) -> None:
        """Let the others hear the verdict, then let go."""
        self._stop_listening()
        for wire in [*self.wires.values(), *self.strangers]:
            while wire.waiting and not wire.closed and time.monotonic() < until:
                wire.flush()
                time.sleep(0.01)
            wire.socket.close()


class Spoke:
    """At another rank: the connection to rank 0's supervisor."""

    def __init__(self, supervisor: Supervisor, rank: int, wire: Wire, seed: str) -> None:
        self.seed = seed
        self.rank, self.wire, self.supervisor = rank, wire, supervisor
        self.address = wire.socket.getsockname()[0]
        supervisor.guide = self
        supervisor.selector.register(wire.socket, selectors.EVENT_READ, self._listen)

    def receive(self, rank: int, message: Message) -> None:
        self.wire.send(message)

    def tick(self) -> None:
        self.wire.tick(time.monotonic())
        if self.wire.closed and self.supervisor.status is None:
            self.supervisor.end(
                {"text": f"rank {self.rank} cannot reach rank 0 any more: {self.wire.closed}", "status": 1}
            )

    def _listen(self) -> None:
        for message in self.wire.receive():
            if message.get("kind") in ("go", "ask", "address", "write", "written", "typed", "interrupt", "end"):
                self.supervisor.deliver(None, message)
        if self.wire.closed:
            with contextlib.suppress(KeyError):
                self.supervisor.selector.unregister(self.wire.socket)

    def close(self, until: float) -> None:
        while self.wire.waiting and not self.wire.closed and time.monotonic() < until:
            self.wire.flush()
            time.sleep(0.01)
        self.wire.socket.close()


Link = Alone | Hub | Spoke


def join(supervisor: Supervisor, where: Place) -> Link:
    """Bring the ranks together. Raises NotReached."""
    if not where.source or where.size == 1:
        return Alone(supervisor, where.size)
    meeting = _Meeting(where)
    if where.rank == 0:
        listener, address = meeting.listen()
        return Hub(supervisor, where.size, listener, address, meeting.token)
    wire, seed = meeting.connect()
    return Spoke(supervisor, where.rank, wire, seed)


class _Meeting:
    """Where the supervisors meet: the address that CUNUMERIC_COORDINATOR says; else rank 0 takes a free port, and
    leaves its address and a token in a file that only this user can read."""

    def __init__(self, where: Place) -> None:
        self.where = where
        self.given = os.environ.get("CUNUMERIC_COORDINATOR", "").strip()
        self.token = os.environ.get("CUNUMERIC_TOKEN", "").strip()
        self.file: Path | None = None
        if self.given:
            self.host, self.port = _split(self.given)
            return
        job = where.job or (f"{socket.gethostname()}-{os.getppid()}" if where.all_local else "")
        if not job:
            raise NotReached(
                f"rank {where.rank} does not know where rank 0 is: set CUNUMERIC_COORDINATOR=host:port on all ranks"
            )
        kept = Path(tempfile.gettempdir()) / f"cunumeric-{os.getuid()}" if where.all_local else directory()
        if kept is None:
            raise NotReached("without a cache directory that all ranks share, CUNUMERIC_COORDINATOR must be set")
        folder = kept / "jobs"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in (kept, folder) if where.all_local else (folder,):
                if part.stat().st_uid != os.getuid():
                    raise NotReached(f"{part} belongs to another user")
        except OSError as error:
            raise NotReached(f"{folder}: {error.strerror}") from None
        self.file = folder / "".join(c if c.isalnum() or c in ".-" else "_" for c in job)

    def listen(self) -> tuple[socket.socket, str]:
        """Rank 0's end, and the address of this machine as the others see it."""
        if self.file is None:
            return self._listen_where_said()
        address = "127.0.0.1" if self.where.all_local else _own_address()
        listener = _listener(address, 0)
        self.token = self.token or secrets.token_hex(16)
        written = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        said = {"host": address, "port": listener.getsockname()[1], "token": self.token}
        with open(os.open(written, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(said, file)
        os.replace(written, self.file)
        import atexit

        atexit.register(self.file.unlink, missing_ok=True)
        return listener, address

    def _listen_where_said(self) -> tuple[socket.socket, str]:
        try:
            address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][4][0]
        except OSError as error:
            raise NotReached(f"CUNUMERIC_COORDINATOR={self.given}: {error.strerror}") from None
        try:
            return _listener(str(address), self.port), str(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:  # a name for this machine that is not its own, as of a service
                with contextlib.suppress(OSError):
                    return _listener("", self.port), _own_address()
            raise NotReached(f"rank 0 cannot listen at CUNUMERIC_COORDINATOR={self.given}: {error.strerror}") from None

    def connect(self) -> tuple[Wire, str]:
        """Another rank's end, and the job's seed."""
        patience = _patience()
        until = time.monotonic() + patience
        why = "rank 0 has not said where it is"
        while time.monotonic() < until:
            try:
                host, port = self._sought()
                found, refused = self._greeted(host, port, until)
                if found is not None:
                    return found
                if refused:
                    raise NotReached(f"rank {self.where.rank} was refused by rank 0: {refused}")
                why = f"{host}:{port} does not answer as a rank 0 of this job"
            except FileNotFoundError:
                pass
            except (OSError, ValueError) as error:
                why = str(getattr(error, "strerror", None) or error)
            time.sleep(0.1)
        at = f" at {self.given}" if self.given else ""
        raise NotReached(f"rank {self.where.rank} cannot reach rank 0{at} (tried for {patience:.0f} s): {why}")

    def _sought(self) -> tuple[str, int]:
        if self.file is None:
            return self.host, self.port
        with open(self.file) as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                raise ValueError(f"{self.file} belongs to another user")
            said = json.load(file)
        self.token = str(said["token"])
        return str(said["host"]), int(said["port"])

    def _greeted(self, host: str, port: int, until: float) -> tuple[tuple[Wire, str] | None, str]:
        left = max(0.1, min(HELLO, until - time.monotonic()))
        connection = socket.create_connection((host, port), left)
        wire = Wire(connection)
        wire.send({"kind": "hello", "token": self.token, "rank": self.where.rank, "size": self.where.size})
        end = time.monotonic() + left
        while time.monotonic() < end and not wire.closed:
            for message in wire.receive():
                if message.get("kind") == "welcome":
                    return (wire, str(message["seed"])), ""
                if message.get("kind") == "refused":
                    return None, str(message.get("why"))
            time.sleep(0.01)
        connection.close()
        return None, ""


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise NotReached(f"CUNUMERIC_COORDINATOR={text}: expected host:port")
    return host.strip("[]"), int(port)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port that was used a moment ago is free; one that is listened to is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    return listener


def _own_address() -> str:
    """The address of this machine on the network: its name's, or where that is loopback, its default route's."""
    with contextlib.suppress(OSError):
        found = str(socket.gethostbyname(socket.gethostname()))
        if not found.startswith("127."):
            return found
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.255.255.255", 9))  # nothing is sent
        return str(probe.getsockname()[0])
    return "127.0.0.1"
