"""Which results of a window take the memory of operands that nobody asks for afterwards.

XLA gives a result the memory that it is told to, and copies first what somebody still reads there. So a result takes
the memory of an operand that is read element for element where the result is computed, and by nothing after that; or
else of one that was last read before anything that the result is computed with. A step of conjugate gradients gives x,
r and p to their successors; p given to x would be copied each time.
"""

from __future__ import annotations

import sys
from typing import Any

from ...ops.calls import Bound
from .recipe import LEAF, NODE, Recipe, order_of

Form = tuple[tuple[int, ...], Any]


# References to a device's value that nobody else holds: the remote's, that of a list of values, and getrefcount's.
ALONE = 3


def _results(recipe: Recipe) -> list[Form]:
    """Layout and dtype of the results that live on, without those written to memory of before."""
    forms = []
    for node in recipe.living:
        shape = node.shape
        if node.strides is not None:
            shape = tuple([shape[k] for k in order_of(node.strides)])
        forms.append((shape, node.dtype))
    return forms


def spare(recipe: Recipe, values: list[Any]) -> tuple[int, ...]:
    """Owners that are read for the last time, of a form that a result has too."""
    wanted = set(_results(recipe))
    forms = {k: (recipe.remotes[k].layout, recipe.remotes[k].kind) for k in recipe.spent}
    fitting = [k for k, form in forms.items() if form in wanted and values[k] is not None]
    return tuple([k for k in fitting if sys.getrefcount(values[k]) <= ALONE])


class _Uses:
    """Where the memory of each owner is read, by number of the item."""

    def __init__(self, recipe: Recipe) -> None:
        self.items, self.regions = recipe.items, recipe.regions
        self.nodes: list[int] = []  # numbers of the items that are nodes
        self.reads: dict[int, list[int]] = {}
        self.writes: dict[int, list[int]] = {}
        for number, item in enumerate(self.items):
            if len(item) > 2:
                self.nodes.append(number)
            else:
                self.writes.setdefault(self.regions[item[0] >> 2][0], []).append(number)
            for reference in item[1] if len(item) > 2 else item:
                if reference & 3 == LEAF:
                    self.reads.setdefault(self.regions[reference >> 2][0], []).append(number)

    def expression(self, number: int) -> tuple[int, dict[int, bool]]:
        """What may be computed together with item `number`: the first of those items, and which owners they read: True
        where all do so element for element."""
        first = number
        found: dict[int, bool] = {}
        shape = self.items[number][2]
        stack, seen = [number], {number}
        while stack:
            at = stack.pop()
            first = min(first, at)
            item = self.items[at]
            for reference in item[1] if len(item) > 2 else (item[1],):
                inside: list[int] = []
                if reference & 3 == LEAF:
                    owner, region, what = self.regions[reference >> 2]
                    alike = region.whole and not region.turned and not what and region.shape == shape
                    found[owner] = found.get(owner, True) and alike and len(item) > 2
                    inside = [w for w in self.writes.get(owner, ()) if w < at]
                elif reference & 3 == NODE:
                    made = self.nodes[reference >> 2]
                    row, _, _, _, alive, _ = self.items[made]
                    inside = [] if alive or type(row) is Bound else [made]
                stack.extend([k for k in inside if k not in seen])
                seen.update(inside)
        return first, found


def pairs(recipe: Recipe, spare: tuple[int, ...]) -> list[tuple[int, int]]:
    """Spare owners, each with the number of the living node that takes its memory."""
    if not spare:
        return []
    uses, remotes = _Uses(recipe), recipe.remotes
    living = [number for number in uses.nodes if recipe.items[number][4]]
    together = [uses.expression(number) for number in living]
    taken: dict[int, int] = {}
    for in_place in (True, False):
        for result, form in enumerate(_results(recipe)):
            if result in taken:
                continue
            first, read = together[result]
            for k in spare:
                if k in taken.values() or (remotes[k].layout, remotes[k].kind) != form:
                    continue
                if in_place:
                    fits = read.get(k, False) and max(uses.reads[k]) <= living[result]
                else:
                    fits = k not in read and max(uses.reads.get(k, [-1])) < first
                if fits:
                    taken[result] = k
                    break
    return [(k, result) for result, k in sorted(taken.items())]
