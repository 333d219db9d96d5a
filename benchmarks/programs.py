"""Programs as NumPy's users write them, timed with NumPy and with us.

    python benchmarks/programs.py [--n 2048] [--only name ...] [--reps 5] [--warm 1]

Before it is timed a program runs for `--warm` seconds, in which sweeps that recur are compiled.
Both run in one process and take turns, so that other work on the machine meets them alike; the medians of the turns and
of their ratios count. Results must agree. Peak memory is that of a process of its own for each side, which sets the
program up and runs it once. `--floor name=1.5,name=2` ends with an error where a ratio falls below.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass
class Program:
    """`prepare(np, n)` gives a function without arguments: one run, whose result is what a user would look at."""

    name: str
    size: str  # what is written in the table, with {n}
    prepare: Callable[[Any, int], Callable[[], Any]]
    n: Callable[[int], int] = lambda n: n
    tolerance: float = 0.0  # relative, of the sides' results


PROGRAMS: list[Program] = []


def program(name: str, size: str, n: Callable[[int], int] = lambda n: n, tolerance: float = 0.0) -> Callable:
    def add(prepare: Callable) -> Callable:
        PROGRAMS.append(Program(name, size, prepare, n, tolerance))
        return prepare

    return add


def done(np: Any) -> None:
    """What was recorded has run."""
    getattr(np, "synchronize", int)()


# -- programs ----------------------------------------------------------------------------------------------------------


@program("stencil", "{n}², 10 steps", n=lambda n: 2 * n)
def stencil(np, n):
    """Heat spreads over a plate whose upper edge is hot."""
    plate = np.zeros((n, n))

    def run():
        plate[...] = 0
        plate[0] = 100
        for _ in range(10):
            inner = plate[1:-1, 1:-1]
            around = plate[:-2, 1:-1] + plate[2:, 1:-1] + plate[1:-1, :-2] + plate[1:-1, 2:]
            plate[1:-1, 1:-1] = inner + 0.2 * (around - 4 * inner)
        done(np)
        return plate[1:12, ::7]

    return run


@program("lid-driven cavity", "{n}², 2 steps of 10", n=lambda n: n // 2)
def cavity(np, n):
    """A lid slides over a box of fluid: advection, diffusion and a pressure relaxed by Jacobi's method."""
    h, dt, viscosity = 2 / (n - 1), 1e-7, 0.1
    u, v, p = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    inner, west, east = (slice(1, -1), slice(1, -1)), (slice(1, -1), slice(0, -2)), (slice(1, -1), slice(2, None))
    south, north = (slice(0, -2), slice(1, -1)), (slice(2, None), slice(1, -1))

    def transport(q, old, un, vn):
        steps = un[inner] * (old[inner] - old[west]) + vn[inner] * (old[inner] - old[south])
        spread = old[west] + old[east] + old[south] + old[north] - 4 * old[inner]
        q[inner] = old[inner] - dt / h * steps + viscosity * dt / h**2 * spread

    def run():
        u[...] = v[...] = p[...] = 0
        for _ in range(2):
            ux, uy = (u[east] - u[west]) / (2 * h), (u[north] - u[south]) / (2 * h)
            vx, vy = (v[east] - v[west]) / (2 * h), (v[north] - v[south]) / (2 * h)
            source = (ux + vy) / dt - ux * ux - 2 * uy * vx - vy * vy
            for _ in range(10):
                old = p.copy()
                p[inner] = (old[west] + old[east] + old[south] + old[north]) / 4 - h * h / 4 * source
                p[:, -1] = p[:, -2]
                p[0] = p[1]
                p[:, 0] = p[:, 1]
                p[-1] = 0
            un, vn = u.copy(), v.copy()
            transport(u, un, un, vn)
            transport(v, vn, un, vn)
            u[inner] -= dt / (2 * h) * (p[east] - p[west])
            v[inner] -= dt / (2 * h) * (p[north] - p[south])
            for q in (u, v):
                q[0] = q[:, 0] = q[:, -1] = q[-1] = 0
            u[-1] = 1
        done(np)
        return u[-12:, ::7]

    return run


