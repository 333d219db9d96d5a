"""Loops over small grids, NumPy and ours in turns: what a recording, a window and a sweep cost where there is little to
compute.

    python benchmarks/grids.py [--sizes 100 160 250 316] [--only stencil cavity cg] [--reps 9] [--json FILE]

The programs are those of `accelerator.py`. Both sides are begun anew for each measurement, so that nothing overflows or
converges, and run for a while first; before the first one, ours runs for two seconds, in which what recurs is compiled.
Milliseconds a step and NumPy's time over ours: medians of the turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import accelerator
import numpy
import programs

import cunumeric

BEFORE, STEPS = 20, 50  # steps that are not timed, and those that are


def timed(np: Any, name: str, n: int) -> float:
    """Milliseconds of a step of a program that has just begun."""
    step, _ = accelerator.PROGRAMS[name](np, n)
    wait = getattr(np, "synchronize", int)
    for _ in range(BEFORE):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    wait()
    return (time.perf_counter() - start) / STEPS * 1e3


def measure(name: str, n: int, reps: int) -> dict[str, float]:
    end = time.perf_counter() + 2
    while time.perf_counter() < end:
        timed(cunumeric, name, n)
    turns = [(timed(numpy, name, n), timed(cunumeric, name, n)) for _ in range(reps)]
    numpys, ours = (statistics.median(side) for side in zip(*turns, strict=True))
    return {"numpy": numpys, "ours": ours, "ratio": statistics.median(x / y for x, y in turns)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[41, 70, 100, 130, 160, 200, 250, 316])
    parser.add_argument("--only", nargs="*", default=["stencil", "cavity", "cg"])
    parser.add_argument("--reps", type=int, default=9)
    parser.add_argument("--json", help="also write everything measured to this file")
    given = parser.parse_args(argv)
    print("| program | grid | NumPy ms | ours ms | times NumPy's speed |")
    print("|---|---:|---:|---:|---:|")
    everything = []
    for name in given.only:
        for n in given.sizes:
            with numpy.errstate(all="ignore"):
                found = measure(name, n, given.reps)
            everything.append({"program": name, "n": n, **found})
            print(f"| {name} | {n}² | {found['numpy']:.3f} | {found['ours']:.3f} | {found['ratio']:.2f} |", flush=True)
    print(f"\n{programs.machine()}")
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"machine": programs.machine(), "grids": everything}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
