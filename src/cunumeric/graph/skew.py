"""Several sweeps as one: statements that follow each other through memory a few rows apart.

A relaxation that is repeated streams its arrays through memory once a repetition, because each row of one repetition
needs neighbours that the one before must have written. But only a few: when a statement has done row `k`, the next can
do row `k - 2`. A *skewed* sweep runs all its *units* (statements over one iteration space, element for element) side
by side, each behind the others by as many rows as the rows that they share make necessary (its *lag*), so a row is
still in cache when the next unit needs it, and memory is read and written once.

Rows are those of the memory that is shared. Per owner of memory that some unit writes, each access is `frame row +
offset`. Of two units, the earlier must have passed every row that the later one meets, if one of them writes it: that
is all that orders the units, and it gives the lags. Tiles are bands of time (row plus lag); a unit waits with a band
until the band before has passed it, so threads follow each other through the bands.

Units that change one array in turn, element for element but over different parts of it (`w = 4 * v`, then
`w[1:] -= v[:-1]`, `w[:, 1:] -= v[:, :-1]` ...), run as one where they all apply: their parts are cut into *cells*, each
of which runs those units that cover it.

Memory that nobody can see afterwards, and that is written as a whole before it is read, needs no more than the rows
between its first and its last use: a *ring*.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..runtime import threads
from ..runtime.settings import settings
from . import window
from .node import Leaf, Node
from .plan import Statement, Sweep, overlap, same_view

# Bytes that the rows between the first and the last unit may take, so that caches hold them.
_BYTES_MOST = 6 << 20
# How many rows apart the statements' spaces may begin, and differ in number.
_APART_MOST = 64
# There are at least so many bands, for threads to share: the cavity at 60^2 takes 0.83 of the time so, at 130^2 0.77.
_BANDS = 4
# Elements from which a row is worth what it takes to begin one.
_ROW_LEAST = 32


# Units that are cut into cells together: there are as many as the square of twice their number at most.
_CELLED_MOST = 8


class _No(Exception):
    """These do not run as one."""


class Access:
    """A view as a unit meets it: at frame row `f` it is row `f + offset` of its owner. Of the owner it shows the rows
    from `first` to `last`, and of each the bytes from `begin` to `end`."""

    __slots__ = ("begin", "end", "first", "last", "leaf", "offset", "writes")

    def __init__(self, leaf: Leaf, unit: Unit, writes: bool) -> None:
        self.leaf = leaf
        self.first = _row_of(leaf, unit)
        self.last = self.first + unit.rows
        self.offset = self.first - unit.base
        self.writes = writes
        pitch = _pitch(leaf.owner)
        self.begin = leaf.offset % pitch
        self.end = self.begin + _span(leaf.a, pitch)

    def meets(self, other: Access) -> bool:
        """Whether both can show the same element, and one of them writes it."""
        if not (self.writes or other.writes) or self.begin >= other.end or other.begin >= self.end:
            return False
        return self.first < other.last and other.first < self.last


class Unit:
    """Statements over one iteration space that run together, element for element.

    `rows` from frame row `base`; `column`: the space is one axis, along rows; `held`: how many rows later than computed
    a row is written, -1: at once; `turn`: its rows take turns with those of the unit before, which it meets in the same
    rows alone."""

    __slots__ = ("accesses", "base", "column", "held", "lag", "reads", "rows", "shape", "statements", "turn")

    def __init__(self, statement: Statement) -> None:
        self.statements: list[Statement] = []
        self.reads: set[int] = set()
        self.add(statement)
        self.accesses: dict[int, list[Access]] = {}
        self.held = -1
        self.lag = 0
        self.turn = False
        shape = statement.shape
        to = statement.destination
        self.column = False
        if to is None:
            # A reduction: its rows are those of something that it reads.
            to = next((leaf for leaf in statement.reads if leaf.a.shape == shape), None)
            if to is None or len(shape) < 2:
                raise _No
        pitch = _pitch(to.owner)
        if len(shape) == 1:
            self.column = to.a.strides[0] == pitch
            shape = (shape[0], 1) if self.column else (1, shape[0])
        self.shape = shape
        self.rows = shape[0]
        self.base = to.offset // pitch

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)
        self.reads.update(id(leaf.owner) for leaf in statement.reads)

    def target(self) -> np.ndarray | None:
        """The array that the unit changes, if that is one part of one, row by row, and only where it stands."""
        if self.held >= 0 or self.column or len(self.shape) != 2:
            return None
        first = self.statements[0].destination
        for statement in self.statements:
            to = statement.destination
            if to is None or to.a.ndim != 2 or to.a.strides != to.owner.strides or to.a.dtype != to.owner.dtype:
                return None
            # Statements of one shape may change other rows, or another array.
            if first is None or to.owner is not first.owner or not same_view(to, first):
                return None
            if any(leaf.owner is to.owner and not same_view(leaf, to) for leaf in statement.reads):
                return None
        return first.owner if first is not None else None

    def box(self) -> tuple[int, int, int, int]:
        """Rows and columns of the target, each from the first to the one after the last."""
        to = self.statements[0].destination
        assert to is not None
        column = to.offset % _pitch(to.owner) // to.a.itemsize
        return self.base, self.base + self.rows, column, column + self.shape[1]


def _pitch(owner: np.ndarray) -> int:
    """Bytes from row to row of an owner; _No where it has no rows. Of one axis, an element is a row."""
    if not owner.ndim or not owner.flags.c_contiguous or owner.size == 0:
        raise _No
    return owner.strides[0]


def _row_of(leaf: Leaf, unit: Unit) -> int:
    """The row of the owner that the leaf shows where the unit is at its first; _No where it follows no rows."""
    pitch = _pitch(leaf.owner)
    a = leaf.a
    row, within = divmod(leaf.offset, pitch)
    if a.ndim == 1:
        if unit.column:
            if a.shape[0] != unit.rows or (a.strides[0] != pitch and unit.rows > 1):
                raise _No
        else:
            across = a.strides[0] * (a.shape[0] - 1)
            if len(unit.statements[0].shape) != 1 or across < 0 or within + across >= pitch:
                raise _No
        return row
    if unit.column or a.ndim != len(unit.shape) or a.shape[0] != unit.rows or len(unit.statements[0].shape) == 1:
        raise _No
    if a.strides[0] != pitch and unit.rows > 1:
        raise _No
    span = within
    for n, s in zip(a.shape[1:], a.strides[1:], strict=True):
        if s < 0:
            raise _No
        span += (n - 1) * s
    if span >= pitch:
        raise _No
    return row


def _meet(x: Leaf, y: Leaf) -> bool:
    """Whether two views of one owner's rows can show the same element: neighbouring columns never do."""
    if not overlap(x, y):
        return False
    pitch = _pitch(x.owner)
    a, b = x.offset % pitch, y.offset % pitch
    return a < b + _span(y.a, pitch) and b < a + _span(x.a, pitch)


