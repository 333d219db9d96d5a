"""Runs of elements along a cut axis, brought to other places: joining, rolling, padding, cutting out, reshaping.

A result is a list of runs: elements `source` to `source + length` of an operand go to `place` and after. Where a run
lies is known when the program is made, and so is which part of it each device has and which device needs it. These
transfers are dealt into rounds in which every device sends at most one of them and receives at most one, the largest
first; a round is one permutation, of blocks as large as its largest transfer. What a device receives it shifts into
place, and selects by position: no scatter, and nothing is sent to a device that does not need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .spread import Spread, cropped, is_cut, lined, mapped, rank, unlined


class Run(NamedTuple):
    """Elements of operand `operand` from `source` on, at `place` and after in the result."""

    operand: int
    source: int
    length: int
    place: int


class _Transfer(NamedTuple):
    sender: int
    receiver: int
    source: int  # in the sender's block
    length: int
    place: int  # in the receiver's block


@dataclass
class _Round:
    """Transfers of one operand that happen at once."""

    operand: int
    transfers: list[_Transfer]
    moves: bool  # between devices

    @property
    def size(self) -> int:
        return max(t.length for t in self.transfers)


def _cut_run(run: Run, block: int | None, result: int, parts: int) -> list[_Transfer]:
    """The transfers that bring a run from blocks of `block` elements (None: every device has all) to blocks of
    `result`."""
    found = []
    for receiver in range(run.place // result, -(-(run.place + run.length) // result)):
        low, high = max(run.place, receiver * result), min(run.place + run.length, (receiver + 1) * result)
        low, high = low - run.place + run.source, high - run.place + run.source
        shift = run.place - run.source - receiver * result
        if block is None:
            found.append(_Transfer(receiver, receiver, low, high - low, low + shift))
            continue
        for sender in range(low // block, -(-high // block)):
            a, b = max(low, sender * block), min(high, (sender + 1) * block)
            found.append(_Transfer(sender, receiver, a - sender * block, b - a, a + shift))
    return found


def _rounds(operand: int, transfers: list[_Transfer]) -> list[_Round]:
    """Dealt so that no device sends or receives twice in a round."""
    rounds: list[tuple[_Round, set[int], set[int]]] = []
    for t in sorted(transfers, key=lambda t: (-t.length, t.sender, t.receiver)):
        moves = t.sender != t.receiver
        for made, senders, receivers in rounds:
            if made.moves == moves and t.sender not in senders and t.receiver not in receivers:
                break
        else:
            made, senders, receivers = _Round(operand, [], moves), set(), set()
            rounds.append((made, senders, receivers))
        made.transfers.append(t)
        senders.add(t.sender)
        receivers.add(t.receiver)
    return [made for made, _, _ in rounds]


def flow(
    jx: Any,
    operands: Sequence[tuple[Any, Spread]],
    runs: Sequence[Run],
    axis: int,
    block: int,
    spread: Spread,
    fill: Any,
) -> Any:
    """The runs, in blocks of `block` elements along `axis`; `fill` where there is none. Operands fit their spreads,
    which cut `axis` as the result's does, or not at all."""
    names, parts = spread.sides[axis], spread.parts[axis]
    rounds: list[_Round] = []
    for k, (a, s) in enumerate(operands):
        size = a.shape[axis] // parts if s.parts[axis] > 1 else None
        mine = [t for run in runs if run.operand == k and run.length for t in _cut_run(run, size, block, parts)]
        rounds += _rounds(k, mine)

    def kernel(*blocks: Any) -> Any:
        me = rank(jx, names)
        shape = [block if k == axis else n for k, n in enumerate(blocks[0].shape)]
        along = jx.lax.iota(np.int64, block)
        position = jx.lax.broadcast_in_dim(along, shape, (axis,))
        result = jx.np.full(shape, fill, blocks[0].dtype)
        for made in rounds:
            x = blocks[made.operand]
            length = x.shape[axis]
            send, receive = np.zeros(parts, np.int64), np.zeros((3, parts), np.int64)
            for t in made.transfers:
                start = min(t.source, length - made.size) if made.moves else 0
                send[t.sender] = start
                receive[:, t.receiver] = t.source - start - t.place, t.place, t.place + t.length
            if made.moves:
                if made.size < length:
                    x = jx.lax.dynamic_slice_in_dim(x, jx.np.asarray(send)[me], made.size, axis)
                x = jx.lax.ppermute(x, names, [(t.sender, t.receiver) for t in made.transfers])
            shift, low, high = [jx.np.asarray(row)[me] for row in receive]
            x = jx.np.take(x, jx.np.clip(along + shift, 0, x.shape[axis] - 1), axis, mode="clip")
            result = jx.lax.select((position >= low) & (position < high), x, result)
        return result

    return mapped(jx, kernel, [s for _, s in operands], spread)(*[a for a, _ in operands])


