"""Programs for `_tiles`, the optional extension that runs tiles without the interpreter.

NumPy's inner loops are taken by `ufunc._resolve_dtypes_and_context` and `_get_strided_loop`. A program that needs
what the extension does not have (a cast of complex numbers, a reduction over some axes that are not whole rows, a loop
that needs the interpreter, another layout of NumPy's capsule) stays with NumPy calls on tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...graph import canonical, warning, window
from ...graph.node import Leaf, Node, Reduction, Store, owner_of
from ...ops.elementwise import CAST, COPY, WHERE
from ...runtime import memory, residence
from ...runtime.settings import listen, settings
from . import along
from .along import CHUNK, Along

if TYPE_CHECKING:
    from .program import Program, Table

try:
    from . import _tiles  # type: ignore[attr-defined]
except ImportError:
    _tiles = None

# Bytes of an array from which on its parts have left the caches before anybody reads them again.
_STREAMED_FROM = 16 << 20
# Elements of a chunk whose sum has no more parts than `_work.h` has room for.
_SUMMED_MOST = 4096
# Bytes of an operand's chunk: six of them stay in the first cache, and memory is read on while results are written.
CHUNK_BYTES = 4096
UFUNC, COPYING, CHOOSING, CASTING, SUMMING, REDUCING_ROWS, PLACING = range(7)
# Number of the reduction among those of the nodes that instructions compute.
REDUCES = 1 << 30
FLAGS = ((1, "divide by zero"), (2, "overflow"), (4, "underflow"), (8, "invalid value"))
# Bytes from which memory that has died takes a result: smaller memory is not worth another form of the window.
_INHERITED_FROM = 1 << 20
# What is known of some elements: how many, about their mean, the sum of their distances from that, and of the squares.
MOMENTS = np.dtype([("n", np.float64), ("center", np.float64), ("rest", np.float64), ("squares", np.float64)])
# Elements of a chunk of memory that is reduced as it is.
_UNBROKEN = 1 << 16
_DIMS = 8  # axes that the extension has at most
_loops: dict[tuple[Any, ...], Any] = {}


if _tiles is not None and settings.accelerate:
    _tiles.form_of(Node, Leaf, Store, Reduction, warning.Ear, memory.Lease)
    canonical.in_c = _tiles.form
    window.collect, window.living = _tiles.collect, _tiles.living

    def _heard(name: str, value: Any) -> None:
        if name == "record_min":
            _tiles.inherit_from(_INHERITED_FROM if value else 0)  # 0: everything is recorded, for tests

    _heard("record_min", settings.record_min)
    listen(_heard)


def start_replays(heard: Callable[..., None], joined: Callable[..., None]) -> None:
    """Let C run windows that come round again; the functions that Python does in the end: see `_replay.h`."""
    if _tiles is None or not settings.accelerate or residence.accelerated:
        return
    if window.gate is None or isinstance(memory.empty, type(available)):
        return  # recording, or memory, is not in C
    _tiles.replays_of({
        "state": window.state, "pending": window.pending, "memory": window.memory, "leaves": window._leaves,
        "exposed": window._exposed, "counters": window.counters, "company": window.company, "crowd": window._crowd,
        "taking": vars(memory), "heard": heard, "joined": joined, "gate": window.gate, "Traffic": window.Traffic,
        "Reduction": Reduction, "least": window._crowd.LEAST, "any": np.logical_or, "all": np.logical_and,
    })  # fmt: skip

    def settled(name: str, value: Any) -> None:
        chosen = (settings.tile, settings.accelerate, settings.compile, settings.threads, settings.eager)
        _tiles.set_settings(hash(chosen))

    settled("", None)
    listen(settled)
    window.again = _tiles.again


def replay(*parts: Any) -> Any:
    """How to run windows of one form again; None where they would keep too much memory for it."""
    return _tiles.replay(*parts) if window.again is not None else None


def tally(found: Any) -> list[tuple[Any, int, float]]:
    """The programs of a replay that were run since the last time, how often, and in how many seconds at best."""
    return _tiles.tally(found)


def available() -> bool:
    """Whether the extension is there."""
    return _tiles is not None


def idle(leaf: Leaf) -> bool:
    """Whether only the window refers to the memory of the leaf, which shows all of it; False where C cannot tell."""
    return canonical.in_c is not None and _tiles.idle(leaf, window._exposed)


def chunk(program: Program, table: Table, reduction: Reduction | None) -> int:
    """Elements on which an instruction runs at a time: few where operands come from memory, as those of one axis do;
    rows of stencils are in cache. A reduction's follow from its dtype and its source's axes, so that sums do not depend
    on what else is computed in the same sweep."""
    most = CHUNK
    last = program.blocks[-1]
    if len(last.shape) == 1 and reduction is not None and not program.flat:
        most = CHUNK_BYTES // reduction.dtype.itemsize
    elif len(last.shape) == 1 and reduction is None and len(program.blocks) == 1:
        sizes = [table.arrays[number].itemsize for _, number in last.loads]
        most = CHUNK_BYTES // max(sizes + program.slot_bytes, default=1)
    return min(most, CHUNK, settings.tile)


def select(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """`out[...] = where(condition, x, y)`, as the operation's kernel does; without a branch where C has it."""
    if _tiles is None or out.ndim != 1 or not x.dtype == y.dtype == out.dtype:
        WHERE.kernel(condition, x, y, out)
    else:
        _tiles.select(condition, x, y, out)


