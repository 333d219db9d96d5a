"""Running a window: templates, tiles, threads, scratch.

For each tile a thread cuts the loads and calls the kernels; intermediate values live in scratch of the thread's own,
small enough to stay in its cache, and only what has a destination goes to memory.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...graph import plan as planning
from ...graph import warning, window
from ...graph.canonical import Form
from ...graph.node import Leaf, Node, Reduction, Store
from ...graph.plan import Sweep
from ...graph.skew import Skewed, hidden_owners, skewed
from ...ops.elementwise import CAST, WHERE
from ...runtime import memory, threads
from ...runtime.settings import settings
from . import along, native
from .compiled import tier
from .program import Program, Simple, Template

# Below this cost of an operation, in additions of elements, waking another thread costs more than it brings.
_PARALLEL_FROM = 1 << 18
# The same of a sweep, whose values are in the first thread's caches; and where they are too many for those.
_SHARED_FROM, _WIDE, _SHARED_WIDE_FROM = 5 << 16, 9 << 12, 3 << 16
# A window of so few recordings may save less than it costs, which grows with them: where all that they do is this many
# additions of elements for each operation, and for as many more as running a window costs. One that ends in a reduction
# saves less, because NumPy reads from the cache what it has just written; one along axes is run by Python; truths are a
# byte each: to have them written costs nothing, as long as threads do not share the work. A cast is recorded by Python.
_FEW, _THIN, _RUN = 32, 7 << 12, 2
_REDUCED, _ALONG, _TRUTHS, _CAST = 9, 14, 16, 7
_ALIGN = 64
_TEMPLATES_MOST = 512
_templates: OrderedDict[Any, Template] = OrderedDict()


def run(pending: list[Node | Store], reduction: Reduction | None) -> None:
    """Run a window: the engine's entry."""
    one = _statement(pending) if reduction is None else None
    window.company.alone = window.company.alone + 1 if one is not None or _thin(pending, reduction) else 0
    if one is not None and not _shared(one[0]) and _run_one(*one):
        return
    form = Form(pending, reduction)
    key = (form.hash, settings.tile, settings.accelerate, settings.compile, settings.threads)
    template = _templates.get(key)
    if template is None or template.key != form.key:
        window.counters.plans += 1
        named = form.named(reduction)
        template = Template(form, _planned(pending, reduction, form), named)
        for node in form.nodes:
            node.place = None
        _templates[key] = template
        if len(_templates) > _TEMPLATES_MOST:
            _templates.popitem(last=False)
    else:
        _templates.move_to_end(key)
    template.runs += 1
    arrays = template.arrays(form)
    if template.runs == 2:
        _let_replay(template, form, arrays, pending, reduction)
    elif template.replay is not None:
        _hear(template)
    heard: list[tuple[Any, str, str]] = []
    for step in template.steps:
        window.counters.sweeps += 1
        if isinstance(step, Simple):
            step.run(arrays, form.constants)
        else:
            _run_sweep(step, arrays, form, reduction, heard)
    for node in form.nodes:
        if node.place is not None and node.handle is not None:
            x = node.handle()
            if x is not None:
                x._a = node.place.a
    _tell(heard)


def _tell(heard: list[tuple[Any, str, str]]) -> None:
    told = set()
    for errors, flag, name in heard:
        if (id(errors), flag) not in told:
            told.add((id(errors), flag))
            errors.hear(flag, name)


def _hear(template: Template) -> None:
    """Count what C has run by itself."""
    for program, runs, fastest in native.tally(template.replay):
        tier.ran(program, fastest, runs)


def _hear_all() -> None:
    for template in list(_templates.values()):
        if template.replay is not None:
            _hear(template)


tier.hear = _hear_all


