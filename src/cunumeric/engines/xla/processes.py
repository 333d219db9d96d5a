"""Several processes that run one program: how XLA's runtimes find each other, and how a parting of ways is noticed.

Every rank runs the same windows in the same order. Each window is folded into a running digest, of which the
supervisors of all ranks compare the course (`driver/referee.py`), off the critical path: a thread sends what has come
together. A rank that waits in a collective for one that went another way is ended by its supervisor, with the two lines
of the program.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...graph import warning
from ...graph.node import Node
from ...ops.calls import Bound
from ...runtime import channel, ranks, threads
from .recipe import Recipe

WIDTH = 8  # hexadecimal digits of a digest that are compared (`referee.WIDTH`)
KEPT = 1 << 14  # windows whose lines are remembered
COLLECT = 256  # windows between collections of cyclic garbage
REACH = 25.0  # seconds in which rank 0's address must answer
_FOREVER = 30 * 24 * 3600  # XLA's own watches must not be faster than the supervisors
_ADDRESS_IN_REPR = re.compile(r" at 0x[0-9a-f]+")


class Course:
    """The windows of this process so far."""

    def __init__(self) -> None:
        self.number = 0
        self.digest = b""
        self.unsent: deque[str] = deque()
        # Of the last windows: file, line, operations, constants.
        self.lines: deque[tuple[str, int, str, tuple[np.ndarray, ...]]] = deque(maxlen=KEPT)
        self._news = threading.Event()
        self._started = False

    def fold(self, what: str, parts: list[bytes], constants: tuple[np.ndarray, ...] = ()) -> int:
        """One more window or read, of the program's line that is running; gives how many there are now."""
        digest = hashlib.blake2b(self.digest, digest_size=16)
        for part in parts:
            digest.update(part)
        for values in constants:
            digest.update(values.tobytes())
        self.digest = digest.digest()
        frame = warning.user_frame()
        self.lines.append((frame.f_code.co_filename, frame.f_lineno, what, constants))
        self.unsent.append(digest.hexdigest()[:WIDTH])
        self.number += 1
        if not self._news.is_set():
            self._news.set()
        return self.number

    def start(self) -> None:
        """Tell the supervisor of it from now on."""
        line = channel.channel
        assert line is not None
        if self._started:
            return
        self._started = True
        line.listen("ask", self._answer)
        channel.at_end.append(self.send)
        threading.Thread(target=self._send_always, name="cunumeric-course", daemon=True).start()

    def _send_always(self) -> None:
        while True:
            self._news.wait()
            time.sleep(0.02)  # others of the same moment go with it
            self._news.clear()
            self.send()

    def send(self) -> None:
        """Tell the supervisor of the windows that it has not heard of."""
        with _sending:
            digests: list[str] = []
            while self.unsent and len(digests) < 10000:
                digests.append(self.unsent.popleft())
            if digests and channel.channel is not None:
                channel.channel.send("windows", digests="".join(digests))
        if self.unsent:
            self.send()

    def _answer(self, message: channel.Message) -> None:
        number = int(message["number"])
        line, what = "a line that is no longer known", "?"
        place = number - self.number + len(self.lines)
        if 0 <= place < len(self.lines):
            file, at, what, constants = self.lines[place]
            line = f"{file}:{at}"
            shown = [str(v) for values in constants for v in values.ravel()[:4]]
            if shown:
                what += f"; constants {', '.join(shown[:6])}"
        elif place >= len(self.lines):
            line, what = "no window of that number yet", ""
        if channel.channel is not None:
            channel.channel.send("detail", number=number, line=line, what=what)


_sending = threading.Lock()
course = Course()


def event(kind: str, what: Any) -> None:
    """Something that all ranks must do together and is no window: a read that moves data between them, say."""
    if ranks.size > 1:
        course.fold(kind, [kind.encode(), _stable(what).encode()])


def window(recipe: Recipe, program: Any, constants: tuple[np.ndarray, ...], moving: tuple[int, ...]) -> Any:
    """A window is about to run, as `program` if it has been compiled; its leaves `moving` may lie anywhere. Gives what
    the program should remember as its `course`."""
    found = program.course if program is not None else None
    if found is None:
        found = (_form(recipe, bool(moving)), _operations(recipe))
    form, what = found
    parts = [form, recipe.starts(moving).tobytes()] if moving else [form]
    parts += [a.tobytes() for a in recipe.hosts if a.nbytes <= 4096]
    course.fold(what, parts, constants)
    return found


def hosted(pending: list[Any]) -> None:
    """A window is about to run with NumPy, on every rank."""
    items = [(_row(p.row), p.shape, p.dtype.str) if isinstance(p, Node) else p.destination.a.shape for p in pending]
    course.fold(f"{len(items)} operations by NumPy", [_stable(items).encode()])


_windows = 0


def collect() -> None:
    """At the same windows on every rank: free what only cycles hold. What is recorded depends on what is alive."""
    global _windows
    _windows += 1
    if _windows % COLLECT == 0:
        gc.collect()


