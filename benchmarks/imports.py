"""Seconds to import the package beside NumPy's: `python benchmarks/imports.py [--reps 15]`.

Fresh interpreters take turns; the time is measured inside them, around the import, so that starting Python does not
count. The medians, and the median of what the package adds, are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    command = [sys.executable, "-c", CODE.format(module)]
    # Where bytecode is not kept, each import compiles the package anew: not what is asked here.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=15)
    given = parser.parse_args(argv)
    for module in ("numpy", "cunumeric"):
        seconds(module)  # writes the bytecode and warms the file system
    turns = [(seconds("numpy"), seconds("cunumeric")) for _ in range(given.reps)]
    numpys, ours = (1e3 * statistics.median(column) for column in zip(*turns, strict=True))
    added = 1e3 * statistics.median(b - a for a, b in turns)
    print(f"NumPy {numpys:.1f} ms, cunumeric with NumPy {ours:.1f} ms: {added:+.1f} ms, {ours / numpys:.2f} times")


if __name__ == "__main__":
    main()
