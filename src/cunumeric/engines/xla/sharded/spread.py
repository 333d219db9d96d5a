"""What the kernels share: how an axis is spread over the devices, padding to equal parts, and exchanges between
devices.

A kernel is a function of local blocks, run by `shard_map`. Its operands are padded to parts of equal length first;
what the padding holds is the kernel's choice, and it is cut off the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def is_cut(jx: Any, shape: tuple[int, ...], axis: int) -> bool:
    """Whether the axis of an array of this shape lies on several devices."""
    return jx.mesh is not None and jx.mesh.parts(shape)[axis] > 1


class Spread:
    """How the axes of an array lie on the devices: axis k over the sides `sides[k]` of the grid."""

    def __init__(self, jx: Any, sides: Sequence[tuple[str, ...]]) -> None:
        self.jx = jx
        self.sides = tuple(sides)
        self.parts = tuple([math.prod([jx.mesh.jax.shape[name] for name in names]) for names in self.sides])
        self.cut = max(self.parts, default=1) > 1
        self.spec = jx.jax.sharding.PartitionSpec(*[names or None for names in self.sides])

    @classmethod
    def at_rest(cls, jx: Any, shape: tuple[int, ...]) -> Spread:
        """As the rule of the mesh has it."""
        entries = tuple(jx.mesh.sharding(shape).spec)
        entries += (None,) * (len(shape) - len(entries))
        return cls(jx, [() if e is None else e if type(e) is tuple else (e,) for e in entries])

    @classmethod
    def line(cls, jx: Any, ndim: int, axis: int) -> Spread:
        """One axis over all devices."""
        return cls(jx, [jx.mesh.names if k == axis else () for k in range(ndim)])

    def laid(self, a: Any) -> Any:
        """`a`, which XLA is told to lay out so."""
        sharding = self.jx.jax.sharding.NamedSharding(self.jx.mesh.jax, self.spec)
        return self.jx.lax.with_sharding_constraint(a, sharding)

    def fitted(self, a: Any, fill: Any = 0) -> Any:
        """`a` with `fill` behind its ends, so that all parts are of one length."""
        lengths = [-(-n // parts) * parts for n, parts in zip(a.shape, self.parts, strict=True)]
        rest = self._elsewhere(a.shape)
        if rest is None:
            return padded(self.jx, a, lengths, fill)
        wide = padded(self.jx, a, rest.even(a.shape, self), fill)
        return cropped(self.jx, self.laid(rest.laid(wide)), lengths)

    def taken(self, x: Any, shape: tuple[int, ...]) -> Any:
        """A result that lies so, cut to its shape."""
        rest = self._elsewhere(shape)
        if rest is None:
            return cropped(self.jx, x, shape)
        wide = padded(self.jx, cropped(self.jx, x, shape), rest.even(shape, self))
        return cropped(self.jx, rest.laid(self.laid(wide)), shape)

    # On a grid XLA's partitioner changes layouts only where all parts are of one length in both; others it gathers.

    def _elsewhere(self, shape: tuple[int, ...]) -> Spread | None:
        """How an array lies at rest, if it has to be made even before it can lie so."""
        if len(self.jx.mesh.grid) == 1 or not self.cut:
            return None
        rest = Spread.at_rest(self.jx, shape)
        return rest if rest.cut and rest.sides != self.sides and list(shape) != rest.even(shape, self) else None

    def even(self, shape: tuple[int, ...], other: Spread) -> list[int]:
        size = self.jx.mesh.size
        return [
            -(-n // size) * size if p * q > 1 else n for n, p, q in zip(shape, self.parts, other.parts, strict=True)
        ]


def mapped(jx: Any, f: Callable[..., Any], operands: Sequence[Spread], result: Any) -> Callable[..., Any]:
    """`f` of local blocks as a function of arrays. `result`: a Spread, or several for several results."""
    out = tuple([r.spec for r in result]) if isinstance(result, (tuple, list)) else result.spec
    return jx.jax.shard_map(
        f, mesh=jx.mesh.jax, in_specs=tuple([s.spec for s in operands]), out_specs=out, check_vma=False
    )


def cropped(jx: Any, a: Any, shape: Sequence[int]) -> Any:
    """The leading part of `a`."""
    return a if a.shape == tuple(shape) else jx.lax.slice(a, [0] * a.ndim, shape)


def padded(jx: Any, a: Any, lengths: Sequence[int], fill: Any = 0) -> Any:
    """`a` with `fill` behind its ends. Always padded with zeros, and filled by position: of two paddings of one array,
    with different values, XLA's partitioner has been seen to make one (jax 0.10.2)."""
    if a.shape == tuple(lengths):
        return a
    wide = jx.lax.pad(a, np.zeros((), a.dtype), [(0, m - n, 0) for n, m in zip(a.shape, lengths, strict=True)])
    if fill is not np.nan and not fill:
        return wide
    inside: Any = True
    for k, (n, m) in enumerate(zip(a.shape, lengths, strict=True)):
        if n < m:
            inside = inside & (jx.lax.broadcasted_iota(np.int32 if m < 2**31 else np.int64, wide.shape, k) < n)
    return jx.np.where(inside, wide, np.asarray(fill, a.dtype))


def rank(jx: Any, names: tuple[str, ...]) -> Any:
    """This device's number along the sides `names`, in a kernel."""
    return jx.lax.axis_index(names)


def passed(jx: Any, a: Any, names: tuple[str, ...], parts: int, by: int) -> Any:
    """The block of the device that is `by` places before this one; zeros where there is none."""
    return jx.lax.ppermute(a, names, [(k, k + by) for k in range(parts) if 0 <= k + by < parts])


