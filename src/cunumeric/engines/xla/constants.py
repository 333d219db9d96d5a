"""Constants of a window as arguments of its program: one vector for each dtype, because each argument costs time.

Those that are equal share a place: a kernel reads each place once an element, and Black-Scholes names thirty numbers,
of which thirteen are different. Which are equal belongs to the program, not to the form of the window: one for which it
does not hold gets a program that expects no more than both have in common, and takes the other's place.

Where there are many, even so each costs a load an element. Then the first program of a form has the values in it
(`literal`), and one with other values gets a program with arguments.
"""

from __future__ import annotations

import numpy as np

Alike = tuple[int, ...]  # of each constant, the first one that it is equal to


def raw(constants: list[np.ndarray]) -> bytes:
    """What tells values apart, of constants of the same dtypes."""
    return b"".join(constants)  # type: ignore[arg-type]  # arrays are buffers, which mypy does not know of them


def alike(constants: list[np.ndarray], known: Alike | None = None) -> Alike:
    """Which constants are equal; with `known` only those that were so there too."""
    first: dict[tuple, int] = {}
    of = known if known is not None else (0,) * len(constants)
    return tuple([first.setdefault((c.dtype, c.tobytes(), of[j]), j) for j, c in enumerate(constants)])


def packed(constants: list[np.ndarray], alike: Alike | None = None) -> tuple[np.ndarray, ...]:
    """Constants of one dtype as one vector, each value of `alike` ones once."""
    groups: dict[np.dtype, list[np.ndarray]] = {}
    for j, c in enumerate(constants):
        if alike is None or alike[j] == j:
            groups.setdefault(c.dtype, []).append(c)
    return tuple([np.array(group, dtype) for dtype, group in groups.items()])


# So many different floats are the program's own at first: Black-Scholes' thirteen cost 8 % of its kernel as arguments.
_MANY = 8


def literal(constants: list[np.ndarray], alike: Alike) -> bool:
    """Whether the constants should be in the program itself."""
    return sum([k == j and fits(constants[j]) for j, k in enumerate(alike)]) >= _MANY


def fits(constant: np.ndarray) -> bool:
    """Whether there is a way to write it into a program."""
    return constant.dtype == np.float64 or constant.dtype == np.float32