def _let_replay(
    template: Template, form: Form, arrays: list[Any], pending: list[Node | Store], reduction: Reduction | None
) -> None:
    """Let C run windows of this form from now on, where it has what they need (`_replay.h`)."""
    if window.again is None:
        native.start_replays(_heard_again, _join)
    leaves = len(form.leaves)
    steps: list[tuple] = []
    for step in template.steps:
        if isinstance(step, Simple):
            constant, number = step.source
            if step.destination >= leaves or not (constant or number < leaves):
                return
            steps.append((None, step.destination, number, constant))
        elif step.native is None or step.along is not None:
            return
        else:
            steps.append((step.native, step, _parts_of(step), form.constants, _partials(step, reduction)))
    template.replay = native.replay(
        template.key, leaves, _thin(pending, reduction), steps, template.makers, template.inherited, arrays
    )


def _thin(pending: list[Node | Store], reduction: Reduction | None) -> bool:
    """Whether running the window saves less than it costs."""
    if len(pending) > _FEW:
        return False
    work, nodes, truths, cast = 0, 0, True, False
    for p in pending:
        if isinstance(p, Node):
            work += p.size * p.row.cost
            nodes += 1
            truths, cast = p.dtype.itemsize == 1, p.row is CAST
        elif type(p.source) is not Node:  # otherwise the node is computed where it is stored
            work += p.destination.a.size
    worth = max(nodes + _RUN, _CAST if cast and nodes <= 2 else 0)
    if reduction is not None and (reduction.out_shape or reduction.places):
        worth = nodes + _ALONG
    elif reduction is not None:
        worth = max(worth, _TRUTHS if truths and nodes == 1 else _REDUCED)
    return work < worth * _THIN


def _planned(pending: list[Node | Store], reduction: Reduction | None, form: Form) -> list[Sweep | Skewed]:
    found = planning.plan(pending, reduction, form.dead, form.idle)
    if not (settings.accelerate and native.available()):
        return list(found)
    return skewed(found, hidden_owners(found, form.dead))


def _statement(pending: list[Node | Store]) -> tuple[Node | Store, Store | None] | None:
    """The one statement that is all that waits: its source's node, or a store of memory; and where it is stored."""
    if not 0 < len(pending) < 3:
        return None
    first, last = pending[0], pending[-1]
    if type(first) is Store:
        return (first, first) if first is last else None
    if first is last:
        return first, None
    inside = type(last) is Store and last.source is first and not first.alive()  # type: ignore[union-attr]
    return (first, last) if inside else None  # type: ignore[return-value]


def _shared(first: Node | Store) -> bool:
    """Whether threads in C should share the statement, which wake sooner than Python's."""
    if not isinstance(first, Node) or first.size * first.row.cost < _PARALLEL_FROM or threads.count() == 1:
        return False
    return settings.accelerate and native.available()


def _run_one(first: Node | Store, store: Store | None) -> bool:
    """A window of one statement needs no plan: NumPy's kernel over the whole, in as many parts as are worth it."""
    if settings.tile < 1024:
        return False
    x = None
    node = first if type(first) is Node else None
    out = None
    if isinstance(first, Node):
        if store is None:
            out = _inherited(first)  # before anything here refers to the operands
        args = [arg.a if type(arg) is Leaf else arg for arg in first.args]
        kernel: Callable[..., Any] = native.select if first.row is WHERE else first.row.kernel
        cost, kinds = first.row.cost, first.errors.kinds if first.errors is not None else ()
        dtype = first.dtype
        x = first.handle() if first.handle is not None else None
        if x is None and store is None:
            return True
    elif type(first.source) is Node:
        return False
    else:
        kernel, cost, kinds = np.copyto, 1, ()
        args = [first.source.a if type(first.source) is Leaf else first.source]
        dtype = args[0].dtype
    if store is not None:
        out = store.destination.a
        if dtype != out.dtype:
            return False
    elif out is None:
        out = memory.empty(first.shape, dtype)  # type: ignore[union-attr]
    parts = threads.count() if out.size * cost >= _PARALLEL_FROM else 1
    cut = parts > 1 or kernel is native.select  # which takes vectors
    cuts = _parts(args, out, parts) if cut and not _meets(first, store) else []
    window.counters.sweeps += 1
    heard: list[str] = []
    state = {kind: "call" if kind in kinds else "ignore" for kind in warning.KINDS}

    def body(part: int) -> None:
        *given, target = cuts[part] if cuts else (*args, out)
        with np.errstate(call=lambda flag, _: heard.append(flag), **state):  # type: ignore[arg-type]
            if node is None:
                kernel(target, *given)
            else:
                kernel(*given, out=target)

    threads.run(body, len(cuts) or 1)
    if x is not None:
        x._a = out
    for flag in dict.fromkeys(heard):
        if node is not None:
            node.errors.hear(flag, node.row.name)
    return True


