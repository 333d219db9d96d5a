"""A planned window as programs over numbered registers, free of the arrays it was first made for.

A *template* is kept for each canonical form of a window (`graph.canonical`). It says which arrays to make, and has one
*program* a sweep: loads (views cut to the tile), constants, scratch, and instructions, each a NumPy kernel with the
registers it takes. Arrays and constants are looked up by number in a table that every run fills anew, so a loop whose
turns have one form is planned and translated once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from ...graph.canonical import Form
from ...graph.node import Leaf, Node, Reduction
from ...graph.plan import Statement, Sweep
from ...graph.skew import Skewed, Unit, cells
from ...ops.elementwise import COPY, Row
from ...runtime import memory
from ...runtime.settings import settings
from . import native
from .compiled import tier

TILES_MOST = 1 << 16
# Bands of which there are few are a multiple of so many, and even: threads end together. Not of the number of threads:
# on the bands depends how sums are added up.
_EVEN = 4


def _even(rows: int, n: int, step: int) -> int:
    """Rows of a band, a multiple of `step`, where `rows` would do."""
    bands = -(-n // rows)
    if not 1 < bands < 4 * _EVEN:
        return rows
    each = -(-n // (-(-bands // _EVEN) * _EVEN))
    return min(rows, -(-each // step) * step)


class Table:
    """The arrays that a template's numbers stand for: the window's leaves, then arrays that the run makes."""

    def __init__(self, form: Form) -> None:
        self.arrays = list(form.arrays)
        self.numbers: dict[int, int] = {id(a): k for k, a in enumerate(self.arrays)}
        self.constants = {id(c): k for k, c in enumerate(form.constants)}
        self.constant_values = form.constants
        self.leaf_numbers = {id(leaf): k for k, leaf in enumerate(form.leaves)}
        self.nodes = {id(n): k for k, n in enumerate(form.nodes)}
        # How to make the arrays beyond the leaves: memory for node k; a view of leaf k; memory of its own. For C alone:
        # part of an array, which needs no object.
        self.makers: list[tuple[str, Any, Any]] = []
        self.inherited: list[tuple[int, int]] = []  # number of a node, and of the leaf whose memory it takes

    def place(self, number: int, node: Node) -> None:
        assert node.place is not None
        leaf = self.leaf_numbers.get(id(node.place))
        if leaf is not None:
            self.inherited.append((number, leaf))
        if id(node.place.a) in self.numbers:
            return  # memory that the window has given it already
        self._add(node.place.a, ("node", number, (node.shape, node.dtype)))

    def _add(self, a: np.ndarray, maker: tuple[str, Any, Any]) -> int:
        self.arrays.append(a)
        self.numbers[id(a)] = len(self.arrays) - 1
        self.makers.append(maker)
        return len(self.arrays) - 1

    def number(self, leaf: Leaf) -> int:
        found = self.numbers.get(id(leaf.a))
        if found is None:
            if leaf.origin is not None:
                original, index = leaf.origin
                found = self._add(leaf.a, ("view", self.number(original), index))
            else:
                found = self._add(leaf.a, ("memory", None, (leaf.a.shape, leaf.a.dtype)))
        return found

    def part(self, leaf: Leaf) -> int:
        """The number of a part of another leaf (`_Builder.part`)."""
        found = self.numbers.get(id(leaf.a))
        if found is None:
            whole = leaf.origin[0]
            detail = (self.number(whole), leaf.offset - whole.offset, leaf.a.shape, leaf.a.strides)
            found = self._add(leaf.a, ("part", None, detail))
        return found


class Template:
    """Everything about a window's run that its form decides."""

    def __init__(self, form: Form, sweeps: list[Sweep | Skewed], named: list[Any]) -> None:
        self.key = form.key
        self.named = named  # what the key is about stays, so that its addresses stay what they are
        table = Table(form)
        for k, node in enumerate(form.nodes):
            if node.place is not None:
                table.place(k, node)
        self.steps: list[Simple | Program] = []
        for sweep in sweeps:
            if isinstance(sweep, Skewed):
                program = Program(sweep, table)
                if program.native is not None:
                    self.steps.append(program)
                    continue
            for one in sweep.sweeps if isinstance(sweep, Skewed) else (sweep,):
                self.steps.append(Simple.of(one, table) or Program(one, table))
        self.runs = 0
        self.replay: Any = None  # how C runs windows of this form
        self.makers = table.makers
        self.inherited = table.inherited

    def arrays(self, form: Form) -> list[np.ndarray]:
        """The table of arrays for a run of the window `form`; its placed nodes are given their memory."""
        arrays = form.arrays
        for how, what, detail in self.makers:
            if how == "view":
                arrays.append(arrays[what][detail])
                continue
            if how == "part":
                arrays.append(detail)
                continue
            if how == "node":
                node = form.nodes[what]  # its own dtype: `long` and `longlong` are equal, and two
                a = memory.empty(node.shape, node.dtype)
                node.place = Leaf(a, a)
            else:
                a = memory.empty(*detail)
            arrays.append(a)
        for number, leaf in self.inherited:
            form.nodes[number].place = form.leaves[leaf]
        return arrays


