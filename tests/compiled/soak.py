"""Compile many distinct sweeps and watch memory: `python -m tests.compiled.soak [COUNT]`.

Templates are bounded, and code dies with the templates that use it, so memory must level off.
"""

from __future__ import annotations

import random
import sys
import time

import numpy

import cunumeric
from cunumeric.engines.host import sweep
from cunumeric.engines.host.compiled import tier
from cunumeric.runtime.settings import settings


def resident() -> int:
    """KiB of memory of this process."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def expression(np, seed: int, x, y):
    """An expression that hardly another seed has."""
    r = random.Random(seed)
    z = x
    for _ in range(r.randint(4, 12)):
        other = r.choice([x, y, z])
        z = r.choice([np.add, np.subtract, np.multiply, np.maximum, np.minimum])(z, other)
        if r.random() < 0.3:
            z = np.where(z > other, r.choice([x, y]), z)
    return z


def soak(count: int, every: int = 0) -> tuple[int, int, int]:
    """Compile `count` sweeps; loops made, and KiB in use after a third and at the end."""
    before = {name: getattr(settings, name) for name in ("compile", "record_min")}
    settings.compile, settings.record_min = 2, 0
    a, b = numpy.arange(200.0) % 7 - 3, numpy.arange(200.0) % 5 - 2
    x, y = cunumeric.array(a), cunumeric.array(b)
    loops, failed = tier.counters.loops, tier.counters.failed
    start, third = time.perf_counter(), 0
    try:
        for seed in range(count):
            found = expression(cunumeric, seed, x, y)
            with numpy.errstate(all="ignore"):
                expected = expression(numpy, seed, a, b)
            value = found if found is x or found is y else found.copy()
            assert numpy.array_equal(numpy.asarray(value), expected), seed
            if seed == count // 3:
                third = resident()
            if every and seed % every == 0:
                print(f"{seed}: {resident()} KiB, {time.perf_counter() - start:.0f} s", flush=True)
    finally:
        for name, value in before.items():
            setattr(settings, name, value)
    assert tier.counters.failed == failed, tier.report()
    assert len(sweep._templates) <= sweep._TEMPLATES_MOST
    return tier.counters.loops - loops, third, resident()


if __name__ == "__main__":
    made, third, end = soak(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, 1000)
    print(f"{made} loops; {third} KiB after a third, {end} KiB at the end; {len(tier._compiler.known)} alive")
    sys.exit(end > 1.3 * third)
