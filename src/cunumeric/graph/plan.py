"""From the window to sweeps: what must be computed, what needs memory, and what runs together.

A *sweep* is a list of statements run tile by tile over a common *frame*: bands of rows (index on the first axis). A
statement gives a node memory, stores into memory, or reduces. Statements with iteration spaces of other sizes may join
a sweep when they meet its memory in the same rows, so that a band is still in cache when the next statement needs it
(`w[1:] -= v[:-1]` after `w = 4 * v`).

Values without a handle that no store overwrites the inputs of are never given memory: they are computed where they
are used.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..runtime.settings import settings
from . import window
from .node import Leaf, Node, Reduction, Store

_END = 1 << 62


class Statement:
    """One step of a sweep: `source` into `destination`, or into a reduction. `base` is the frame's row of its row 0."""

    __slots__ = ("apart", "base", "destination", "reads", "reduction", "seq", "shape", "source")

    def __init__(self, source: Any, destination: Leaf | None, seq: int, reduction: Reduction | None = None) -> None:
        self.source = source
        self.destination = destination
        self.reduction = reduction
        self.seq = seq
        if destination is not None:
            self.shape = destination.a.shape
        else:
            self.shape = source.shape if type(source) is Node else source.a.shape
        self.reads: list[Leaf] = []
        self.base = 0
        self.apart = False  # meets the sweep's memory in the same rows, but not element for element


class Sweep:
    """Statements that run together. `delayed`: the one statement overwrites rows that its later tiles still read.
    `rows_only`: tiles may not split rows. `inward`: a statement reads other elements of the rows that it writes."""

    __slots__ = ("delayed", "inward", "rows_only", "statements")

    def __init__(self, first: Statement) -> None:
        self.statements = [first]
        self.delayed = 0  # rows of delay
        self.inward = False
        self.rows_only = False


def same_view(x: Leaf, y: Leaf) -> bool:
    """Whether two views of one owner show the same elements in the same places."""
    a, b = x.a, y.a
    return x.offset == y.offset and a.strides == b.strides and a.shape == b.shape and a.dtype == b.dtype


def overlap(x: Leaf, y: Leaf) -> bool:
    """Whether the extents of two views of one owner meet."""
    return x is y or np.may_share_memory(x.a, y.a)


def row_stride(a: np.ndarray) -> int:
    """Bytes from row to row of memory that `a` shows; 0 where rows are not disjoint runs in ascending order."""
    span = a.itemsize
    for n, s in zip(a.shape[1:], a.strides[1:], strict=True):
        if s < 0:
            return 0
        span += (n - 1) * s
    return a.strides[0] if a.strides[0] >= span else 0


# -- dead memory -------------------------------------------------------------------------------------------------------


def is_dead(views: list[Leaf]) -> bool:
    """Whether nothing outside the window refers to the memory of these leaves, all there are of one owner."""
    owner = views[0].owner
    if window.is_exposed(owner):
        return False
    mine = 0
    for leaf in views:
        if leaf.a is not owner:
            mine += 1
            # Leaf.a and the argument of getrefcount
            if sys.getrefcount(leaf.a) != 2:
                return False
    listed = len(views) - mine  # the owner itself as a leaf
    # argument of getrefcount, `owner`, Traffic.owner, Leaf.owner of each leaf, base of each view
    return sys.getrefcount(owner) <= 3 + len(views) + mine + listed


def _prune(stores: list[Store], nodes: list[Node], dead_ids: set[int]) -> list[Store]:
    """Drop stores into memory that nobody can see any more, after replacing reads of a dead copy by reads of its
    original where the original still holds the same values."""
    if not dead_ids:
        return stores
    readers_of: dict[int, list[tuple[Node, Leaf]]] = {}
    for node in nodes:
        for arg in node.args:
            if type(arg) is Leaf:
                readers_of.setdefault(id(arg.owner), []).append((node, arg))
    dead: dict[int, list[Store]] = {}
    for store in stores:
        if id(store.destination.owner) in dead_ids:
            dead.setdefault(id(store.destination.owner), []).append(store)
    gone: set[int] = set()
    for key, own in dead.items():
        readers = readers_of.get(key, [])
        sources = [s for s in stores if type(s.source) is Leaf and id(s.source.owner) == key]
        if not readers and not sources:
            gone.update(id(s) for s in own)
            continue
        if len(own) == 1 and not sources and type(own[0].source) is Leaf and _forward(own[0], readers_of):
            gone.add(id(own[0]))
    return [s for s in stores if id(s) not in gone] if gone else stores