def _operations(recipe: Recipe) -> str:
    """The operations of a window, as far as a reader wants them."""
    names = [f"{item[0].name} {_shape(item[2])}" if len(item) == 6 else "store" for item in recipe.items]
    shown = ", ".join(names[:6])
    return f"{shown}, ... {len(names)} operations" if len(names) > 6 else shown


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _form(recipe: Recipe, moving: bool) -> bytes:
    """The canonical form of a window, the same on every rank that runs the same."""
    items = [(_row(item[0]), *item[1:]) if len(item) == 6 else item for item in recipe.items]
    regions = [(k, region.form if moving else region, what) for k, region, what in recipe.regions]
    owners = [(remote.layout, remote.kind.str) for remote in recipe.remotes]
    hosts = [(a.shape, a.dtype.str) for a in recipe.hosts]
    kinds = [c.dtype.str for c in recipe.constants]
    return hashlib.blake2b(_stable((items, regions, owners, hosts, kinds, recipe.written)).encode()).digest()


def _row(row: Any) -> tuple[Any, ...]:
    return (row.name, row.given, row.static, row.index) if isinstance(row, Bound) else (row.name,)


def _stable(what: Any) -> str:
    """What can be seen of it, without addresses of objects."""
    return _ADDRESS_IN_REPR.sub("", repr(what))


# -- joining -----------------------------------------------------------------------------------------------------------


class _Addresses:
    """What rank 0 has said, as it comes over the line."""

    def __init__(self) -> None:
        self.said = threading.Event()
        self.address = ""

    def hear(self, message: channel.Message) -> None:
        self.address = str(message.get("address"))
        self.said.set()


def join() -> None:
    """Make the devices of all ranks one machine; before JAX looks for devices. Returns when all ranks have come."""
    import atexit

    import jax

    line = channel.channel
    if line is None:
        raise RuntimeError("this process is one of several ranks, but was not started by the legate command")
    addresses = _Addresses()
    line.listen("address", addresses.hear)
    course.start()
    event("start", ranks.size)
    gc.collect()
    gc.freeze()
    threads.stop_collector()  # what is recorded must not depend on when it would run: from now on, `COLLECT`
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    jax.config.update("jax_check_proxy_envs", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    _listen_only_at(ranks.address)
    with contextlib.ExitStack() as held:
        if ranks.rank == 0:
            # The port stays ours until XLA's service has it too: a port that is taken ends in a crash there.
            placeholder = held.enter_context(socket.socket(_family(ranks.address)))
            placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            placeholder.bind((ranks.address, 0))
            address = _joined(ranks.address, placeholder.getsockname()[1])
            line.send("address", address=address)
        else:
            addresses.said.wait()
            address = addresses.address
            _reach(address)
        jax.distributed.initialize(
            address,
            ranks.size,
            ranks.rank,
            cluster_detection_method="deactivate",
            coordinator_bind_address=address,
            initialization_timeout=_FOREVER,
            heartbeat_timeout_seconds=_FOREVER,
            shutdown_timeout_seconds=60,
        )
    if jax.default_backend() == "cpu":
        with quietly():
            _meet(jax)
    # The end is agreed with the supervisors (`channel.leave`); JAX would wait for the others in its own way.
    clean_up = getattr(sys.modules.get("jax._src.api"), "clean_up", None)
    if clean_up is not None:
        atexit.unregister(clean_up)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Lets through to stdout all but what gloo has to say of each group of ranks that it connects."""
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
            said.seek(0)
            rest = [line for line in said if not line.startswith(b"[Gloo] ")]
            if rest:
                os.write(1, b"".join(rest))


def _meet(jax: Any) -> None:
    """One sum over all devices: all connections between ranks are made here, not in the middle of the program."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("ranks",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("ranks"))
    ones = jax.make_array_from_callback((mesh.size,), spread, lambda index: np.ones(mesh.size, np.int32)[index])
    total = int(jax.jit(lambda x: x.sum())(ones))
    if total != mesh.size:
        raise RuntimeError(f"a sum of ones over {mesh.size} devices gave {total}")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reach(address: str) -> None:
    """Wait until rank 0's service answers. Raises ConnectionError where it cannot be reached."""
    host, _, port = address.rpartition(":")
    until = time.monotonic() + REACH
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), 5).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise ConnectionError(
                    f"rank {ranks.rank} cannot reach rank 0 at {address} (tried for {REACH:.0f} s): {error}"
                ) from None
        time.sleep(0.05)


def _listen_only_at(host: str) -> None:
    """Collectives between processors listen where the host's name leads, if nobody says where."""
    from jax._src import xla_bridge

    library = xla_bridge._jax
    make = library.make_gloo_tcp_collectives

    def made(distributed_client: Any, **more: Any) -> Any:
        return make(distributed_client=distributed_client, **({"hostname": host} | more))

    library.make_gloo_tcp_collectives = made
