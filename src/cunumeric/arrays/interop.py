"""Memory of an accelerator, shared with other packages on it: DLPack, `__cuda_array_interface__`, `__jax_array__`.

What is handed out is the value as it is now, without a copy where the array is in C order: writes to the array make a
new value, which does not show there. What comes in is copied.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ..graph import window
from ..runtime import residence, weak
from . import lowered
from .base import array_of, ndarray

_CUDA = 2  # DLPack's number for CUDA devices
# Values that other packages may be reading, for as long as the array that they were asked of lives: so they are not
# given to a program as memory for its results.
_lent: dict[int, tuple[weakref.ref, list[Any]]] = {}


def there(x: Any) -> bool:
    """Whether `x` lives on a GPU."""
    return residence.accelerated and type(x) is ndarray and lowered.concerns(x) and residence.kind() != "cpu"


def value(x: Any, *, alone: bool = True) -> Any:
    """The device's array of `x`, in C order; `alone`: on one device, where it may be cut over several."""
    window.flush()
    a = x._a
    found = residence.lend(a, alone=alone)
    key = id(x)
    if key not in _lent:
        _lent[key] = (weak.entry(x, _lent, key), [])
    _lent[key][1].append(found)
    return found


def from_value(found: Any) -> Any:
    """An array of ours over a device's array that nobody else holds."""
    a = residence.reserve(tuple(found.shape), np.dtype(found.dtype))
    residence.hold(a.base, found)  # type: ignore[arg-type]
    return array_of(a)


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """`numpy.from_dlpack` for what lives on a GPU; NotImplemented for everything else."""
    if not residence.accelerated or residence.kind() == "cpu" or device not in (None, "cpu"):
        return NotImplemented
    place = getattr(x, "__dlpack_device__", None)
    if place is None or type(x) is ndarray or place()[0] != _CUDA:
        return NotImplemented
    return from_value(residence.take(x))


def _jax_array(self: Any) -> Any:
    """JAX's array of the same values."""
    return value(self, alone=False)


def _cuda_array_interface(self: Any) -> Any:
    if not there(self):
        raise AttributeError("__cuda_array_interface__")
    # The interface tells of no stream to wait for, and JAX's name is not in it.
    return value(self).block_until_ready().__cuda_array_interface__


if residence.accelerated:
    ndarray.__jax_array__ = _jax_array  # type: ignore[attr-defined]
    ndarray.__cuda_array_interface__ = property(_cuda_array_interface)  # type: ignore[attr-defined]
