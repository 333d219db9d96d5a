"""Windows that never come again: whether compiling one is worth it.

A loop whose arrays change their shapes (`a[k + 1 :, k] /= a[k, k]`) gives a new program at every turn, and compiling
takes XLA a thousand times as long as NumPy takes for the work. So where the last programs were all run once, a window
that is met for the first time and is little work runs on the host; met again, it is compiled. What is counted is
recordings and elements, not time: a program takes the same course every time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from ...graph.node import Leaf, Node, Store
from ...ops.calls import Bound
from ...runtime import ranks
from ...runtime.settings import settings
from . import backend
from .recipe import Recipe

# After so many programs in a row none of which has run a second time.
PATIENCE = 8
# Additions of elements that the host does while XLA compiles a window: a fixed part and one a recording.
_FIXED, _EACH = 100_000_000, 5_000_000
# Bytes that may have to come home for it, and that may be new at home: they are sent when the device wants them.
_MOVED = 1 << 29
_KNOWN = 4096
# Chapters of calls whose work is a few additions for each element of their operands or result, but for a few.
_LINEAR = frozenset("reductions movement selection scans indexing comparisons creation statistics".split())
_OTHERS = frozenset("convolve correlate cov corrcoef".split())

alone = 0  # programs that were compiled since one ran for the second time, and have run once
_met: OrderedDict[Any, None] = OrderedDict()  # keys of windows that the host ran


def compiled() -> None:
    """A program was compiled."""
    global alone
    alone += 1


def recurred() -> None:
    """A program runs for the second time."""
    global alone
    alone = 0


def passes(key: Any, recipe: Recipe) -> bool:
    """Whether the window, for which there is no program, should run on the host."""
    # A threshold of 0 says that everything belongs to the device. Memory of several is gathered by all.
    if alone < PATIENCE or key in _met or not settings.record_min or settings.paper:
        return False
    if ranks.size > 1 or backend.modules().mesh is not None:
        return False
    moved = sum([r.value.nbytes for r in recipe.remotes if not r.home and r.value is not None])
    stores = [p.destination for p in recipe.pending if isinstance(p, Store)]
    moved += sum([leaf.a.nbytes for leaf in stores if leaf.a.nbytes == leaf.owner.nbytes])
    moved += sum([node.nbytes for node in recipe.living])
    if moved > _MOVED or _work(recipe.pending) > _FIXED + _EACH * len(recipe.pending):
        return False
    _met[key] = None
    if len(_met) > _KNOWN:
        _met.popitem(last=False)
    return True


def _size(v: Any) -> int:
    return v.a.size if type(v) is Leaf else v.size


def _work(pending: list[Node | Store]) -> float:
    """Additions of elements, about; infinite where it is not known."""
    found = 0.0
    for p in pending:
        if isinstance(p, Store):
            found += p.destination.a.size
        elif isinstance(p.row, Bound):
            found += _called(p.row, p)
        else:
            found += p.size * p.row.cost
    return found


def _called(row: Bound, node: Node) -> float:
    chapter = row.spec.lowering.__module__.rpartition(".")[2]
    sizes = [_size(v) for v in node.args]
    if chapter in _LINEAR and row.name not in _OTHERS:
        return row.cost * (sum(sizes) + node.size)
    if chapter == "products" and len(sizes) == 2 and all(sizes):
        # A product over k elements of each: k² is what the operands have to spare over the result.
        return node.size * max(1.0, math.sqrt(sizes[0] * sizes[1] / node.size))
    return math.inf
