"""Calls that are not elementwise: sorts, scans, reductions, products of matrices ...: one row of `lowering.TABLE` each.

A `Bound` is a call with everything fixed but its arrays, and stands for one of the call's results. It is interned, so
that equal calls are one object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .lowering import Spec


@dataclass(frozen=True, eq=False, slots=True)
class Bound:
    """Takes the place of an elementwise row in a node."""

    spec: Spec
    given: tuple[tuple[str, int], ...]  # array parameters in their order; how many arrays, or -1 for one by itself
    static: tuple[tuple[str, Any], ...]
    index: int | None  # of the result, where there are several
    group: tuple[Any, ...]  # equal for all results of one call

    silent = True
    aliases = False
    cost = 8

    @property
    def name(self) -> str:
        return self.spec.function.__name__

    def arguments(self, arrays: tuple[Any, ...]) -> dict[str, Any]:
        """The arguments by name."""
        found = dict(self.static)
        k = 0
        for name, count in self.given:
            if count < 0:
                found[name] = arrays[k]
                k += 1
            else:
                found[name] = list(arrays[k : k + count])
                k += count
        return found

    def lower(self, jx: Any, *arrays: Any) -> Any:
        """All results, on traced values. GPUs would multiply single precision with fewer bits than it has."""
        with jx.jax.default_matmul_precision("highest"):
            return self.spec.lowering(jx, **self.arguments(arrays))

    def numpys(self, *arrays: Any) -> Any:
        """All results, by NumPy."""
        found = self.arguments(arrays)
        first = [found.pop(name) for name in self.spec.names if name in self.spec.positional and name in found]
        return self.spec.function(*first, **found)

    def kernel(self, *arrays: Any) -> Any:
        """This result, by NumPy."""
        found = self.numpys(*arrays)
        return found if self.index is None else found[self.index]


_interned: dict[Any, Bound] = {}


def bind(
    spec: Spec, given: tuple[tuple[str, int], ...], static: tuple[tuple[str, Any], ...], index: int | None
) -> Bound:
    """The one `Bound` of these; `static` must be hashable."""
    # 1, 1.0 and True are equal and hash alike, as 0.0 and -0.0 are, but are not the same argument.
    group = (id(spec), given, static, repr(static))
    key = (group, index)
    found = _interned.get(key)
    if found is None:
        found = _interned[key] = Bound(spec, given, static, index, group)
    return found
