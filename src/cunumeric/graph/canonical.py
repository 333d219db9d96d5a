"""The canonical form of a window: what it computes, with everything renumbered that changes from turn to turn.

Two windows with the same form have the same plan. Memory is told apart by number, not by address; constants are
arguments, of which only the dtype counts; so a loop that swaps its buffers or changes a coefficient has one form.
Whether a node's array is alive, and whether memory is dead, is part of the form, because the plan depends on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import window
from .node import Leaf, Node, Reduction, Store
from .plan import is_dead

# Set by an engine that reads the form off in C: (hash, form, nodes, leaves, arrays, constants, dead, idle) of a window.
in_c: Callable[..., tuple] | None = None


class Form:
    """`key` is the form and `hash` a number for it; the lists are what its numbers stand for in this window."""

    __slots__ = ("arrays", "constants", "dead", "hash", "idle", "key", "leaves", "nodes")

    hash: int
    key: Any

    def __init__(self, pending: list[Node | Store], reduction: Reduction | None) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Leaf] = []
        self.arrays: list[np.ndarray] = []  # of the leaves
        self.constants: list[np.ndarray] = []
        self.dead: set[int] = set()  # ids of owners of memory that only the window refers to
        self.idle: set[int] = set()  # the same, of large memory that is only read; told in C alone
        if in_c is None:
            self._read(pending, reduction)
        else:
            self.hash, self.key, self.nodes, self.leaves, self.arrays, self.constants, self.dead, self.idle = in_c(
                pending, reduction, window._leaves, window._exposed
            )

    def named(self, reduction: Reduction | None) -> list[Any]:
        """The objects whose addresses may be in the form: whoever keeps it keeps them."""
        told: list[Any] = [*self.nodes, reduction] if reduction is not None else [*self.nodes]
        kinds = [p.errors.kinds for p in told if p.errors is not None]
        return [*kinds, *{id(v.dtype): v.dtype for v in [*told, *self.arrays, *self.constants]}.values()]

    def _read(self, pending: list[Node | Store], reduction: Reduction | None) -> None:
        self.dead = dead = dead_owners([p for p in pending if type(p) is Store])
        numbers: dict[int, int] = {}
        owners: dict[int, int] = {}
        key: list[Any] = []
        nodes, leaves, constants = self.nodes, self.leaves, self.constants

        def number(v: Any) -> Any:
            """Nodes count from 0 up, leaves from -1 down; a constant is its dtype."""
            found = numbers.get(id(v))
            if found is not None:
                return found
            if type(v) is Leaf:
                leaves.append(v)
                self.arrays.append(v.a)
                found = numbers[id(v)] = -len(leaves)
                owner = owners.setdefault(id(v.owner), len(owners))
                a = v.a
                key.append((owner, v.offset, a.shape, a.strides, a.dtype, id(v.owner) in dead))
                return found
            constants.append(v)
            return v.dtype

        for p in pending:
            if isinstance(p, Node):
                refs = tuple([number(arg) for arg in p.args])
                numbers[id(p)] = len(nodes)
                nodes.append(p)
                errors = p.errors
                key.append((p.row, refs, p.shape, p.dtype, p.alive(), errors and errors.kinds))
            else:
                key.append((number(p.destination), number(p.source), p.fresh))
        if reduction is not None:
            r = reduction
            key.append(
                (r.ufunc, number(r.source), r.axes, r.dtype, r.temporary, r.moments, r.errors and r.errors.kinds)
            )
        self.key = tuple(key)
        self.hash = hash(self.key)


def dead_owners(stores: list[Store], large: int = sys.maxsize) -> set[int]:
    """Ids of the owners of memory that is written here, or of at least so many bytes, and that only the window refers
    to."""
    views: dict[int, list[Leaf]] = {}
    for leaf in window._leaves.values() if stores or large < sys.maxsize else ():
        views.setdefault(id(leaf.owner), []).append(leaf)
    wanted = {id(s.destination.owner) for s in stores}
    wanted.update([key for key, found in views.items() if found[0].owner.nbytes >= large])
    return {key for key in wanted if is_dead(views[key])}