class Simple:
    """A lone copy or fill of a part that is not worth a program, such as a boundary row."""

    LARGEST = 1 << 16

    __slots__ = ("destination", "source")

    def __init__(self, destination: int, source: tuple[bool, int]) -> None:
        self.destination = destination
        self.source = source  # whether it is a constant, number

    @classmethod
    def of(cls, sweep: Sweep, table: Table) -> Simple | None:
        statement = sweep.statements[0]
        source, to = statement.source, statement.destination
        if len(sweep.statements) != 1 or to is None or type(source) is Node or to.a.size > cls.LARGEST:
            return None
        if type(source) is Leaf:
            return cls(table.number(to), (False, table.number(source))) if source.a.dtype == to.a.dtype else None
        return cls(table.number(to), (True, table.constants[id(source)])) if source.dtype == to.a.dtype else None

    def run(self, arrays: list[np.ndarray], constants: list[np.ndarray]) -> None:
        constant, number = self.source
        np.copyto(arrays[self.destination], constants[number] if constant else arrays[number])


class Block:
    """Instructions over one iteration space: a shape, and the frame's row of its row 0.

    `held`: by how many rows later than computed a row is written, from the register `result` to the array `out` of the
    table; -1: at once. `lag`, `column`, `turn`: see graph/skew.py."""

    __slots__ = (
        "base", "column", "held", "instructions", "lag", "leaves", "loads", "out", "program", "result", "scratch",
        "shape", "turn",
    )  # fmt: skip

    def __init__(self, shape: tuple[int, ...], base: int) -> None:
        self.shape = shape
        self.base = base
        self.held = self.result = self.out = -1
        self.lag = 0
        self.column = self.turn = False
        self.leaves: list[Leaf] = []  # of the loads, until the program is built
        self.loads: list[tuple[int, int]] = []  # register, number in the table
        self.program: list[tuple[Callable, Any]] = []
        self.scratch: list[tuple[int, int, np.dtype]] = []  # register, slot, dtype
        self.instructions: list[tuple[Row, tuple[int, ...], int, int]] = []  # row, inputs, output, number of the node


