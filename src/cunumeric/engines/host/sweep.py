"""Running a sweep: tiles, threads, scratch.

A sweep is translated into a short program: loads (views cut to the tile), constants, scratch, and instructions, each a
NumPy kernel with the registers it takes. For each tile a thread cuts the loads and calls the kernels; intermediate
values live in scratch of the thread's own, small enough to stay in its cache, and only what has a destination goes to
memory.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from ...graph import plan as planning
from ...graph import warning, window
from ...graph.node import Leaf, Node, Reduction, Store
from ...graph.plan import Statement, Sweep
from ...ops.elementwise import COPY
from ...runtime import threads
from ...runtime.settings import settings

# Below this many elements in all, waking another thread costs more than it brings.
_PARALLEL_FROM = 1 << 16
_TILES_MOST = 1 << 16
_ALIGN = 64


def run(pending: list[Node | Store], reduction: Reduction | None) -> None:
    """Run a window: the engine's entry."""
    found = planning.plan(pending, reduction)
    heard: list[tuple[Any, str, str]] = []
    for sweep in found:
        window.counters.sweeps += 1
        if not _run_simple(sweep):
            _run_sweep(sweep, heard)
    for p in pending:
        if type(p) is Node and p.place is not None and p.handle is not None:
            x = p.handle()
            if x is not None:
                x._a = p.place.a
    told = set()
    for errors, flag, name in heard:
        if (id(errors), flag) not in told:
            told.add((id(errors), flag))
            errors.hear(flag, name)


def _run_simple(sweep: Sweep) -> bool:
    """A lone small copy or fill, such as a boundary row, needs no program."""
    statement = sweep.statements[0]
    source, to = statement.source, statement.destination
    if len(sweep.statements) != 1 or to is None or type(source) is Node or to.a.size > _PARALLEL_FROM:
        return False
    value = source.a if type(source) is Leaf else source
    if value.dtype != to.a.dtype:
        return False
    np.copyto(to.a, value)
    return True


# -- translation -------------------------------------------------------------------------------------------------------


class _Block:
    """Instructions over one iteration space: a shape, and the frame's row of its row 0."""

    __slots__ = ("base", "loads", "program", "scratch", "shape")

    def __init__(self, shape: tuple[int, ...], base: int) -> None:
        self.shape = shape
        self.base = base
        self.loads: list[tuple[int, np.ndarray]] = []
        self.program: list[tuple[Callable, Any]] = []
        self.scratch: list[tuple[int, int, np.dtype]] = []  # register, slot, dtype


