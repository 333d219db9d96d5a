"""What waits: nodes (values not yet computed), leaves (memory read), stores (memory written), reductions."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ..ops.elementwise import Row
from ..runtime.lines import Line
from ..runtime.residence import OURS, Remote, Strided

nd = np.ndarray


def owner_of(a: np.ndarray) -> np.ndarray:
    """The array that `a` is a view of, or `a`: memory is told apart by this object's identity."""
    b: Any = a.base
    while type(b) is nd or type(b) is Strided:
        if type(b) is nd:
            a = b
        b = b.base  # type: ignore[union-attr]
    return a


def is_foreign(owner: np.ndarray) -> bool:
    """Whether the memory belongs to somebody else (a buffer, a file): it can change without our knowing."""
    b = owner.base
    return b is not None and not isinstance(b, OURS)


def address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


class Leaf:
    """A view of memory, as one object a window for each NumPy array."""

    __slots__ = ("_offset", "a", "met", "origin", "owner")

    def __init__(self, a: np.ndarray, owner: np.ndarray, origin: Any = None) -> None:
        self.a = a
        self.owner = owner
        self.origin = origin  # (leaf, index) where the plan made this view of another leaf
        self._offset = -1
        self.met = False  # whether the window is known to have its owner in `memory`

    @property
    def offset(self) -> int:
        """Bytes from the start of the owner's memory."""
        if self._offset < 0:
            owner = self.owner
            if self.a is owner:
                self._offset = 0
            else:
                base = owner.base
                start = base.start if type(base) is Remote else address(owner)
                self._offset = address(self.a) - start
        return self._offset


class Node:
    """The result of an elementwise operation on nodes, leaves and constants (0-d arrays of the loop's dtype)."""

    __slots__ = (
        "__weakref__", "args", "dtype", "errors", "handle", "hazard", "itemsize", "line", "nbytes", "ndim", "needed",
        "place", "row", "seq", "shape", "size", "strides",
    )  # fmt: skip

    def __init__(
        self, row: Row, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype, size: int, seq: int
    ) -> None:
        self.row = row
        self.args = args
        self.shape = shape
        self.dtype = dtype
        self.size = size
        self.ndim = len(shape)
        self.itemsize = dtype.itemsize
        self.nbytes = size * dtype.itemsize
        self.seq = seq
        self.handle: weakref.ref | None = None  # the user's array that stands for this node
        self.line: Line | None = None  # that recorded a large node, for an accelerator
        self.errors: Any = None  # who hears of floating-point flags (`warning.Ear`)
        self.place: Leaf | None = None  # memory that holds the value, once it does
        self.strides: tuple[int, ...] | None = None  # of the result in memory, where that is not C order
        self.hazard = 0  # planning: the first store that overwrites what this node reads
        self.needed = False  # planning: something that will run asks for it

    def alive(self) -> bool:
        handle = self.handle
        return handle is not None and handle() is not None


class Store:
    """`destination[...] = source`, in its place in the program's order."""

    __slots__ = ("destination", "fresh", "seq", "source")

    def __init__(self, destination: Leaf, source: Any, seq: int, fresh: bool) -> None:
        self.fresh = fresh  # the destination is memory made for the source
        self.destination = destination
        self.source = source  # Node, Leaf or constant
        self.seq = seq


def operands(p: Node | Store) -> tuple[Any, ...]:
    """What an item of the window refers to."""
    return (p.destination, p.source) if isinstance(p, Store) else p.args


def read_by(p: Node | Store) -> tuple[Any, ...]:
    """What an item of the window reads."""
    return (p.source,) if isinstance(p, Store) else p.args


class Reduction:
    """`ufunc.reduce(source, axis)` at the end of a window; `value` is set by the engine. `ufunc` may be `numpy.argmin`
    or `numpy.argmax`, of one axis or of all."""

    __slots__ = (
        "alone", "axes", "dtype", "errors", "moments", "out_shape", "places", "seq", "source", "temporary", "ufunc",
        "value",
    )  # fmt: skip

    def __init__(self, ufunc: Any, source: Any, axes: tuple[int, ...], dtype: np.dtype) -> None:
        self.ufunc = ufunc
        self.source = source  # Node or Leaf
        self.axes = axes
        self.dtype = dtype
        shape = source.shape if type(source) is Node else source.a.shape
        self.out_shape = tuple(n for k, n in enumerate(shape) if k not in axes)
        self.places = ufunc is np.argmin or ufunc is np.argmax  # positions are asked for, not values
        self.alone = self.places or bool(self.out_shape)  # shares its sweep with no other statement
        self.value: Any = None
        self.errors: Any = None
        # How many arrays are about to die, and need no memory: the source's, or that of its first operand too.
        self.temporary = 0
        self.moments = False  # not the sum, but the sum of squared distances from the mean
        self.seq = 0
