"""Windows for which the device has no room: run in parts, and what finds no room at all is lost.

A part that has run leaves the window as one that never had it: what the rest reads of it is memory by then.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ...graph import window
from ...graph.node import Leaf, Node, Store, operands, read_by
from ...runtime import residence
from ...runtime.residence import Lost, Remote
from . import pressure


class TooLarge(Exception):
    """The device has no room for the window."""

    def __init__(self, wanted: int | None, told: str = "") -> None:
        self.wanted = wanted
        self.told = told  # where smaller parts would not find room, either


def run(pending: list[Node | Store], attempt: Callable[[list[Node | Store]], TooLarge | None]) -> None:
    """Run a window: in one piece, or in two for which there is room, and so on. What finds none is as if it had raised
    the error: results are lost, and memory is as it was; and so is what builds on it. The rest runs. `attempt` runs a
    part, nothing of it where there is no room."""
    parts = [list(pending)]
    losses = _Losses()
    while parts:
        part = losses.spared(parts.pop())
        holders = _passed(part) if len(part) < len(window.pending) else {}
        told = _reads_lost(part) if residence.losses else ""
        short = TooLarge(None, told if len(part) == 1 else "") if told else attempt(part) if part else None
        if short is not None and len(part) > 1 and not short.told:
            pressure.counters.split += 1
            half = len(part) // 2
            parts += [part[half:], part[:half]]
            continue
        if short is not None:
            losses.add(part, short.told or str(pressure.shortage(short.wanted, part[0])))
        if parts or losses.told:
            _leave(part, {} if short is not None else holders)
    if losses.told:
        window.forget()
        raise MemoryError(losses.told)


class _Losses:
    """What a window could not compute."""

    def __init__(self) -> None:
        self.told = ""  # of the first
        self.nodes: dict[int, Node] = {}
        self.unwritten: dict[int, np.ndarray] = {}  # owners of memory that should have been written

    def add(self, items: list[Node | Store], told: str) -> None:
        self.told = self.told or told
        for p in items:
            if isinstance(p, Node):
                self.nodes[id(p)] = p
                x = p.handle() if p.handle is not None else None
                if x is not None:
                    x._a = residence.reserve(p.shape, p.dtype, strides=p.strides, touched=False)
                    residence.lose(x._a.base, told)
            else:
                owner = p.destination.owner
                self.unwritten[id(owner)] = owner
                remote: Any = owner.base
                # Memory from nothing, which the device never had: there is nothing that it could have kept.
                new = type(remote) is Remote and remote.listed is None and remote.range is not None
                if new and p.destination.a.nbytes == owner.nbytes:
                    residence.lose(remote, told)

    def spared(self, part: list[Node | Store]) -> list[Node | Store]:
        """The part without what builds on something lost, which is lost, too."""
        if not self.told:
            return part
        kept = []
        for p in part:
            if any(id(v) in self.nodes or (type(v) is Leaf and id(v.owner) in self.unwritten) for v in read_by(p)):
                self.add([p], self.told)
            else:
                kept.append(p)
        if len(kept) < len(part):
            gone = {id(p) for p in part} - {id(p) for p in kept}
            window.pending[:] = [p for p in window.pending if id(p) not in gone]
        return kept


class _Holder:
    """Stands for the array of a node whose own has died, but whose value is needed for the second half of a window."""

    __slots__ = ("__weakref__", "_a")


def _passed(part: list[Node | Store]) -> dict[int, Any]:
    """What will hold the arrays of those nodes of `part`, the head of the window, that the rest of the window reads; by
    the nodes' ids."""
    nodes = {id(p) for p in part if type(p) is Node}
    read = {id(v): v for p in window.pending[len(part) :] for v in operands(p) if id(v) in nodes}
    holders = {}
    for key, node in read.items():
        x = node.handle() if node.handle is not None else None
        if x is None:
            x = _Holder()
            node.handle = weakref.ref(x)
        holders[key] = x
    return holders


def _leave(part: list[Node | Store], holders: dict[int, Any]) -> None:
    """`part` has run: take it from the window, which must not run it again should the rest find no memory. The rest
    reads arrays where it read nodes; what it does not read is not held any longer."""
    del window.pending[: len(part)]
    arrays = {}
    for key, x in holders.items():
        arrays[key] = window.leaf(x._a)
        window.traffic_of(arrays[key].owner)  # references are counted
    for p in window.pending:
        if isinstance(p, Store):
            p.source = arrays.get(id(p.source), p.source)
        else:
            p.args = tuple([arrays.get(id(v), v) for v in p.args])
    window.retain()


def _reads_lost(part: list[Node | Store]) -> str:
    """What is told of lost memory that the part has to read. Such memory as it writes as a whole begins anew."""
    needed: set[int] = set()
    anew: list[Remote] = []
    for p in reversed(part):
        if isinstance(p, Node) and id(p) not in needed and not p.alive():
            continue
        needed.update(map(id, operands(p)))
        for v in read_by(p):
            remote = v.owner.base if type(v) is Leaf else None
            if type(remote) is Remote and type(remote.value) is Lost:
                return remote.value.told
        if isinstance(p, Store):
            found: Any = p.destination.owner.base
            if type(found) is Remote and type(found.value) is Lost:
                if p.destination.a.nbytes != p.destination.owner.nbytes:
                    return found.value.told
                anew.append(found)
    for found in anew:  # which nothing of the part reads before
        found.value, found.home = None, True
    return ""
