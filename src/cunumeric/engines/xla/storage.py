"""Values at rest: what memory on the device holds between programs.

On one device that is the array itself. Over several it is cut as `mesh.py` says, and padded at its ends where its
lengths do not divide; a program takes it to its logical shape first and pads its results last, both without moving
anything between devices.
"""

from __future__ import annotations

import functools
import math
import time
from typing import Any

import numpy as np

from ...runtime import residence, threads
from ...runtime.settings import settings
from . import backend, paper, processes

# Between one GPU and the host: home goes through memory that the GPU reaches by itself, from where several threads
# copy it; what is sent is not copied before, but waited for. Much memory goes in pieces: as a whole it would stand on
# the host twice.
_PINNED_FROM, _WAITED_FROM, _IN_PIECES_FROM = 1 << 20, 1 << 22, 1 << 26
_BROUGHT, _SENT, _MOVERS = 1 << 23, 1 << 24, 4
# Bytes of each device at a time where they are gathered for a process that does not have them all.
_PIECE = 1 << 25
# On paper, larger memory is fresh from the system, and zero.
_BLANK = 1 << 26


def send(a: np.ndarray) -> Any:
    """`a` on every device; a copy, so that later changes of `a` do not show."""
    residence.counters.sent += a.nbytes
    jx = backend.modules()
    if settings.paper:
        return paper.Value(a.shape, a.dtype, sharding(()))
    if goes_straight(a):
        if a.nbytes >= _IN_PIECES_FROM:
            return _sent_in_pieces(a)
        if a.dtype != np.bool_:
            return ready(jx.jax.device_put(a))
    a = _copied(a)
    if jx.mesh is None:
        return jx.jax.device_put(a)
    return jx.jax.make_array_from_callback(a.shape, jx.mesh.whole, lambda index: a)


def goes_straight(a: np.ndarray) -> bool:
    """Whether the GPU reads `a` itself, and is waited for."""
    return a.nbytes >= _WAITED_FROM and a.flags.c_contiguous and _on_one_gpu()


def _copied(a: np.ndarray) -> np.ndarray:
    """A copy in C order. NumPy takes any byte but zero for true, XLA counts on ones."""
    return np.asarray(a.view(np.uint8) != 0, order="C") if a.dtype == np.bool_ else np.array(a, order="C")


def _starts(size: int, length: int) -> list[int]:
    """Where pieces of `length` elements begin; the last one may overlap the one before it."""
    return [min(k, size - length) for k in range(0, size, length)]


@functools.lru_cache(maxsize=256)
def _piece_ways(shape: tuple[int, ...], dtype: np.dtype, length: int) -> tuple[Any, Any]:
    """Programs that read a piece of a value, and that write one, in place."""
    jx = backend.modules()

    def read(value: Any, start: Any) -> Any:
        return jx.lax.dynamic_slice(value.reshape(-1), (start,), (length,))

    def write(value: Any, piece: Any, start: Any) -> Any:
        return jx.lax.dynamic_update_slice(value.reshape(-1), piece, (start,)).reshape(shape)

    return jx.jax.jit(read), jx.jax.jit(write, donate_argnums=0)


def _sent_in_pieces(a: np.ndarray) -> Any:
    jx = backend.modules()
    flat, length = a.reshape(-1), _SENT // a.itemsize
    _, write = _piece_ways(a.shape, a.dtype, length)
    value = jx.np.zeros(a.shape, a.dtype)
    for start in _starts(flat.size, length):
        piece = flat[start : start + length]
        value = write(value, jx.jax.device_put(_copied(piece) if a.dtype == np.bool_ else piece), start)
    return ready(value)  # until then `a` is read


def _bring_pieces(value: Any, host: np.ndarray) -> None:
    jx, flat, length = backend.modules(), host.reshape(-1), _BROUGHT // host.itemsize
    read, _ = _piece_ways(value.shape, host.dtype, length)
    starts, pinned = _starts(flat.size, length), _pinned()
    movers = min(_MOVERS, threads.count(), len(starts))

    def asked(start: int) -> Any:
        piece = read(value, start)
        if pinned is not None:
            return jx.jax.device_put(piece, pinned)
        piece.copy_to_host_async()
        return piece

    def move(mover: int) -> None:
        mine = starts[mover::movers]
        ahead = asked(mine[0])
        for start, following in zip(mine, [*mine[1:], None], strict=True):
            piece = ahead
            if following is not None:
                ahead = asked(following)
            flat[start : start + length] = np.asarray(piece)

    threads.run(move, movers)


