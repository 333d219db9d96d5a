"""Programs on one accelerator: ours, CuPy, jax.jit by hand, NumPy.

    python benchmarks/accelerator.py [--n 4096 12288] [--only name ...] [--sides cunumeric jax cupy numpy] [--json FILE]

Every side runs in a process of its own. A program's `step` is run until it is warm, then ten steps at a time between
two waits for the device; the medians of five such runs count. The side `jax` is the same step written by hand as one
jitted function over donated arrays: the bound that XLA sets. Only ours and CuPy and NumPy run the program itself,
unmodified. Where a step does not build on the last one, ours starts its work after each step, as the others do: being
lazy, it would otherwise leave out results that nobody can read, and compute equal ones once.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS, REPS, WARM = 10, 5, 3
PROGRAMS: dict[str, Callable] = {}
BY_HAND: dict[str, Callable] = {}
ALONE = {"black_scholes"}  # programs whose steps do not build on each other


def program(f: Callable) -> Callable:
    """`f(np, n)` gives a step and a function that reads a number from everything the steps made."""
    PROGRAMS[f.__name__] = f
    return f


def by_hand(f: Callable) -> Callable:
    """`f(jnp, n)` gives the arrays to begin with and a pure function from arrays to arrays."""
    BY_HAND[f.__name__.removesuffix("_by_hand")] = f
    return f


@program
def stencil(np, n):
    u = np.ones((n, n))
    u[0] = 3.0

    def step():
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])

    return step, lambda: u.sum()


def _inside(jnp, old, new):
    """`old` with its interior replaced, as one selection that XLA fuses."""
    rows, columns = jnp.arange(old.shape[0])[:, None], jnp.arange(old.shape[1])[None]
    mask = (rows > 0) & (rows < old.shape[0] - 1) & (columns > 0) & (columns < old.shape[1] - 1)
    return jnp.where(mask, jnp.pad(new, 1), old)


@by_hand
def stencil_by_hand(jnp, n):
    def step(u):
        return (_inside(jnp, u, 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])),)

    return (jnp.ones((n, n)).at[0].set(3.0),), step


def _moved(np, p, b, h):
    return (p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1]) / 4 - h * h / 4 * b


def _source(u, v, h, dt):
    ux, uy = (u[1:-1, 2:] - u[1:-1, :-2]) / (2 * h), (u[2:, 1:-1] - u[:-2, 1:-1]) / (2 * h)
    vx, vy = (v[1:-1, 2:] - v[1:-1, :-2]) / (2 * h), (v[2:, 1:-1] - v[:-2, 1:-1]) / (2 * h)
    return (ux + vy) / dt - ux**2 - 2 * uy * vx - vy**2


def _carried(q, u, v, push, h, dt, nu):
    c = q[1:-1, 1:-1]
    around = q[1:-1, 2:] + q[1:-1, :-2] + q[2:, 1:-1] + q[:-2, 1:-1]
    carried = u[1:-1, 1:-1] * (c - q[1:-1, :-2]) + v[1:-1, 1:-1] * (c - q[:-2, 1:-1])
    return c - dt / h * carried - dt / (2 * h) * push + nu * dt / h**2 * (around - 4 * c)


@program
def cavity(np, n):
    """A lid slides over a box of fluid; ten sweeps of the pressure equation a step."""
    h, dt, nu = 2.0 / (n - 1), 1e-7, 0.1
    u, v, p, b = (np.zeros((n, n)) for _ in range(4))
    u[-1] = 1

    def step():
        b[1:-1, 1:-1] = _source(u, v, h, dt)
        for _ in range(10):
            old = p.copy()
            p[1:-1, 1:-1] = _moved(np, old, b[1:-1, 1:-1], h)
            p[:, -1] = p[:, -2]
            p[0] = p[1]
            p[:, 0] = p[:, 1]
            p[-1] = 0
        un, vn = u.copy(), v.copy()
        u[1:-1, 1:-1] = _carried(un, un, vn, p[1:-1, 2:] - p[1:-1, :-2], h, dt, nu)
        v[1:-1, 1:-1] = _carried(vn, un, vn, p[2:, 1:-1] - p[:-2, 1:-1], h, dt, nu)
        for q in (u, v):
            q[0] = q[:, 0] = q[:, -1] = q[-1] = 0
        u[-1] = 1

    return step, lambda: (u * u + v * v).sum()


@by_hand
def cavity_by_hand(jnp, n):
    h, dt, nu = 2.0 / (n - 1), 1e-7, 0.1

    def edges(q, last):
        rows, columns = jnp.arange(n)[:, None], jnp.arange(n)[None]
        q = jnp.where((rows == 0) | (columns == 0) | (columns == n - 1), 0.0, q)
        return jnp.where(rows == n - 1, last, q)

    def step(u, v, p):
        rows, columns = jnp.arange(n)[:, None], jnp.arange(n)[None]
        b = _source(u, v, h, dt)
        for _ in range(10):
            p = _inside(jnp, p, _moved(jnp, p, b, h))
            p = jnp.where(columns == n - 1, p[:, -2:-1], p)
            p = jnp.where(rows == 0, p[1:2], p)
            p = jnp.where(columns == 0, p[:, 1:2], p)
            p = jnp.where(rows == n - 1, 0.0, p)
        new_u = _inside(jnp, u, _carried(u, u, v, p[1:-1, 2:] - p[1:-1, :-2], h, dt, nu))
        new_v = _inside(jnp, v, _carried(v, u, v, p[2:, 1:-1] - p[:-2, 1:-1], h, dt, nu))
        return edges(new_u, 1.0), edges(new_v, 0.0), p

    zero = jnp.zeros((n, n))
    return (zero.at[-1].set(1.0), zero + 0, zero + 0), step


def _prices(np, spot, strike, years):
    rate, spread = 0.02, 0.3

    def normal(d):
        k = 1.0 / (1.0 + 0.2316419 * np.absolute(d))
        poly = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
        tail = 0.3989422804014327 * np.exp(-0.5 * d * d) * poly
        return np.where(d > 0, 1.0 - tail, tail)

    root = np.sqrt(years)
    first = (np.log(spot / strike) + (rate + 0.5 * spread * spread) * years) / (spread * root)
    second = first - spread * root
    up, down, worth = normal(first), normal(second), np.exp(-rate * years)
    return spot * up - strike * worth * down, strike * worth * (1.0 - down) - spot * (1.0 - up)


@program
def black_scholes(np, n):
    n = n * n
    data = np.linspace(10.0, 50.0, n), np.linspace(12.0, 48.0, n), np.linspace(1.0, 2.0, n)
    s = {}

    def step():
        s["prices"] = _prices(np, *data)

    return step, lambda: s["prices"][0].sum() + s["prices"][1].sum()


@by_hand
def black_scholes_by_hand(jnp, n):
    n = n * n
    data = jnp.linspace(10.0, 50.0, n), jnp.linspace(12.0, 48.0, n), jnp.linspace(1.0, 2.0, n)

    def step(spot, strike, years, call, put):
        return spot, strike, years, *_prices(jnp, spot, strike, years)

    return (*data, jnp.zeros(n), jnp.zeros(n)), step


@program
def cg(np, n):
    """Conjugate gradients for Poisson's equation, with the matrix as slices."""
    b, x = np.ones((n, n)), np.zeros((n, n))

    def matrix(v):
        w = 4.0 * v
        w[1:] -= v[:-1]
        w[:-1] -= v[1:]
        w[:, 1:] -= v[:, :-1]
        w[:, :-1] -= v[:, 1:]
        return w

    s = {"x": x, "r": b - matrix(x)}
    s["p"] = s["r"].copy()
    s["rr"] = (s["r"] * s["r"]).sum()

    def step():
        w = matrix(s["p"])
        a = s["rr"] / (s["p"] * w).sum()
        s["x"] = s["x"] + a * s["p"]
        s["r"] = s["r"] - a * w
        rr = (s["r"] * s["r"]).sum()
        s["p"] = s["r"] + (rr / s["rr"]) * s["p"]
        s["rr"] = rr

    return step, lambda: s["x"].sum()