class _Program:
    """A sweep as blocks of instructions over numbered registers."""

    def __init__(self, sweep: Sweep) -> None:
        self.blocks: list[_Block] = []
        self.constants: list[tuple[int, np.ndarray]] = []
        self.registers = 0
        self.slot_bytes: list[int] = []  # itemsize of each scratch slot
        self.makers: dict[int, Any] = {}  # id(getter) -> what the instruction computes
        self.partial: tuple[int, Reduction] | None = None
        self.result: int | None = None  # delayed: the register whose tile is kept back
        self._known: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self._uses: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self._instructions: list[tuple[_Block, Callable, tuple[int, ...], int, Any, bool]] = []
        self._virtual: dict[int, np.dtype] = {}
        self._last: dict[int, int] = {}
        for statement in sweep.statements:
            self._count(statement)
        for statement in sweep.statements:
            self._statement(statement, sweep.delayed > 0)
        self._allocate()

    # Uses decide whether a store's source can be computed straight into the destination.
    def _count(self, statement: Statement) -> None:
        stack = [statement.source]
        while stack:
            n = stack.pop()
            if type(n) is Node:
                key = (id(n), statement.base, statement.shape)
                self._uses[key] = self._uses.get(key, 0) + 1
                if self._uses[key] == 1 and (n.place is None or n.place is statement.destination):
                    stack.extend(n.args)

    def _register(self) -> int:
        self.registers += 1
        return self.registers - 1

    def _block(self, statement: Statement) -> _Block:
        if self.blocks:
            last = self.blocks[-1]
            if last.shape == statement.shape and last.base == statement.base:
                return last
        block = _Block(statement.shape, statement.base)
        self.blocks.append(block)
        return block

    def _load(self, block: _Block, leaf: Leaf) -> int:
        key = (id(leaf.a), block.base, block.shape)
        register = self._known.get(key)
        if register is None:
            register = self._known[key] = self._register()
            block.loads.append((register, leaf.a))
        return register

    def _constant(self, value: np.ndarray) -> int:
        register = self._register()
        self.constants.append((register, value))
        return register

    def _emit(self, block: _Block, value: Any, to: int | None = None) -> int:
        """Instructions that compute `value`; the register that holds it (`to`, if given, for a node)."""
        if type(value) is Leaf:
            return self._load(block, value)
        if type(value) is not Node:
            return self._constant(value)
        # Depth first without recursion: chains can be longer than Python's stack.
        stack: list[tuple[Node, bool]] = [(value, False)]
        while stack:
            node, ready = stack.pop()
            key = (id(node), block.base, block.shape)
            if key in self._known:
                continue
            if node.place is not None and not (node is value and to is not None):
                self._known[key] = self._load(block, node.place)
                continue
            if not ready:
                stack.append((node, True))
                stack.extend((arg, False) for arg in node.args if type(arg) is Node)
                continue
            args = []
            for arg in node.args:
                if type(arg) is Node:
                    args.append(self._known[(id(arg), block.base, block.shape)])
                else:
                    args.append(self._load(block, arg) if type(arg) is Leaf else self._constant(arg))
            if node is value and to is not None:
                out = to
            else:
                out = self._register()
                self._virtual[out] = node.dtype
            self._instruct(block, node.row.kernel, tuple(args), out, node, node.row.aliases)
            self._known[key] = out
        return self._known[(id(value), block.base, block.shape)]

    def _instruct(
        self, block: _Block, kernel: Callable, args: tuple[int, ...], out: int, maker: Any, aliases: bool
    ) -> None:
        position = len(self._instructions)
        for register in (*args, out):
            self._last[register] = position
        self._instructions.append((block, kernel, args, out, maker, aliases))

    def _statement(self, statement: Statement, delayed: bool) -> None:
        block = self._block(statement)
        source, to = statement.source, statement.destination
        if statement.reduction is not None:
            register = self._emit(block, source)
            self.partial = (register, statement.reduction)
            self._last[register] = 1 << 60
            return
        assert to is not None
        if delayed:
            # Into scratch; the copy to the destination follows when no tile needs the old rows any more.
            if type(source) is Node and source.place is None and source.dtype == to.a.dtype:
                register = self._emit(block, source)
            else:
                register = self._register()
                self._virtual[register] = to.a.dtype
                self._instruct(block, COPY.kernel, (self._emit(block, source),), register, source, False)
            self.result = register
            self._last[register] = 1 << 60
            return
        if type(source) is Node and self._direct(source, statement):
            register = self._load(block, to)
            self._emit(block, source, register)
        else:
            register = self._emit(block, source)
            self._instruct(block, COPY.kernel, (register,), self._load(block, to), source, False)

    def _direct(self, node: Node, statement: Statement) -> bool:
        """Whether the node's kernel can write the destination itself."""
        to = statement.destination
        key = (id(node), statement.base, statement.shape)
        assert to is not None
        if key in self._known or node.dtype != to.a.dtype:
            return False
        if node.place is to:
            return True
        if node.place is not None or self._uses[key] > 1:
            return False
        return node.row.aliases or not any(type(arg) is Leaf and arg.owner is to.owner for arg in node.args)

    def _allocate(self) -> None:
        """Give registers of intermediate values slots of scratch, reusing a slot after its value's last use."""
        free: dict[int, list[int]] = {}
        slot_of: dict[int, int] = {}
        for position, (block, kernel, args, out, maker, aliases) in enumerate(self._instructions):
            ending = {r for r in args if r in slot_of and self._last[r] == position and r != out}
            if out in self._virtual and out not in slot_of:
                dtype = self._virtual[out]
                slot = None
                if aliases:
                    for r in ending:
                        if self._virtual[r] == dtype:
                            slot = slot_of[r]
                            ending.discard(r)
                            break
                if slot is None:
                    stack = free.get(dtype.itemsize)
                    if stack:
                        slot = stack.pop()
                    else:
                        slot = len(self.slot_bytes)
                        self.slot_bytes.append(dtype.itemsize)
                slot_of[out] = slot
                for b in self.blocks:
                    if b.shape == block.shape and b.base == block.base:
                        b.scratch.append((out, slot, dtype))
            for r in ending:
                free.setdefault(self._virtual[r].itemsize, []).append(slot_of[r])
            getter = itemgetter(*args, out)
            self.makers[id(getter)] = maker
            block.program.append((kernel, getter))


