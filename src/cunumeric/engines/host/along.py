"""Reductions along some axes, and positions of extremes, for `_tiles`: in which order the elements are met, and whose
result each of them joins.

Axes that go together in all operands are one. What is reduced joins *accumulators* that begin with the identity: a
result's, or several for each result, which are joined when all is done. The last axis decides how:

- ELEMENTS: it is kept. A chunk joins as many accumulators element for element: an instruction like all others, which
  is compiled with those before it. Sums over the axes before are in NumPy's order.
- LANES: it is kept and short, and the axis before is reduced: as many of its rows as make a vector join as one, so
  that an accumulator is there for each of them.
- ONE: it is reduced. A chunk joins one accumulator; sums are pairwise, in NumPy's order within a row.
- ROWS: it is reduced and short, and the axis before is kept: a chunk is several rows, each reduced for itself.

Threads share an axis that is kept, in bands. Where none is long enough they share a reduced one, and each band has
accumulators of its own. Which of the two, and in the latter case how many bands, follows from the shape alone, so that
results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph.node import Reduction
from ...runtime import memory, threads
from ...runtime.settings import settings

ELEMENTS, LANES, ONE, ROWS = range(4)
# Elements of a chunk, of a vector of lanes, and of the shortest line that is worth beginning one.
CHUNK, _LANES, _LINE = 2048, 256, 32
# Bytes of a chunk that joins as many accumulators. Of what is not in cache, twice as many take 1.2 times as long.
_CHUNK_BYTES = 2048
# Indices of a kept axis from which threads share it, of the last one, and elements that are worth a band.
_SHARED, _NARROW, _BAND = 8, 256, 1 << 14
# Accumulators of a band, at most: so many stay in cache.
_ELEMENTS_MOST = 4096
_BANDS_MOST = 64


@dataclass
class Axis:
    n: int
    kept: bool
    strides: list[int]  # of each operand


@dataclass
class Along:
    """How a block is reduced; strides in elements of the accumulators, of operands in bytes."""

    shape: tuple[int, ...]
    strides: list[tuple[int, ...]]
    kind: int
    per: int  # elements of a line that share an accumulator; 0: it is as many as a chunk, anew for each
    results: tuple[int, ...]
    positions: tuple[int, ...]  # what a step on an axis adds to the place in the reduced axes
    lanes: int  # rows that join as one
    accumulators: int  # in a band
    chunk: int
    axis: int = 0
    rows: int = 0
    bands: int = 1  # that have accumulators of their own
    number: int = 0  # of the accumulators in the run's arrays

    def reduced(self) -> tuple[bool, ...]:
        """For each axis but the last, whether it is reduced."""
        return tuple([k == 0 for k in self.results])

    def met(self, dtype: np.dtype, start: Any) -> tuple:
        """Accumulators of this dtype that begin with `start`, as the extension has a load (`Met`)."""
        strides = tuple([k * dtype.itemsize for k in self.results])
        band = self.accumulators * dtype.itemsize if self.bands > 1 else 0
        return strides, self.per, band, np.array(start, dtype).tobytes()


def _axes(shape: tuple[int, ...], reduced: tuple[int, ...], arrays: list[np.ndarray]) -> list[Axis]:
    """The axes longer than 1, neighbours of one kind joined where they follow each other in all operands."""
    found: list[Axis] = []
    for k, n in enumerate(shape):
        if n == 1:
            continue
        strides = []
        for a in arrays:
            at = k - len(shape) + a.ndim
            strides.append(a.strides[at] if at >= 0 and a.shape[at] != 1 else 0)
        axis = Axis(n, k not in reduced, strides)
        if found and found[-1].kept == axis.kept and _follows(found[-1], axis):
            found[-1] = Axis(found[-1].n * n, axis.kept, strides)
        else:
            found.append(axis)
    return found or [Axis(1, not reduced, [0] * len(arrays))]


def _follows(outer: Axis, inner: Axis) -> bool:
    return all(a == b * inner.n for a, b in zip(outer.strides, inner.strides, strict=True))


def along(reduction: Reduction, shape: tuple[int, ...], arrays: list[np.ndarray]) -> Along | None:
    """How to reduce a block of `shape` whose operands are `arrays`; None where the rows are too short for C."""
    tile = settings.tile
    small = tile < 1024  # in tests: so that small arrays take all ways
    lanes_most, line = (2 * tile, 1) if small else (_LANES, _LINE)
    axes = _axes(shape, reduction.axes, arrays)
    size = math.prod(shape)
    last, before = axes[-1], axes[-2] if len(axes) > 1 else None
    joined = before is not None and before.kept != last.kept and _follows(before, last)
    kind, per, lanes = (ELEMENTS, 1, 1) if last.kept else (ONE, 1, 1)
    chunk = min(CHUNK, tile)
    if kind == ELEMENTS:
        chunk = min(_CHUNK_BYTES // max([reduction.dtype.itemsize, *[a.itemsize for a in arrays]]), tile)
    elif pairwise(reduction):
        chunk = max(chunk, 128)  # NumPy's pairwise sums are not cut below
    places = reduction.places
    if last.kept and last.n < lanes_most and joined and not places:
        lanes = min(lanes_most // last.n, before.n // 8) or 1  # type: ignore[union-attr]
        if lanes > 1:
            kind, per, chunk = LANES, 0, lanes * last.n
    elif not last.kept and last.n < min(_LANES, chunk // 2 + 1) and joined and last.n < chunk:
        kind, per, chunk = ROWS, last.n, chunk // last.n * last.n
    if kind in (LANES, ROWS):
        axes[-2:] = [Axis(before.n * last.n, kind == ROWS, last.strides)]  # type: ignore[union-attr]
    elif last.n < line < size:
        return None
    counts = [axis.n if axis.kept else 1 for axis in axes]
    if kind == LANES:
        counts[-1] = chunk
    elif kind == ROWS:
        counts[-1] = axes[-1].n // per
    results, step = [0] * len(axes), 1
    for k in range(len(axes) - 1, -1, -1):
        if axes[k].kept or (kind == LANES and k == len(axes) - 1):
            results[k] = step
        step *= counts[k]
    positions, place = [0] * len(axes), 1
    for k in range(len(axes) - 1, -1, -1):
        if not axes[k].kept and kind != LANES:
            positions[k] = place
            place *= axes[k].n
    strides = list(zip(*[axis.strides for axis in axes], strict=True)) if arrays else []
    found = Along(
        tuple([axis.n for axis in axes]), strides, kind, per, tuple(results), tuple(positions), lanes, step, chunk
    )
    _share(
        found, axes, size, places or reduction.ufunc not in (np.add, np.multiply) or reduction.dtype.kind not in "fc"
    )
    return found


def _share(found: Along, axes: list[Axis], size: int, exact: bool) -> None:
    """Choose the axis that threads share, and its bands; `exact`: the order of elements does not matter."""
    small = settings.tile < 1024
    band, shared, narrow = (8, 2, 2) if small else (_BAND, _SHARED, _NARROW)
    end = len(axes) - 1
    reduced = [k for k, axis in enumerate(axes) if not axis.kept]
    for k, axis in enumerate(axes):
        if not axis.kept:
            continue
        if k == end and found.kind == ELEMENTS:
            if axis.n < narrow or (exact and reduced and found.accumulators <= _ELEMENTS_MOST):
                continue
            # As many for each thread, few enough that their accumulators stay in cache.
            bands = _multiple(-(-axis.n // _ELEMENTS_MOST), threads.count())
            rows = max(_multiple(-(-axis.n // bands), 16), narrow)
        elif axis.n < shared * max(found.per, 1):
            continue
        else:
            rows = max(1, band * axis.n // size, -(-axis.n // (8 * threads.count())))
            if k == end:
                rows = _multiple(rows, found.chunk)
        found.axis, found.rows = k, rows
        return
    k = max(reduced, key=lambda k: (axes[k].n, -k)) if reduced else 0
    n = axes[k].n
    bands = max(1, min(_BANDS_MOST, size // band, size // (8 * found.accumulators), n))
    rows = -(-n // bands)
    if k == end:
        rows = _multiple(rows, found.chunk)
    found.axis, found.rows = k, rows
    if reduced:
        found.bands = -(-n // rows)


def _multiple(n: int, of: int) -> int:
    return -(-n // of) * of


def pairwise(reduction: Reduction) -> bool:
    """Whether NumPy adds up pairwise."""
    return reduction.ufunc is np.add and reduction.dtype.char in "fd"


def identity(ufunc: np.ufunc, dtype: np.dtype) -> Any:
    """What accumulators begin with, as NumPy's do: it changes no result of `ufunc` in this dtype."""
    if ufunc not in (np.minimum, np.maximum):
        return ufunc.identity
    if dtype.kind == "b":
        return ufunc is np.minimum
    if dtype.kind == "f":
        return np.inf if ufunc is np.minimum else -np.inf
    info = np.iinfo(dtype)
    return info.max if ufunc is np.minimum else info.min


