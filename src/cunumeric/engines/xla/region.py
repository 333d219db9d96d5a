"""Which part of a store's value a view shows: a region, read and written without looking at addresses again.

A store's value has the axes of its memory in descending order of strides (its layout). A view is told by its offset,
shape and strides in bytes; the digits of the offset in the layout's strides are where it starts on each axis. Views
that NumPy makes by index, transposition or new axes follow the layout's axes; reshaped views follow axes of their own,
cut from the same flat memory; what follows neither (diagonals, windows that overlap) is gathered by flat positions.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


class Region(NamedTuple):
    layout: tuple[int, ...]  # the store's value is reshaped to this
    starts: tuple[int, ...]  # for each axis of the layout: the lowest position
    steps: tuple[int, ...]  # the distance between positions, at least 1
    sizes: tuple[int, ...]  # how many of them
    turned: tuple[int, ...]  # axes of the layout that the view shows in reverse
    axes: tuple[int, ...]  # for each axis of the view: its axis of the layout, or -1 where it repeats or is new
    shape: tuple[int, ...]  # of the view
    flat: tuple[int, tuple[int, ...]] | None  # else: offset and strides, in elements

    @property
    def form(self) -> tuple[Any, ...]:
        """All but where it lies."""
        if self.flat is not None:
            return self
        return (self.layout, self.steps, self.sizes, self.turned, self.axes, self.shape)

    @property
    def whole(self) -> bool:
        """Whether the view shows every element of the store."""
        return self.flat is None and self.sizes == self.layout

    @property
    def elements(self) -> int:
        return math.prod(self.sizes)


@lru_cache(maxsize=4096)
def describe(layout: tuple[int, ...], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Region:
    """The region of a view; offset and strides in elements."""
    found = _along(layout, offset, shape, strides)
    if found is None:
        total = math.prod(layout)
        cuts = sorted({abs(s) for n, s in zip(shape, strides, strict=True) if n > 1 and s} | {1}, reverse=True)
        lengths = [total, *cuts]
        if all(a % b == 0 for a, b in pairwise(lengths)):
            other = tuple([a // b for a, b in pairwise(lengths)])
            found = _along(other, offset, shape, strides)
    return found or Region(layout, (), (), (), (), (), shape, (offset, strides))


def _along(layout: tuple[int, ...], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Region | None:
    """The region whose axes follow those of `layout`, if there is one."""
    units = [math.prod(layout[d + 1 :]) for d in range(len(layout))]
    starts = [offset // unit % n if n else 0 for unit, n in zip(units, layout, strict=True)]
    steps, sizes, turned = [1] * len(layout), [1] * len(layout), []
    axes = []
    taken = set()
    for n, s in zip(shape, strides, strict=True):
        if n == 1 or s == 0:
            axes.append(-1)
            continue
        for d, unit in enumerate(units):
            step = abs(s) // unit
            if d in taken or layout[d] == 1 or abs(s) % unit or not step:
                continue
            last = starts[d] + (step if s > 0 else -step) * (n - 1)
            if 0 <= last < layout[d]:
                break
        else:
            return None
        taken.add(d)
        axes.append(d)
        steps[d], sizes[d] = step, n
        if s < 0:
            turned.append(d)
            starts[d] = last
    return Region(layout, tuple(starts), tuple(steps), tuple(sizes), tuple(turned), tuple(axes), shape, None)


def _positions(jx: Any, region: Region) -> Any:
    """Where the elements of a view that follows no axes lie in the flat memory."""
    offset, strides = region.flat  # type: ignore[misc]
    index = jx.np.full(region.shape, offset, np.int64)
    for k, s in enumerate(strides):
        index = index + jx.lax.broadcasted_iota(np.int64, region.shape, k) * s
    return index


def read(jx: Any, value: Any, region: Region, starts: Any = None) -> Any:
    """The view's elements, from the store's value. `starts`: where the region lies, where that is an argument of the
    program."""
    lax = jx.lax
    if region.flat is not None:
        return value.reshape(-1)[_positions(jx, region)]
    if value.shape != region.layout:
        value = jx.sharded.reshaped(jx, value, region.layout)
    if starts is not None:
        spans = _spans(region)
        value = _part(jx, value, starts, spans)
        if set(region.steps) != {1}:
            value = lax.slice(value, [0] * len(spans), spans, region.steps)
    elif not region.whole:
        limits = [
            start + step * (n - 1) + 1 for start, step, n in zip(region.starts, region.steps, region.sizes, strict=True)
        ]
        whole = value.shape
        value = lax.slice(value, region.starts, limits, None if set(region.steps) == {1} else region.steps)
        if jx.sharded.cuts(jx, whole, region.sizes):
            value = jx.sharded.few(jx, value, whole)
    if region.turned:
        value = lax.rev(value, region.turned)
    return _shown(jx, value, region)


def _shown(jx: Any, value: Any, region: Region) -> Any:
    """Axes of the layout as axes of the view."""
    used = [d for d in region.axes if d >= 0]
    rest = [d for d in range(len(region.layout)) if d not in used]  # of length 1 here
    if used + rest != list(range(len(region.layout))):
        value = jx.lax.transpose(value, (*used, *rest))
    kept = tuple([k for k, d in enumerate(region.axes) if d >= 0])
    if rest:
        value = value.reshape(value.shape[: len(used)])
    if value.shape == region.shape:
        return value
    return jx.lax.broadcast_in_dim(value, region.shape, kept)


def frames(region: Region) -> bool:
    """Whether a write to the region may be computed in its place: it is a part, without steps, and not a thin one."""
    plain = region.flat is None and not region.turned and set(region.steps) == {1} and not region.whole
    return plain and all(size > 1 or n == 1 for n, size in zip(region.layout, region.sizes, strict=True))


def mask(jx: Any, region: Region) -> Any:
    """Where the region is, in its layout; for regions with a part of some axis."""
    found = None
    for d, (n, start, step, size) in enumerate(
        zip(region.layout, region.starts, region.steps, region.sizes, strict=True)
    ):
        if size == n:
            continue
        where = jx.lax.broadcasted_iota(np.int32, region.layout, d)
        here = where == start if size == 1 else where >= start
        if size > 1:
            here &= where <= start + step * (size - 1)
        if step > 1 and size > 1:
            here &= (where - start) % step == 0
        found = here if found is None else found & here
    return found


def write(jx: Any, value: Any, region: Region, source: Any, starts: Any = None) -> Any:
    """The store's value after `view[...] = source`; `source` has the view's shape, or none. No two elements of the view
    share memory. `starts` as in `read`."""
    lax, shape = jx.lax, value.shape
    if region.flat is not None:
        flat = value.reshape(-1)
        source = jx.np.broadcast_to(source, region.shape)
        return flat.at[_positions(jx, region).reshape(-1)].set(source.reshape(-1)).reshape(shape)
    if source.ndim:
        if source.shape != region.shape:
            source = jx.np.broadcast_to(source, region.shape)
        source = laid(jx, source, region)
        if region.turned:
            source = lax.rev(source, region.turned)
    if starts is not None:
        value = jx.sharded.reshaped(jx, value, region.layout)
        source = jx.np.broadcast_to(source, region.sizes)
        if set(region.steps) != {1}:
            spans = _spans(region)
            inner = region._replace(layout=spans, starts=(0,) * len(spans))
            source = _among(jx, _part(jx, value, starts, spans), inner, source)
        if jx.sharded.cuts(jx, value.shape, source.shape):
            value = jx.sharded.write(jx, value, source, starts)
        else:
            value = lax.dynamic_update_slice(value, source, starts)
        return jx.sharded.reshaped(jx, value, shape)
    if region.whole:
        return jx.sharded.reshaped(jx, jx.np.broadcast_to(source, region.layout), shape)
    if value.shape != region.layout:
        value = jx.sharded.reshaped(jx, value, region.layout)
    return jx.sharded.reshaped(jx, _among(jx, value, region, source), shape)


def _spans(region: Region) -> tuple[int, ...]:
    """How far the region reaches along each axis."""
    return tuple([step * (n - 1) + 1 for step, n in zip(region.steps, region.sizes, strict=True)])


def _part(jx: Any, value: Any, starts: Any, spans: tuple[int, ...]) -> Any:
    """A part without steps, whose place is an argument of the program."""
    if jx.sharded.cuts(jx, value.shape, spans):
        return jx.sharded.read(jx, value, starts, spans)
    return jx.lax.dynamic_slice(value, starts, spans)


def _among(jx: Any, value: Any, region: Region, source: Any) -> Any:
    """The source where the region is, the value elsewhere."""
    lax = jx.lax
    # A thin source (one position) is repeated along the axis: no padding, nothing to shift.
    padding = [
        (start, n - start - step * (size - 1) - 1, step - 1) if 1 < size < n else (0, 0, 0)
        for n, start, step, size in zip(region.layout, region.starts, region.steps, region.sizes, strict=True)
    ]
    for k, (low, high, _) in enumerate(padding):
        # XLA's partitioner brings what grows much to every device.
        if source.ndim and low + high >= region.sizes[k] and jx.sharded.is_cut(jx, source.shape, k):
            n, step = region.layout[k], region.steps[k]
            source = lax.pad(
                source, np.zeros((), source.dtype), [(0, 0, (step - 1) * (d == k)) for d in range(source.ndim)]
            )
            source = jx.sharded.window(jx, source, k, -low, n)
            padding[k] = (0, 0, 0)
    if source.ndim and any(p != (0, 0, 0) for p in padding):
        source = lax.pad(source, np.zeros((), source.dtype), padding)
    source = jx.np.broadcast_to(source, region.layout)
    return lax.select(mask(jx, region), source, value)


def laid(jx: Any, source: Any, region: Region) -> Any:
    """Axes of the view as axes of the layout: the reverse of `_shown`."""
    kept = [k for k, d in enumerate(region.axes) if d >= 0]
    if len(kept) < source.ndim:
        source = source.reshape([source.shape[k] for k in kept])
    used = [region.axes[k] for k in kept]
    order = sorted(range(len(used)), key=lambda k: used[k])
    if order != list(range(len(used))):
        source = jx.lax.transpose(source, order)
    return source.reshape(region.sizes)
