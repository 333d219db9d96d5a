"""Scale on paper: what the windows of a program would do on so many devices, without having them.

With `legate --paper 2048`, or `CUNUMERIC_PAPER=2048`, the program runs to its end, but nothing is computed: every
window is compiled for a mesh of 2,048 devices, and each value that the program reads is zero (so a program whose course
depends on its data takes the course of zeros). Arrays have no memory: a problem of any size can be looked at. When the
program ends, a table says for each window what one device would do.

The model is plain. A window's time is what its bytes take at the memory's bandwidth, and after that, not at the same
time, what its collectives take: each a latency, times the rounds of a tree where all devices take part, and its bytes
at the link's bandwidth. The efficiency of weak scaling is the first part's share of the whole.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import math
import sys
from collections import Counter
from typing import Any

import numpy as np

from ...runtime.settings import settings
from . import collectives


class Value:
    """Stands for a device's array that was never computed."""

    __slots__ = ("__weakref__", "dtype", "shape", "sharding")

    def __init__(self, shape: tuple[int, ...], dtype: Any, sharding: Any) -> None:
        self.shape, self.dtype, self.sharding = shape, np.dtype(dtype), sharding

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def is_deleted(self) -> bool:
        return False

    def block_until_ready(self) -> None:
        pass


class Window:
    """One compiled window, in place of the function that would run it."""

    def __init__(self, compiled: Any, operations: int, where: str) -> None:
        self.operations, self.where, self.runs = operations, where, 0
        self.collectives = collectives.collectives(compiled)
        self._results = [
            (tuple(r.shape), r.dtype, s) for r, s in zip(compiled.out_info, compiled.output_shardings, strict=True)
        ]
        memory = compiled.memory_analysis()
        self.holds = int(
            memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            + memory.temp_size_in_bytes
            - memory.alias_size_in_bytes
        )
        cost = compiled.cost_analysis()
        self.moves = int((cost[0] if isinstance(cost, list) else cost).get("bytes accessed", 0))
        windows.append(self)

    def __call__(self, *arguments: Any) -> tuple[Value, ...]:
        self.runs += 1
        return tuple([Value(*r) for r in self._results])

    def seconds(self) -> tuple[float, float]:
        """Of memory, and of communication."""
        memory, link, latency = settings.paper_rates
        rounds = math.ceil(math.log2(settings.paper))
        said = 0.0
        for c in self.collectives:
            said += latency * (1 if c.kind == "collective-permute" else rounds) + c.nbytes / link
        return self.moves / memory, said


windows: list[Window] = []


def _report() -> None:
    """The table, to standard error: the program's own output stays as it is."""
    memory, link, latency = settings.paper_rates
    say = functools.partial(print, file=sys.stderr)
    if not windows:
        small = f"the program recorded nothing of {settings.record_min:,} elements or more"
        why = small if importlib.util.find_spec("jax") else "JAX is not installed"
        say(f"\non paper: no window was compiled: {why}")
        return
    say(
        f"\non paper: {settings.paper} devices; memory {memory / 1e9:,.0f} GB/s, links {link / 1e9:,.0f} GB/s, "
        f"{latency * 1e6:g} µs a message. For one device:"
    )
    say("| window | runs | operations | holds MB | moves MB | says | bytes | efficiency |")
    say("|---|---:|---:|---:|---:|---|---:|---:|")
    total, busy = 0.0, 0.0
    for w in windows:
        t, said = w.seconds()
        total, busy = total + w.runs * (t + said), busy + w.runs * t
        kinds = Counter(c.kind for c in w.collectives)
        words = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "nothing"
        say(
            f"| {w.where} | {w.runs} | {w.operations} | {w.holds / 1e6:,.1f} | {w.moves / 1e6:,.1f} | {words} "
            f"| {sum(c.nbytes for c in w.collectives):,} | {t / (t + said) if t + said else 1:.3f} |"
        )
    say(f"weak-scaling efficiency of all that ran: {busy / total if total else 1:.3f}")


if settings.paper:
    atexit.register(_report)