def accumulators(how: Along, reduction: Reduction, dtype: np.dtype) -> list[np.ndarray]:
    """Memory for those of a run: of results, or of extremes (in `dtype`) and where they are; and all positions."""
    shape = (how.bands, how.accumulators)
    if reduction.places:
        found = [memory.empty(shape, dtype), memory.empty(shape, np.dtype(np.intp))]
        if how.kind == ELEMENTS:
            found.append(np.arange(max([n for n, k in zip(how.shape, how.positions, strict=True) if k], default=1)))
        return found
    return [memory.empty(shape, reduction.dtype)]


def result(how: Along, reduction: Reduction, found: list[np.ndarray]) -> Any:
    """The reduction's value from all accumulators."""
    values = found[0]
    if reduction.places:
        places = found[1]
        if how.bands > 1:  # the first band that has the extreme has met it
            first = reduction.ufunc(values, axis=0)[None]
            places = np.take_along_axis(places, first, 0)
        value = memory.shaped(places, reduction.out_shape)
        return value if reduction.out_shape else value[()]
    if how.lanes > 1:
        columns = how.chunk // how.lanes
        values = values.reshape(how.bands, -1, how.lanes, columns)
        values = reduction.ufunc.reduce(values, axis=(0, 2), dtype=reduction.dtype)
    elif how.bands > 1:
        values = reduction.ufunc.reduce(values, axis=0, dtype=reduction.dtype)
    return memory.shaped(values, reduction.out_shape)