def _bring_pinned(value: Any, host: np.ndarray) -> None:
    flat = host.reshape(-1)
    pinned = np.asarray(backend.modules().jax.device_put(value, _pinned())).reshape(-1)
    parts = threads.split(flat.size, min(_MOVERS, threads.count(), flat.nbytes // _PINNED_FROM))

    def move(part: int) -> None:
        start, stop = parts[part]
        flat[start:stop] = pinned[start:stop]

    threads.run(move, len(parts))


@functools.cache
def _pinned() -> Any:
    """Memory of the host that the GPU reaches by itself, as a place for values; None where there is none."""
    jax = backend.modules().jax
    device = jax.devices()[0]
    if "pinned_host" not in [found.kind for found in device.addressable_memories()]:
        return None
    return jax.sharding.SingleDeviceSharding(device, memory_kind="pinned_host")


def store(a: np.ndarray) -> Any:
    """A copy of `a` at rest."""
    jx = backend.modules()
    if jx.mesh is None or jx.mesh.cut(a.shape) is None:
        return send(a)
    residence.counters.sent += a.nbytes
    shape = jx.mesh.padded(a.shape)
    if settings.paper:
        return paper.Value(shape, a.dtype, jx.mesh.sharding(a.shape))

    def block(index: tuple[slice, ...]) -> np.ndarray:
        part = a[index]
        lengths = [len(range(*place.indices(n))) for place, n in zip(index, shape, strict=True)]
        if part.shape == tuple(lengths):
            return _copied(part)
        found = np.zeros(lengths, a.dtype)
        found[tuple([slice(n) for n in part.shape])] = _copied(part)
        return found

    return jx.jax.make_array_from_callback(shape, jx.mesh.sharding(a.shape), block)


def sharding(shape: tuple[int, ...]) -> Any:
    """The sharding of a value of this logical shape; None on one device."""
    mesh = backend.modules().mesh
    return None if mesh is None else mesh.sharding(shape)


def described(v: Any) -> Any:
    """An argument of a program as the compiler has to know it: a value at rest, or a host array that is sent to all."""
    jx = backend.modules()
    where = None if jx.mesh is None else getattr(v, "sharding", jx.mesh.whole)
    return jx.jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=where)


def logical(jx: Any, value: Any, shape: tuple[int, ...]) -> Any:
    """In a program: what the value at rest is for."""
    if value.shape == shape:
        return value
    value = jx.lax.slice(value, (0,) * len(shape), shape)
    return jx.lax.with_sharding_constraint(value, jx.mesh.sharding(shape))


def rested(jx: Any, value: Any) -> Any:
    """In a program: a result as it is at rest."""
    if jx.mesh is None:
        return value
    shape, where = jx.mesh.padded(value.shape), jx.mesh.sharding(value.shape)
    if shape != value.shape:
        padding = [(0, n - m, 0) for n, m in zip(shape, value.shape, strict=True)]
        value = jx.lax.pad(value, np.zeros((), value.dtype), padding)
    # Without it XLA may leave a result that comes of no cut operand on every device, and JAX raises then.
    return jx.lax.with_sharding_constraint(value, where)


# Seconds for which a value is asked for again and again before the thread sleeps. A processor that has slept begins the
# next window late: after each wait for an H200 its first one started 0.1 ms later, of 0.25 ms that recording it takes.
_ASKED = 0.02


def ready(value: Any) -> Any:
    """The same value when it is computed; other threads run meanwhile."""
    if _on_gpu():
        end = time.perf_counter() + _ASKED
        while not value.is_ready() and time.perf_counter() < end:
            time.sleep(0)
    return value.block_until_ready()


@functools.cache
def _on_gpu() -> bool:
    """Whether values are computed elsewhere: XLA's own threads need the processor."""
    return not settings.paper and backend.kind() == "gpu"


def _on_one_gpu() -> bool:
    return _on_gpu() and backend.modules().mesh is None


def share(value: Any) -> int:
    """Bytes of the value on one device."""
    return math.prod(value.sharding.shard_shape(value.shape)) * value.dtype.itemsize


def bring(value: Any, host: np.ndarray) -> None:
    """Write the value at rest into `host`, an array of its logical shape."""
    mesh = backend.modules().mesh
    if settings.paper:
        if host.nbytes < _BLANK:
            host[...] = 0
    elif host.nbytes >= _IN_PIECES_FROM and _on_one_gpu():
        _bring_pieces(ready(value), host)
    elif host.nbytes >= _PINNED_FROM and _on_one_gpu() and _pinned() is not None:
        _bring_pinned(ready(value), host)
    elif mesh is None or value.sharding.is_fully_replicated:
        host[...] = np.asarray(ready(value))
    elif value.is_fully_addressable:
        ready(value)
        for shard in value.addressable_shards:
            _place(host, shard.index, np.asarray(shard.data))
    else:
        _gather(mesh, value, host)


def _place(host: np.ndarray, index: tuple[slice, ...], block: np.ndarray) -> None:
    """A block of a value at rest, without its padding, to where it belongs."""
    there = host[index]
    there[...] = block[tuple([slice(n) for n in there.shape])]


def _gather(mesh: Any, value: Any, host: np.ndarray) -> None:
    """Blocks of all processes, a piece of each at a time: every rank does this at the same point of the program."""
    processes.event("a copy to the host", (host.shape, host.dtype.str))
    axis: int = mesh.cut(host.shape)
    blocks = value.sharding.devices_indices_map(value.shape)
    order = [blocks[device] for device in mesh.jax.devices.flat]
    length = value.sharding.shard_shape(value.shape)[axis]
    step = max(1, min(length, _PIECE // max(1, share(value) // length)))
    gathered = _gatherer(value.shape, value.dtype, axis, step, host.shape)
    for first in range(0, length, step):
        first = min(first, length - step)
        pieces = np.asarray(gathered(value, send(np.array(first, np.int32))))
        for place, piece in zip(order, pieces, strict=True):
            start = (place[axis].start or 0) + first
            index = (*place[:axis], slice(start, start + step), *place[axis + 1 :])
            _place(host, index, piece)


@functools.lru_cache(maxsize=256)
def _gatherer(rest: tuple[int, ...], dtype: Any, axis: int, step: int, shape: tuple[int, ...]) -> Any:
    """A program that gives every device a piece of each device's block."""
    jx = backend.modules()
    mesh: Any = jx.mesh
    spec = mesh.sharding(shape).spec
    nothing = jx.jax.sharding.PartitionSpec()

    def piece(block: Any, first: Any) -> Any:
        part = jx.lax.dynamic_slice_in_dim(block, first, step, axis)
        return jx.lax.all_gather(part, mesh.names)

    mapped = jx.jax.shard_map(piece, mesh=mesh.jax, in_specs=(spec, nothing), out_specs=nothing, check_vma=False)
    return jx.jax.jit(mapped)


residence.bring = bring