@by_hand
def cg_by_hand(jnp, n):
    def step(x, r, p, rr):
        q = jnp.pad(p, 1)
        w = 4.0 * p - q[:-2, 1:-1] - q[2:, 1:-1] - q[1:-1, :-2] - q[1:-1, 2:]
        a = rr / (p * w).sum()
        x, r = x + a * p, r - a * w
        new = (r * r).sum()
        return x, r, r + (new / rr) * p, new

    one = jnp.ones((n, n))
    return (jnp.zeros((n, n)), one, one + 0, (one * one).sum()), step


def _replacing(name: str, make: Callable, compute: Callable, read: Callable) -> None:
    """A program whose step computes one array from others that stay."""

    def ours(np, n):
        given, s = make(np, n), {}

        def step():
            s["y"] = compute(np, *given)

        return step, lambda: read(np, s["y"])

    def theirs(jnp, n):
        given = make(jnp, n)
        return (*given, compute(jnp, *given)), lambda *arrays: (*arrays[:-1], compute(jnp, *arrays[:-1]))

    PROGRAMS[name], BY_HAND[name] = ours, theirs
    ALONE.add(name)


@program
def gemm(np, n):
    b, s = np.ones((n, n)) * (1.0 / n), {"c": np.ones((n, n)) * 0.5}

    def step():
        s["c"] = s["c"] @ b

    return step, lambda: s["c"].sum()


