"""A window as a recipe: what it computes, told apart from the arrays it computes on.

`Recipe.key` is the canonical form, under which the compiled program is kept: memory by number, constants by dtype.
The lists are what the numbers stand for in this window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph.canonical import dead_owners
from ...graph.node import Leaf, Node, Store
from ...runtime.residence import Remote
from .region import Region, describe


class Unsupported(Exception):
    """The device has no way to do this; the host has."""


def shown(remote: Remote, offset: int, a: np.ndarray) -> tuple[Region, str]:
    """The region of the view `a`, and what it shows of each element: itself (""), "real", "imag", or its "bits"."""
    kind, unit, what = remote.kind, remote.kind.itemsize, ""
    if a.dtype != kind:
        if kind.kind == "c" and a.dtype.kind == "f" and 2 * a.itemsize == unit:
            what = "imag" if offset % unit else "real"
        elif a.itemsize == unit and kind.kind in "iuf" and a.dtype.kind in "iuf":
            what = "bits"
        else:
            raise Unsupported
    if any(s % unit for n, s in zip(a.shape, a.strides, strict=True) if n > 1):
        raise Unsupported
    if offset % unit and what != "imag":
        raise Unsupported
    return describe(remote.layout, offset // unit, a.shape, tuple([s // unit for s in a.strides])), what


def _order(strides: tuple[int, ...]) -> tuple[int, ...]:
    """Axes in descending order of strides."""
    return tuple(sorted(range(len(strides)), key=lambda k: -strides[k]))


class Recipe:
    __slots__ = ("constants", "dtypes", "hosts", "items", "key", "living", "owners", "regions", "remotes", "written")

    def __init__(self, pending: list[Node | Store]) -> None:
        dead = dead_owners([p for p in pending if type(p) is Store])
        self.owners: list[np.ndarray] = []  # arrays that own memory of the device's
        self.remotes: list[Remote] = []
        self.hosts: list[np.ndarray] = []  # host arrays that are read
        self.constants: list[np.ndarray] = []
        self.living: list[Node] = []  # nodes whose arrays live
        self.written: list[int] = []  # owners that are written and outlive the window
        # (row, arguments, shape, dtype, alive, order of axes in memory) of a node; (destination, source) of a store
        self.items: list[tuple] = []
        self.dtypes: list[np.dtype] = []  # of the leaves
        self.regions: list[tuple[int, Region, str]] = []  # of the leaves: owner, region, and what of each element
        numbers: dict[int, tuple[str, int]] = {}
        owner_numbers: dict[int, int] = {}
        written: set[int] = set()
        leaf_keys: list[Any] = []
        items = self.items

        def number(v: Any) -> tuple[str, Any]:
            found = numbers.get(id(v))
            if found is not None:
                return found
            if type(v) is Leaf:
                owner = v.owner
                remote = owner.base
                a = v.a
                if type(remote) is not Remote:
                    found = ("host", len(self.hosts))
                    self.hosts.append(a)
                    leaf_keys.append((a.shape, a.dtype))
                else:
                    k = owner_numbers.get(id(owner))
                    if k is None:
                        k = owner_numbers[id(owner)] = len(self.owners)
                        self.owners.append(owner)
                        self.remotes.append(remote)
                        leaf_keys.append((remote.layout, remote.kind, id(owner) in dead))
                    found = ("leaf", len(self.regions))
                    leaf_keys.append((k, v.offset, a.shape, a.strides, a.dtype))
                    self.regions.append((k, *shown(remote, v.offset, a)))
                    self.dtypes.append(a.dtype)
            else:
                found = ("constant", len(self.constants))
                self.constants.append(v)
                leaf_keys.append(v.dtype)
            numbers[id(v)] = found
            return found

        count = 0
        for p in pending:
            if isinstance(p, Store):
                destination = number(p.destination)
                items.append((destination, number(p.source)))
                if id(p.destination.owner) not in dead:
                    written.add(owner_numbers[id(p.destination.owner)])
            else:
                arguments = tuple([number(arg) for arg in p.args])
                numbers[id(p)] = ("node", count)
                count += 1
                alive = p.alive()
                if alive:
                    self.living.append(p)
                items.append((p.row, arguments, p.shape, p.dtype, alive, p.strides and _order(p.strides)))
        self.written = sorted(written)
        self.key = (tuple(items), tuple(leaf_keys))
