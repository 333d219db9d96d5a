"""Sorted runs, one on each device or several behind one another: ranks, exact splitting, merging.

Elements are told by lists of keys, the first of which decides before the others. Equal elements keep the order of the
devices and of their places, so that no two elements are equal and everything here is exact and stable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....ops.lowering.sorting import precedes
from .exchange import by_pieces, emptied
from .spread import rank

# Candidates of all devices for all splitters in one round of splitting.
_CANDIDATES = 1 << 15
# Outputs that share one long search when runs are merged.
_TILE = 32
# Steps of a search that one kernel of a GPU takes: more would take long to compile. The processor's compiler does not
# fuse them.
_UNROLLED = 5


def bisected(jx: Any, beyond: Callable[[Any], Any], low: Any, high: Any, steps: int) -> Any:
    """The first place from `low` to `high` that is not `beyond`."""

    def step(_: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = ends
        middle = (low + high) // 2
        after = beyond(middle) & (low < high)
        return jx.np.where(after, middle + 1, low), jx.np.where(after | (low >= high), high, middle)

    unroll = 1 if jx.jax.default_backend() == "cpu" else min(steps, _UNROLLED)
    return jx.lax.fori_loop(0, steps, step, (low, high), unroll=unroll)[0]


def place_in(jx: Any, run: list[Any], values: list[Any], or_equal: Any) -> Any:
    """How many elements of a sorted run come before each of the values (or are equal): by bisection, all at once."""
    n, shape = run[0].shape[0], values[0].shape
    kind = np.int32 if n < 2**30 else np.int64
    if not n:
        return jx.np.zeros(shape, kind)

    def beyond(middle: Any) -> Any:
        at = jx.np.minimum(middle, n - 1)
        return precedes(jx, [k[at] for k in run], values, or_equal)

    return bisected(jx, beyond, jx.np.zeros(shape, kind), jx.np.full(shape, n, kind), n.bit_length())


def split(jx: Any, run: list[Any], targets: Any) -> Any:
    """For each target t: how many elements of this device's run are among the first t of all devices' runs.

    Selection from several sorted sequences (Varman et al., "Merging multiple lists on hierarchical-memory
    multiprocessors", 1991), with many candidates a round: each device names elements at equal distances of what is left
    of its run, all count how many of their own come before each, and the sums are the candidates' ranks. Between the
    nearest ones below and above the target, as many times fewer elements are left.
    """
    names, parts = jx.mesh.names, jx.mesh.size
    n, wanted, me = run[0].shape[0], targets.shape[0], rank(jx, names)
    named = max(8, min(1024, _CANDIDATES // (parts * wanted), n // (32 * parts * wanted)))
    rounds, left = 1, n
    while left > named:
        left, rounds = -(-left // named), rounds + 1
    steps = jx.lax.iota(np.int64, named)
    devices = jx.lax.iota(np.int32, parts).reshape(parts, 1, 1)
    none = np.int64(1 << 62)

    def narrowed(_: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = ends
        lows, highs = jx.lax.all_gather(jx.np.stack([low, high]), names).transpose(1, 0, 2)[..., None]
        at, sound = lows + steps * (highs - lows) // named, jx.np.broadcast_to(highs > lows, (parts, wanted, named))
        values = [jx.lax.all_gather(k[jx.np.minimum(at[me], n - 1)], names) for k in run]
        mine = jx.np.where(devices == me, at[me], place_in(jx, run, values, devices > me))
        ranks = jx.np.where(sound, jx.lax.psum(mine, names), none)
        mine, ranks = (x.transpose(1, 0, 2).reshape(wanted, -1) for x in (mine, ranks))
        goal = targets[:, None]
        below = jx.np.where(ranks <= goal, ranks, -1)
        above = jx.np.where(ranks >= goal, ranks, none)

        def at_best(place: Any) -> Any:
            return jx.np.take_along_axis(mine, place[:, None], 1)[:, 0]

        low = jx.np.where(below.max(1) >= 0, at_best(below.argmax(1)), low)
        high = jx.np.where(above.min(1) < none, at_best(above.argmin(1)), high)
        return low, high

    ends = jx.np.zeros(wanted, np.int64), jx.np.full(wanted, n, np.int64)
    return jx.lax.fori_loop(0, rounds, narrowed, ends)[0]


def merged(jx: Any, operands: list[Any], num_keys: int, bounds: Any) -> list[Any]:
    """Sorted runs that stand one behind the other, from `bounds[k]` to `bounds[k + 1]`, as one; two by two."""
    n = operands[0].shape[0]
    while bounds.shape[0] > 2:
        if bounds.shape[0] % 2 == 0:
            bounds = jx.np.concatenate([bounds, bounds[-1:]])
        source = _Merging(jx, operands[:num_keys], bounds).source

        def outputs(i: Any, _: list[Any], operands: Any = operands, source: Any = source) -> list[Any]:
            at = source(i)
            return [x[at] for x in operands]

        operands = by_pieces(jx, outputs, emptied(jx, operands, n))
        bounds = bounds[::2]
    return operands


def _run_of(jx: Any, starts: Any, i: Any) -> Any:
    """The run to which position `i` belongs: the last that begins at `i` or before, of runs that begin at `starts`."""
    found = jx.np.zeros(i.shape, np.int32)
    for k in range(1, starts.shape[0]):
        found = found + (i >= starts[k])
    return found


class _Merging:
    """Where each output of the merges of neighbouring runs comes from.

    Merge path (Odeh et al., "Merge path - parallel merging made simple", 2012): the k-th output of a merge is found by
    bisection for how many of the first k come from the first run. Every `_TILE`-th output searches the whole run, those
    between search between their neighbours.
    """

    def __init__(self, jx: Any, keys: list[Any], bounds: Any) -> None:
        self.jx, self.keys, self.bounds = jx, keys, bounds
        self.length = keys[0].shape[0]
        tiles = jx.lax.iota(bounds.dtype, -(-self.length // _TILE)) * _TILE
        self.pair, first, second, k, _, _, low, high = self._ends(tiles)
        self.near = self._searched(first, second, k, low, high, self.length.bit_length())

    def _ends(self, i: Any) -> tuple[Any, ...]:
        jx, bounds = self.jx, self.bounds
        pair = _run_of(jx, bounds[:-1:2], i)
        first, second, end = (bounds[o : bounds.shape[0] - 2 + o : 2][pair] for o in (0, 1, 2))
        k, size, other = i - first, second - first, end - second
        return pair, first, second, k, size, other, jx.np.maximum(k - other, 0), jx.np.minimum(k, size)

    def _first_wins(self, first: Any, second: Any) -> Any:
        places = [self.jx.np.clip(p, 0, self.length - 1) for p in (first, second)]
        a, b = ([x[p] for x in self.keys] for p in places)
        return precedes(self.jx, a, b, True)

    def _searched(self, first: Any, second: Any, k: Any, low: Any, high: Any, steps: int) -> Any:
        def beyond(middle: Any) -> Any:
            return self._first_wins(first + middle, second + k - 1 - middle)

        return bisected(self.jx, beyond, low, high, steps)

    def source(self, i: Any) -> Any:
        """Where the outputs `i` come from."""
        jx = self.jx
        pair, first, second, k, size, other, low, high = self._ends(i)
        tile = jx.np.minimum(i // _TILE, self.near.shape[0] - 1)
        near, same = self.near[tile], self.pair[tile] == pair
        low = jx.np.where(same, jx.np.maximum(low, near), low)
        high = jx.np.where(same, jx.np.minimum(high, near + i % _TILE), high)
        a = self._searched(first, second, k, low, high, (_TILE - 1).bit_length())
        takes = (a < size) & ((k - a >= other) | self._first_wins(first + a, second + k - a))
        return jx.np.where(takes, first + a, second + k - a)
