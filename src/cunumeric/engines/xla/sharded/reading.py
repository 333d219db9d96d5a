"""One element of a cut array: the device that has it says which bits it has, all others say zero, and the sum is known
everywhere. Bits, because a sum of floats would lose the sign of zero and what a NaN carries."""

from __future__ import annotations

from typing import Any

import numpy as np


def _words(dtype: Any) -> np.dtype:
    """The unsigned integers as wide as `dtype`."""
    return np.dtype(f"u{np.dtype(dtype).itemsize}")


def only_sum(jx: Any, value: Any) -> Any:
    """The sum over devices of which one has a value and the others have zeros."""
    lax = jx.lax
    if value.dtype.kind == "c":
        return lax.complex(only_sum(jx, value.real), only_sum(jx, value.imag))
    words = _words(value.dtype)
    bits = value.astype(words) if value.dtype.kind == "b" else lax.bitcast_convert_type(value, words)
    total = lax.psum(bits, jx.mesh.names)
    return total.astype(bool) if value.dtype.kind == "b" else lax.bitcast_convert_type(total, value.dtype)


def element(jx: Any, value: Any, spec: Any, position: Any) -> Any:
    """The element of `value`, which is cut by `spec`, at the place that the vector `position` names."""
    P = jx.jax.sharding.PartitionSpec

    def part(block: Any, position: Any) -> Any:
        local = []
        here = jx.np.ones((), bool)
        for axis, names in enumerate((*spec, *[None] * (block.ndim - len(spec)))):
            n = block.shape[axis]
            k = position[axis]
            if names is not None:
                k = k - jx.lax.axis_index(names).astype(k.dtype) * n
            here &= (k >= 0) & (k < n)
            local.append(jx.np.clip(k, 0, n - 1))
        found = jx.lax.dynamic_slice(block, local, (1,) * block.ndim).reshape(())
        return only_sum(jx, jx.np.where(here, found, np.zeros((), found.dtype)))

    return jx.jax.shard_map(part, mesh=jx.mesh.jax, in_specs=(spec, P()), out_specs=P(), check_vma=False)(
        value, position
    )
