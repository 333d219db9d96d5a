"""A window as a recipe: what it computes, told apart from the arrays it computes on.

`Recipe.key` is the canonical form, under which the compiled program is kept: memory by number, constants by dtype.
The lists are what the numbers stand for in this window.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...graph import window
from ...graph.canonical import dead_owners
from ...graph.node import Leaf, Node, Store, operands
from ...runtime import addresses, residence
from ...runtime.residence import Remote
from ...runtime.settings import settings
from .region import Region, describe


class Unsupported(Exception):
    """The device has no way to do this; the host has."""


def shown(
    layout: tuple[int, ...],
    kind: np.dtype,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype,
) -> tuple[Region, str]:
    """The region of a view of a remote's memory, told by its offset, shape and strides in bytes; and what it shows of
    each element: itself (""), "real", "imag", or its "bits"."""
    unit, what = kind.itemsize, ""
    if dtype != kind:
        if kind.kind == "c" and dtype.kind == "f" and 2 * dtype.itemsize == unit:
            what = "imag" if offset % unit else "real"
        elif dtype.itemsize == unit and kind.kind in "iuf" and dtype.kind in "iuf":
            what = "bits"
        else:
            raise Unsupported
    if any(s % unit for n, s in zip(shape, strides, strict=True) if n > 1):
        raise Unsupported
    if offset % unit and what != "imag":
        raise Unsupported
    region = describe(layout, offset // unit, shape, tuple([s // unit for s in strides]))
    return _imaginary(region) if what == "imag" else region, what


@functools.cache
def _imaginary(region: Region) -> Region:
    """The same region as another object: programs are told apart by the identity of their regions, and the real parts
    have the same dtype and the same region."""
    return Region(*region)


def order_of(strides: tuple[int, ...]) -> tuple[int, ...]:
    """Axes in descending order of strides."""
    return tuple(sorted(range(len(strides)), key=lambda k: -strides[k]))


# Memory that is read by the window alone is given to its results from so many bytes on.
_GIVEN_FROM = 1 << 20


# What an item's arguments are: `4 * k + kind` is the k-th of its kind.
NODE, LEAF, HOST, CONSTANT = range(4)


class Recipe:
    __slots__ = (
        "_dead", "_items", "constants", "dtypes", "hosts", "key", "living", "owners", "pending", "regions", "remotes",
        "spent", "written",
    )  # fmt: skip

    def __init__(self, pending: list[Node | Store], dead: set[int]) -> None:
        if len(pending) < len(window.pending):  # the head of a window: the rest asks for memory too
            rest = [v for p in window.pending[len(pending) :] for v in operands(p)]
            dead -= {id(v.owner) for v in rest if type(v) is Leaf}
        self.pending, self._dead = pending, dead
        self._items: list[tuple] | None = None
        self.owners: list[np.ndarray] = []  # arrays that own memory of the device's
        self.remotes: list[Remote] = []
        self.hosts: list[np.ndarray] = []  # host arrays that are read
        self.constants: list[np.ndarray] = []
        self.dtypes: list[np.dtype] = []  # of the leaves
        self.regions: list[tuple[int, Region, str]] = []  # of the leaves: owner, region, and what of each element
        self.living: list[Node] = []  # nodes whose arrays live
        written: set[int] = set()
        # What is computed, and what the numbers stand for, as far as the program depends on it.
        self.key = fill(
            pending, dead, written, None, self.owners, self.remotes, self.hosts, self.constants, self.dtypes,
            self.regions, self.living,
        )  # fmt: skip
        self.written = sorted(written)  # owners that are written and outlive the window
        # Owners that nobody asks for after the window: their memory can become that of a result.
        self.spent = [k for k, owner in enumerate(self.owners) if id(owner) in dead] if dead else []

    @property
    def items(self) -> list[tuple]:
        """(row, arguments, shape, dtype, alive, order of axes in memory) of a node; (destination, source) of a store.
        Made for windows that are met for the first time, and before their window is emptied."""
        if self._items is None:
            items: list[tuple] = []
            fill(self.pending, self._dead, set(), items, [], [], [], [], [], [], self.living)
            self._items = items
        return self._items

    def form(self) -> tuple[Any, ...]:
        """The key without the places of the leaves."""
        forms = tuple([(k, region.form, what) for k, region, what in self.regions])
        layouts = tuple([(r.layout, r.kind) for r in self.remotes])
        kinds = tuple([c.dtype for c in self.constants])
        hosts = tuple([(a.shape, a.dtype) for a in self.hosts])
        return (tuple(self.items), forms, layouts, kinds, hosts, tuple(self.dtypes), tuple(self.written))

    def starts(self, moving: tuple[int, ...]) -> np.ndarray:
        """Where the leaves `moving` lie, one after the other."""
        return np.array([start for j in moving for start in self.regions[j][1].starts], np.int32)


def _fill(
    pending: list[Any], dead: set[int], written: set[int], wanted: list | None, owners: list, remotes: list,
    hosts: list, constants: list, dtypes: list, regions: list, living: list,
) -> Any:  # fmt: skip
    """The lists of a recipe, and its key, in Python: the same as in `_recipe.c`."""
    items: list = [] if wanted is None else wanted
    lived = None if wanted is None else {id(p) for p in living}
    keys: list[Any] = []
    numbers: dict[int, int] = {}
    owner_numbers: dict[int, int] = {}

    def number(v: Any) -> int:
        """How the window calls `v`."""
        found = numbers.get(id(v))
        if found is not None:
            return found
        if type(v) is not Leaf:
            found = 4 * len(constants) + CONSTANT
            constants.append(v)
            keys.append(v.dtype)
        elif type(v.owner.base) is not Remote:
            found = 4 * len(hosts) + HOST
            hosts.append(v.a)
            keys.append((v.a.shape, v.a.dtype))
        else:
            owner, remote, a = v.owner, v.owner.base, v.a
            k = owner_numbers.get(id(owner))
            if k is None:
                k = owner_numbers[id(owner)] = len(owners)
                owners.append(owner)
                remotes.append(remote)
                keys.append((remote.layout, remote.kind, id(owner) in dead))
            found = 4 * len(regions) + LEAF
            at = (remote.layout, remote.kind, v.offset, a.shape, a.strides, a.dtype)
            region = _known.get(at)
            if region is None:
                region = _known[at] = shown(*at)
            keys.append((k, id(region[0]), a.dtype))
            regions.append((k, *region))
            dtypes.append(a.dtype)
        numbers[id(v)] = found
        return found

    count = 0
    for p in pending:
        if type(p) is Node:
            arguments = tuple([number(arg) for arg in p.args])
            numbers[id(p)] = 4 * count + NODE
            count += 1
            if lived is None:
                alive = p.alive()
                if alive:
                    living.append(p)
            else:  # arrays may have died since the key was made, which the collector may do at any time
                alive = id(p) in lived
            items.append((p.row, arguments, p.shape, p.dtype, alive, p.strides and order_of(p.strides)))
        else:
            items.append((number(p.destination), number(p.source)))
            owner = p.destination.owner
            if id(owner) not in dead:
                written.add(owner_numbers[id(owner)])
    return tuple(items), tuple(keys)


def _dead(pending: list[Any], leaves: dict[int, Leaf], exposed: dict[int, Any], large: int) -> set[int] | None:
    """Ids of the owners of memory that is written here, or of at least `large` bytes, and that only the window refers
    to; None where something is written that the device cannot hold, or that somebody else can reach. As in C."""
    stores = [p for p in pending if type(p) is Store]
    owners = [p.destination.owner for p in stores]
    if any(type(owner.base) is not Remote or id(owner) in exposed for owner in owners):
        return None
    del owners  # references are counted
    return dead_owners(stores, large)


def dead(pending: list[Any]) -> set[int] | None:
    """What memory the window `pending` is the last to know of; None where it has to run on the host."""
    return tell_dead(pending, window._leaves, window._exposed, _GIVEN_FROM)


def _keep(node: Node, value: Any) -> None:
    """Give the array that stands for the node, if it lives, the device's value. As in C."""
    x = node.handle() if node.handle is not None else None
    if x is not None:
        a = residence.reserve(node.shape, node.dtype, strides=node.strides, touched=False)
        residence.hold(a.base, value)  # type: ignore[arg-type]
        residence.made_at(a, node.line)
        x._a = a


# What `shown` said. Regions are told apart by identity, so none is ever forgotten.
_known: dict[tuple, tuple[Region, str]] = {}
fill, tell_dead, keep, reserve = _fill, _dead, _keep, residence.reserve
if settings.native:
    try:
        from . import _recipe  # type: ignore[attr-defined]
    except ImportError:
        pass
    else:
        _recipe.start(
            Node, Leaf, Store, Remote, shown, order_of, _known, addresses.Range, addresses._spare, residence._held,
            residence._gone, residence.reserve, _keep,
        )  # fmt: skip
        fill, tell_dead = _recipe.build, _recipe.dead
        keep, reserve = _recipe.keep, _recipe.reserve
