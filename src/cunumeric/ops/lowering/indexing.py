"""Reading and writing by index arrays and masks.

A key is told by a template, whose entries are `("array", k)` for the k-th index array, `("slice", start, stop, step)`,
`("int", i)`, `("new",)` and `("rest",)`. The functions here are NumPy's side of each row; the decorated ones are XLA's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import lowers
from .common import is_cut
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


class _Rows:
    """`x` as rows that index arrays pick from, where it is cut along an axis that they index: the axes that are indexed
    first, the longest before the others, and the places of rows along all of them, flattened."""

    def __init__(self, jx: Any, x: Any, indices: list[Any], template: tuple) -> None:
        self.jx = jx
        basic: list[Any] = []
        axes, picks, cut = [], [], False
        named = sum(e[0] not in ("new", "rest") for e in template)
        entries = template if ("rest",) in template else (*template, ("rest",))
        for e in entries:
            axis = sum(b is not None for b in basic)
            if e[0] == "rest":
                basic += [slice(None)] * (x.ndim - named)
            elif e[0] in ("array", "int"):
                n = x.shape[axis]
                i = indices[e[1]].astype(np.int64) if e[0] == "array" else np.int64(e[1])
                picks.append((n, jx.np.clip(jx.np.where(i < 0, i + n, i), 0, max(n - 1, 0))))
                axes.append(len(basic))
                cut = cut or jx.sharded.is_cut(jx, x.shape, axis)
                basic.append(slice(None))
            else:
                basic.append(None if e[0] == "new" else slice(*e[1:]))
        self.cut, self.key, self.lead = cut, tuple(basic), len(axes)
        order = sorted(range(len(axes)), key=lambda k: -picks[k][0])
        self.places: Any = 0
        for k in order:
            n, i = picks[k]
            self.places = self.places * n + i
        rest = [k for k in range(len(basic)) if k not in axes]
        self.order = [*[axes[k] for k in order], *rest]
        # Where NumPy puts the axes of the indices: in place of those that are indexed, or first if they are apart.
        self.at = axes[0] if axes == list(range(axes[0], axes[0] + len(axes))) else 0

    def of(self, x: Any) -> Any:
        return self.jx.lax.transpose(x[self.key], self.order)

    def moved(self, found: Any) -> Any:
        """What was found for the places, with its axes as NumPy has them."""
        d = self.places.ndim
        rest = list(range(d, found.ndim))
        return self.jx.lax.transpose(found, [*rest[: self.at], *range(d), *rest[self.at :]])

    def for_places(self, value: Any, rest: tuple[int, ...]) -> Any:
        """Values to be written, with the axes of the places first."""
        shape = (*rest[: self.at], *self.places.shape, *rest[self.at :])
        d = self.places.ndim
        behind = range(self.at + d, len(shape))
        return self.jx.lax.transpose(
            _spread(self.jx, value, shape), [*range(self.at, self.at + d), *range(self.at), *behind]
        )

    def back(self, x: Any, rows: Any) -> Any:
        """`x` with its rows replaced."""
        value = self.jx.lax.transpose(rows, [self.order.index(k) for k in range(rows.ndim)])
        value = value.reshape([n for n, k in zip(value.shape, self.key, strict=True) if k is not None])
        mask: Any = True
        padding = []
        for axis, (n, k) in enumerate(zip(x.shape, [k for k in self.key if k is not None], strict=True)):
            steps = range(n)[k]
            if steps.step < 0:
                value, steps = self.jx.lax.rev(value, (axis,)), steps[::-1]
            if len(steps) == n:
                padding.append((0, 0, 0))
                continue
            here = self.jx.lax.broadcasted_iota(np.int64, x.shape, axis)
            first, last = (steps[0], steps[-1]) if steps else (n, n - 1)
            mask = mask & (here >= first) & (here <= last) & ((here - first) % steps.step == 0)
            padding.append((first, n - 1 - last, steps.step - 1 if len(steps) > 1 else 0))
        if mask is True:
            return value
        return self.jx.np.where(mask, self.jx.lax.pad(value, np.zeros((), value.dtype), padding), x)


def _cut_rows(jx: Any, x: Any, indices: list[Any], template: tuple) -> _Rows | None:
    """The rows of `x`, if they have to be picked from several devices."""
    if not is_cut(jx, x):
        return None
    rows = _Rows(jx, x, indices, template)
    return rows if rows.cut else None


@lowers(getitem, "x", "*indices")
def _getitem(jx, x, indices, template):
    rows = _cut_rows(jx, x, indices, template)
    if rows is not None:
        return rows.moved(jx.sharded.rows_at(jx, rows.of(x), rows.places, rows.lead))
    return x.at[key_of(template, indices)].get(mode="clip")


@lowers(setitem, "x", "*indices", "value")
def _setitem(jx, x, indices, value, template, lengths):
    """With an index out of bounds nothing is written: the error comes when a value is next read."""
    return jx.np.where(_outside(jx, indices, lengths), x, _written(jx, x, indices, value, template))


def _written(jx, x, indices, value, template):
    key = key_of(template, indices)
    value = cast(jx, value, x.dtype)
    cut = _cut_rows(jx, x, indices, template)
    if cut is not None:
        rows = cut.of(x)
        value = cut.for_places(value, rows.shape[cut.lead :]) if value.ndim else value
        return cut.back(x, jx.sharded.rows_put(jx, rows, cut.places, value, "set", cut.lead))
    if not value.ndim:
        return x.at[key].set(value, mode="clip")
    # Positions may come twice, and NumPy's last write wins: XLA's order is its own, so each position learns which write
    # is the last one, and only those are made.
    positions = jx.lax.iota(np.int32 if x.size < 2**31 else np.int64, x.size).reshape(x.shape)
    places = positions.at[key].get(mode="clip")
    value = _spread(jx, value, places.shape).reshape(-1)
    places = places.reshape(-1)
    order = jx.lax.iota(places.dtype, places.size)
    last = jx.np.full(x.size, -1, places.dtype).at[places].max(order, mode="clip")
    wins = last[places] == order
    flat = x.reshape(-1).at[jx.np.where(wins, places, x.size)].set(value, mode="drop", unique_indices=False)
    return flat.reshape(x.shape)


def _spread(jx: Any, value: Any, shape: tuple[int, ...]) -> Any:
    """Broadcast as assignments do: lengths of one before all others are dropped."""
    return jx.np.broadcast_to(value.reshape(value.shape[max(0, value.ndim - len(shape)) :]), shape)


def _cut_under(jx: Any, x: Any, mask: Any) -> bool:
    """Whether the mask, or an axis that it is for, lies on several devices."""
    return is_cut(jx, mask) or any(jx.sharded.is_cut(jx, x.shape, k) for k in range(mask.ndim))


@lowers(getmask, "x", "mask")
def _getmask(jx, x, mask, count):
    if _cut_under(jx, x, mask):
        return jx.sharded.chosen(jx, mask, [x], count)[1]
    return x[jx.np.nonzero(mask, size=count, fill_value=0)]


@lowers(setmask, "x", "mask", "value")
def _setmask(jx, x, mask, value):
    value = cast(jx, value, x.dtype)
    rest = x.ndim - mask.ndim
    wide = mask.reshape(mask.shape + (1,) * rest)
    if value.ndim and value.ndim > rest and value.shape[0] != 1:
        # One value for each true element: the k-th gets the k-th.
        if _cut_under(jx, x, mask):
            return jx.sharded.filled(jx, x, mask, jx.np.broadcast_to(value, value.shape[:1] + x.shape[mask.ndim :]))
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
