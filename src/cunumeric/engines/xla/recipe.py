"""A window as a recipe: what it computes, told apart from the arrays it computes on.

`Recipe.key` is the canonical form, under which the compiled program is kept: memory by number, constants by dtype.
The lists are what the numbers stand for in this window.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...graph.canonical import dead_owners
from ...graph.node import Leaf, Node, Store
from ...runtime.residence import Remote
from .region import Region, describe


class Unsupported(Exception):
    """The device has no way to do this; the host has."""


@lru_cache(maxsize=8192)
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
    return describe(layout, offset // unit, shape, tuple([s // unit for s in strides])), what


def _order(strides: tuple[int, ...]) -> tuple[int, ...]:
    """Axes in descending order of strides."""
    return tuple(sorted(range(len(strides)), key=lambda k: -strides[k]))


class Recipe:
    __slots__ = ("constants", "dtypes", "hosts", "items", "key", "living", "owners", "regions", "remotes", "written")

    def __init__(self, pending: list[Node | Store]) -> None:
        dead = dead_owners([p for p in pending if type(p) is Store])  # type: ignore[misc]
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
            """How the window calls the leaf or constant `v`, seen for the first time."""
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
                    found = ("leaf", len(regions))
                    dtype = a.dtype
                    region, what = shown(remote.layout, remote.kind, v.offset, a.shape, a.strides, dtype)
                    leaf_keys.append((k, id(region), dtype))
                    regions.append((k, region, what))
                    self.dtypes.append(dtype)
            else:
                found = ("constant", len(self.constants))
                self.constants.append(v)
                leaf_keys.append(v.dtype)
            numbers[id(v)] = found
            return found

        regions = self.regions
        count = 0
        seen = numbers.get
        for p in pending:
            if type(p) is Node:
                arguments = tuple([seen(id(arg)) or number(arg) for arg in p.args])
                numbers[id(p)] = ("node", count)
                count += 1
                alive = p.alive()
                if alive:
                    self.living.append(p)
                items.append((p.row, arguments, p.shape, p.dtype, alive, p.strides and _order(p.strides)))
            else:
                destination, source = p.destination, p.source  # type: ignore[union-attr]
                owner = destination.owner
                items.append((seen(id(destination)) or number(destination), seen(id(source)) or number(source)))
                if id(owner) not in dead:
                    written.add(owner_numbers[id(owner)])
        self.written = sorted(written)
        self.key = (tuple(items), tuple(leaf_keys))