def assembled(jx: Any, arrays: Sequence[Any], runs: Sequence[Run], axis: int, n: int, fill: Any = 0) -> Any:
    """An array of length `n` along `axis`, made of runs of arrays that agree in all other axes and in dtype."""
    shape = tuple([n if k == axis else m for k, m in enumerate(arrays[0].shape)])
    spread = Spread.at_rest(jx, shape)
    if spread.parts[axis] == 1:
        spread = Spread.line(jx, len(shape), axis)
    whole = Spread(jx, [() if k == axis else names for k, names in enumerate(spread.sides)])
    operands = []
    for a in arrays:
        s = spread if is_cut(jx, a.shape, axis) else whole
        operands.append((s.fitted(a), s))
    block = -(-n // spread.parts[axis])
    return cropped(jx, flow(jx, operands, runs, axis, block, spread, fill), shape)


def joined(jx: Any, arrays: Sequence[Any], axis: int) -> Any:
    """`concatenate`."""
    arrays = [a for a in arrays if a.shape[axis]] or arrays[:1]
    lengths = [a.shape[axis] for a in arrays]
    runs = [Run(k, 0, m, sum(lengths[:k])) for k, m in enumerate(lengths)]
    return assembled(jx, arrays, runs, axis, sum(lengths))


def window(jx: Any, a: Any, axis: int, start: int, n: int, fill: Any = 0) -> Any:
    """Elements `start` to `start + n` along an axis, which may begin before and end behind those of `a`."""
    low, high = max(start, 0), min(start + n, a.shape[axis])
    return assembled(jx, [a], [Run(0, low, max(high - low, 0), low - start)], axis, n, fill)


def picked(jx: Any, a: Any, places: np.ndarray, starts: np.ndarray, axis: int) -> Any:
    """`take` of known places, which rise by one but at `starts`."""
    ends = [*starts[1:].tolist(), places.size]
    runs = [Run(0, int(places[s]), e - s, s) for s, e in zip(starts.tolist(), ends, strict=True)]
    return assembled(jx, [a], runs, axis, places.size)


def rolled(jx: Any, a: Any, axis: int, shift: int) -> Any:
    """`roll` along one axis."""
    n = a.shape[axis]
    shift %= max(n, 1)
    return assembled(jx, [a], [Run(0, n - shift, shift, 0), Run(0, 0, n - shift, shift)], axis, n)


def reshaped(jx: Any, a: Any, shape: tuple[int, ...]) -> Any:
    """`reshape`; XLA's, where it does not gather: between parts of one length."""
    same = [n for n in a.shape if n > 1] == [n for n in shape if n > 1]
    if jx.mesh is None or same or not a.size or not (_uneven(jx, a.shape) or _uneven(jx, shape)):
        return a.reshape(shape)
    before = next((k for k, n in enumerate(a.shape) if n > 1), None)
    after = next((k for k, n in enumerate(shape) if n > 1), None)
    if before is None or after is None:
        return a.reshape(shape)
    parts, total = jx.mesh.size, a.size
    x, spread = lined(jx, a, before)
    line = Spread(jx, [spread.sides[before]])
    block = -(-shape[after] // parts)
    flat = flow(jx, [(x.reshape(-1), line)], [Run(0, 0, total, 0)], 0, block * (total // shape[after]), line, 0)
    spread = Spread(jx, [line.sides[0] if k == after else () for k in range(len(shape))])
    return unlined(jx, flat.reshape(*shape[:after], block * parts, *shape[after + 1 :]), shape, spread)


def _uneven(jx: Any, shape: tuple[int, ...]) -> bool:
    return bool(jx.mesh.padded(shape) != tuple(shape))
