"""What the kernels share: how an axis is spread over the devices, padding to equal parts, and exchanges between devices.

A kernel is a function of local blocks, run by `shard_map`. Its operands are padded to parts of equal length first; what
the padding holds is the kernel's choice, and it is cut off the result.
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
        widths = [(0, -n % parts, 0) for n, parts in zip(a.shape, self.parts, strict=True)]
        if not any(high for _, high, _ in widths):
            return a
        return self.jx.lax.pad(a, np.asarray(fill, a.dtype), widths)


def mapped(jx: Any, f: Callable[..., Any], operands: Sequence[Spread], result: Any) -> Callable[..., Any]:
    """`f` of local blocks as a function of arrays. `result`: a Spread, or several for several results."""
    out = tuple([r.spec for r in result]) if isinstance(result, (tuple, list)) else result.spec
    return jx.jax.shard_map(
        f, mesh=jx.mesh.jax, in_specs=tuple([s.spec for s in operands]), out_specs=out, check_vma=False
    )


def cropped(jx: Any, a: Any, shape: Sequence[int]) -> Any:
    """The leading part of `a`."""
    return a if a.shape == tuple(shape) else jx.lax.slice(a, [0] * a.ndim, shape)


def rank(jx: Any, names: tuple[str, ...]) -> Any:
    """This device's number along the sides `names`, in a kernel."""
    return jx.lax.axis_index(names)


def passed(jx: Any, a: Any, names: tuple[str, ...], parts: int, by: int) -> Any:
    """The block of the device that is `by` places before this one; zeros where there is none."""
    return jx.lax.ppermute(a, names, [(k, k + by) for k in range(parts) if 0 <= k + by < parts])


def rested(jx: Any, a: Any) -> Any:
    """`a`, laid out as it would lie at rest; what is cut along no axis stays as it is."""
    if not any(is_cut(jx, a.shape, k) for k in range(a.ndim)):
        return a
    return jx.lax.with_sharding_constraint(a, jx.mesh.sharding(a.shape))


def beside(jx: Any, a: Any, axis: int) -> Any:
    """`a` with all of `axis` on each device: cut along the longest other axis, if there is one."""
    others = [k for k in range(a.ndim) if k != axis]
    if not others or not is_cut(jx, a.shape, axis):
        return a
    return jx.lax.with_sharding_constraint(a, jx.mesh.named(_line(jx, a, max(others, key=lambda k: a.shape[k]))))


def _line(jx: Any, a: Any, axis: int) -> tuple[Any, ...]:
    return tuple([jx.mesh.names if k == axis else None for k in range(a.ndim)])