# To so few devices blocks are sent one by one, without what stays on its device.
_FEW = 8


def rotated(jx: Any, blocks: list[Any], names: tuple[str, ...], parts: int) -> list[Any]:
    """Block k - 1 goes to the device k places behind this one, in a ring; the result's comes from the device k places
    before it."""
    if parts <= _FEW:
        return [
            jx.lax.ppermute(x, names, [(s, (s + k) % parts) for s in range(parts)]) for k, x in enumerate(blocks, 1)
        ]
    me, turns = rank(jx, names), jx.lax.iota(np.int32, parts)
    every = jx.np.stack([jx.np.zeros_like(blocks[0]), *blocks])[(turns - me) % parts]
    came = jx.lax.all_to_all(every, names, 0, 0)[(me - turns) % parts]
    return [came[k] for k in range(1, parts)]


def rested(jx: Any, a: Any) -> Any:
    """`a`, laid out as it would lie at rest; what is cut along no axis stays as it is."""
    if not any(is_cut(jx, a.shape, k) for k in range(a.ndim)):
        return a
    return jx.lax.with_sharding_constraint(a, jx.mesh.sharding(a.shape))


def exchanged(jx: Any, x: Any, axis: int, before: int, names: tuple[str, ...], parts: int) -> Any:
    """A kernel's block of an array that is cut along `before`, as its block when it is cut along `axis` instead, which
    is padded to equal parts."""
    return together(jx, [apart(jx, x, axis, names, parts)], before)


def apart(jx: Any, x: Any, axis: int, names: tuple[str, ...], parts: int) -> Any:
    """What all devices have of a block of this device when it is cut along `axis`, as the first axis of the result: the
    devices from which it came."""
    n = -(-x.shape[axis] // parts)
    x = padded(jx, x, [n * parts if k == axis else m for k, m in enumerate(x.shape)])
    x = jx.np.moveaxis(x.reshape(*x.shape[:axis], parts, n, *x.shape[axis + 1 :]), axis, 0)
    return jx.lax.all_to_all(x, names, 0, 0)


def together(jx: Any, came: list[Any], axis: int) -> Any:
    """What `apart` gave of consecutive pieces along `axis`, each device's behind that of the device before it."""
    x = came[0] if len(came) == 1 else jx.lax.concatenate(came, axis + 1)
    x = jx.np.moveaxis(x, 0, axis)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])


# On a grid XLA's partitioner exchanges blocks between layouts only where all parts are of one length; others it
# gathers.


def _by_hand(jx: Any, shape: tuple[int, ...]) -> bool:
    return len(jx.mesh.grid) > 1 and any(n % jx.mesh.size for n in shape if n > 1)


def lined(jx: Any, a: Any, axis: int) -> tuple[Any, Spread]:
    """`a` cut along `axis` over all devices, padded there, and how it lies."""
    if not _by_hand(jx, a.shape):
        spread = Spread.line(jx, a.ndim, axis)
        return spread.fitted(a), spread
    rest = Spread.at_rest(jx, a.shape)
    cuts = [(k, rest.sides[k], rest.parts[k]) for k in range(a.ndim) if rest.parts[k] > 1 and k != axis]
    names = sum([sides for _, sides, _ in cuts], rest.sides[axis])
    if not names:
        names = jx.mesh.names
        cuts = []
    spread = Spread(jx, [names if k == axis else () for k in range(a.ndim)])
    widths = [(0, -n % (jx.mesh.size if k == axis else 1), 0) for k, n in enumerate(a.shape)]
    x = rest.fitted(jx.lax.pad(a, np.zeros((), a.dtype), widths))

    def kernel(x: Any) -> Any:
        for k, sides, parts in cuts:
            x = exchanged(jx, x, axis, k, sides, parts)
        return x

    if not rest.cut:
        return x, spread
    x = mapped(jx, kernel, [rest], spread)(x)
    return cropped(jx, x, [x.shape[k] if k == axis else n for k, n in enumerate(a.shape)]), spread


def unlined(jx: Any, x: Any, shape: tuple[int, ...], spread: Spread) -> Any:
    """What a kernel leaves cut along one axis as `spread` has it, cut to `shape`; as it lies at rest, if only that
    saves it from being gathered."""
    axis = next(k for k, parts in enumerate(spread.parts) if parts > 1)
    rest = Spread.at_rest(jx, shape)
    if not _by_hand(jx, shape) or not rest.cut:
        return cropped(jx, x, shape)
    cuts = [(k, rest.sides[k], rest.parts[k]) for k in range(len(shape)) if rest.parts[k] > 1 and k != axis]
    order = sum([sides for _, sides, _ in cuts], rest.sides[axis])
    if spread.sides[axis] != order:
        spread = Spread(jx, [order if k == axis else () for k in range(len(shape))])

    def kernel(x: Any) -> Any:
        for k, sides, parts in reversed(cuts):
            x = exchanged(jx, x, k, axis, sides, parts)
        return x

    return cropped(jx, mapped(jx, kernel, [spread], rest)(x), shape)


def beside(jx: Any, a: Any, axis: int) -> Any:
    """`a` with all of `axis` on each device: cut along the longest other axis, if there is one."""
    others = [k for k in range(a.ndim) if k != axis]
    if not others or not is_cut(jx, a.shape, axis):
        return a
    x, spread = lined(jx, a, max(others, key=lambda k: a.shape[k]))
    return cropped(jx, jx.lax.with_sharding_constraint(x, jx.mesh.named(tuple(spread.spec))), a.shape)
