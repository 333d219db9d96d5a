"""Uniform random numbers: the one stream of a bit generator, drawn by several threads.

A PCG64 can be advanced by any number of draws, and a double takes exactly one 64-bit draw. Each thread draws its part
from a clone set to where the part begins, so the numbers and the state left behind are those of NumPy's own call.
"""

from __future__ import annotations

import functools

import numpy as np

from cunumeric.runtime import threads

from .support import crew, plain, run

# Doubles for which a thread is worth starting: cloning a generator costs as much as drawing thousands.
LEAST = 131072
BLOCK = 16384

_GENERATORS = (np.random.PCG64, np.random.PCG64DXSM)


def _drawn(generator, out, fill):
    """Let `fill(clone, part_of_out)` draw one double for each element of `out`, then move the generator on."""
    if type(generator) is not np.random.Generator:
        return NotImplemented
    kind = next((c for c in _GENERATORS if isinstance(generator.bit_generator, c)), None)
    if kind is None:
        return NotImplemented
    if not (plain(out, "d") and out.flags.c_contiguous and out.flags.writeable):
        return NotImplemented
    parts = crew(out.size, LEAST)
    if parts == 1:
        return NotImplemented
    bits = generator.bit_generator
    flat = out.reshape(-1)
    edges = threads.split(flat.size, parts)
    with bits.lock:
        state = bits.state
        clones = []
        for start, _stop in edges:
            # A constant seed: the state replaces it, and asking the system for entropy is slow.
            clone = kind(0)
            clone.state = state  # type: ignore[assignment]
            if start:
                clone.advance(start)
            clones.append(np.random.Generator(clone))

        def body(part: int) -> None:
            start, stop = edges[part]
            fill(clones[part], flat[start:stop])

        run(body, len(edges))
        # `advance` forgets the half draw that 32-bit numbers leave behind; drawing doubles does not.
        state["state"] = clones[-1].bit_generator.state["state"]  # type: ignore[index]
        bits.state = state
    return out


def random_into(generator, out):
    """`generator.random(out=out)` for float64; returns `out`."""
    return _drawn(generator, out, lambda clone, part: clone.random(out=part))


@functools.cache
def _rounds_twice() -> bool:
    """Whether NumPy's `low + width * u` rounds its product: compilers for some processors make one operation of it."""
    drawn, whole = np.random.Generator(np.random.PCG64(1)), np.random.Generator(np.random.PCG64(1))
    return np.array_equal(drawn.uniform(0.1, 0.7, 1000), 0.1 + (0.7 - 0.1) * whole.random(1000))


def uniform_into(generator, out, low=0.0, high=1.0):
    """`out[...] = generator.uniform(low, high, out.shape)` for scalar bounds; returns `out`."""
    if type(low) not in (int, float) or type(high) not in (int, float):
        return NotImplemented
    try:
        if not (0 <= float(high) - float(low) < np.inf):
            return NotImplemented
    except OverflowError:
        return NotImplemented

    width = float(high) - float(low)

    def fill(clone, part):
        for start in range(0, part.size, BLOCK):
            block = part[start : start + BLOCK]
            if _rounds_twice():
                clone.random(out=block)
                block *= width
                block += low
            else:
                block[...] = clone.uniform(low, high, block.size)

    return _drawn(generator, out, fill)
