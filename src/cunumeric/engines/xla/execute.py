"""Running a window on the device: recipe, compiled program, and what is left where."""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np

from ...graph import warning, window
from ...graph.node import Leaf, Node, Reduction, Store, address
from ...ops.calls import Bound
from ...runtime import memory, ranks, residence
from ...runtime.residence import Remote
from ...runtime.settings import settings
from ..host import sweep
from . import backend, giving, novelty, paper, parts, pressure, processes, storage
from . import constants as distinct
from . import region as regions
from .collectives import Collective, collectives
from .lowering import Lowering
from .recipe import Recipe, Unsupported, keep, shown
from .recipe import dead as dead_memory
from .region import Region

_PROGRAMS_MOST = 1024
_hosts_empty = memory.empty  # imported before this engine takes its place
_programs: OrderedDict[Any, _Program] = OrderedDict()


class Counters:
    """What was done, for tests and for the curious: never read by the engine."""

    def __init__(self) -> None:
        self.compiled = 0
        self.ran = 0
        self.hosted = 0  # windows that ran on the host


counters = Counters()


class _Program:
    """A compiled window: its arguments are the values of `read`, host arrays and packed constants. `given`: owners
    whose memory is given away, each with the number of the result that takes it."""

    def __init__(self, lowering: Lowering, given: list[tuple[int, int]], arguments: tuple) -> None:
        jx = backend.modules()
        self.lowering = lowering  # its regions are part of the key, by identity
        self.donated = donated = tuple([k for k, _ in given])
        spec = [[storage.described(v) for v in group] for group in arguments]
        kept, free = split(spec[0], lowering.read, donated)
        # JAX gives a result the first memory of its kind that is free: those that take some come first, in its order.
        takers = [result for _, result in given]
        order = takers + [k for k in range(lowering.results) if k not in takers]
        self.places = None if order == sorted(order) else [order.index(k) for k in range(lowering.results)]

        def function(kept: Any, free: Any, hosts: Any, constants: Any, starts: Any) -> Any:
            rest, of = iter(kept), dict(zip(donated, free, strict=True))
            owners = tuple([of[k] if k in of else next(rest) for k in lowering.read])
            results = lowering.function(owners, hosts, constants, starts)
            return tuple([results[k] for k in order])

        counters.compiled += 1
        shardings = lowering.shardings()
        if shardings is not None:
            shardings = tuple([shardings[k] for k in order])
        self.call = (
            jx.jax.jit(function, donate_argnums=(1,), keep_unused=True, out_shardings=shardings)
            .lower(tuple(kept), tuple(free), tuple(spec[1]), tuple(spec[2]), tuple(spec[3]))
            .compile(backend.OPTIONS)
        )
        self.needs = pressure.needs(self.call)
        if settings.paper:
            frame = warning.user_frame()
            place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            self.call = paper.Window(self.call, len(lowering.items), place)
        self.constants: tuple[bytes | None, Any] = (None, None)
        self.runs = 0
        self.course: Any = None  # what `processes.window` remembers of it

    def takes(self, constants: list[np.ndarray]) -> bool:
        """Whether the constants can be its arguments, which they are from now on: sent only where they are not those of
        the last run."""
        key = distinct.raw(constants)
        if key != self.constants[0]:
            alike, literals = self.lowering.alike, self.lowering.literals
            if distinct.alike(constants, alike) != alike or (literals is not None and key != distinct.raw(literals)):
                return False
            self.constants = (key, tuple([storage.send(c) for c in distinct.packed(constants, alike)]))
        return True


def programs() -> list[_Program]:
    """The compiled windows that are kept, the oldest first."""
    return list(_programs.values())


def forget() -> None:
    """Compile windows anew."""
    _programs.clear()


def said_between_devices(program: _Program) -> list[Collective]:
    """What a compiled window moves between devices."""
    return collectives(program.call)


