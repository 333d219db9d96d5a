"""What the tests of sharded kernels share: programs on arrays that are cut as they lie at rest, run and counted.

The devices are the processor's, as many as XLA_FLAGS asks for; the mesh is chosen by CUNUMERIC_MESH."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cunumeric.engines.xla import backend
from cunumeric.engines.xla.collectives import collectives
from cunumeric.ops.lowering import TABLE

jx = backend.modules()
mesh: Any = jx.mesh


def row(function: Any) -> Callable[..., Any]:
    """The lowering of one of NumPy's functions, as a function of arrays and of NumPy's arguments."""

    def call(*arguments: Any, **words: Any) -> Any:
        with jx.jax.default_matmul_precision("highest"):
            return TABLE[function].lowering(jx, *arguments, **words)

    return call


def _at_rest(value: Any) -> Any:
    widths = [(0, m - n, 0) for n, m in zip(value.shape, mesh.padded(value.shape), strict=True)]
    value = jx.lax.pad(value, np.zeros((), value.dtype), widths)
    return jx.lax.with_sharding_constraint(value, mesh.sharding(value.shape))


def program(f: Callable[..., Any], *given: Any) -> Any:
    """`f` compiled for arrays (or shapes and dtypes) that come and go as they lie at rest."""

    def whole(*values: Any) -> Any:
        logical = [jx.lax.slice(v, [0] * v.ndim, a.shape) for v, a in zip(values, given, strict=True)]
        return jx.jax.tree.map(_at_rest, f(*logical))

    rest = [jx.jax.ShapeDtypeStruct(mesh.padded(a.shape), a.dtype, sharding=mesh.sharding(a.shape)) for a in given]
    return jx.jax.jit(whole).lower(*rest).compile(backend.OPTIONS)


def runner(f: Callable[..., Any], *given: Any) -> Callable[..., Any]:
    """`f` of arrays like those given, on the devices."""
    shapes = jx.jax.eval_shape(f, *[jx.jax.ShapeDtypeStruct(a.shape, a.dtype) for a in given])
    done = program(f, *given)

    def call(*arrays: np.ndarray) -> Any:
        values = []
        for a in arrays:
            widths = [(0, m - n) for n, m in zip(a.shape, mesh.padded(a.shape), strict=True)]
            values.append(jx.jax.device_put(np.pad(a, widths), mesh.sharding(a.shape)))
        return jx.jax.tree.map(lambda v, s: np.asarray(v)[tuple([slice(0, n) for n in s.shape])], done(*values), shapes)

    return call


def run(f: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """The result of `f` on the devices."""
    return runner(f, *arrays)(*arrays)


def spec(*shape: int, dtype: Any = np.float64) -> Any:
    """An array that is only compiled for."""
    return jx.jax.ShapeDtypeStruct(shape, dtype)


class Cost:
    """What a program says between devices and the memory it takes, as multiples of one device's share of `of`."""

    def __init__(self, f: Callable[..., Any], *given: Any) -> None:
        done = program(f, *given)
        of = max(math.prod(a.shape) * np.dtype(a.dtype).itemsize for a in given) / mesh.size
        found = collectives(done)
        self.temporary = done.memory_analysis().temp_size_in_bytes / of
        self.kinds = {kind: sum(c.nbytes for c in found if c.kind == kind) / of for kind in {c.kind for c in found}}
        self.gathered = sum(self.kinds.get(kind, 0) for kind in ("all-gather", "all-reduce"))

    def __repr__(self) -> str:
        parts = [f"{kind} {share:.3g}" for kind, share in sorted(self.kinds.items())]
        return f"temp {self.temporary:.2f}, " + (", ".join(parts) or "no collective")
