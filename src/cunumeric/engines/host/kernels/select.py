"""The position of an extremum in a large array."""

from __future__ import annotations

import numpy as np

from cunumeric.runtime import threads

from .support import INTEGERS, REALS, crew, plain, run

# Bytes for which a thread is worth starting: below, all of it is read faster than a thread wakes up.
LEAST = 8 * 1024 * 1024


def _position(method: str, better, a, axis, out, keepdims):
    if out is not None or keepdims is not False or not plain(a, "?" + INTEGERS + REALS) or not a.flags.c_contiguous:
        return NotImplemented
    if a.ndim == 0 or not (axis is None or (a.ndim == 1 and type(axis) is int and axis in (0, -1))):
        return NotImplemented
    parts = crew(a.nbytes, LEAST)
    if parts == 1:
        return NotImplemented
    flat = a.reshape(-1)
    edges = threads.split(flat.size, parts)
    found = [0] * len(edges)

    def body(part: int) -> None:
        start, stop = edges[part]
        found[part] = start + int(getattr(flat[start:stop], method)())

    run(body, len(edges))
    best = found[0]
    for other in found[1:]:
        if flat[best] != flat[best]:
            break
        # The first occurrence wins, and a NaN over everything.
        if better(flat[other], flat[best]) or flat[other] != flat[other]:
            best = other
    return np.intp(best)


def argmax(a, axis=None, out=None, *, keepdims=False):
    """`np.argmax` over all of a large contiguous array."""
    return _position("argmax", lambda x, y: x > y, a, axis, out, keepdims)


def argmin(a, axis=None, out=None, *, keepdims=False):
    """`np.argmin` over all of a large contiguous array."""
    return _position("argmin", lambda x, y: x < y, a, axis, out, keepdims)