@by_hand
def gemm_by_hand(jnp, n):
    return (jnp.full((n, n), 0.5), jnp.full((n, n), 1.0 / n)), lambda c, b: (c @ b, b)


_replacing(
    "sort",
    lambda np, n: (np.sin(np.arange(n * n // 4, dtype="float64") * 1.618),),
    lambda np, x: np.sort(x),
    lambda np, y: y[12345],
)
_replacing(
    "fft2",
    lambda np, n: (np.sin(np.arange(n * n, dtype="float64").reshape(n, n)),),
    lambda np, x: np.fft.ifft2(np.fft.fft2(x) * 0.5),
    lambda np, y: abs(y).sum(),
)
_replacing(
    "take",
    lambda np, n: (np.sin(np.arange(n * n, dtype="float64")), (np.arange(n * n) * 7919) % (n * n)),
    lambda np, x, i: x[i] + 1.0,
    lambda np, y: y.sum(),
)
_replacing("cumsum", lambda np, n: (np.ones(n * n),), lambda np, x: np.cumsum(x * 1.5), lambda np, y: y[-1])


@program
def small(np, n):
    """A hundred operations on a hundred elements: the price of an operation."""
    x = np.ones(100)
    s = {"x": x}

    def step():
        y = s["x"]
        for _ in range(100):
            y = y * 0.5 + x
        s["x"] = y

    return step, lambda: s["x"].sum()


# -- measuring ---------------------------------------------------------------------------------------------------------


def _timed(step: Callable[[], Any], wait: Callable[[], Any]) -> float:
    """Median milliseconds of a step."""
    found = []
    for _ in range(REPS):
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        wait()
        found.append((time.perf_counter() - start) / STEPS * 1e3)
    return statistics.median(found)


def _peak(side: str) -> float | None:
    """Most bytes that the device's allocator gave, in MiB."""
    if side in ("cunumeric", "jax"):
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        return stats["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in stats else None
    if side == "cupy":
        import cupy

        return cupy.get_default_memory_pool().total_bytes() / 2**20
    return None


def run_side(side: str, name: str, n: int) -> dict[str, Any]:
    if side == "jax":
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        if name not in BY_HAND:
            return {}
        start = time.perf_counter()
        arrays, function = BY_HAND[name](jnp, n)
        state = [tuple(jnp.copy(a) for a in arrays)]
        jitted = jax.jit(function, donate_argnums=tuple(range(len(arrays))))

        def advance() -> None:
            state[0] = jitted(*state[0])

        def wait() -> None:
            jax.block_until_ready(state[0])

        result = math.nan
    else:
        np = importlib.import_module(side)
        start = time.perf_counter()
        step, read = PROGRAMS[name](np, n)
        advance = step
        if side == "cunumeric" and name in ALONE:
            from cunumeric.graph import window

            def advance() -> None:
                step()
                window.flush()

        wait = {
            "cupy": lambda: np.cuda.Device().synchronize(), "cunumeric": lambda: np.synchronize(), "numpy": int,
        }[side]  # fmt: skip
    for _ in range(WARM):
        advance()
    wait()
    if side != "jax":
        result = float(read())
    warm = time.perf_counter() - start
    return {"ms": _timed(advance, wait), "warm": warm, "result": result, "peak": _peak(side)}


def in_process(script: str, words: list[str], ranks: int = 1, **environment: str) -> dict[str, Any]:
    """The line of JSON that a script of these prints last, in a process of its own, or in as many with a GPU each; or
    its "error"."""
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **environment}
    driver = ["-m", "cunumeric.driver", "--ranks-per-node", str(ranks), "--gpus", "1"] if ranks > 1 else []
    done = subprocess.run([sys.executable, *driver, script, *words], capture_output=True, text=True, env=env)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.splitlines()[-1])


def _cell(found: dict[str, Any]) -> str:
    return f"{found['ms']:.3f}" if "ms" in found else "–"


def _ratio(found: dict[str, Any], base: dict[str, Any]) -> str:
    return f"{base['ms'] / found['ms']:.2f}" if "ms" in found and "ms" in base else "–"


def machine() -> str:
    """The accelerator and the versions, as one line."""
    import jax
    import numpy

    device = jax.devices()[0]
    name = getattr(device, "device_kind", str(device))
    return f"{name}; Python {sys.version.split()[0]}, NumPy {numpy.__version__}, JAX {jax.__version__}"


def complain(found: dict[str, dict[str, Any]]) -> None:
    """Say what went wrong where."""
    for name, one in found.items():
        if "error" in one:
            print(f"{name}: {one['error']}", file=sys.stderr, flush=True)


def finish(found: dict[str, Any], file: str | None) -> None:
    """Name the machine, and write everything to the file that was asked for."""
    print(f"\n{machine()}")
    if file:
        with open(file, "w") as written:
            json.dump({"machine": machine(), **found}, written, indent=1)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="*", default=[4096], help="side of a square array")
    parser.add_argument("--only", nargs="*", default=list(PROGRAMS), help="names of programs")
    parser.add_argument("--sides", nargs="*", default=["cunumeric", "jax", "cupy", "numpy"])
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.side:
        print(json.dumps(run_side(given.side, given.only[0], given.n[0])))
        return 0
    everything = []
    print(
        "| program | n | ours ms | jax.jit by hand | CuPy | NumPy | by hand / ours | CuPy / ours | peak MiB, by hand |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for n in given.n:
        for name in given.only:
            words = ["--only", name, "--n", str(n), "--side"]
            found = {side: in_process(__file__, [*words, side]) for side in given.sides}
            everything.append({"program": name, "n": n, **found})
            ours, hand, cupy, numpys = (found.get(s, {}) for s in ("cunumeric", "jax", "cupy", "numpy"))
            peaks = ", ".join(f"{f['peak']:.0f}" if f.get("peak") else "–" for f in (ours, hand))
            print(
                f"| {name} | {n} | {_cell(ours)} | {_cell(hand)} | {_cell(cupy)} | {_cell(numpys)} | "
                f"{_ratio(ours, hand)} | {_ratio(ours, cupy)} | {peaks} |",
                flush=True,
            )
            complain({f"{name}, {side}": one for side, one in found.items()})
    finish({"measured": everything}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