# -- tiles -------------------------------------------------------------------------------------------------------------


class _Tiling:
    """How a frame is cut: over the first axes one index at a time, over `axis` in bands of `rows`."""

    def __init__(self, program: _Program, sweep: Sweep) -> None:
        statements = sweep.statements
        shape = program.blocks[0].shape
        reduction = statements[-1].reduction
        self.axis = 0
        tile = settings.tile
        uniform = len(program.blocks) == 1
        whole_rows = sweep.rows_only or not uniform or (reduction is not None and bool(reduction.out_shape))
        if not whole_rows:
            while self.axis < len(shape) - 1 and math.prod(shape[self.axis + 1 :]) > tile:
                self.axis += 1
        row = max(math.prod(b.shape[self.axis + 1 :]) for b in program.blocks)
        low = min(b.base for b in program.blocks)
        high = max(b.base + b.shape[self.axis] for b in program.blocks) if self.axis == 0 else shape[self.axis]
        low = low if self.axis == 0 else 0
        self.rows = max(1, tile // max(row, 1))
        if sweep.delayed:
            self.rows = max(self.rows, sweep.delayed)
        self.rows = max(self.rows, -(-(high - low) // _TILES_MOST))
        self.capacity = self.rows * row
        bands = [(i, min(i + self.rows, high)) for i in range(low, high, self.rows)]
        if self.axis == 0:
            self.tiles: list[tuple[tuple[int, ...], int, int]] = [((), lo, hi) for lo, hi in bands]
        else:
            leads = itertools.product(*[range(n) for n in shape[: self.axis]])
            self.tiles = [(lead, lo, hi) for lead in leads for lo, hi in bands]


def _cut(a: np.ndarray, shape: tuple[int, ...], lead: tuple[int, ...], lo: int, hi: int) -> np.ndarray:
    """The part of an operand that meets a tile, broadcasting included."""
    axis = len(lead)
    skip = len(shape) - a.ndim  # axes that the operand does not have
    if skip > axis:
        return a
    index: tuple[Any, ...] = tuple([0 if a.shape[k - skip] == 1 else lead[k] for k in range(skip, axis)])
    if a.shape[axis - skip] == 1 and shape[axis] != 1:
        return a[(*index, slice(None))]
    return a[(*index, slice(lo, hi))]


_scratch: dict[int, list[np.ndarray]] = {}  # part -> buffers by slot


def _buffers(part: int, slot_bytes: list[int], capacity: int) -> list[np.ndarray]:
    """Scratch of one thread, kept between sweeps so that it stays in its cache."""
    kept = _scratch.setdefault(part, [])
    found = []
    for k, itemsize in enumerate(slot_bytes):
        nbytes = itemsize * capacity
        if k >= len(kept):
            kept.append(_aligned(nbytes))
        elif kept[k].nbytes < nbytes:
            kept[k] = _aligned(nbytes)
        found.append(kept[k])
    return found


def _aligned(nbytes: int) -> np.ndarray:
    raw = np.empty(nbytes + _ALIGN, np.uint8)
    start = -raw.__array_interface__["data"][0] % _ALIGN
    return raw[start : start + nbytes]


class _Runner:
    """One thread's registers."""

    def __init__(self, program: _Program, part: int, capacity: int) -> None:
        self.program = program
        self.registers: list[Any] = [None] * program.registers
        for register, value in program.constants:
            self.registers[register] = value
        self.buffers = _buffers(part, program.slot_bytes, capacity)
        self.shaped: dict[int, tuple[int, ...]] = {}

    def tile(self, lead: tuple[int, ...], lo: int, hi: int) -> bool:
        """Compute one tile; whether the last block has rows in it."""
        registers = self.registers
        ran = False
        for block in self.program.blocks:
            first, last = lo, hi
            if not lead:
                rows = block.shape[0]
                first, last = max(lo - block.base, 0), min(hi - block.base, rows)
                ran = first < last
                if not ran:
                    continue
            shape = block.shape
            axis = len(lead)
            n = len(shape)
            if axis:
                for register, a in block.loads:
                    registers[register] = _cut(a, shape, lead, first, last)
            else:
                for register, a in block.loads:
                    if a.ndim == n and a.shape[0] == shape[0]:
                        registers[register] = a[first:last]
                    else:
                        registers[register] = _cut(a, shape, lead, first, last)
            part = (last - first, *shape[axis + 1 :])
            key = id(block)
            if self.shaped.get(key) != part:
                self.shaped[key] = part
                size = math.prod(part)
                for register, slot, dtype in block.scratch:
                    registers[register] = self.buffers[slot][: size * dtype.itemsize].view(dtype).reshape(part)
            for kernel, getter in block.program:
                kernel(*getter(registers))
        return ran or bool(lead)


def _flatten(program: _Program) -> None:
    """One block over contiguous arrays of one shape is a block over one axis."""
    if len(program.blocks) != 1:
        return
    block = program.blocks[0]
    if len(block.shape) < 2:
        return
    if any(a.shape != block.shape or not a.flags.c_contiguous for _, a in block.loads):
        return
    block.loads = [(register, a.reshape(-1)) for register, a in block.loads]
    block.shape = (math.prod(block.shape),)


class _NoState:
    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


def _listening(program: _Program, heard: list[tuple[Any, str, str]]) -> Callable[[], Any]:
    """A maker of contexts in which floating-point flags of the sweep's kernels are noted in `heard`."""
    kinds: set[str] = set()
    for maker in program.makers.values():
        if type(maker) is Node and maker.errors is not None:
            kinds |= maker.errors.kinds
    reduction = program.partial[1] if program.partial else None
    if reduction is not None and reduction.errors is not None:
        kinds |= reduction.errors.kinds

    def hear(flag: str, _: int) -> None:
        frame: Any = sys._getframe(1)
        getter = None
        while frame is not None and getter is None:
            getter = frame.f_locals.get("getter")
            if "reducing" in frame.f_locals:
                break
            frame = frame.f_back
        if getter is not None:
            node = program.makers.get(id(getter))
            if type(node) is Node and node.errors is not None:
                heard.append((node.errors, flag, node.row.name))
        elif reduction is not None and reduction.errors is not None:
            heard.append((reduction.errors, flag, "reduce"))

    state = {kind: "call" if kind in kinds else "ignore" for kind in warning.KINDS}
    return lambda: np.errstate(call=hear, **state)  # type: ignore[arg-type]


def _run_sweep(sweep: Sweep, heard: list[tuple[Any, str, str]]) -> None:
    program = _Program(sweep)
    reduction = sweep.statements[-1].reduction
    if not sweep.rows_only and not (reduction is not None and reduction.out_shape):
        _flatten(program)
    tiling = _Tiling(program, sweep)
    tiles = tiling.tiles
    total = tiling.capacity * len(tiles)
    parts = min(threads.count(), len(tiles)) if total >= _PARALLEL_FROM or settings.tile < 1024 else 1
    state = _listening(program, heard)
    if sweep.delayed:
        _run_delayed(sweep, program, tiling, parts, state)
        return
    partials: list[Any] = [None] * len(tiles)
    reducer = _Reducer(program, tiling, partials) if program.partial is not None else None
    turn = itertools.count().__next__

    def body(part: int) -> None:
        runner = _Runner(program, part, tiling.capacity)
        n = len(tiles)
        with state():
            while (k := turn()) < n:
                if runner.tile(*tiles[k]) and reducer is not None:
                    reducer.tile(runner.registers, k)

    threads.run(body, parts)
    if reducer is not None:
        with state():
            reducer.finish()


class _Reducer:
    """The reduction at the end of a sweep: one partial result a tile, joined in the order of the tiles, so that the
    result does not depend on which thread ran which tile."""

    def __init__(self, program: _Program, tiling: _Tiling, partials: list[Any]) -> None:
        assert program.partial is not None
        self.register, self.reduction = program.partial
        self.partials = partials
        self.tiling = tiling
        r = self.reduction
        self.rows = bool(r.out_shape) and 0 not in r.axes
        self.out = np.empty(r.out_shape, r.dtype) if self.rows else None

    def tile(self, registers: list[Any], k: int) -> None:
        reducing = self.reduction
        value = registers[self.register]
        if self.rows:
            _, lo, hi = self.tiling.tiles[k]
            reducing.ufunc.reduce(value, axis=reducing.axes, dtype=reducing.dtype, out=self.out[lo:hi])  # type: ignore
        else:
            axis = 0 if reducing.out_shape else None
            self.partials[k] = reducing.ufunc.reduce(value, axis=axis, dtype=reducing.dtype)

    def finish(self) -> None:
        reducing = self.reduction
        if self.rows:
            reducing.value = self.out
            return
        partials = [p for p in self.partials if p is not None]  # tiles outside the reduced rows have none
        if len(partials) == 1:
            reducing.value = partials[0]
        else:
            reducing.value = reducing.ufunc.reduce(np.array(partials), axis=0, dtype=reducing.dtype)


def _run_delayed(
    sweep: Sweep, program: _Program, tiling: _Tiling, parts: int, state: Callable[[], Any]
) -> None:
    """A stencil in place: each thread sweeps a run of tiles and writes a tile when the next one is computed. The first
    and the last tile of a run wait until all threads are done, because a neighbour reads them."""
    statement = sweep.statements[0]
    assert statement.destination is not None and program.result is not None
    out = statement.destination.a
    result = program.result
    runs = threads.split(len(tiling.tiles), parts)
    kept: list[tuple[int, int, np.ndarray]] = []
    slot, dtype = next((s, d) for r, s, d in program.blocks[0].scratch if r == result)
    size = tiling.capacity * dtype.itemsize

    def body(part: int) -> None:
        runner = _Runner(program, part, tiling.capacity)
        # Three buffers take turns as the result's scratch: the tile at work, the one before, and the run's first.
        ring = [runner.buffers[slot], *_ring(part, size)]
        first, last = runs[part]
        before: tuple[int, int, np.ndarray] | None = None
        before_buffer = ring[0]
        with state():
            for k in range(first, last):
                lead, lo, hi = tiling.tiles[k]
                buffer = ring.pop(0)
                runner.buffers[slot] = buffer
                runner.shaped.clear()
                runner.tile(lead, lo, hi)
                value = runner.registers[result]
                if before is not None:
                    if k == first + 1:
                        kept.append(before)
                    else:
                        out[before[0] : before[1]] = before[2]
                        ring.append(before_buffer)
                before, before_buffer = (lo, hi, value), buffer
        if before is not None:
            kept.append(before)

    threads.run(body, len(runs))
    for lo, hi, value in kept:
        out[lo:hi] = value


_rings: dict[int, list[np.ndarray]] = {}


def _ring(part: int, nbytes: int) -> list[np.ndarray]:
    found = _rings.get(part)
    if found is None or found[0].nbytes < nbytes:
        found = _rings[part] = [_aligned(nbytes), _aligned(nbytes)]
    return list(found)