def _span(a: np.ndarray, pitch: int) -> int:
    """Bytes of a row from the first to the last that the view shows in it."""
    return a.itemsize + sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True) if s < pitch)


class Skewed:
    """Sweeps that run as one; `sweeps` are what they are apart. `rings`: id of an owner whose rows turn over -> rows
    that are alive at a time, beyond those of the bands at work."""

    def __init__(self) -> None:
        self.sweeps: list[Sweep] = []
        self.units: list[Unit] = []
        self.written: set[int] = set()
        self.rings: dict[int, int] = {}

    def settle(self) -> None:
        """When all have joined: bring units that change one array in turn to one time, and let units take turns."""
        units: list[Unit] = []
        for k, unit in enumerate(self.units):
            units.append(unit)
            after = self.units[k + 1].target() if k + 1 < len(self.units) else None
            last = unit.statements[-1]
            alone = len(unit.statements) < 2 or unit.held >= 0 or unit.column or after is None
            if not alone and last.destination is not None and last.destination.owner is after:
                own = Unit(last)
                if own.base == unit.base:  # else its rows have other times than the unit's
                    self._part_with(unit, own)
                    units.append(own)
        for k in range(len(units) - 2, -1, -1):
            unit, after_ = units[k], units[k + 1]
            if after_.lag > unit.lag and unit.target() is not None and unit.target() is after_.target():
                before, unit.lag = unit.lag, after_.lag
                if any(_behind(unit, later) > later.lag for later in units[k + 1 :]):
                    unit.lag = before
        run: list[Unit] = []
        for unit in units:
            alone = unit.held >= 0 or unit.column
            unit.turn = bool(run) and not alone and all(_by_rows(earlier, unit) for earlier in run)
            run = [*run, unit] if unit.turn else [] if alone else [unit]
        self.units = units

    def _part_with(self, unit: Unit, own: Unit) -> None:
        """Take the unit's last statement from it, which is a unit of its own from now on."""
        unit.statements.pop()
        unit.reads = {id(leaf.owner) for statement in unit.statements for leaf in statement.reads}
        own.lag = unit.lag
        for one in (unit, own):
            one.accesses = _accesses(one, self.written)

    def parts(self) -> list[list[Unit]]:
        """The units in order, those that run cell by cell together."""
        found: list[list[Unit]] = []
        for unit in self.units:
            target = unit.target()
            before = found[-1][-1] if found else None
            if before is not None and target is not None and before.lag == unit.lag and before.target() is target:
                found[-1].append(unit)
            else:
                found.append([unit])
        return [part for parts in found for part in ([parts] if len(parts) <= _CELLED_MOST else [[u] for u in parts])]

    def rows(self) -> int:
        """Rows of a band: as many as keep what a unit works on in a core's own cache, and leave some for others."""
        row = max(math.prod(u.shape[1:]) for u in self.units)
        low, high = self.bounds()
        return max(1, min(settings.tile // max(row, 1), -(-(high - low) // _BANDS)))

    def bounds(self) -> tuple[int, int]:
        """First and last time that something is done."""
        low = min(u.base + u.lag for u in self.units)
        return low, max(u.base + u.rows + max(u.held, 0) + u.lag for u in self.units)

    def join(self, sweep: Sweep) -> bool:
        """Take the sweep in, if it can run skewed behind the others and works on some memory of theirs."""
        met_here = {id(leaf.owner) for one in self.sweeps for s in one.statements for leaf in _leaves(s)}
        if self.sweeps and met_here.isdisjoint(id(leaf.owner) for s in sweep.statements for leaf in _leaves(s)):
            return False
        try:
            units = _units(sweep)
            written = self.written | {id(s.destination.owner) for s in sweep.statements if s.destination is not None}
            # What is read by units here, and was not written before.
            again = [u for u in self.units if not u.reads.isdisjoint(written - self.written)]
            met = [_accesses(unit, written) for unit in again + units]
        except _No:
            return False
        before = [unit.accesses for unit in again]
        for unit, accesses in zip(again + units, met, strict=True):
            unit.accesses = accesses
        try:
            for unit in units:
                _hold(unit)
            self._place(units)
        except _No:
            for unit, accesses in zip(again, before, strict=True):
                unit.accesses = accesses
            return False
        self.units += units
        self.sweeps.append(sweep)
        self.written = written
        return True

    def _place(self, units: list[Unit]) -> None:
        """Give the units their lags; _No where they are another kind of work than the units here."""
        everything = self.units + units
        rows = max(u.rows for u in everything)
        inner = max(math.prod(u.shape[1:]) for u in everything)
        if inner > 8 * settings.tile:
            raise _No
        for unit in everything:
            if unit.rows > 1 and (rows - unit.rows > _APART_MOST or unit.base > _APART_MOST):
                raise _No
        before = list(self.units)
        for unit in units:
            unit.lag = max((_behind(earlier, unit) for earlier in before), default=0)
            before.append(unit)
        arrays = len({k for u in everything for k in u.accesses})
        if self.units and max(u.lag for u in everything) * inner * 8 * arrays > _BYTES_MOST:
            raise _No

    def pays(self) -> bool:
        """Whether there is more than one sweep, and enough to do beside each unit that one thread at a time works on,
        as it holds rows back or has rows for one band: no more threads work than units of its cost would fill."""
        if not self.sweeps or max(math.prod(u.shape[1:]) for u in self.units) < _ROW_LEAST:
            return False
        if len(self.sweeps) == 1:
            return any(len(part) > 1 for part in self.parts())
        band = self.rows()
        ordered = max((_cost(u) for u in self.units if u.held >= 0 or u.rows <= band), default=0)
        return sum(map(_cost, self.units)) >= 1.4 * min(threads.count(), 8) * ordered or threads.count() == 1

    def find_rings(self, hidden: set[int], others: list[Sweep]) -> None:
        """Owners of `hidden` memory that live inside this sweep only."""
        outside = {id(leaf.owner) for sweep in others for s in sweep.statements for leaf in _leaves(s)}
        for key in self.written & hidden - outside:
            users = [u for u in self.units if key in u.accesses]
            maker = users[0].accesses[key]
            # The first to meet it writes all of it; nobody holds rows of it back.
            if not all(a.writes for a in maker) or maker[0].leaf.a.shape != maker[0].leaf.owner.shape:
                continue
            if any(u.held >= 0 and any(a.writes for a in u.accesses[key]) for u in users):
                continue
            times = [u.lag - a.offset for u in users for a in u.accesses[key]]
            self.rings[key] = max(times) - min(times) + 1


def _cost(unit: Unit) -> int:
    """Of a unit, in additions of elements and writes."""
    seen: set[int] = set()
    total = len(unit.statements)
    stack = [s.source for s in unit.statements]
    for statement in unit.statements:
        if type(statement.source) is Node and statement.source.place is not None:
            stack.extend(statement.source.args)
            total += statement.source.row.cost
    while stack:
        n = stack.pop()
        if type(n) is Node and id(n) not in seen and n.place is None:
            seen.add(id(n))
            total += n.row.cost
            stack.extend(n.args)
    return total * math.prod(unit.shape)


def _units(sweep: Sweep) -> list[Unit]:
    """The sweep's statements as units, without lags."""
    found: list[Unit] = []
    last: Statement | None = None
    for statement in sweep.statements:
        if statement.reduction is not None and (statement.reduction.alone or not sweep.rows_only):
            # Which elements share a partial result must not depend on whether sweeps are skewed: only those join whose
            # elements are taken row by row all the same.
            raise _No
        unit = Unit(statement)
        together = last is not None and not statement.apart and not sweep.delayed and not sweep.inward
        if together and last is not None and (last.shape, last.base) == (statement.shape, statement.base):
            # Of one axis, statements may be rows far apart.
            together = len(last.shape) > 1 or (found[-1].column, found[-1].base) == (unit.column, unit.base)
        else:
            together = False
        if together:
            found[-1].add(statement)
        else:
            found.append(unit)
        last = statement
    return found


def _accesses(unit: Unit, written: set[int]) -> dict[int, list[Access]]:
    """Where the unit meets memory that is written, by id of owner."""
    found: dict[int, list[Access]] = {}
    for statement in unit.statements:
        to = statement.destination
        for leaf, writes in [*((leaf, False) for leaf in statement.reads), *([(to, True)] if to is not None else [])]:
            if id(leaf.owner) in written:
                found.setdefault(id(leaf.owner), []).append(Access(leaf, unit, writes))
    return found


def _hold(unit: Unit) -> None:
    """Find for how many rows the unit must hold back what it writes."""
    for statement in unit.statements:
        to = statement.destination
        for leaf in statement.reads if to is not None else ():
            assert to is not None
            if leaf.owner is to.owner and not same_view(leaf, to) and _meet(leaf, to):
                if len(unit.statements) > 1 or len(unit.shape) != 2 or unit.column:
                    raise _No
                unit.held = max(unit.held, _row_of(to, unit) - _row_of(leaf, unit), 0)


def _behind(earlier: Unit, later: Unit) -> int:
    """The lag of the later unit that the earlier one makes necessary; 0 where they share nothing that is written."""
    lag = 0
    for key, mine in later.accesses.items():
        for other in earlier.accesses.get(key, ()):
            for access in mine:
                if access.meets(other):
                    a = other.offset - (max(earlier.held, 0) if other.writes else 0)
                    b = access.offset - (max(later.held, 0) if access.writes else 0)
                    lag = max(lag, earlier.lag + b - a)
    return lag


def _leaves(statement: Statement) -> list[Leaf]:
    """What a statement reads and writes."""
    to = statement.destination
    return [*statement.reads, *([to] if to is not None else [])]


def _by_rows(earlier: Unit, later: Unit) -> bool:
    """Whether two units of one lag meet in the same rows alone."""
    return earlier.lag == later.lag and not any(
        access.meets(other) and access.offset != other.offset
        for key, mine in later.accesses.items()
        for other in earlier.accesses.get(key, ())
        for access in mine
    )


def cells(part: list[Unit]) -> list[tuple[tuple[int, int, int, int], list[Unit]]]:
    """The boxes into which those of the units cut each other, and the units that cover each; the largest last."""
    boxes = [unit.box() for unit in part]
    rows = sorted({r for box in boxes for r in box[:2]})
    columns = sorted({c for box in boxes for c in box[2:]})
    found = []
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            covering = [
                unit
                for unit, box in zip(part, boxes, strict=True)
                if box[0] <= top and bottom <= box[1] and box[2] <= left and right <= box[3]
            ]
            if covering:
                found.append(((top, bottom, left, right), covering))
    return sorted(found, key=lambda cell: (cell[0][1] - cell[0][0]) * (cell[0][3] - cell[0][2]))


def skewed(sweeps: list[Sweep], hidden: set[int]) -> list[Sweep | Skewed]:
    """The sweeps, those that follow each other through the same rows as one. `hidden`: owners of memory that nobody
    can see afterwards."""
    result: list[Sweep | Skewed] = []
    groups: list[Skewed] = []
    k = 0
    while k < len(sweeps):
        group = Skewed()
        while k < len(sweeps) and group.join(sweeps[k]):
            k += 1
        if group.pays():
            group.settle()
            result.append(group)
            groups.append(group)
        else:
            result.extend(group.sweeps)
        if not group.sweeps:
            result.append(sweeps[k])
            k += 1
    for group in groups:
        own = {id(s) for s in group.sweeps}
        group.find_rings(hidden, [s for s in sweeps if id(s) not in own])
    return result


def hidden_owners(sweeps: list[Sweep], dead: set[int]) -> set[int]:
    """Owners of memory that nobody sees after the window: `dead` memory, and that of values without an array."""
    found = set(dead)
    for sweep in sweeps:
        for statement in sweep.statements:
            source: Any = statement.source
            to = statement.destination
            if to is None or id(to.owner) in window.memory:
                continue
            # Memory that the plan has made: for an array, or for itself.
            if not (type(source) is Node and source.place is to and source.alive()):
                found.add(id(to.owner))
    return found