def _forward(copy: Store, readers_of: dict[int, list[tuple[Node, Leaf]]]) -> bool:
    """Let the readers of a dead copy read the original; False, and nothing changed, where that is not the same."""
    original: Leaf = copy.source
    readers = readers_of.get(id(copy.destination.owner), [])
    whole = copy.destination.a
    if original.a.shape != whole.shape or original.a.dtype != whole.dtype or whole is not copy.destination.owner:
        return False
    traffic = window.memory.get(id(original.owner))
    writes = [s.seq for s in traffic.stores if overlap(s.destination, original)] if traffic else []
    replaced: dict[int, Leaf] = {}
    for node, leaf in readers:
        if any(copy.seq < w < node.seq for w in writes):
            return False
        if id(leaf) not in replaced:
            index = _same_part(leaf, copy.destination)
            if index is None:
                return False
            replaced[id(leaf)] = Leaf(original.a[index], original.owner, (original, index))
    window.traffic_of(original.owner)
    home = readers_of.setdefault(id(original.owner), [])
    for node, leaf in readers:
        new = replaced[id(leaf)]
        node.args = tuple([new if arg is leaf else arg for arg in node.args])
        home.append((node, new))
    return True


def _same_part(view: Leaf, whole: Leaf) -> tuple[slice, ...] | None:
    """The slices that make `view` of `whole` (C-contiguous, all of its owner); None where no slices say it."""
    part = view.a
    if part.ndim != whole.a.ndim or part.dtype != whole.a.dtype:
        return None
    offset = view.offset
    index = []
    for n, s, size, step in zip(part.shape, part.strides, whole.a.shape, whole.a.strides, strict=True):
        start, offset = divmod(offset, step) if size > 1 else (0, offset)
        stride = 1 if n <= 1 else s // step
        if stride < 1 or (n > 1 and s % step) or start + (n - 1) * stride >= size:
            return None
        index.append(slice(start, start + (n - 1) * stride + 1, stride))
    return tuple(index) if offset == 0 else None


# -- what needs memory -------------------------------------------------------------------------------------------------


def _hazards(nodes: list[Node]) -> set[int]:
    """Set each node's `hazard`: the first later store over anything it reads, itself or through nodes computed with
    it. Returns ids of nodes that a node beyond their hazard uses."""
    crossed: set[int] = set()
    for node in nodes:
        node.needed = False
        hazard = _END
        for arg in node.args:
            if type(arg) is Leaf:
                traffic = window.memory.get(id(arg.owner))
                if traffic is not None:
                    for store in traffic.stores:
                        if node.seq < store.seq < hazard and overlap(store.destination, arg):
                            hazard = store.seq
                            break
            elif type(arg) is Node and arg.place is None:
                if arg.hazard < node.seq:
                    crossed.add(id(arg))
                elif arg.hazard < hazard:
                    hazard = arg.hazard
        node.hazard = hazard
    return crossed


def _need(node: Any) -> None:
    """Mark everything that `node` is computed from."""
    stack = [node]
    while stack:
        n = stack.pop()
        if type(n) is Node and not n.needed:
            n.needed = True
            if n.place is None:
                stack.extend(n.args)


def _homes(stores: list[Store]) -> tuple[list[Store], list[Statement]]:
    """A node for which memory was made, and which nothing else writes, has its value there from the start: stores that
    are not such, and statements for those that are, at the nodes' own places in the order."""
    others: list[Store] = []
    found: list[Statement] = []
    for store in stores:
        node = store.source
        alone = store.fresh and len(window.memory[id(store.destination.owner)].stores) == 1
        if alone and type(node) is Node and node.place is None:
            node.place = store.destination
            found.append(Statement(node, node.place, node.seq))
        else:
            others.append(store)
    return others, found


def fits(leaf: Leaf, node: Node) -> bool:
    """Whether the memory of the leaf could be that of the node's value: the same shape and dtype, of all of it."""
    a = leaf.a
    same = a is leaf.owner and a.shape == node.shape and a.dtype == node.dtype
    return same and a.dtype.num == node.dtype.num  # `long` and `longlong` are equal


def dying_of(reduction: Reduction) -> list[Node]:
    """The nodes whose arrays are about to die (`Reduction.temporary`)."""
    source = reduction.source
    if not reduction.temporary or type(source) is not Node:
        return []
    return [source] if reduction.temporary == 1 else [source, *[v for v in source.args[:1] if type(v) is Node]]