class Program:
    """A sweep as blocks of instructions over numbered registers, with its tiles."""

    def __init__(self, sweep: Sweep | Skewed, table: Table) -> None:
        self.blocks: list[Block] = []
        self.constants: list[tuple[int, int]] = []  # register, number
        self.registers = 0
        self.slot_bytes: list[int] = []  # itemsize of each scratch slot
        self.makers: dict[int, int] = {}  # id(getter) -> number of the node that it computes
        self.partial: int | None = None  # the register that is reduced
        self.partials = 0  # results of its parts, at most
        self.chunk = 0  # elements on which an instruction of `native` runs at a time
        self.delayed = 0  # rows by which a lone statement's rows are held back
        self.skewed = isinstance(sweep, Skewed)
        self.rings: dict[int, tuple[int, tuple[int, int]]] = {}  # id of owner -> number, (pitch, span)
        self.flat = False
        self.runners: dict[int, Any] = {}
        self.cost = 0  # of an element, in units of an addition
        self.native: Any = None  # the same program for `_tiles`, where it can be
        self.native_numbers: list[int] = []  # of the nodes that its instructions compute
        self.described: Any = None  # what `native` means, for the compiler (native.Described)
        # For the second tier (compiled/tier.py); `load` and `work`: of a run and of all, in additions of elements.
        self.load = self.work = self.worth = self.runs = 0
        self.fastest = math.inf
        self.record: Any = None
        self.ready = False
        self.kinds: set[str] = set()
        self.along: Any = None  # how `native` reduces along axes (along.Along)
        self.dtype = np.dtype(np.float64)  # of the values that are reduced
        build = _Builder(self, table)
        if isinstance(sweep, Skewed):
            self._skew(sweep, build)
        else:
            self._straight(sweep, build)
        if self.native is not None and settings.compile:
            self.load = self.cost * max(math.prod(b.shape) for b in self.blocks)
            self.worth = tier.worth(self.described)
            tier.made(self)

    def _straight(self, sweep: Sweep, build: _Builder) -> None:
        table = build.table
        self.delayed = sweep.delayed
        for statement in sweep.statements:
            build.count(statement)
        for statement in sweep.statements:
            build.statement(statement, build.block(statement), sweep.delayed or -1)
        build.allocate()
        reduction = sweep.statements[-1].reduction
        if not sweep.rows_only and not (reduction is not None and reduction.alone):
            self._flatten(table)
        self.chunk = native.chunk(self, table, reduction)
        self._tile(sweep, reduction)
        if settings.accelerate and not (sweep.inward and not sweep.delayed):
            self.native = native.translate(self, table, build.virtual, reduction)

    def _skew(self, sweep: Skewed, build: _Builder) -> None:
        """A program for the extension alone: a block a unit."""
        for part in sweep.parts():
            if len(part) > 1:
                self._cells(part, build)
                continue
            (unit,) = part
            block = Block(unit.shape, unit.base)
            block.lag, block.column, block.turn = unit.lag, unit.column, unit.turn
            self.blocks.append(block)
            build.uses.clear()
            for statement in unit.statements:
                build.count(statement)
            for statement in unit.statements:
                build.statement(statement, block, unit.held)
        build.allocate()
        self.low, self.high = sweep.bounds()
        self.axis, self.rows = 0, _even(sweep.rows(), self.high - self.low, 1)
        self.capacity = self.rows * max(math.prod(u.shape[1:]) for u in sweep.units)
        self.tiles: list[tuple[tuple[int, ...], int, int]]
        for key, span in sweep.rings.items():
            owner = next(a.leaf.owner for u in sweep.units for a in u.accesses.get(key, ()))
            self.rings[key] = len(self.rings), (owner.strides[0], span)
        reduction = sweep.units[-1].statements[-1].reduction
        self.chunk = native.chunk(self, build.table, reduction)
        if reduction is not None:
            self.rows, self.low = self._group(self.rows, self.low, self.high, 0)
        self.tiles = [((), lo, lo + self.rows) for lo in range(self.low, self.high, self.rows)]
        self.native = native.translate(self, build.table, build.virtual, reduction)

    def _cells(self, part: list[Unit], build: _Builder) -> None:
        """Units that change one array in turn: a block a cell."""
        cost = self.cost
        for (top, bottom, left, right), units in cells(part):
            block = Block((bottom - top, right - left), top)
            block.lag = units[0].lag
            self.blocks.append(block)
            self.cost = cost  # the largest cell, which is the last, has most of the work
            build.uses.clear()
            statements = [(unit, statement) for unit in units for statement in unit.statements]
            for _, statement in statements:
                build.count(statement)
            for unit, statement in statements:
                first, _, start, _ = unit.box()
                build.cut = (top - first, bottom - first, left - start, right - start)
                build.statement(statement, block, -1)
            build.cut = None

    def rings_of(self, block: Block) -> list[tuple[int, int, int, int]]:
        """The block's loads whose rows turn over in a ring: number of load and ring, first row, bytes into it."""
        found = []
        for k, leaf in enumerate(block.leaves):
            ring = self.rings.get(id(leaf.owner))
            if ring is not None:
                number, (pitch, _) = ring
                found.append((k, number, *divmod(leaf.offset, pitch)))
        block.leaves = []
        return found

    def _group(self, rows: int, low: int, high: int, axis: int) -> tuple[int, int]:
        """Say how many partial results the extension needs; the rows of a band and the first one, so that bands end
        between rows that share one (`_work.h`, reduce)."""
        block = self.blocks[-1]
        chunk = self.chunk
        size = math.prod(block.shape[1:])
        if len(block.shape) == 1:
            self.partials = -(-(high - low) // rows) * (2 * rows // chunk + 2)
            return rows, low
        group = max(1, chunk // max(size, 1))
        self.partials = -(-block.shape[0] // group) * (1 if size <= chunk else 2 * size // chunk + 2)
        if axis:
            return rows, low
        base = block.base + block.lag
        return -(-rows // group) * group, base - -(-(base - low) // group) * group

    def _flatten(self, table: Table) -> None:
        """One block over contiguous arrays of one shape is a block over one axis."""
        block = self.blocks[0]
        if len(self.blocks) != 1 or len(block.shape) < 2:
            return
        for _, number in block.loads:
            a = table.arrays[number]
            if a.shape != block.shape or not a.flags.c_contiguous:
                return
        block.shape = (math.prod(block.shape),)
        self.flat = True

    def _tile(self, sweep: Sweep, reduction: Reduction | None) -> None:
        """Cut the frame: over its first axes one index at a time, over the next in bands."""
        shape = self.blocks[0].shape
        axis = 0
        tile = settings.tile
        if not self.slot_bytes and tile >= 1024:
            tile *= 4  # nothing is kept in cache between instructions
        whole_rows = sweep.rows_only or len(self.blocks) > 1 or (reduction is not None and reduction.alone)
        if not whole_rows:
            while axis < len(shape) - 1 and math.prod(shape[axis + 1 :]) > tile:
                axis += 1
        row = max(1, *(math.prod(b.shape[axis + 1 :]) for b in self.blocks))
        low, high = 0, shape[axis]
        if axis == 0:
            low = min(b.base for b in self.blocks)
            high = max(b.base + b.shape[0] for b in self.blocks)
        rows = max(1, tile // row, -(-(high - low) // TILES_MOST))
        rows = max(_even(rows, high - low, self.chunk if len(shape) == 1 else 1), sweep.delayed)
        if reduction is not None and self.partial is not None and not reduction.alone:
            rows, low = self._group(rows, low, high, axis)
        self.capacity = rows * row
        self.axis, self.rows, self.low, self.high = axis, rows, low, high
        bands = [(i, min(i + rows, high)) for i in range(low, high, rows)]
        leads = itertools.product(*[range(n) for n in shape[:axis]])
        self.tiles = [(lead, lo, hi) for lead in leads for lo, hi in bands]


class _Builder:
    """Translates statements into the blocks of a program."""

    def __init__(self, program: Program, table: Table) -> None:
        self.program = program
        self.table = table
        self.known: dict[tuple, int] = {}
        self.uses: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self.instructions: list[tuple[Block, Row, tuple[int, ...], int, int]] = []
        self.virtual: dict[int, np.dtype] = {}
        self.last: dict[int, int] = {}
        self.held: set[int] = set()  # registers whose memory is the run's
        # Rows and columns of the statement's space that the block is, where it is not all of it; views that show that.
        self.cut: tuple[int, int, int, int] | None = None
        self.cuts: dict[tuple, Leaf] = {}

    def count(self, statement: Statement) -> None:
        """Uses decide whether a store's source can be computed straight into the destination."""
        stack = [statement.source]
        while stack:
            n = stack.pop()
            if type(n) is Node:
                key = (id(n), statement.base, statement.shape)
                self.uses[key] = self.uses.get(key, 0) + 1
                if self.uses[key] == 1 and (n.place is None or n.place is statement.destination):
                    stack.extend(n.args)

    def register(self) -> int:
        self.program.registers += 1
        return self.program.registers - 1

    def block(self, statement: Statement) -> Block:
        blocks = self.program.blocks
        last = blocks[-1] if blocks else None
        if last is not None and not statement.apart and (last.shape, last.base) == (statement.shape, statement.base):
            return last
        blocks.append(Block(statement.shape, statement.base))
        return blocks[-1]

    def part(self, leaf: Leaf) -> Leaf:
        """What the cut leaves of a view; one leaf for all views of which it leaves the same."""
        if self.cut is None or not leaf.a.ndim:
            return leaf
        top, bottom, left, right = self.cut
        index = [slice(left, right) if leaf.a.shape[-1] > 1 else slice(None)]
        if leaf.a.ndim > 1:
            index.insert(0, slice(top, bottom) if leaf.a.shape[0] > 1 else slice(None))
        a = leaf.a[tuple(index)]
        found = Leaf(a, leaf.owner, (leaf, tuple(index)))
        key = (id(leaf.owner), found.offset, a.shape, a.strides, a.dtype)
        return self.cuts.setdefault(key, found)

    def load(self, block: Block, leaf: Leaf) -> int:
        leaf = self.part(leaf)
        key = (id(leaf.a), id(block), None)
        register = self.known.get(key)
        if register is None:
            register = self.known[key] = self.register()
            number = self.table.number if self.cut is None or leaf.origin is None else self.table.part
            block.loads.append((register, number(leaf)))
            block.leaves.append(leaf)
        return register

    def constant(self, value: np.ndarray) -> int:
        register = self.register()
        self.program.constants.append((register, self.table.constants[id(value)]))
        return register

    def emit(self, block: Block, value: Any, to: int | None = None) -> int:
        """Instructions that compute `value`; the register that holds it (`to`, if given, for a node)."""
        if type(value) is Leaf:
            return self.load(block, value)
        if type(value) is not Node:
            return self.constant(value)
        # Depth first without recursion: chains can be longer than Python's stack.
        stack: list[tuple[Node, bool]] = [(value, False)]
        while stack:
            node, ready = stack.pop()
            key = (id(node), id(block), self.cut)
            if key in self.known:
                continue
            if node.place is not None and not (node is value and to is not None):
                self.known[key] = self.load(block, node.place)
                continue
            if not ready:
                stack.append((node, True))
                stack.extend((arg, False) for arg in node.args if type(arg) is Node)
                continue
            args = []
            for arg in node.args:
                if type(arg) is Node:
                    args.append(self.known[(id(arg), id(block), self.cut)])
                else:
                    args.append(self.load(block, arg) if type(arg) is Leaf else self.constant(arg))
            if node is value and to is not None:
                out = to
            else:
                out = self.register()
                self.virtual[out] = node.dtype
            self.instruct(block, node.row, tuple(args), out, node)
            self.known[key] = out
        return self.known[(id(value), id(block), self.cut)]

    def instruct(self, block: Block, row: Row, args: tuple[int, ...], out: int, maker: Any) -> None:
        number = -1
        self.program.cost += row.cost
        if type(maker) is Node:
            number = self.table.nodes[id(maker)]
            if maker.errors is not None:
                self.program.kinds |= maker.errors.kinds
        for register in (*args, out):
            self.last[register] = len(self.instructions)
        self.instructions.append((block, row, args, out, number))

    def statement(self, statement: Statement, block: Block, held: int) -> None:
        source, to = statement.source, statement.destination
        if statement.reduction is not None:
            register = self.emit(block, source)
            self.program.partial = register
            self.program.dtype = source.dtype if type(source) is Node else source.a.dtype
            self.last[register] = 1 << 60
            if statement.reduction.errors is not None:
                self.program.kinds |= statement.reduction.errors.kinds
            return
        assert to is not None
        if held >= 0:
            # Into memory of its own; the copy to the destination follows when nothing needs the old rows any more.
            if type(source) is Node and source.place is None and source.dtype == to.a.dtype:
                register = self.emit(block, source)
            else:
                register = self.register()
                self.virtual[register] = to.a.dtype
                self.instruct(block, COPY, (self.emit(block, source),), register, source)
            self.held.add(register)
            block.held, block.result, block.out = held, register, self.table.number(to)
            self.last[register] = 1 << 60
            return
        if type(source) is Node and self.direct(source, statement, to):
            self.emit(block, source, self.load(block, to))
        else:
            register = self.emit(block, source)
            self.instruct(block, COPY, (register,), self.load(block, to), source)

    def direct(self, node: Node, statement: Statement, to: Leaf) -> bool:
        """Whether the node's kernel can write the destination itself."""
        key = (id(node), statement.base, statement.shape)
        if (id(node), id(self.program.blocks[-1]), self.cut) in self.known or node.dtype != to.a.dtype:
            return False
        if node.place is to:
            return True
        if node.place is not None or self.uses[key] > 1:
            return False
        return node.row.aliases or not any(type(arg) is Leaf and arg.owner is to.owner for arg in node.args)

    def allocate(self) -> None:
        """Give registers of intermediate values slots of scratch, reusing a slot after its value's last use."""
        program = self.program
        free: dict[int, list[int]] = {}
        slot_of: dict[int, int] = {}
        for position, (block, row, args, out, number) in enumerate(self.instructions):
            ending = {r for r in args if r in slot_of and self.last[r] == position and r != out}
            if out in self.virtual and out not in slot_of:
                dtype = self.virtual[out]
                slot = None
                if out in self.held:
                    slot_of[out] = slot = -1  # its memory is the run's, a new one each tile
                elif row.aliases:
                    for r in sorted(ending):
                        if self.virtual[r] == dtype and slot_of[r] >= 0:
                            slot = slot_of[r]
                            ending.discard(r)
                            break
                if slot is None:
                    stack = free.get(dtype.itemsize)
                    if stack:
                        slot = stack.pop()
                    else:
                        slot = len(program.slot_bytes)
                        program.slot_bytes.append(dtype.itemsize)
                slot_of[out] = slot
                if slot >= 0:
                    block.scratch.append((out, slot, dtype))
            for r in sorted(ending):
                free.setdefault(self.virtual[r].itemsize, []).append(slot_of[r])
            getter = itemgetter(*args, out)
            program.makers[id(getter)] = number
            block.program.append((row.kernel, getter))
            block.instructions.append((row, args, out, number))
