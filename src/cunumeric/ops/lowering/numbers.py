"""Fixed numbers that become operands once they change from call to call: without that each would compile a program.

A rule says in which dtype: `rule(value, dtypes, fixed)` of a Python number, the dtypes of the call's arrays and its
other fixed arguments gives an array without dimensions, for which NumPy's function gives what it gives for the number;
or None, where the number stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Rule = Callable[[Any, list[np.dtype], dict[str, Any]], np.ndarray | None]


def changes(v: Any) -> bool:
    """Whether a lowering was given the number as an operand; NumPy's scalars, which have a dtype too, are fixed."""
    return hasattr(v, "aval")


def _as(value: Any, dtype: np.dtype) -> np.ndarray | None:
    try:
        return np.asarray(value, dtype)
    except OverflowError:  # NumPy says so
        return None


def joined(value: Any, dtypes: list[np.dtype], fixed: dict[str, Any]) -> np.ndarray | None:
    """In the dtype of the whole call's result."""
    numbers = [v for v in (value, *fixed.values()) if type(v) in (int, float)]
    return _as(value, np.result_type(*dtypes, *numbers))


def like(value: Any, dtypes: list[np.dtype], fixed: dict[str, Any]) -> np.ndarray | None:
    """In the dtype of the first array, if that is floating."""
    return _as(value, dtypes[0]) if dtypes and dtypes[0].kind == "f" else None


def computed(value: Any, dtypes: list[np.dtype], fixed: dict[str, Any]) -> np.ndarray | None:
    """In the dtype that is asked for or, without one, in that of the first array; if it is floating."""
    dtype = fixed.get("dtype")
    return like(value, dtypes if dtype is None else [np.dtype(dtype)], fixed)


def index(value: Any, dtypes: list[np.dtype], fixed: dict[str, Any]) -> np.ndarray | None:
    return _as(value, np.dtype(np.int64)) if type(value) is int else None


def share(whole: float) -> Rule:
    """A part of `whole`, in double precision, which NumPy computes in unless an array is of another floating dtype."""

    def rule(value: Any, dtypes: list[np.dtype], fixed: dict[str, Any]) -> np.ndarray | None:
        wide = all(d.kind in "iu" or d == np.float64 for d in dtypes)
        return np.asarray(value, np.float64) if wide and 0 <= value <= whole else None

    return rule


def itself(value: Any, dtypes: list[np.dtype], fixed: dict[str, Any]) -> np.ndarray | None:
    """In the dtype that NumPy gives an array of the number alone."""
    return np.asarray(value)
