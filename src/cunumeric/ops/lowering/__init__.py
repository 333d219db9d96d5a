"""What each operation is in XLA's terms.

A lowering is a function of the JAX modules and of traced operands: `jx.np` is `jax.numpy`, `jx.lax` is `jax.lax`,
`jx.scipy` is `jax.scipy`. Nothing here imports JAX. Operands come in the dtypes that NumPy resolves for the call, and
what NumPy defines otherwise than XLA (division by zero, casts of NaN, wide shifts) is written out.

`elementwise` is for ufuncs. The other chapters fill `TABLE`: one row for each of NumPy's functions, by the decorator

    @lowers(np.sort, "a")
    def sort(jx, a, axis=-1, kind=None, order=None, *, stable=None):
        if order is not None:
            raise Refused
        ...

whose parameters are those of NumPy's function. The words after the function name the parameters that are arrays; a
star before one says that it is a sequence of arrays, a question mark that it may also be a number, a string or nothing,
which is fixed. What a lowering returns is cast to the dtypes of NumPy's result. `numbers` names parameters that are
fixed until they change from call to call, then operands (`numbers.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .numbers import Rule


class Refused(Exception):
    """Raised by a lowering whose arguments it has no way for: the call is NumPy's."""


class Fault(Exception):
    """An error of ours where NumPy takes the call; without `CUNUMERIC_FAULTS=1` NumPy does the call instead."""


@dataclass(frozen=True, eq=False, slots=True)
class Spec:
    """How a function's arguments divide into arrays and what is fixed."""

    function: Callable[..., Any]
    lowering: Callable[..., Any]
    names: tuple[str, ...]  # parameters that can be given by position
    arrays: dict[str, str]  # array parameters; "*" for a sequence of arrays, "?" for what may be something else
    positional: frozenset[str]  # parameters that NumPy takes by position alone
    grows: bool  # results are large however small the arrays
    takes: frozenset[str] | None  # all parameters, where NumPy's function may have more; None: any
    numbers: dict[str, Rule]  # parameters that become operands when they change


TABLE: dict[Any, Spec] = {}


def lowers(
    function: Callable[..., Any], *arrays: str, grows: bool = False, numbers: dict[str, Rule] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a lowering of NumPy's `function` into the table. `grows`: it makes large arrays of small ones, and whoever
    calls it has seen to it that they are large enough for the device."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        kinds = list(inspect.signature(f).parameters.values())[1:]
        names = tuple([p.name for p in kinds if p.kind is not p.KEYWORD_ONLY])
        positional: frozenset[str] = frozenset()
        try:
            theirs = inspect.signature(function).parameters.values()
            alone = [k for k, p in enumerate(theirs) if p.kind is p.POSITIONAL_ONLY]
            positional = frozenset([names[k] for k in alone])
        except (ValueError, TypeError, IndexError):
            positional = frozenset(names[:1])
        of = {name.lstrip("*?"): name[0] if name[0] in "*?" else "" for name in arrays}
        any_word = any(p.kind is p.VAR_KEYWORD for p in kinds)
        takes = None if any_word else frozenset([p.name for p in kinds])
        TABLE[function] = Spec(function, f, names, of, positional, grows, takes, numbers or {})
        return f

    return enter


def no(*values: Any) -> None:
    """Refuse the call if any of `values` was given."""
    if any(v is not None and v is not np._NoValue for v in values):
        raise Refused
