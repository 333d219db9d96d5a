"""Elementwise operations: one row each.

A row names the operation, the NumPy kernel that runs it on a tile, and what the engines must know about it. Rows of
NumPy's ufuncs are made from the ufuncs themselves; the three below that are not ufuncs have kernels here. Result
dtypes come from NumPy (`ufunc.resolve_dtypes`), cached by signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .lowering.elementwise import LOWER


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    name: str
    nin: int
    kernel: Callable[..., Any]  # kernel(*inputs, out), on tiles
    ufunc: np.ufunc | None
    silent: bool  # never raises a floating-point flag
    aliases: bool  # the output may be the memory of an input of the same dtype
    cost: int  # time for an element, in units of an addition
    lower: Callable[..., Any] | None = None  # lower(jx, *operands), on traced values (`lowering`)


_SILENT = frozenset(
    """absolute bitwise_and bitwise_or bitwise_xor bitwise_count conjugate copysign equal fabs floor ceil trunc rint
    fmax fmin greater greater_equal invert isfinite isinf isnan isnat left_shift less less_equal logical_and logical_not
    logical_or logical_xor maximum minimum negative not_equal positive right_shift sign signbit clip""".split()
)


# Operations that take about as long as moving their operands; all others count as eight of them.
_COST = dict.fromkeys(
    """add subtract multiply negative positive absolute fabs square maximum minimum fmax fmin equal not_equal less
    less_equal greater greater_equal logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor
    invert conjugate isnan isinf isfinite signbit sign copysign rint floor ceil trunc clip""".split(),
    1,
) | dict.fromkeys("divide sqrt reciprocal left_shift right_shift".split(), 2)


def _where(condition, x, y, out):
    np.copyto(out, y, "unsafe")
    np.copyto(out, x, "unsafe", where=condition)


def _cast(x, out):
    np.copyto(out, x, "unsafe")


def _extreme(f: np.ufunc) -> Callable[..., Any]:
    """The kernel of `f`: NumPy warns of an extreme's output by position."""

    def kernel(x, y, out=None):
        return f(x, y, out=out)

    return kernel


def _ufunc_row(f: np.ufunc) -> Row:
    kernel = _extreme(f) if f in (np.maximum, np.minimum) else f
    return Row(
        f.__name__, f.nin, kernel, f, f.__name__ in _SILENT, True, _COST.get(f.__name__, 8), LOWER.get(f.__name__)
    )


_UFUNCS = {f: _ufunc_row(f) for f in vars(np).values() if isinstance(f, np.ufunc) and f.nout == 1 and not f.signature}
CLIP = _ufunc_row(np._core.umath.clip)  # type: ignore[attr-defined]
_UFUNCS[np._core.umath.clip] = CLIP  # type: ignore[attr-defined]

WHERE = Row("where", 3, _where, None, silent=True, aliases=False, cost=2, lower=LOWER["where"])
CAST = Row("cast", 1, _cast, None, silent=False, aliases=False, cost=1, lower=LOWER["copy"])
COPY = Row("copy", 1, _cast, None, silent=True, aliases=False, cost=1, lower=LOWER["copy"])


def row(f: np.ufunc) -> Row | None:
    """The row of one of NumPy's ufuncs; None where it is not elementwise with one result."""
    return _UFUNCS.get(f)


# Kinds of dtype that tiles work on; everything else is NumPy's alone.
KINDS = frozenset("biufc")
_signatures: dict[tuple, tuple[np.dtype, ...] | None] = {}


def resolve(op: Row, operands: tuple[Any, ...]) -> tuple[np.dtype, ...] | None:
    """Dtypes of the inputs and of the result of `op`, as NumPy resolves them; None where NumPy refuses or the loop is
    not numeric. An operand is a dtype, or `int`, `float`, `complex` for a Python scalar."""
    key = (op, operands)
    try:
        return _signatures[key]
    except KeyError:
        pass
    found: tuple[np.dtype, ...] | None
    try:
        if op.ufunc is not None:
            found = op.ufunc.resolve_dtypes((*operands, None))
        elif op is WHERE:
            both = np.result_type(*[d if isinstance(d, np.dtype) else d(0) for d in operands[1:]])
            found = (np.dtype(bool), both, both, both)
        else:
            found = (operands[0], operands[0])
        if any(d.kind not in KINDS or not d.isnative for d in found):
            found = None
    except TypeError:
        found = None
    _signatures[key] = found
    return found
