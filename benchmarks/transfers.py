"""Arrays to a GPU and home: milliseconds by size, beside JAX and, where it is installed, CuPy.

    python benchmarks/transfers.py [--mib 1 8 64 512] [--reps 7] [--json FILE]

There: an array of NumPy's is given to each library and doubled on the device. Home: that is made an array of NumPy's.
Medians of the repetitions after the first one, in which programs are compiled and pages are given.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy

os.environ.setdefault("CUNUMERIC_ENGINE", "xla")


def sides() -> Iterator[tuple[str, Callable, Callable, Callable]]:
    """(name, there, waited, home) of each library."""
    import jax

    import cunumeric

    jax.config.update("jax_enable_x64", True)
    yield "cunumeric", cunumeric.array, lambda x: cunumeric.synchronize(), numpy.asarray
    yield "jax", jax.numpy.asarray, lambda x: x.block_until_ready(), numpy.asarray
    try:
        cupy: Any = importlib.import_module("cupy")
    except ImportError:
        return
    yield "cupy", cupy.asarray, lambda x: cupy.cuda.Device().synchronize(), cupy.asnumpy


def measure(there: Callable, waited: Callable, home: Callable, a: numpy.ndarray, reps: int) -> tuple[float, float]:
    """Milliseconds there, with one operation on the device, and home."""
    sent, brought = [], []
    for _ in range(reps + 1):
        start = time.perf_counter()
        y = there(a) * 2
        waited(y)
        middle = time.perf_counter()
        found = home(y)
        end = time.perf_counter()
        assert found[-1] == 2 * a[-1]
        sent.append(middle - start)
        brought.append(end - middle)
        del y, found
    return 1e3 * statistics.median(sent[1:]), 1e3 * statistics.median(brought[1:])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, nargs="*", default=[1, 8, 64, 512])
    parser.add_argument("--reps", type=int, default=7)
    parser.add_argument("--json", help="also write everything measured to this file")
    given = parser.parse_args(argv)
    found = {}
    libraries = list(sides())
    print("| MiB | " + " | ".join(f"{name} there ms | home ms" for name, *_ in libraries) + " |")
    print("|---:|" + "---:|---:|" * len(libraries))
    for mib in given.mib:
        a = numpy.arange((mib << 20) // 8) * 1.0
        row = found[mib] = {name: measure(*how, a, given.reps) for name, *how in libraries}
        print(f"| {mib} | " + " | ".join(f"{s:.2f} | {h:.2f}" for s, h in row.values()) + " |", flush=True)
    import jax

    machine = f"{jax.devices()[0].device_kind}, {os.cpu_count()} processors"
    print(f"\n{machine}; NumPy {numpy.__version__}, JAX {jax.__version__}")
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"machine": machine, "milliseconds": found}, file, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
