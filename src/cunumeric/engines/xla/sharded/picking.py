"""Reading and writing rows of a cut array by indices.

Where rows are long, they are cut instead of the axis that is indexed: two transposes between the devices. Otherwise,
either the indices are few, and on every device: each answers for its own rows, and the answers are joined. Or one of
the two goes round the devices in a ring, whichever is smaller: the array, block by block, so that each device picks
from the block that is with it; or the indices with what was found for them, so that each device answers for its own
rows, until they are home again. Nothing depends on where the indices point, and no device holds more than two blocks of
what goes round. Requests sent to their owners would be fewer bytes, but the data would decide how many.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .reading import only_sum
from .spread import Spread, mapped, rank


def ring(jx: Any, moving: list[Any], state: Any, work: Any) -> Any:
    """`state` after `work(k, moving, state)` for the `moving` of each device, k places before this one."""

    def step(k: Any, now: tuple[list[Any], Any]) -> tuple[list[Any], Any]:
        moving, state = now
        return _next(jx, moving), work(k, moving, state)  # one does not wait for the other

    last = jx.mesh.size - 1
    moving, state = jx.lax.fori_loop(0, last, step, (moving, state))
    # Fused with the work before it, that would wait for what is on its way too.
    return work(last, moving, jx.lax.optimization_barrier(state))


def _next(jx: Any, values: list[Any]) -> list[Any]:
    """What the device before this one in the ring holds."""
    names, parts = jx.mesh.names, jx.mesh.size
    return [jx.lax.ppermute(x, names, [(k, (k + 1) % parts) for k in range(parts)]) for x in values]


def asking(jx: Any, questions: list[Any], answers: Any, work: Any) -> Any:
    """`answers` after `work(questions, answers)` on each device; both go round until they are home again."""

    def step(_: Any, moving: list[Any]) -> list[Any]:
        *questions, answers = moving
        return _next(jx, [*questions, work(questions, answers)])

    return jx.lax.fori_loop(0, jx.mesh.size, step, [*questions, answers])[-1]


def _told(here: Any, ndim: int) -> Any:
    """A condition on rows as one on elements."""
    return here.reshape(here.shape + (1,) * (ndim - here.ndim))


class _Plan:
    """How the rows of `a` (of its first `lead` axes together) and `places` lie on the devices."""

    def __init__(self, jx: Any, a: Any, places: Any, lead: int) -> None:
        parts = jx.mesh.size
        self.lead = lead
        self.rest = a.shape[lead:]
        self.whole = Spread.line(jx, a.ndim, 0)
        self.few = places.size * parts <= math.prod(a.shape[:lead])
        # An axis of the rows that can be cut instead.
        wide = max(range(lead, a.ndim), key=lambda k: a.shape[k], default=None)
        self.beside = wide if not self.few and wide is not None and a.shape[wide] >= parts else None
        self.item = math.prod(self.rest) * np.dtype(a.dtype).itemsize
        length = a.shape[0] if self.beside is not None else -(-a.shape[0] // parts)
        self.rows = length * math.prod(a.shape[1:lead])  # of one device
        kind = np.int32 if self.rows * parts < 2**31 else np.int64
        self.places = places.astype(kind)
        self.spread = Spread.at_rest(jx, places.shape)
        if self.few:
            self.spread = Spread(jx, [()] * places.ndim)
        elif math.prod(self.spread.parts) == 1:
            longest = max(range(places.ndim), key=lambda k: places.shape[k])
            self.spread = Spread.line(jx, places.ndim, longest)
        if self.beside is not None:
            self.whole = Spread.line(jx, a.ndim, self.beside)
            self.spread = Spread(jx, [()] * places.ndim)
        self.found = Spread(jx, [*self.spread.sides, *self.whole.sides[lead:]])

    def flat(self, block: Any) -> Any:
        return block.reshape((-1, *block.shape[self.lead :]))


def rows_at(jx: Any, a: Any, places: Any, lead: int = 1) -> Any:
    """`a[places]` of rows along the first axes of `a`, `lead` of them flattened, the first of which is cut."""
    names, parts = jx.mesh.names, jx.mesh.size
    plan = _Plan(jx, a, places, lead)
    rows = plan.rows

    def pick(block: Any, at: Any, owner: Any, found: Any) -> Any:
        local = at - owner.astype(at.dtype) * rows
        here = (local >= 0) & (local < rows)
        # A slot of zeros would have to be added to the block: the first row stands for what is elsewhere.
        return jx.np.where(_told(here, found.ndim), block[jx.np.where(here, local, 0)], found)

    def answered(block: Any, at: Any) -> Any:
        block, me = plan.flat(block), rank(jx, names)
        if plan.beside is not None:
            return block.at[at].get(mode="clip")
        nothing = jx.np.zeros((*at.shape, *plan.rest), block.dtype)
        if plan.few:
            return only_sum(jx, pick(block, at, me, nothing))
        if a.size * np.dtype(a.dtype).itemsize <= places.size * (at.dtype.itemsize + plan.item):
            return ring(jx, [block], nothing, lambda k, b, found: pick(b[0], at, (me - k) % parts, found))
        return asking(jx, [at], nothing, lambda at, found: pick(block, at[0], me, found))

    given = plan.whole.fitted(a), plan.spread.fitted(plan.places)
    found = mapped(jx, answered, [plan.whole, plan.spread], plan.found)(*given)
    return plan.found.taken(found, (*places.shape, *plan.rest))


def rows_put(jx: Any, a: Any, places: Any, values: Any, how: str = "set", lead: int = 1) -> Any:
    """`a` after `a[places] = values` (or `.add`, `.multiply`, `.max`, `.min`) of rows as in `rows_at`. Where `places`
    names a row twice, the last one is set. Rows beyond the end are none. `values`: one for each place, or a number."""
    names, parts = jx.mesh.names, jx.mesh.size
    plan = _Plan(jx, a, places, lead)
    rows, one = plan.rows, not values.ndim
    ordered = how == "set" and not one
    index = np.int32 if places.size < 2**31 else np.int64

    def put(block: Any, last: list[Any], at: Any, given: list[Any]) -> tuple[Any, list[Any]]:
        """The block and the number of the last write to each of its rows, after the writes `at`."""
        local = at.reshape(-1)
        if plan.beside is None:
            local = local - rank(jx, names).astype(at.dtype) * rows
        local = jx.np.where((local >= 0) & (local < rows), local, rows)
        if ordered:
            turn = given[1].reshape(-1)
            last = [last[0].at[local].max(turn, mode="drop")]
            local = jx.np.where(last[0].at[local].get(mode="clip") == turn, local, rows)
        new = given[0].reshape(() if one else (-1, *block.shape[1:]))
        return getattr(block.at[local], how)(new, mode="drop"), last

    def written(block: Any, at: Any, *given: Any) -> Any:
        shape = block.shape
        last = [jx.np.full(rows, -1, index)] if ordered else []
        if plan.few or plan.beside is not None:
            return put(plan.flat(block), last, at, list(given))[0].reshape(shape)

        def visit(_: Any, moving: list[Any], state: Any) -> Any:
            return put(state[0], state[1], moving[0], list(given) if one else moving[1:])

        return ring(jx, [at] if one else [at, *given], (plan.flat(block), last), visit)[0].reshape(shape)

    beyond = rows * parts
    given, spreads = [values], [Spread(jx, [()] * values.ndim) if one else plan.found]
    if ordered:
        given.append(jx.lax.iota(index, places.size).reshape(places.shape))
        spreads.append(plan.spread)
    given = [s.fitted(v) for s, v in zip(spreads, given, strict=True)]
    operands = plan.whole.fitted(a), plan.spread.fitted(plan.places, beyond), *given
    found = mapped(jx, written, [plan.whole, plan.spread, *spreads], plan.whole)(*operands)
    return plan.whole.taken(found, a.shape)


def tallied(jx: Any, at: Any, weights: Any, size: int) -> Any:
    """The sum of the weights for each of `size` bins, which are few: each device sums for itself, and all together."""
    spread = Spread.at_rest(jx, at.shape)
    one = not weights.ndim

    def kernel(at: Any, weights: Any) -> Any:
        mine = jx.np.zeros(size, weights.dtype).at[at.reshape(-1)].add(weights.reshape(() if one else -1), mode="drop")
        return jx.lax.psum(mine, jx.mesh.names)

    none = Spread(jx, [()])
    of_weights = Spread(jx, []) if one else spread
    return mapped(jx, kernel, [spread, of_weights], none)(spread.fitted(at, size), of_weights.fitted(weights))


def along(jx: Any, f: Any, arrays: list[Any], axis: int) -> Any:
    """`f` of arrays of one rank, line by line along `axis`: with the longest other axis cut. None where none is long
    enough."""
    shape = np.broadcast_shapes(*[tuple([1 if k == axis else n for k, n in enumerate(x.shape)]) for x in arrays])
    if max(shape, default=0) < jx.mesh.size:
        return None
    other = max(range(len(shape)), key=lambda k: shape[k])
    line = Spread.line(jx, len(shape), other)
    wide = [jx.np.broadcast_to(x, tuple([x.shape[k] if k == axis else n for k, n in enumerate(shape)])) for x in arrays]
    found = mapped(jx, f, [line] * len(arrays), line)(*[line.fitted(x) for x in wide])
    return line.taken(found, tuple([found.shape[k] if k == axis else n for k, n in enumerate(shape)]))