def split(values: list[Any], read: list[int], donated: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """Values that are kept, and values that are given away, in the order of `donated`."""
    kept = [v for k, v in zip(read, values, strict=True) if k not in donated]
    return kept, [values[read.index(k)] for k in donated]


def run(pending: list[Node | Store], reduction: Reduction | None) -> None:
    """Run a window: the engine's entry."""
    if reduction is not None:
        raise NotImplementedError("reductions are calls on this engine")
    if backend.usable():
        if ranks.size > 1:
            processes.collect()
        parts.run(pending, _attempt)
    else:
        _run_on_host(pending)
        _retreat()


def _before_fork() -> None:
    """A child cannot use the device: everything is brought home for it."""
    window.flush()
    for remote in residence.held():
        residence.fetch_remote(remote)


def _after_fork() -> None:
    for remote in residence.held():
        remote.value = None
    _retreat()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _retreat() -> None:
    """Leave everything from now on to the host's engine."""
    residence.accelerated = False
    memory.empty = _hosts_empty
    settings.engine = "host"
    window.run = sweep.run
    window.wait = window.devices = None


def _attempt(part: list[Node | Store]) -> parts.TooLarge | None:
    """Run a part of the window; nothing of it where the device has no room for it."""
    dead = dead_memory(part)
    if dead is None:
        _run_on_host(part)
        return None
    try:
        recipe = Recipe(part, dead)
    except Unsupported:
        _run_on_host(part)
        return None
    if not recipe.written and not recipe.living:
        return None
    try:
        ran = _run_on_device(recipe)
    except parts.TooLarge as error:
        return error.with_traceback(None)  # its frames refer to memory, which would pass for somebody else's
    if not ran:
        del recipe
        _run_on_host(part)
    return None


# The results of the window that was started last: a device runs one after the other. Weak, for memory that nobody else
# holds can be given to the next window.
_last: Any = ()


def wait() -> None:
    """Return when every window that was started is done."""
    global _last
    for reference in _last:
        value = reference()
        if value is not None and not value.is_deleted():
            storage.ready(value)
    _last = ()


def _run_on_device(recipe: Recipe) -> bool:
    """Whether the window ran: not where it is not worth a program (`novelty`)."""
    remotes = recipe.remotes
    values = [remote.value for remote in remotes]
    exposed = [r for r, owner in zip(remotes, recipe.owners, strict=True) if r.home and window.is_exposed(owner)]
    written = [k for k in recipe.written if values[k] is not None]
    donated = tuple([k for k in written if sys.getrefcount(values[k]) <= giving.ALONE])
    spare = giving.spare(recipe, values) if recipe.spent else ()
    key: Any = (recipe.key, donated, spare)
    program = _programs.get(key)
    moving: tuple[int, ...] = ()
    if program is None and recipe.regions:
        form = recipe.form()
        moving = _moving_leaves(form, recipe)
        if moving:
            key = (form, moving, donated, spare)
            program = _programs.get(key)
    if program is None and novelty.passes(key, recipe):
        return False
    known = None
    if program is not None and not program.takes(recipe.constants):
        known, program = program.lowering.alike, None
    if program is not None:
        lowering = program.lowering
    else:
        jx, alike = backend.modules(), distinct.alike(recipe.constants, known)
        # Stencils are bound by memory: loading numbers costs them nothing.
        plain = known is None and jx.mesh is None and all(region.whole for _, region, _ in recipe.regions)
        literal = plain and distinct.literal(recipe.constants, alike)
        lowering = Lowering(recipe, jx, moving, alike, literal)
    # Before anything is compiled, which may wait for other ranks.
    course = processes.window(recipe, program, distinct.packed(recipe.constants), moving) if ranks.size > 1 else None
    hosts = tuple([storage.store(a) for a in recipe.hosts])
    starts = (storage.send(recipe.starts(moving)),) if moving else ()
    for k in lowering.read:
        if values[k] is None:
            values[k] = _sent(remotes[k])
    owners = [values[k] for k in lowering.read]
    if program is None:
        given = [(k, recipe.written.index(k)) for k in donated if k in lowering.read]
        given += [(k, len(recipe.written) + j) for k, j in giving.pairs(recipe, spare) if k in lowering.read]
        arguments = (owners, hosts, distinct.packed(recipe.constants, lowering.alike), starts)
        program = _programs[key] = _Program(lowering, given, arguments)
        program.takes(recipe.constants)
        novelty.compiled()
        if len(_programs) > _PROGRAMS_MOST:
            _programs.popitem(last=False)
    elif 2 * len(_programs) > _PROGRAMS_MOST:
        _programs.move_to_end(key)  # hashes the key again
    program.course = course
    program.runs += 1
    if program.runs == 2:
        novelty.recurred()
    global _last
    counters.ran += 1
    kept, free = split(owners, lowering.read, program.donated)
    del values, owners
    results = _called(program, (tuple(kept), tuple(free), hosts, program.constants[1], starts), remotes)
    if program.places is not None:
        results = [results[k] for k in program.places]
    _last = tuple([weakref.ref(value) for value in results])
    for k in recipe.spent:
        remotes[k].value = None
    for k, value in zip(recipe.written, results, strict=False):
        residence.hold(remotes[k], value)
    for node, value in zip(recipe.living, results[len(recipe.written) :], strict=True):
        keep(node, value)
    for remote in exposed:
        remote.value = None  # it may change before it is read again
    return True


class _Places:
    """Where the leaves of windows of one form were seen: those that move are arguments of one program."""

    KNOWN = 2  # so many windows that differ in places alone get programs of their own

    def __init__(self, starts: list[tuple[int, ...]]) -> None:
        self.first = starts
        self.moving: set[int] = set()
        self.seen = 0


_places: OrderedDict[Any, _Places] = OrderedDict()


def _moving_leaves(form: Any, recipe: Recipe) -> tuple[int, ...]:
    """The leaves whose place should be an argument of the window's program: those that were seen to move in windows
    that are otherwise the same, as `x[i:j]` does in a loop."""
    starts = [region.starts for _, region, _ in recipe.regions]
    places = _places.get(form)
    if places is None:
        places = _places[form] = _Places(starts)
        if len(_places) > _PROGRAMS_MOST:
            _places.popitem(last=False)
    places.seen += 1
    places.moving.update([j for j, (a, b) in enumerate(zip(places.first, starts, strict=True)) if a != b])
    return tuple(sorted(places.moving)) if places.seen > places.KNOWN else ()


def _called(program: _Program, arguments: tuple, busy: list[Remote]) -> Any:
    """The program's results; what is idle goes home where there is no room for them."""
    wanted = program.needs
    if not pressure.fits(wanted):
        free = pressure.room()
        if free is not None and wanted > free and pressure.spill(wanted - free, busy) < wanted - free:
            raise parts.TooLarge(wanted - free)
    try:
        return program.call(*arguments)
    except Exception as error:
        if not pressure.exhausted(error):
            raise
        if ranks.size > 1:  # others may have found room: they cannot be met again
            raise pressure.shortage(wanted) from error
        gone = [v for v in arguments[1] if v.is_deleted()]
        if gone:
            told = str(pressure.shortage(wanted))
            for remote in busy:
                if any(remote.value is v for v in gone):
                    residence.lose(remote, told)
            raise parts.TooLarge(wanted, told) from None
    if not pressure.spill(wanted, busy):
        raise parts.TooLarge(wanted)
    try:
        return program.call(*arguments)
    except Exception as error:
        if not pressure.exhausted(error):
            raise
        raise parts.TooLarge(wanted) from None


@functools.lru_cache(maxsize=1024)
def _shower(layout: tuple[int, ...], kind: np.dtype, region: Region | None, cut: bool = False) -> Any:
    """A program that reads a region; without one, the element at the position that is its second argument. What is
    read is on every device, or `cut` as an array is."""
    jx = backend.modules()
    result = None
    if jx.mesh is not None:
        even = cut and region is not None and jx.mesh.padded(region.shape) == region.shape
        result = jx.mesh.sharding(region.shape) if even else jx.mesh.whole  # type: ignore[union-attr]
    if region is not None:
        return jx.jax.jit(
            lambda value: regions.read(jx, storage.logical(jx, value, layout), region), out_shardings=result
        )
    if jx.mesh is not None and jx.mesh.cut(layout) is not None:
        spec = jx.mesh.sharding(layout).spec
        return jx.jax.jit(lambda value, position: jx.sharded.element(jx, value, spec, position))
    return jx.jax.jit(lambda value, position: value[tuple(position)], out_shardings=result)


def show(a: np.ndarray, remote: Remote) -> np.ndarray:
    """A copy on the host of what the view `a` shows of the device's value."""
    offset = address(a) - remote.start
    if settings.paper:
        return np.zeros(a.shape, a.dtype)
    if ranks.size > 1:
        processes.event("a read", (a.shape, a.strides, a.dtype.str, offset))
    try:
        region, what = shown(remote.layout, remote.kind, offset, a.shape, a.strides, a.dtype)
    except Unsupported:
        region, what = None, "no"
    if what:
        residence.fetch(a, writes=False)
        return a.copy()
    if a.size == 1:
        position = np.unravel_index(offset // remote.kind.itemsize, remote.layout)
        value = _shower(remote.layout, remote.kind, None)(remote.value, np.array(position))
    else:
        value = _shower(remote.layout, remote.kind, region)(remote.value)
    residence.counters.fetched += a.nbytes
    return np.asarray(storage.ready(value)).reshape(a.shape)


def lend(a: np.ndarray, *, alone: bool = True) -> Any:
    """The device's array of what `a` shows, in C order; sent there first where it is on the host. `alone`: on one
    device; else cut over all of them where it divides."""
    value = _lent(a)
    if not alone or len(value.sharding.device_set) == 1:
        return value
    if not value.sharding.is_fully_replicated:
        jx = backend.modules()
        value = jx.jax.jit(lambda v: v, out_shardings=storage.sharding(()))(value)
    return value.addressable_data(0)


def _lent(a: np.ndarray) -> Any:
    remote = residence.remote_of(a)
    if remote is None:
        return storage.send(a)
    value = _sent(remote)
    offset = address(a) - remote.start
    region, what = shown(remote.layout, remote.kind, offset, a.shape, a.strides, a.dtype)
    if what:
        raise BufferError("parts of elements cannot be shared")
    if region.whole and region.shape == remote.layout == value.shape and not region.turned:
        return value
    return _shower(remote.layout, remote.kind, region, True)(value)


def move(a: np.ndarray) -> Any:
    """The value of `a`, an array of NumPy's that the program copies, where the device reads it straight from there and
    has room; else None. A copy on the host, of which the system has to give each page, takes longer than the way."""
    if not storage.goes_straight(a) or not pressure.fits(a.nbytes):
        return None
    try:
        return storage.send(a)
    except backend.modules().jax.errors.JaxRuntimeError as error:
        if pressure.exhausted(error):
            return None
        raise


residence.show = show
residence.lend = lend
residence.move = move


def _sent(remote: Remote) -> Any:
    """The device's value of a remote, sent there first where it is at home alone."""
    if remote.value is None:
        residence.hold(remote, storage.store(residence.host_bytes(remote)), home=True)
    return remote.value


def _run_on_host(pending: list[Node | Store]) -> None:
    """Operation by operation, with NumPy."""
    counters.hosted += 1
    if ranks.size > 1:
        processes.hosted(pending)
    values: dict[int, Any] = {}

    def value(v: Any) -> Any:
        if type(v) is Leaf:
            residence.fetch(v.a, writes=False)
            return v.a
        return values[id(v)] if type(v) is Node else v

    with np.errstate(all="ignore"):
        for p in pending:
            if isinstance(p, Store):
                source = value(p.source)
                residence.fetch(p.destination.a)
                np.copyto(p.destination.a, source, casting="unsafe")
            else:
                operands = [value(v) for v in p.args]
                if type(p.row) is Bound:
                    found = np.asarray(p.row.kernel(*operands)).astype(p.dtype, copy=False)
                else:
                    found = np.empty(p.shape, p.dtype)
                    p.row.kernel(*operands, found)
                values[id(p)] = found
    for p in pending:
        if type(p) is Node and p.handle is not None:
            x = p.handle()
            if x is not None:
                x._a = residence.adopt(_laid(values[id(p)], p.strides))


def _laid(a: np.ndarray, strides: tuple[int, ...] | None) -> np.ndarray:
    """`a` with its axes in the order of these strides, without gaps; None: in C order."""
    if strides is None:
        return np.asarray(a, order="C")  # not ascontiguousarray, which gives scalars a dimension
    order = sorted(range(a.ndim), key=lambda k: -strides[k])
    made = np.empty([a.shape[k] for k in order], a.dtype).transpose(np.argsort(order))
    made[...] = a
    return made
