"""Reading and writing by index arrays and masks.

A key is told by a template, whose entries are `("array", k)` for the k-th index array, `("slice", start, stop, step)`,
`("int", i)`, `("new",)` and `("rest",)`. The functions here are NumPy's side of each row; the decorated ones are XLA's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import lowers
from .elementwise import cast


def key_of(template: tuple, indices: list[Any]) -> tuple[Any, ...]:
    """The key that a template stands for."""
    found: list[Any] = []
    for entry in template:
        kind = entry[0]
        if kind == "array":
            found.append(indices[entry[1]])
        elif kind == "slice":
            found.append(slice(*entry[1:]))
        else:
            found.append(entry[1] if kind == "int" else None if kind == "new" else Ellipsis)
    return tuple(found)


def getitem(x: np.ndarray, indices: list[np.ndarray], template: tuple) -> np.ndarray:
    return x[key_of(template, indices)]


def setitem(
    x: np.ndarray, indices: list[np.ndarray], value: np.ndarray, template: tuple, lengths: tuple[int, ...]
) -> np.ndarray:
    x = x.copy()
    if not outside(indices, lengths):
        x[key_of(template, indices)] = value
    return x


def getmask(x: np.ndarray, mask: np.ndarray, count: int) -> np.ndarray:
    return x[mask]


def setmask(x: np.ndarray, mask: np.ndarray, value: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[mask] = value
    return x


def outside(indices: list[np.ndarray], lengths: tuple[int, ...]) -> np.bool_:
    """Whether some index is out of bounds."""
    return np.bool_(any(((i < -n) | (i >= n)).any() for i, n in zip(indices, lengths, strict=True)))


@lowers(getitem, "x", "*indices")
def _getitem(jx, x, indices, template):
    return x.at[key_of(template, indices)].get(mode="clip")


@lowers(setitem, "x", "*indices", "value")
def _setitem(jx, x, indices, value, template, lengths):
    """With an index out of bounds nothing is written: the error comes when a value is next read."""
    return jx.np.where(_outside(jx, indices, lengths), x, _written(jx, x, indices, value, template))


def _written(jx, x, indices, value, template):
    key = key_of(template, indices)
    value = cast(jx, value, x.dtype)
    if not value.ndim:
        return x.at[key].set(value, mode="clip")
    # Positions may come twice, and NumPy's last write wins: XLA's order is its own, so each position learns which write
    # is the last one, and only those are made.
    positions = jx.lax.iota(np.int32 if x.size < 2**31 else np.int64, x.size).reshape(x.shape)
    places = positions.at[key].get(mode="clip")
    value = jx.np.broadcast_to(value, places.shape).reshape(-1)
    places = places.reshape(-1)
    order = jx.lax.iota(places.dtype, places.size)
    last = jx.np.full(x.size, -1, places.dtype).at[places].max(order, mode="clip")
    wins = last[places] == order
    flat = x.reshape(-1).at[jx.np.where(wins, places, x.size)].set(value, mode="drop", unique_indices=False)
    return flat.reshape(x.shape)


@lowers(getmask, "x", "mask")
def _getmask(jx, x, mask, count):
    return x[jx.np.nonzero(mask, size=count, fill_value=0)]


@lowers(setmask, "x", "mask", "value")
def _setmask(jx, x, mask, value):
    value = cast(jx, value, x.dtype)
    rest = x.ndim - mask.ndim
    wide = mask.reshape(mask.shape + (1,) * rest)
    if value.ndim and value.ndim > rest and value.shape[0] != 1:
        # One value for each true element: the k-th gets the k-th.
        k = jx.np.cumsum(mask.reshape(-1)).reshape(mask.shape) - 1
        value = value.at[k].get(mode="clip")
    elif value.ndim > rest:
        value = value[0]
    return jx.np.where(wide, value, x)


@lowers(outside, "*indices")
def _outside(jx, indices, lengths):
    found = np.bool_(False)
    for i, n in zip(indices, lengths, strict=True):
        i = i.astype(np.int64)  # an unsigned one cannot be compared with -n
        found = found | jx.np.any((i < -n) | (i >= n))
    return found