def _inherit(found: list[Statement], idle: set[int]) -> None:
    """A value takes the memory of an operand that has died and that nothing reads any more, as NumPy's temporaries
    take each other's; `found`: all that runs, in order."""
    last: dict[int, int] = {}
    views: dict[int, dict[int, Leaf]] = {}
    for k, statement in enumerate(found):
        for leaf in _reads(statement, set())[0]:
            if id(leaf.owner) in idle:
                last[id(leaf.owner)] = k
                views.setdefault(id(leaf.owner), {})[id(leaf)] = leaf
    for k, statement in enumerate(found):
        node, to = statement.source, statement.destination
        if type(node) is not Node or to is None or node.place is not to or not node.row.aliases:
            continue
        if id(to.owner) in window.memory:
            continue  # memory that the array has already
        for key, (leaf, *others) in {key: list(views[key].values()) for key in last if last[key] == k}.items():
            if not others and fits(leaf, node):
                node.place = statement.destination = leaf
                del last[key]
                break


def statements(
    pending: list[Node | Store], reduction: Reduction | None, dead: set[int], idle: set[int]
) -> list[Statement]:
    """What has to run, in the program's order. Nodes that get memory are given it here (`place`)."""
    nodes = [p for p in pending if type(p) is Node]
    stores = [p for p in pending if type(p) is Store]
    if stores:
        stores = _prune(stores, nodes, dead)
    stores, found = _homes(stores)
    crossed = _hazards(nodes) if stores or found else set()
    if not stores and not found:
        for node in nodes:
            node.hazard, node.needed = _END, False
    for statement in found:
        statement.source.needed = True
        for arg in statement.source.args:
            _need(arg)
    for store in stores:
        _need(store.source)
        source = store.source
        if type(source) is Node and source.hazard < store.seq:
            crossed.add(id(source))
    live = [node for node in nodes if node.alive()]
    for node in live:
        _need(node)
    if reduction is not None:
        _need(reduction.source)
        if type(reduction.source) is Node and reduction.source.hazard < _END:
            crossed.add(id(reduction.source))
        dying = dying_of(reduction)
        live = [node for node in live if node not in dying or node.hazard < _END]
    keep = {id(node) for node in live}
    for node in nodes:
        if node.needed and node.place is None and (id(node) in keep or id(node) in crossed):
            a = np.empty(node.shape, node.dtype)  # stands for memory that each run takes anew
            node.place = Leaf(a, a)
            found.append(Statement(node, node.place, node.seq))
    found += [Statement(s.source, s.destination, s.seq) for s in stores]
    found.sort(key=lambda s: s.seq)
    if reduction is not None:
        found.append(Statement(reduction.source, None, _END, reduction))
    if idle:
        _inherit(found, idle)
    return found


# -- what runs together ------------------------------------------------------------------------------------------------


class _Access:
    """A view as a sweep meets it: where its rows are, and whether it is written."""

    __slots__ = ("base", "leaf", "row", "stride", "writes")

    def __init__(self, leaf: Leaf, statement: Statement, writes: bool) -> None:
        self.leaf = leaf
        a = leaf.a
        self.writes = writes
        self.base = 0
        # Views that do not run along the frame's rows (broadcast over them) have no row.
        along = a.ndim == len(statement.shape) and a.ndim > 0 and a.shape[0] == statement.shape[0]
        self.stride = row_stride(a) if along else 0
        self.row = leaf.offset // self.stride if self.stride > 0 else 0


def _reads(statement: Statement, done: set[int]) -> tuple[list[Leaf], list[Node]]:
    """Leaves that the statement reads, and the nodes of its sweep (ids in `done`) that it reads by their place."""
    leaves: list[Leaf] = []
    placed: list[Node] = []
    seen: set[int] = set()
    stack = [statement.source]
    while stack:
        n = stack.pop()
        if id(n) in seen:
            continue
        seen.add(id(n))
        if type(n) is Leaf:
            leaves.append(n)
        elif type(n) is Node:
            if n.place is not None and n.place is not statement.destination:
                leaves.append(n.place)
                if id(n) in done:
                    placed.append(n)
            else:
                stack.extend(n.args)
    return leaves, placed