def classify(x: np.ndarray, pivots: np.ndarray, ids: np.ndarray, counts: np.ndarray) -> None:
    """The bucket of each element of the vector `x` between sorted pivots into `ids`; how many are in each is added to
    `counts`. In C alone: `available`."""
    _tiles.classify(x, pivots, ids, counts)


def deal(x: np.ndarray, ids: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Each element of `x` to the next place of its bucket in `out`, in C alone."""
    _tiles.deal(x, ids, places, out)


def sort_split(x: np.ndarray, pivots: np.ndarray, dealt: np.ndarray, out: np.ndarray) -> bool:
    """Sort the vector `x` into `out` by a thread for each bucket between sorted pivots, of which `split_most()` are the
    most; `dealt` is `out`, or memory beside where that is `x`. False, with `x` as it was, where buckets are uneven."""
    return _tiles.sort_split(x, pivots, dealt, out)


def split_most() -> int:
    """The most buckets of `sort_split`; 0 where the processor, or C, is not made for it."""
    return 0 if _tiles is None else _tiles.split_most()


def gather(x: np.ndarray, positions: np.ndarray, out: np.ndarray) -> bool:
    """`out[...] = x[positions]` of vectors, in C alone; False where a position is out of bounds (`out` is then in part
    written)."""
    return _tiles.gather(x, positions, out)


class _No(Exception):
    """Not for the extension."""


@dataclass
class Step:
    """An instruction as the extension has it, by what it means: `name` of the operation, registers."""

    name: str
    inputs: tuple[int, ...]
    output: int
    number: int  # of the instruction in the program
    silent: bool  # nobody listens to its floating-point flags


@dataclass
class Described:
    """A translated program for the compiler: what its instructions mean and where its registers are."""

    blocks: list[list[Step]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # elements of the blocks
    dtypes: dict[int, np.dtype] = field(default_factory=dict)
    # "c": a chunk's elements lie one after another, "s": apart, "0": all are one, in the block that loads them.
    layout: dict[int, str] = field(default_factory=dict)
    # Registers whose memory may be the same, apart from the register itself.
    shared: dict[int, set[int]] = field(default_factory=dict)
    memory: set[int] = field(default_factory=set)  # registers that are parts of arrays
    kept: set[int] = field(default_factory=set)  # registers that are asked for after the last instruction
    # Registers of arrays so large that they are written past the caches: they are not read in this sweep.
    streams: set[int] = field(default_factory=set)
    summed: int = -1  # the register that is added up at the end, pairwise
    kinds: frozenset[str] = frozenset()  # of flags that somebody listens to
    repeats: bool = False  # a band begins anew where flags were raised: all that it writes are accumulators


def _loop(ufunc: np.ufunc, dtypes: tuple[np.dtype, ...]) -> tuple[tuple[np.dtype, ...], Any]:
    """The loop's own dtypes for operands of these, and NumPy's capsule with the loop."""
    key = (ufunc, dtypes)
    found = _loops.get(key)
    if found is None:
        try:
            resolved, info = ufunc._resolve_dtypes_and_context((*dtypes, None))  # type: ignore[attr-defined]
            ufunc._get_strided_loop(info)  # type: ignore[attr-defined]
            found = (resolved, info)
        except (AttributeError, TypeError) as error:
            raise _No from error
        _loops[key] = found
    return found


class _Translator:
    def __init__(self, program: Program, table: Table, virtual: dict[int, np.dtype]) -> None:
        self.program = program
        self.dtypes = dict(virtual)
        for register, number in program.constants:
            self.dtypes[register] = table.constant_values[number].dtype
        for block in program.blocks:
            for register, number in block.loads:
                self.dtypes[register] = table.arrays[number].dtype
        if not all(d.isnative for d in self.dtypes.values()):
            raise _No
        self.registers = program.registers
        self.slots = list(program.slot_bytes)
        self.scratch = [(r, slot, d.itemsize) for b in program.blocks for r, slot, d in b.scratch]
        for block in program.blocks:
            if block.result >= 0:
                # Its memory is the run's; a slot all the same, so that the register has an itemsize.
                self._slot(block.result, self.dtypes[block.result])
        self.described = Described()
        self.count = 0
        self.steps: list[Step] = []

    def _slot(self, register: int, dtype: np.dtype) -> None:
        self.dtypes[register] = dtype
        self.scratch.append((register, len(self.slots), dtype.itemsize))
        self.slots.append(dtype.itemsize)

    def cast(self, out: list[tuple], register: int, to: np.dtype, number: int) -> int:
        """The register, or a new one with its values as `to`."""
        if self.dtypes[register] == to:
            return register
        found = self.registers
        self.registers += 1
        self._slot(found, to)
        self.convert(out, register, found, number)
        return found

    def convert(self, out: list[tuple], register: int, to: int, number: int) -> None:
        source, target = self.dtypes[register], self.dtypes[to]
        if source.char in "gGFDe" or target.char in "gGFDe":
            raise _No
        self._emit(out, "cast", (CASTING, (source.num, target.num), (register, to), 0, number), number < 0)

    def _emit(self, out: list[tuple], name: str, instruction: tuple, silent: bool) -> None:
        *inputs, output = instruction[2]
        self.steps.append(Step(name, tuple(inputs), output, self.count, silent))
        self.count += 1
        out.append(instruction)

    def reduce(self, out: list[tuple], how: Along, reduction: Reduction, partial: int) -> list[tuple]:
        """The last instruction of a block that is reduced along axes, by which its values join accumulators. Gives what
        the extension must know of these (`Met`)."""
        described = self.described
        described.repeats = True
        if reduction.places:
            return self._place(out, how, reduction, partial)
        d = reduction.dtype
        partial = self.cast(out, partial, d, -1)
        resolved, info = _loop(reduction.ufunc, (d, d))
        if resolved[-1] != d:
            raise _No
        to = self.registers
        self.registers += 1
        self.dtypes[to] = d
        if how.kind in (along.ELEMENTS, along.LANES):
            described.memory.add(to)
            described.layout[to] = "c"
            self._emit(out, reduction.ufunc.__name__, (UFUNC, info, (to, partial, to), 0, REDUCES), False)
        else:
            described.kept.add(partial)
            op, size = UFUNC, 0
            if how.kind == along.ROWS:
                op, size = REDUCING_ROWS, how.per
            elif along.pairwise(reduction):
                op, size = SUMMING, d.itemsize
                described.summed = partial
            out.append((op, info, (to, partial, to), size, REDUCES))
        return [(to, how.met(d, along.identity(reduction.ufunc, d)))]

    def _place(self, out: list[tuple], how: Along, reduction: Reduction, partial: int) -> list[tuple]:
        """As `reduce`, for positions of extremes: what is known begins with the least (or most) of numbers, at 0."""
        d, intp, boolean = self.dtypes[partial], np.dtype(np.intp), np.dtype(bool)
        if d.char not in "?bBhHiIlLqQfd":
            raise _No
        most = reduction.ufunc is np.argmax
        best, at, position = range(self.registers, self.registers + 3)
        self.registers += 3
        worst = along.identity(np.maximum if most else np.minimum, d)
        met = [(best, how.met(d, worst)), (at, how.met(intp, 0))]
        if how.kind != along.ELEMENTS:
            self.described.kept.add(partial)
            row = how.per if how.kind == along.ROWS else 0
            out.append((PLACING, (d.num, int(most)), (partial, best, at), row, -1))
            return met
        self.dtypes.update({best: d, at: intp, position: intp})
        self.described.memory |= {best, at, position}
        self.described.layout.update({best: "c", at: "c", position: "0"})

        def compute(ufunc: np.ufunc, *inputs: int) -> int:
            _, info = _loop(ufunc, tuple(self.dtypes[r] for r in inputs))
            to = self.registers
            self.registers += 1
            self._slot(to, boolean)
            self._emit(out, ufunc.__name__, (UFUNC, info, (*inputs, to), 0, -1), True)
            return to

        if d.kind == "f":  # a NaN over everything, and the first of those
            under = compute(np.less_equal if most else np.greater_equal, partial, best)
            over = compute(np.logical_and, compute(np.logical_not, under), compute(np.equal, best, best))
        else:
            over = compute(np.greater if most else np.less, partial, best)
        for value, to, itemsize in ((partial, best, d.itemsize), (position, at, intp.itemsize)):
            self._emit(out, "where", (CHOOSING, None, (over, value, to, to), itemsize, -1), True)
        steps = tuple([intp.itemsize * k for k in how.positions])
        return [*met, (position, (steps, 1, 0, None))]

    def block(self, block: Any) -> list[tuple]:
        out: list[tuple] = []
        for row, args, to, number in block.instructions:
            d = self.dtypes[to]
            if row is COPY or row is CAST:
                if self.dtypes[args[0]] == d:
                    self._emit(out, "copy", (COPYING, None, (args[0], to), d.itemsize, -1), True)
                else:
                    self.convert(out, args[0], to, number)
            elif row is WHERE:
                x, y = (self.cast(out, r, d, -1) for r in args[1:])
                self._emit(out, "where", (CHOOSING, None, (args[0], x, y, to), d.itemsize, -1), True)
            else:
                resolved, info = _loop(row.ufunc, tuple(self.dtypes[r] for r in args))
                if resolved[-1] != d:
                    raise _No
                given = tuple(self.cast(out, r, t, -1) for r, t in zip(args, resolved, strict=False))
                self._emit(out, row.name, (UFUNC, info, (*given, to), 0, number), row.silent or number < 0)
        return out

    def blocks(self, table: Table) -> list[tuple]:
        """The program's blocks, described as well."""
        found = []
        program = self.program
        for b in program.blocks:
            self.steps = []
            rings = program.rings_of(b)
            instructions = self.block(b)
            found.append((
                b.shape, b.base, b.loads, instructions, b.lag, int(b.column), int(b.turn), b.held, b.result, b.out,
                rings, None,
            ))  # fmt: skip
            self.described.blocks.append(self.steps)
            self.described.sizes.append(math.prod(b.shape))
            self._describe(b, table)
        return found

    def along(self, table: Table, how: Along, reduction: Reduction) -> tuple:
        """The program's one block, whose values are reduced along axes."""
        block, self.steps = self.program.blocks[0], []
        instructions = self.block(block)
        self._describe(block, table)
        for (register, _), strides in zip(block.loads, how.strides, strict=True):
            size = self.dtypes[register].itemsize
            self.described.layout[register] = "0" if strides[-1] == 0 else "c" if strides[-1] == size else "s"
        assert self.program.partial is not None
        joins = self.reduce(instructions, how, reduction, self.program.partial)
        self.described.blocks.append(self.steps)
        self.described.sizes.append(math.prod(how.shape))
        met = [(strides, 1, 0, None) for strides in how.strides] + [m for _, m in joins]
        loads = [*block.loads, *[(register, how.number + k) for k, (register, _) in enumerate(joins)]]
        fresh = {along.LANES: how.chunk, along.ONE: 1}.get(how.kind, 0)
        pairs = reduction.dtype.itemsize if how.kind == along.ONE and along.pairwise(reduction) else 0
        told = (how.axis, pairs, fresh, how.reduced(), how.positions, met)
        return (how.shape, 0, loads, instructions, 0, 0, 0, -1, -1, -1, [], told)

    def _describe(self, block: Any, table: Table) -> None:
        described = self.described
        owners: dict[int, list[tuple[int, np.ndarray]]] = {}
        for register, number in block.loads:
            a = table.arrays[number]
            described.memory.add(register)
            described.layout[register] = "c" if self.program.flat else _layout(a, block)
            for other, b in owners.setdefault(id(owner_of(a)), []):
                if np.may_share_memory(a, b):
                    described.shared.setdefault(register, set()).add(other)
                    described.shared.setdefault(other, set()).add(register)
            owners[id(owner_of(a))].append((register, a))
        alone = len(self.program.blocks) == 1 and not self.program.skewed
        read = {r for step in self.steps for r in step.inputs}
        for registers in owners.values() if alone else ():
            if len(registers) == 1 and registers[0][0] not in read and registers[0][1].nbytes >= _STREAMED_FROM:
                described.streams.add(registers[0][0])

    def describe(self, partial: int) -> Described:
        """What the compiler must know, once all is translated."""
        described = self.described
        described.dtypes = self.dtypes
        described.kinds = frozenset(self.program.kinds)
        for register, _ in self.program.constants:
            described.layout[register] = "0"
        slots: dict[int, list[int]] = {}
        for register, slot, _ in self.scratch:
            described.layout[register] = "c"
            slots.setdefault(slot, []).append(register)
        for registers in slots.values():
            for register in registers if len(registers) > 1 else ():
                described.shared[register] = set(registers) - {register}
        described.kept |= {r for r in (partial, *(b.result for b in self.program.blocks)) if r >= 0}
        return described


def _pairwise(reduction: Reduction | None) -> int:
    """Whether the reduction is a sum that NumPy adds up pairwise; 2: with squared distances from the mean."""
    if reduction is None or not along.pairwise(reduction):
        return 0
    return 2 if reduction.moments else 1


def _layout(a: np.ndarray, block: Any) -> str:
    """How a chunk of `a` lies on the last axis of a block (see `Described.layout`)."""
    if not a.ndim or (a.shape[-1] == 1 and block.shape[-1] != 1):
        return "0"
    if block.column:
        return "s"
    return "c" if a.strides[-1] == a.itemsize and a.shape[-1] > 1 else "s"


def translate(program: Program, table: Table, virtual: dict[int, np.dtype], reduction: Reduction | None) -> Any:
    """The program for `_tiles`, or None."""
    if _tiles is None:
        return None
    if reduction is not None and reduction.alone:
        return _along(program, table, virtual, reduction)
    if program.delayed and len(program.blocks[0].shape) != 2:
        return None
    try:
        t = _Translator(program, table, virtual)
        blocks = t.blocks(table)
        partial, info, size = -1, None, 0
        if reduction is not None and program.partial is not None:
            t.steps = t.described.blocks[-1]
            partial = t.cast(blocks[-1][3], program.partial, reduction.dtype, -1)
            resolved, info = _loop(reduction.ufunc, (reduction.dtype, reduction.dtype))
            if resolved[-1] != reduction.dtype:
                return None
            size = MOMENTS.itemsize if reduction.moments else reduction.dtype.itemsize
        rows, low, high = program.rows, program.low, program.high
        if program.axis:
            rows, low, high = 1, 0, program.blocks[0].shape[0]
        program.native_numbers = [i[4] for b in blocks for i in b[3]]
        program.described = t.describe(partial)
        if _pairwise(reduction) == 1 and program.chunk <= _SUMMED_MOST:
            program.described.summed = partial
        return _tiles.Program(
            t.registers, blocks, program.constants, t.scratch, t.slots, program.chunk, rows, low, high,
            int(program.flat), program.delayed, int(program.skewed), [pair for _, pair in program.rings.values()],
            partial, info, size, _pairwise(reduction),
        )  # fmt: skip
    except (_No, ValueError):
        return None


def _along(program: Program, table: Table, virtual: dict[int, np.dtype], reduction: Reduction) -> Any:
    """The program of a reduction along axes, or None."""
    (block,) = program.blocks
    how = along.along(reduction, block.shape, [table.arrays[number] for _, number in block.loads])
    if how is None or len(how.shape) > _DIMS or not block.loads:
        return None
    try:
        t = _Translator(program, table, virtual)
        how.number = len(table.arrays)
        told = t.along(table, how, reduction)
        if not t.slots and how.kind == along.ONE:
            how.chunk = _UNBROKEN  # nothing is kept in cache between instructions
        program.native_numbers = [i[4] for i in told[3]]
        program.described = t.describe(-1)
        program.along, program.chunk = how, how.chunk
        return _tiles.Program(
            t.registers, [told], program.constants, t.scratch, t.slots, how.chunk, how.rows, 0, how.shape[how.axis],
            0, 0, 0, [], -1, None, reduction.dtype.itemsize, 0,
        )  # fmt: skip
    except (_No, ValueError):
        program.along = None
        return None