def _inherited(node: Node) -> np.ndarray | None:
    """Memory of an operand that has died, for the result (`plan._inherit`)."""
    for leaf in node.args if node.row.aliases else ():
        if type(leaf) is Leaf and planning.fits(leaf, node) and native.idle(leaf):
            return leaf.a
    return None


def _meets(first: Node | Store, store: Store | None) -> bool:
    """Whether what is read meets what is written other than element for element: NumPy knows what to do then."""
    if store is None:
        return False
    read = first.args if isinstance(first, Node) else (first.source,)
    to = store.destination
    return any(type(v) is Leaf and planning.overlap(v, to) and not planning.same_view(v, to) for v in read)


def _parts(args: list[np.ndarray], out: np.ndarray, parts: int) -> list[list[np.ndarray]]:
    """Operands and result cut for so many threads; empty where that cannot be."""
    if all(v.ndim == 0 or (v.shape == out.shape and v.flags.c_contiguous) for v in (*args, out)):
        args, out = [v.reshape(-1) if v.ndim else v for v in args], out.reshape(-1)
    n, shape = out.shape[0], out.shape
    if n < parts:
        return []
    return [
        [*[v[lo:hi] if v.ndim == len(shape) and v.shape[0] == n else v for v in args], out[lo:hi]]
        for lo, hi in threads.split(n, parts)
    ]


# -- tiles -------------------------------------------------------------------------------------------------------------


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
    """One thread's registers for one program; kept with the program, so that scratch is shaped once."""

    def __init__(self, program: Program, part: int) -> None:
        self.program = program
        self.registers: list[Any] = [None] * program.registers
        self.buffers = _buffers(part, program.slot_bytes, program.capacity)
        self.shaped: list[tuple[int, ...]] = [()] * len(program.blocks)
        self.loads: list[list[tuple[int, np.ndarray, bool]]] = []

    def bind(self, arrays: list[np.ndarray], constants: list[np.ndarray]) -> None:
        """Take the arrays of this run."""
        program = self.program
        for register, number in program.constants:
            self.registers[register] = constants[number]
        self.loads = []
        for block in program.blocks:
            loads = []
            for register, number in block.loads:
                a = arrays[number].reshape(-1) if program.flat else arrays[number]
                plain = a.ndim == len(block.shape) and a.shape[0] == block.shape[0]
                loads.append((register, a, plain))
            self.loads.append(loads)

    def release(self) -> None:
        """Let go of the arrays of this run."""
        registers = self.registers
        for loads in self.loads:
            for register, _, _ in loads:
                registers[register] = None
        self.loads = []

    def tile(self, lead: tuple[int, ...], lo: int, hi: int) -> bool:
        """Compute one tile; whether the last block has rows in it."""
        registers = self.registers
        ran = True
        axis = len(lead)
        for k, block in enumerate(self.program.blocks):
            first, last = lo, hi
            shape = block.shape
            if not lead:
                base = block.base
                first = lo - base if lo > base else 0
                last = min(hi - base, shape[0])
                ran = first < last
                if not ran:
                    continue
            for register, a, plain in self.loads[k]:
                registers[register] = a[first:last] if plain and not lead else _cut(a, shape, lead, first, last)
            part = (last - first, *shape[axis + 1 :])
            if self.shaped[k] != part:
                self.shaped[k] = part
                size = math.prod(part)
                for register, slot, dtype in block.scratch:
                    registers[register] = self.buffers[slot][: size * dtype.itemsize].view(dtype).reshape(part)
            for kernel, getter in block.program:
                kernel(*getter(registers))
        return ran