@program("Black–Scholes", "{n} options", n=lambda n: n * n)
def black_scholes(np, n):
    """Prices of calls and puts; the normal distribution by a polynomial (Abramowitz and Stegun, 26.2.17)."""
    rng = np.random.default_rng(1)
    spot, strike, years = 10 + 40 * rng.random(n), 10 + 40 * rng.random(n), 0.2 + 2 * rng.random(n)
    rate, volatility = 0.03, 0.25

    def normal(x):
        t = 1 / (1 + 0.2316419 * np.abs(x))
        poly = 0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
        tail = np.exp(-0.5 * x * x) * 0.3989422804014327 * (t * poly)
        return np.where(x > 0, 1 - tail, tail)

    def run():
        width = volatility * np.sqrt(years)
        first = (np.log(spot / strike) + (rate + volatility * volatility / 2) * years) / width
        second = first - width
        worth = strike * np.exp(-rate * years)
        call = spot * normal(first) - worth * normal(second)
        put = worth * (1 - normal(second)) - spot * (1 - normal(first))
        done(np)
        return call[::999], put[::999]

    return run


@program("conjugate gradient", "{n}² unknowns, 10 steps", tolerance=1e-9)
def conjugate_gradient(np, n):
    """Poisson's equation on a square, with the matrix as slices."""
    right = np.random.default_rng(2).random((n, n))

    def matrix(v):
        w = 4 * v
        w[1:] -= v[:-1]
        w[:-1] -= v[1:]
        w[:, 1:] -= v[:, :-1]
        w[:, :-1] -= v[:, 1:]
        return w

    def run():
        x = np.zeros((n, n))
        r = right.copy()
        p = r.copy()
        old = (r * r).sum()
        for _ in range(10):
            w = matrix(p)
            step = old / (p * w).sum()
            x += step * p
            r -= step * w
            new = (r * r).sum()
            p = r + new / old * p
            old = new
        done(np)
        return x[::99, ::99], float(old)

    return run


@program("matrix product", "{n}²", tolerance=1e-12)
def product(np, n):
    a, b = np.random.default_rng(3).random((2, n, n))
    return lambda: (a @ b)[::99, ::99]


@program("sort", "{n} doubles", n=lambda n: n * n)
def sort(np, n):
    x = np.random.default_rng(4).random(n)
    return lambda: np.sort(x)[::999]


@program("fft2", "{n}² complex")
def fft2(np, n):
    x = np.random.default_rng(5).random((n, n)) + 1j

    def run():
        y = np.fft.fft2(x)
        done(np)
        return y[::99, ::99]

    return run


@program("take", "{n} of {n} doubles", n=lambda n: n * n)
def take(np, n):
    rng = np.random.default_rng(6)
    x, index = rng.random(n), rng.integers(0, n, n)
    return lambda: x[index][::999]


@program("cumsum", "{n} doubles", n=lambda n: n * n, tolerance=1e-12)
def cumsum(np, n):
    x = np.random.default_rng(7).random(n)
    return lambda: np.cumsum(x)[::999]


@program("small arrays", "1000 elements, 2000 rounds", n=lambda n: 1000, tolerance=1e-12)
def small(np, n):
    """A simulation too small to gain: it may not lose much."""
    x = np.arange(n) / n

    def run():
        y = x
        for _ in range(2000):
            y = np.sqrt(y * y + 1.0) - 0.5
            y[1:-1] = (y[:-2] + y[2:]) * 0.5
            if y.max() > 2:
                y = y / 2
        return y

    return run