def sweeps(found: list[Statement]) -> list[Sweep]:
    """Group statements, in order, into sweeps."""
    result: list[Sweep] = []
    open_: Sweep | None = None
    accesses: dict[int, list[_Access]] = {}
    done: set[int] = set()
    for statement in found:
        leaves, _ = _reads(statement, done)
        statement.reads = leaves
        delay, meets = _self_overlap(statement)
        if open_ is not None and delay == 0 and _join(open_, statement, accesses, meets):
            open_.statements.append(statement)
            open_.inward = open_.inward or meets
        else:
            open_ = Sweep(statement)
            accesses = {}
            if delay < 0:
                # No order of tiles gives NumPy's result: compute into memory of its own, then copy.
                result.append(_detour(statement))
                leaves = statement.reads
            else:
                open_.delayed, open_.rows_only, open_.inward = delay, meets, meets
            result.append(open_)
        for leaf in leaves:
            _enter(accesses, leaf, statement, writes=False)
        if statement.destination is not None:
            _enter(accesses, statement.destination, statement, writes=True)
        if open_.delayed:
            open_ = None
    return result


def _enter(accesses: dict[int, list[_Access]], leaf: Leaf, statement: Statement, writes: bool) -> None:
    access = _Access(leaf, statement, writes)
    access.base = statement.base
    accesses.setdefault(id(leaf.owner), []).append(access)


def _row_size(shape: tuple[int, ...]) -> int:
    return math.prod(shape[1:])


def _wide(shape: tuple[int, ...]) -> bool:
    """Whether rows are so long that tiles of whole rows would not stay in cache."""
    return _row_size(shape) > 8 * settings.tile


def _self_overlap(statement: Statement) -> tuple[int, bool]:
    """How the statement's reads meet its own destination: up to how many rows away (-1: in a way that needs a copy),
    and whether at all other than element for element."""
    to = statement.destination
    if to is None:
        return 0, False
    delay, meets = 0, False
    d = to.a
    for leaf in statement.reads:
        if leaf.owner is not to.owner or not overlap(leaf, to):
            continue
        a = leaf.a
        stride = row_stride(d)
        if a.shape != d.shape or a.strides != d.strides:
            return -1, True
        if leaf.offset == to.offset:
            continue
        if stride <= 0:
            return -1, True
        shift = abs(leaf.offset // stride - to.offset // stride)
        if d.ndim == 1 and (leaf.offset - to.offset) % stride:
            continue  # interleaved elements never meet
        delay, meets = max(delay, shift), True
    if meets and _wide(statement.shape):
        return -1, True
    return delay, meets


def _detour(statement: Statement) -> Sweep:
    """A sweep that computes the statement's source into memory of its own, from which the statement then copies."""
    source = statement.source
    dtype = source.dtype if type(source) is Node else source.a.dtype
    a = np.empty(statement.shape, dtype)
    leaf = Leaf(a, a)
    first = Statement(source, leaf, statement.seq)
    first.reads = statement.reads
    if type(source) is Node and source.place is None:
        first.source = source
    statement.source = leaf
    statement.reads = [leaf]
    return Sweep(first)


def _join(sweep: Sweep, statement: Statement, accesses: dict[int, list[_Access]], rows_only: bool) -> bool:
    """Whether the statement can run in the sweep; sets its base."""
    base: int | None = None
    frame = sweep.statements[0]
    rows_only, apart = rows_only or sweep.rows_only, False
    if sweep.statements[-1].reduction is not None or (statement.reduction is not None and statement.reduction.alone):
        return False
    mine = [(leaf, False) for leaf in statement.reads]
    if statement.destination is not None:
        mine.append((statement.destination, True))
    for leaf, writes in mine:
        others = accesses.get(id(leaf.owner))
        if others is None:
            continue
        me: _Access | None = None
        for other in others:
            if not (writes or other.writes) or not overlap(leaf, other.leaf):
                continue
            me = me or _Access(leaf, statement, writes)
            if me.stride <= 0 or me.stride != other.stride or other.leaf.a.ndim != leaf.a.ndim:
                return False
            wanted = other.base - other.row + me.row
            if base is None:
                base = wanted
            elif base != wanted:
                return False
            if not same_view(leaf, other.leaf):
                rows_only = apart = True
    if base is None:
        if statement.shape != frame.shape:
            return False
        base = 0
    if statement.shape != frame.shape or base != 0 or rows_only:
        if len(statement.shape) != len(frame.shape):
            return False
        if _wide(frame.shape) or _wide(statement.shape):
            return False
        rows_only = True
    sweep.rows_only = rows_only
    statement.base, statement.apart = base, apart
    return True


def plan(
    pending: list[Node | Store],
    reduction: Reduction | None,
    dead: set[int],
    idle: set[int] = frozenset(),  # type: ignore[assignment]
) -> list[Sweep]:
    """The sweeps that run a window, one after another; `dead`: owners of memory that is written, and that nobody else
    refers to; `idle`: the same of memory that is only read. `skew` makes several of them one."""
    return sweeps(statements(pending, reduction, dead, idle))
