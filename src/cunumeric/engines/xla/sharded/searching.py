"""Searches in sorted vectors that are cut, and elements by their rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ops.lowering.radix import arranged
from .exchange import by_pieces
from .picking import asking, ring
from .runs import place_in, split
from .sorting import last
from .spread import Spread, mapped


def counted(jx: Any, run: list[Any], values: list[Any], or_equal: bool) -> Any:
    """How many elements of a sorted vector that is cut come before each of the values (or are equal); both are told by
    their keys. Each device counts in its part. Values that are on every device are counted for everywhere and summed;
    else the vector or the values go round, whichever is smaller."""
    n, line = run[0].shape[0], Spread.line(jx, 1, 0)
    spread = Spread.at_rest(jx, values[0].shape)
    kind = np.int32 if n < 2**30 else np.int64
    nbytes = sum(np.dtype(k.dtype).itemsize for k in run)

    def kernel(*blocks: Any) -> Any:
        mine, wanted = list(blocks[: len(run)]), list(blocks[len(run) :])

        def counts(run: list[Any], values: list[Any], before: Any) -> Any:
            def piece(_: Any, __: Any, values: list[Any]) -> list[Any]:
                return [place_in(jx, run, values, or_equal).astype(kind)]

            flat = [v.reshape(-1) for v in values]
            return before + by_pieces(jx, piece, [jx.np.zeros(flat[0].shape, kind)], flat)[0].reshape(before.shape)

        none = jx.np.zeros(wanted[0].shape, kind)
        if max(spread.parts, default=1) == 1:
            return jx.lax.psum(counts(mine, wanted, none), jx.mesh.names)
        if nbytes * n <= (nbytes + none.dtype.itemsize) * values[0].size:
            return ring(jx, mine, none, lambda _, run, found: counts(run, wanted, found))
        return asking(jx, wanted, none, lambda values, found: counts(mine, values, found))

    # Padding comes behind everything: what is counted of it is too much by as much.
    given = [line.fitted(k, last(k.dtype)) for k in run] + [spread.fitted(v) for v in values]
    found = mapped(jx, kernel, [line] * len(run) + [spread] * len(values), spread)(*given)
    return jx.np.minimum(spread.taken(found, values[0].shape), n).astype(np.int64)


def ranked(jx: Any, operands: list[Any], num_keys: int, ranks: Any) -> list[Any]:
    """The elements of all of an array that would have these places if it were sorted. The array is told by its keys,
    with which other operands may go. The blocks are sorted, and split at the ranks; nothing else travels."""
    spread, none = Spread.at_rest(jx, operands[0].shape), Spread(jx, [()])
    ends = [last(x.dtype) if k < num_keys else 0 for k, x in enumerate(operands)]

    def kernel(ranks: Any, *blocks: Any) -> Any:
        run = arranged(jx, [x.reshape(-1) for x in blocks], num_keys, 0)
        n = run[0].shape[0]
        at = split(jx, run[:num_keys], ranks)
        # Each device's first element that is not among so many: the first of these has the rank.
        heads = [
            jx.np.where(at < n, x[jx.np.minimum(at, n - 1)], np.asarray(z, x.dtype))
            for x, z in zip(run, ends, strict=True)
        ]
        heads = [jx.lax.all_gather(x, jx.mesh.names) for x in heads]
        return tuple([x[0] for x in arranged(jx, heads, num_keys, 0)])

    given = [spread.fitted(x, z) for x, z in zip(operands, ends, strict=True)]
    every = [spread] * len(operands), [none] * len(operands)
    return list(mapped(jx, kernel, [none, *every[0]], every[1])(ranks.astype(np.int64), *given))
