"""Generators without a seed agree on all ranks: what NumPy would ask the system for comes from the job's seed.

The n-th request of each rank gets the same answer, because all ranks run the same program. One function of NumPy's is
the source of all of it (`SeedSequence`); the generator behind the legacy functions, made with NumPy's import, is seeded
anew, and so is Python's.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import secrets

import numpy as np
from numpy.random import bit_generator

from . import ranks

_requests = itertools.count()


def randbits(k: int) -> int:
    """A number of `k` bits: the next that follows from the job's seed; the system's in a process that is no rank."""
    if not ranks.seed:  # a forked child
        return secrets.randbits(k)
    request = b"%x %d" % (ranks.seed, next(_requests))
    return int.from_bytes(hashlib.shake_256(request).digest((k + 7) // 8), "little") & ((1 << k) - 1)


def start() -> None:
    """Take the system's place, if this process is one of several."""
    if ranks.seed and ranks.size > 1:
        bit_generator.randbits = randbits  # type: ignore[attr-defined]
        np.random.seed()
        random.seed(ranks.seed)