def _listening(
    program: Program, form: Form, reduction: Reduction | None, heard: list[tuple[Any, str, str]]
) -> Callable[[], Any]:
    """A maker of contexts in which floating-point flags of the sweep's kernels are noted in `heard`."""

    def hear(flag: str, _: int) -> None:
        frame: Any = sys._getframe(1)
        getter = None
        while frame is not None and getter is None and "reducing" not in frame.f_locals:
            getter = frame.f_locals.get("getter")
            frame = frame.f_back
        if getter is not None:
            number = program.makers.get(id(getter), -1)
            node = form.nodes[number] if number >= 0 else None
            if node is not None and node.errors is not None:
                heard.append((node.errors, flag, node.row.name))
        elif reduction is not None and reduction.errors is not None:
            heard.append((reduction.errors, flag, "reduce"))

    state = {kind: "call" if kind in program.kinds else "ignore" for kind in warning.KINDS}
    return lambda: np.errstate(call=hear, **state)  # type: ignore[arg-type]


def _parts_of(program: Program) -> int:
    """How many threads share the sweep."""
    n = len(program.tiles)
    elements = program.capacity * n
    least = _SHARED_FROM if elements < _WIDE else _SHARED_WIDE_FROM
    worth = elements * (program.cost or 1) >= least or settings.tile < 1024
    if program.along is not None:
        n = -(-program.along.shape[program.along.axis] // program.along.rows)
    return min(threads.count(), n) if worth else 1


def _partials(program: Program, reduction: Reduction | None) -> np.ndarray | None:
    """Memory for the partial results of a reduction of everything to one value."""
    if reduction is None or program.partial is None:
        return None
    return np.empty(program.partials, native.MOMENTS if reduction.moments else reduction.dtype)


def _run_sweep(
    program: Program,
    arrays: list[np.ndarray],
    form: Form,
    reduction: Reduction | None,
    heard: list[tuple[Any, str, str]],
) -> None:
    tiles, parts = program.tiles, _parts_of(program)
    if program.native is not None:
        _run_native(program, arrays, form, reduction, heard, parts)
        return
    n = len(tiles)
    state = _listening(program, form, reduction, heard)
    while len(program.runners) < parts:
        program.runners[len(program.runners)] = _Runner(program, len(program.runners))
    runners = [program.runners[k] for k in range(parts)]
    for runner in runners:
        runner.bind(arrays, form.constants)
    try:
        if program.delayed:
            _run_delayed(program, arrays, runners, state)
            return
        reducer = None
        if program.partial is not None:
            assert reduction is not None
            reducer = _Reducer(program, reduction)
            if reducer.whole and not program.blocks[0].instructions:
                n = 0  # all values are in memory
                reducer.out = arrays[program.blocks[0].loads[0][1]]
        turn = itertools.count().__next__

        def body(part: int) -> None:
            runner = runners[part]
            with state():
                while (k := turn()) < n:
                    if runner.tile(*tiles[k]) and reducer is not None:
                        reducer.tile(runner.registers, k)

        threads.run(body, parts)
        if reducer is not None:
            with state():
                reducer.finish()
    finally:
        for runner in runners:
            runner.release()


def _run_native(
    program: Program,
    arrays: list[np.ndarray],
    form: Form,
    reduction: Reduction | None,
    heard: list[tuple[Any, str, str]],
    parts: int,
) -> None:
    """The sweep in C: threads share its bands, or, delayed, have a run of rows each."""
    partials, how, joined = None, program.along, []
    if reduction is not None and how is not None:
        joined = along.accumulators(how, reduction, program.dtype)
        arrays = [*arrays[: how.number], *joined]
    else:
        partials = _partials(program, reduction)
    start = time.perf_counter()
    run = program.native.run(arrays, form.constants, partials, parts)
    run.work()
    flags, seen = run.finish()
    tier.ran(program, time.perf_counter() - start)
    if partials is not None and reduction is not None:
        _join(reduction, partials, seen)
    elif reduction is not None and how is not None:
        with _hearing(reduction, heard):
            reduction.value = along.result(how, reduction, joined)
    if any(flags):
        heard.extend(_raised(program, flags, form.nodes, reduction))


def _raised(
    program: Program, flags: list[int], nodes: list[Node], reduction: Reduction | None
) -> Iterator[tuple[Any, str, str]]:
    """Who is to hear of which floating-point flags, where the program's instructions have raised these."""
    numbers = program.native_numbers
    for k, raised in enumerate(flags):
        if raised:
            errors, name = None, ""
            if k < len(numbers) and numbers[k] != native.REDUCES:
                if numbers[k] >= 0:
                    node = nodes[numbers[k]]
                    errors, name = node.errors, node.row.name
            elif reduction is not None:
                errors, name = reduction.errors, "reduce"
            if errors is not None:
                for bit, flag in native.FLAGS:
                    if raised & bit:
                        yield errors, flag, name


def _heard_again(raised: list[tuple[Program, list[int]]], nodes: list[Node], reduction: Reduction | None) -> None:
    """Flags were raised in a window that C has run."""
    _tell([one for program, flags in raised for one in _raised(program, flags, nodes, reduction)])


def _join(reduction: Reduction, partials: np.ndarray, seen: bytes) -> None:
    """The reduction's value from partial results, of which those that are `seen` are there."""
    reduction.value = _joined(reduction, partials[np.frombuffer(seen, bool)])


def _hearing(reduction: Reduction, heard: list[tuple[Any, str, str]]) -> Any:
    """A context in which flags are the reduction's."""
    if reduction.errors is None:
        return np.errstate(all="ignore")

    def hear(flag: str, _: int) -> None:
        heard.append((reduction.errors, flag, "reduce"))

    return np.errstate(all="call", call=hear)


def _joined(reduction: Reduction, partials: np.ndarray) -> Any:
    """All parts in one. Parts of a sum in single precision are added up in double: together they are rounded once."""
    if reduction.moments:
        return _squares(partials)
    if reduction.ufunc is np.add and reduction.dtype == np.float32:
        wide = np.add.reduce(partials, dtype=np.float64)
        if abs(wide) <= np.finfo(np.float32).max:
            return np.float32(wide)
    if reduction.ufunc is np.add and reduction.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            total = _tree(partials) + 0  # begun with nought, as by NumPy: -0.0 alone is 0.0
        if np.isfinite(total):
            return total
    return reduction.ufunc.reduce(partials, axis=0, dtype=reduction.dtype)


def _tree(parts: np.ndarray) -> Any:
    """The sum of parts by folding: the second half is added to the first, until one is left. NumPy adds up 128 and
    fewer in eight runs, and with larger errors. `joined_sum` of `_replay.h` does the same."""
    parts = parts.copy()
    while (n := len(parts)) > 1:
        half = (n + 1) // 2
        parts[: n - half] += parts[half:]
        parts = parts[:half]
    return parts[0]


def _squares(parts: np.ndarray) -> np.float64:
    """The sum of squared distances from the mean of all, from the moments of parts: those from the mean of the parts'
    centers, less what that is off."""
    n, rest = parts["n"], parts["rest"]
    with np.errstate(all="ignore"):  # what is not finite was heard of in its part
        count = np.add.reduce(n)
        shift = parts["center"] - np.add.reduce(n * parts["center"]) / count
        squares = np.add.reduce(parts["squares"] + shift * (2 * rest + n * shift))
        return squares - np.square(np.add.reduce(rest + n * shift)) / count


def _moments(value: np.ndarray, dtype: np.dtype) -> tuple[float, ...]:
    """Of one tile: see `native.MOMENTS`."""
    center = np.add.reduce(value, axis=None, dtype=dtype) / value.size
    apart = value - center
    return value.size, center, np.add.reduce(apart, axis=None), np.add.reduce(np.square(apart), axis=None)


class _Reducer:
    """The reduction at the end of a sweep: one partial result a tile, joined in the order of the tiles, so that the
    result does not depend on which thread ran which tile. Along axes that are not whole rows of tiles, and for
    positions of extremes, NumPy has the last word on all values."""

    def __init__(self, program: Program, reduction: Reduction) -> None:
        assert program.partial is not None
        self.register = program.partial
        self.reduction = reduction
        self.tiles = program.tiles
        self.partials: list[Any] = [None] * len(program.tiles)
        axes, shape = reduction.axes, program.blocks[-1].shape
        self.rows = bool(reduction.out_shape) and not reduction.places and 0 not in axes
        self.whole = reduction.places or (bool(reduction.out_shape) and not self.rows and axes != (0,))
        self.out: np.ndarray | None = None
        if self.rows:
            self.out = np.empty(reduction.out_shape, reduction.dtype)
        elif self.whole:
            self.out = memory.empty(shape, program.dtype)

    def tile(self, registers: list[Any], k: int) -> None:
        reducing = self.reduction
        value = registers[self.register]
        _, lo, hi = self.tiles[k]
        if reducing.moments:
            self.partials[k] = _moments(value, reducing.dtype)
        elif self.whole:
            self.out[lo:hi] = value  # type: ignore[index]
        elif self.out is not None:
            reducing.ufunc.reduce(value, axis=reducing.axes, dtype=reducing.dtype, out=self.out[lo:hi])
        else:
            axis = 0 if reducing.out_shape else None
            self.partials[k] = reducing.ufunc.reduce(value, axis=axis, dtype=reducing.dtype)

    def finish(self) -> None:
        reducing = self.reduction
        if self.rows:
            reducing.value = self.out
            return
        if reducing.places:
            reducing.value = reducing.ufunc(self.out, axis=reducing.axes[0] if reducing.out_shape else None)
            return
        if self.whole:
            reducing.value = reducing.ufunc.reduce(self.out, axis=reducing.axes, dtype=reducing.dtype)
            return
        partials = [p for p in self.partials if p is not None]  # tiles outside the reduced rows have none
        if reducing.moments:
            reducing.value = _squares(np.array(partials, native.MOMENTS))
        elif len(partials) == 1:
            reducing.value = partials[0]
        else:
            reducing.value = reducing.ufunc.reduce(np.array(partials), axis=0, dtype=reducing.dtype)


def _run_delayed(program: Program, arrays: list[np.ndarray], runners: list[_Runner], state: Callable[[], Any]) -> None:
    """A stencil in place: each thread sweeps a run of tiles and writes a tile when the next one is computed. The first
    and the last tile of a run wait until all threads are done, because a neighbour reads them."""
    block = program.blocks[0]
    out = arrays[block.out]
    result = block.result
    tiles = program.tiles
    runs = threads.split(len(tiles), len(runners))
    kept: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    dtype, row = out.dtype, out.shape[1:]
    size = program.capacity * dtype.itemsize

    def body(part: int) -> None:
        runner = runners[part]
        # Three buffers take turns as the result: the tile at work, the one before, and the run's first.
        spare = _ring(part, size)
        first, last = runs[part]
        before: tuple[int, int, np.ndarray, np.ndarray] | None = None
        with state():
            for k in range(first, last):
                lead, lo, hi = tiles[k]
                buffer = spare.pop()
                value = buffer[: (hi - lo) * math.prod(row) * dtype.itemsize].view(dtype).reshape(hi - lo, *row)
                runner.registers[result] = value
                runner.tile(lead, lo, hi)
                if before is not None:
                    if k == first + 1:
                        kept.append(before)
                    else:
                        out[before[0] : before[1]] = before[2]
                        spare.append(before[3])
                before = (lo, hi, value, buffer)
        if before is not None:
            kept.append(before)

    threads.run(body, len(runs))
    for lo, hi, value, _ in kept:
        out[lo:hi] = value


_rings: dict[int, list[np.ndarray]] = {}


def _ring(part: int, nbytes: int) -> list[np.ndarray]:
    found = _rings.get(part)
    if found is None or found[0].nbytes < nbytes:
        found = _rings[part] = [_aligned(nbytes) for _ in range(3)]
    return list(found)
