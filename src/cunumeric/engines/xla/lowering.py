"""A recipe as a function of device arrays, for XLA to compile.

Stores are functional: a write makes a new value of the memory, a read shows a region of the newest one. Since values
never change, hazards between reads and writes cannot arise.

On the processor, where a value was written in part and is then read in another place (a stencil, in the next sweep), a
barrier stands between the two: without it XLA computes the first once for every read of the second, and so on down the
chain. Reads and writes of thin parts (a row, a column) do not end a fusion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...ops import elementwise
from ...ops.calls import Bound
from ...ops.lowering.elementwise import TURNED, cast, hidden
from . import constants, storage
from . import region as regions
from .backend import Modules
from .frames import Cut, Whole, cut
from .recipe import CONSTANT, HOST, LEAF, NODE, Recipe
from .region import Region

# A part below this share of its memory is thin.
_THIN = 16
_FEW = 4


class _Memory:
    """The newest value of one owner's memory, as traced; shared by owners that hold the same value."""

    __slots__ = ("open", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.open = False  # written since the last barrier


class _Made(NamedTuple):
    """How a node came about."""

    row: Any
    arguments: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    alive: bool  # a result of the window
    held: list[_Memory | None]  # the memory that its leaves showed then


class Lowering:
    """The function that XLA compiles: `function(owners, hosts, packed, starts)`, and what it was found to need.
    `moving`: the leaves whose place is an argument; `alike`: of each constant, the first that it is equal to;
    `literal`: constants are part of the function."""

    def __init__(
        self, recipe: Recipe, jx: Any, moving: tuple[int, ...], alike: tuple[int, ...], literal: bool = False
    ) -> None:
        self.moving = moving
        self.alike = alike
        self.literals = recipe.constants if literal else None
        self.jx = jx
        self.items = recipe.items
        self.regions = recipe.regions
        self.dtypes = recipe.dtypes
        self.written = recipe.written
        self.layouts = [(r.layout, r.kind) for r in recipe.remotes]
        self.hosts = [a.shape for a in recipe.hosts]
        self.kinds = [c.dtype for c in recipe.constants]
        # A GPU's fusion weighs what it would compute twice, the processor's does not.
        self.barriers = jx.jax.default_backend() == "cpu"
        self.read = self._owners_read()
        self.results = len(self.written) + len(recipe.living)

    def _owners_read(self) -> list[int]:
        """Owners whose value from before the window is needed."""
        needed: set[int] = set()
        filled: set[int] = set()
        for item in self.items:
            arguments = item[1] if len(item) > 2 else (item[1],)
            for argument in arguments:
                if argument & 3 == LEAF and self.regions[argument >> 2][0] not in filled:
                    needed.add(self.regions[argument >> 2][0])
            if len(item) == 2:
                owner, region, what = self.regions[item[0] >> 2]
                if region.whole and item[0] >> 2 not in self.moving and what != "real" and what != "imag":
                    filled.add(owner)
                elif owner not in filled:
                    needed.add(owner)
        return sorted(needed)

    def shardings(self) -> Any:
        """Those of the results; None on one device."""
        if self.jx.mesh is None:
            return None
        living = [(shape, order) for _, _, shape, _, alive, order in (i for i in self.items if len(i) > 2) if alive]
        layouts = [self.layouts[k][0] for k in self.written]
        layouts += [shape if order is None else tuple([shape[k] for k in order]) for shape, order in living]
        return tuple([self.jx.mesh.sharding(layout) for layout in layouts])

    def function(self, owners: tuple, hosts: tuple, packed: tuple, starts: tuple) -> tuple[Any, ...]:
        """Values of the written owners and of the living nodes, given those of `read`, host arrays, constants packed by
        dtype, and where the moving leaves lie, as one vector."""
        return _Trace(self, owners, hosts, packed, starts).run()


class _Trace:
    def __init__(self, lowering: Lowering, owners: tuple, hosts: tuple, packed: tuple, starts: tuple) -> None:
        self.of = lowering
        self.starts: dict[int, list[Any]] = {}  # of the moving leaves
        at = 0
        for j in lowering.moving:
            rank = len(lowering.regions[j][1].layout)
            self.starts[j] = [starts[0][at + d] for d in range(rank)]
            at += rank
        self.jx = Modules(**{**vars(lowering.jx), "computed": self._computed})
        self.hosts = [storage.logical(self.jx, a, shape) for a, shape in zip(hosts, lowering.hosts, strict=True)]
        self.memory: list[_Memory | None] = [None] * len(lowering.layouts)
        for k, value in zip(lowering.read, owners, strict=True):
            self.memory[k] = _Memory(storage.logical(self.jx, value, lowering.layouts[k][0]))
        self.constants: list[Any] = []
        vectors = dict(zip(dict.fromkeys(lowering.kinds), packed, strict=True))
        counts: dict[np.dtype, int] = {}
        for j, kind in enumerate(lowering.kinds):
            first = lowering.alike[j]
            if first == j:
                position = counts.get(kind, 0)
                counts[kind] = position + 1
            self.constants.append(vectors[kind][position] if first == j else self.constants[first])
        self.versions = [0] * len(self.memory)
        self.nodes: list[Any] = []
        self.made: list[_Made] = []
        self.shifts: dict[Any, Any] = {}  # memory that was shifted, for all frames
        self.calls: dict[Any, Any] = {}

    def run(self) -> tuple[Any, ...]:
        living = []
        for item in self.of.items:
            if len(item) == 2:
                self._store(*item)
            else:
                row, arguments, shape, dtype, alive, order = item
                value = self._call(row, arguments) if type(row) is Bound else self._compute(row, arguments)
                value = cast(self.jx, value, dtype)
                if value.shape != shape:
                    value = self.jx.np.broadcast_to(value, shape)
                self.nodes.append(value)
                self.made.append(_Made(row, arguments, shape, dtype, alive, self._held(arguments)))
                if alive:
                    living.append(value if order is None else self.jx.lax.transpose(value, order))
        written = [self.memory[k].value for k in self.of.written]  # type: ignore[union-attr]
        return tuple([storage.rested(self.jx, value) for value in (*written, *living)])

    def _cut(self, value: Any) -> Any:
        """The value, cut over the devices as one at rest is: where the partitioner has no better reason."""
        if self.jx.mesh is None:
            return value
        return self.jx.lax.with_sharding_constraint(value, self.jx.mesh.sharding(value.shape))

    def _computed(self, value: Any) -> bool:
        return any(
            value is node and type(made.row) is not Bound for node, made in zip(self.nodes, self.made, strict=True)
        )

    def _argument(self, reference: int) -> Any:
        kind, k = reference & 3, reference >> 2
        if kind == NODE:
            return self.nodes[k]
        if kind == LEAF:
            return self._read(k)
        return self.hosts[k] if kind == HOST else self.constants[k]

    def _held(self, arguments: tuple) -> list[_Memory | None]:
        return [self.memory[self.of.regions[r >> 2][0]] if r & 3 == LEAF else None for r in arguments]

    def _compute(self, row: elementwise.Row, arguments: tuple) -> Any:
        return self._applied(row, arguments, [self._argument(reference) for reference in arguments])

    def _applied(self, row: elementwise.Row, arguments: tuple, values: list[Any]) -> Any:
        literals = self.of.literals
        shape = self.jx.np.broadcast_shapes(*[v.shape for v in values])
        if literals is not None and shape:
            for j, r in enumerate(arguments):
                if r & 3 == CONSTANT and constants.fits(literals[r >> 2]):
                    values[j] = hidden(self.jx, literals[r >> 2], shape)
        if row.name in TURNED and shape:
            for j, r in enumerate(arguments):
                turned = r & 3 == NODE and self.made[r >> 2].row.name in TURNED
                if turned and values[j].ndim and values[j].dtype.kind == "f":
                    values[j] = hidden(self.jx, values[j], values[j].shape)
        dtypes = elementwise.resolve(row, tuple([np.dtype(v.dtype) for v in values]))
        values = [cast(self.jx, v, d) for v, d in zip(values, dtypes, strict=False)]  # type: ignore[arg-type]
        return row.lower(self.jx, *values)  # type: ignore[misc]

    def _call(self, bound: Bound, arguments: tuple) -> Any:
        """One result of a call; its other results are other nodes, which find it computed."""
        versions = tuple([self.versions[self.of.regions[r >> 2][0]] if r & 3 == LEAF else 0 for r in arguments])
        key = (bound.group, arguments, versions)
        found = self.calls.get(key)
        if found is None:
            values = [self._argument(reference) for reference in arguments]
            found = self.calls[key] = bound.lower(self.jx, *values)
        return found[bound.index] if bound.index is not None else found

    def _newest(self, owner: int) -> _Memory:
        memory = self.memory[owner]
        if memory is None:  # never written: what NumPy calls empty
            memory = self.memory[owner] = _Memory(self.jx.np.zeros(*self.of.layouts[owner]))
        return memory

    def _read(self, k: int) -> Any:
        owner, region, what = self.of.regions[k]
        memory = self._settled(owner, region)
        return regions.read(self.jx, self._part(memory.value, what, k), region, self.starts.get(k))

    def _settled(self, owner: int, region: Region) -> _Memory:
        """The memory of which a region is to be read."""
        memory = self._newest(owner)
        thick = not region.whole and region.elements * _THIN >= math.prod(region.layout)
        if self.of.barriers and memory.open and thick:
            memory.value = self.jx.lax.optimization_barrier(memory.value)
            memory.open = False
        return memory

    def _part(self, value: Any, what: str, k: int) -> Any:
        if not what:
            return value
        if what == "bits":
            return self.jx.lax.bitcast_convert_type(value, self.of.dtypes[k])
        return value.real if what == "real" else value.imag

    def _store(self, destination: int, source: int) -> None:
        owner, region, what = self.of.regions[destination >> 2]
        layout, kind = self.of.layouts[owner]
        self.versions[owner] += 1
        starts = self.starts.get(destination >> 2)
        if source & 3 == LEAF and region.whole and not what and not self.starts:
            other, part, of_it = self.of.regions[source >> 2]
            held = self.memory[other]
            same = self.of.layouts[other] == (layout, kind) and not of_it and part == region
            if same and held is not None:  # a copy: both show one value until one of them is written
                self.memory[owner] = held
                return
        old = self._newest(owner)
        new = None if what or self.starts else self._framed_store(source, owner, region, old.value, kind)
        if new is not None:
            self._written(owner, old, new, region)
            return
        value = self._argument(source)
        if not what:
            new = regions.write(self.jx, old.value, region, cast(self.jx, value, kind), starts)
        elif what == "bits":
            dtype = self.of.dtypes[destination >> 2]
            bits = self.jx.lax.bitcast_convert_type(old.value, dtype)
            new = regions.write(self.jx, bits, region, cast(self.jx, value, dtype), starts)
            new = self.jx.lax.bitcast_convert_type(new, kind)
        else:
            real, imag = old.value.real, old.value.imag
            value = cast(self.jx, value, real.dtype)
            if what == "real":
                real = regions.write(self.jx, real, region, value, starts)
            else:
                imag = regions.write(self.jx, imag, region, value, starts)
            new = self.jx.lax.complex(real, imag)
        self._written(owner, old, new, region)

    def _written(self, owner: int, old: _Memory, new: Any, region: Region) -> None:
        memory = _Memory(self._cut(new))
        memory.open = old.open or region.elements * _THIN >= math.prod(region.layout)
        self.memory[owner] = memory

    # A partial update computed where it is written: `frames.py`.

    def _few_leaves(self, k: int, leaves: list[int]) -> bool:
        """Whether node `k` is computed from a few leaves: each that is shifted costs a comparison an element."""
        for reference in self.made[k].arguments:
            if reference & 3 == LEAF:
                leaves.append(reference >> 2)
            elif reference & 3 == NODE and (len(leaves) > _FEW or not self._few_leaves(reference >> 2, leaves)):
                return False
        return len(leaves) <= _FEW

    def _leaves(self, reference: int, frame: Cut) -> Iterator[Region]:
        """The parts of memory from which a source is computed in a frame."""
        kind, k = reference & 3, reference >> 2
        if kind == LEAF:
            yield self.of.regions[k][1]
        elif kind == NODE and self._recomputed(self.made[k], frame):
            for argument in self.made[k].arguments:
                yield from self._leaves(argument, frame)

    def _recomputed(self, made: _Made, frame: Whole | Cut) -> bool:
        """Whether a node is computed in the frame; else its value is brought there."""
        same = type(made.row) is not Bound and made.shape == frame.region.shape
        return same and (frame.recomputes or not made.alive)

    def _frame(self, source: int, owner: int, region: Region) -> Whole | Cut | None:
        """Where a source is best computed; None: as it is."""
        if source & 3 == NODE and self.made[source >> 2].shape == region.shape and regions.frames(region):
            few: list[int] = []
            if self._few_leaves(source >> 2, few):
                of = [self.of.regions[j] for j in few]
                if any(o == owner and part is region for o, part, _ in of):
                    return Whole(self.jx, region)
        frame = cut(self.jx, region, self.shifts)
        if frame is None:
            return None
        leaves = set(self._leaves(source, frame))
        near = any(frame.suits(leaf) for leaf in leaves) and not any(frame.far(leaf) for leaf in leaves)
        return frame if near else None

    def _framed_store(self, source: int, owner: int, region: Region, old: Any, kind: np.dtype) -> Any:
        """The memory's new value, or None where the source is better computed as it is."""
        frame = self._frame(source, owner, region)
        if frame is None:
            return None
        held = self._settled(*self.of.regions[source >> 2][:2]) if source & 3 == LEAF else None
        value = cast(self.jx, self._framed(source, held, frame, {}), kind)
        return frame.written(old, value) if value.ndim else None

    def _framed(self, reference: int, held: _Memory | None, frame: Whole | Cut, known: dict[int, Any]) -> Any:
        """What is referred to, in the place of the frame; anything outside it. `held`: the memory that a leaf shows."""
        kind, k = reference & 3, reference >> 2
        if kind == NODE:
            if k not in known:
                known[k] = self._framed_node(k, frame, known)
            return known[k]
        if kind == LEAF:
            _, leaf, what = self.of.regions[k]
            value = self._part(held.value, what, k)  # type: ignore[union-attr]
            return frame.leaf(value, leaf) if frame.suits(leaf) else frame.placed(regions.read(self.jx, value, leaf))
        return frame.placed(self.hosts[k]) if kind == HOST else self.constants[k]

    def _framed_node(self, k: int, frame: Whole | Cut, known: dict[int, Any]) -> Any:
        made = self.made[k]
        if not self._recomputed(made, frame):
            return frame.placed(self.nodes[k])
        values = [self._framed(r, held, frame, known) for r, held in zip(made.arguments, made.held, strict=True)]
        return cast(self.jx, self._applied(made.row, made.arguments, values), made.dtype)