@program("channel flow", "{n}², 2 steps (the example)", n=lambda n: n // 2)
def channel_flow(np, n):
    """The example, with its import read as each side."""
    spec = importlib.util.spec_from_file_location("channel_flow_" + np.__name__, EXAMPLES / "channel_flow.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.np = np  # its functions look the name up when they run

    def run():
        result = module.simulate(n, n, 2)
        done(np)
        return result[0][::9, ::9]

    return run


# -- measuring ---------------------------------------------------------------------------------------------------------


def agree(one: Any, other: Any, tolerance: float) -> bool:
    import numpy

    if isinstance(one, tuple):
        return all(agree(a, b, tolerance) for a, b in zip(one, other, strict=True))
    a, b = numpy.asarray(one), numpy.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not tolerance:
        return bool(numpy.array_equal(a, b, equal_nan=True))
    scale = float(numpy.max(numpy.abs(a))) if a.size else 0.0
    return bool(numpy.all(numpy.abs(a - b) <= tolerance * scale))


def once(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    result = run()
    end = time.perf_counter()
    del result
    return end - start


def peak_memory(side: str, name: str, n: int) -> float:
    """MiB at most in use by a process that runs the program once with the module `side`."""
    # A small process between: Linux counts a parent's peak as that of the process it starts.
    between = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    command = [sys.executable, "-c", between]
    command += [sys.executable, __file__, "--side", side, "--only", name, "--n", str(n)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1]) / 1024


def run_alone(side: str, name: str, n: int) -> None:
    import resource

    (chosen,) = [p for p in PROGRAMS if p.name == name]
    result = chosen.prepare(importlib.import_module(side), chosen.n(n))()
    del result
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def warm(run: Callable[[], Any], seconds: float) -> None:
    """Run for some time, and until what is being compiled meanwhile is there."""
    from cunumeric.engines.host.compiled import tier

    end = time.perf_counter() + seconds
    run()
    while time.perf_counter() < end:
        run()
    tier.wait()
    run()


def measure(chosen: Program, n: int, reps: int, seconds: float) -> tuple[float, float, float]:
    """Median milliseconds of NumPy and of ours, and the median of the ratios of neighbouring turns."""
    import numpy

    import cunumeric

    # Arrays whose memory was handed out are not recorded on any more: what is compared is not what is timed.
    if not agree(chosen.prepare(numpy, n)(), chosen.prepare(cunumeric, n)(), chosen.tolerance):
        raise SystemExit(f"{chosen.name}: the results differ")
    numpys, ours = (chosen.prepare(np, n) for np in (numpy, cunumeric))
    numpys()
    warm(ours, seconds)
    pairs = []
    for turn in range(reps):
        # Who goes first changes: the second finds warmer or emptier caches.
        if turn % 2:
            b, a = once(ours), once(numpys)
        else:
            a, b = once(numpys), once(ours)
        pairs.append((a, b))
    return (
        1e3 * statistics.median(a for a, _ in pairs),
        1e3 * statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def machine() -> str:
    """Cores, processor and versions, as one line."""
    import numpy

    import cunumeric
    from cunumeric.runtime.settings import settings

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores ({model}), {settings.threads} threads; Python {platform.python_version()}, "
        f"NumPy {numpy.__version__}, cunumeric {cunumeric.__version__}"
    )


def floors(text: str) -> dict[str, float]:
    return {name: float(least) for name, _, least in (part.partition("=") for part in text.split(",") if part)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2048, help="side of a square array; other sizes follow from it")
    parser.add_argument("--only", nargs="*", default=[], help="names of programs, or parts of names")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--warm", type=float, default=1, help="seconds that ours runs before it is timed")
    parser.add_argument("--floor", type=floors, default={}, help="name=ratio,...: fail below these")
    parser.add_argument("--no-memory", action="store_true", help="leave out the processes that measure memory")
    parser.add_argument("--side", choices=["numpy", "cunumeric"], help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.side:
        run_alone(given.side, given.only[0], given.n)
        return 0
    unknown = set(given.floor) - {p.name for p in PROGRAMS}
    if unknown:
        parser.error(f"--floor: no program is named {', '.join(sorted(unknown))}")
    print("| program | size | NumPy ms | ours ms | times NumPy's speed | NumPy MiB | ours MiB |")
    print("|---|---|---:|---:|---:|---:|---:|")
    low = []
    for chosen in PROGRAMS:
        if given.only and not any(part in chosen.name for part in given.only):
            continue
        n = chosen.n(given.n)
        numpys, ours, ratio = measure(chosen, n, given.reps, given.warm)
        memory = ["–", "–"]
        if not given.no_memory:
            memory = [f"{peak_memory(side, chosen.name, given.n):.0f}" for side in ("numpy", "cunumeric")]
        print(
            f"| {chosen.name} | {chosen.size.format(n=n)} | {numpys:.1f} | {ours:.1f} | {ratio:.2f} | "
            f"{memory[0]} | {memory[1]} |",
            flush=True,
        )
        if ratio < given.floor.get(chosen.name, 0):
            low.append(f"{chosen.name}: {ratio:.2f}, floor {given.floor[chosen.name]}")
    print(f"\n{machine()}")
    for line in low:
        print(line, file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
