"""What programs cost the processor with an accelerator: recording an operation, running a window, JAX's call in it.

    python benchmarks/recording.py [--n 512] [--only cg black_scholes] [--json FILE]

The programs are those of `accelerator.py`. Ten steps at a time are timed between two waits for the device, once they
are warm; microseconds a step, medians. The last column is everything but JAX's call, by recorded operation: a window of
its own, as each step of cumsum makes one, costs 40 µs or so. Then single calls are timed, without their windows. Where
there is no accelerator, `CUNUMERIC_ENGINE=xla` has XLA compute on the processor, and `--n 128` leaves it little to do.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

import accelerator

import cunumeric
from cunumeric.engines.xla import execute
from cunumeric.graph import window
from cunumeric.runtime.settings import settings

STEPS, REPS, WARM = 10, 50, 20


def measure(name: str, n: int) -> dict[str, float]:
    step, _ = accelerator.PROGRAMS[name](cunumeric, n)
    spent = {"windows": 0.0, "calls": 0.0}

    def timed(f: Any, what: str) -> Any:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            try:
                return f(*args)
            finally:
                spent[what] += time.perf_counter() - start

        return call

    def advance() -> None:
        step()
        if name in accelerator.ALONE:
            window.flush()

    for _ in range(WARM):
        advance()
    cunumeric.synchronize()
    flush, called = window._flush, execute._called
    window._flush, execute._called = timed(flush, "windows"), timed(called, "calls")  # type: ignore[assignment]
    found: dict[str, list[float]] = {"recording": [], "windows": [], "calls": []}
    try:
        before = window.counters.recorded
        for _ in range(REPS):
            cunumeric.synchronize()
            spent.update(windows=0.0, calls=0.0)
            start = time.perf_counter()
            for _ in range(STEPS):
                advance()
            all_of_it = time.perf_counter() - start
            found["recording"].append((all_of_it - spent["windows"]) / STEPS * 1e6)
            found["windows"].append((spent["windows"] - spent["calls"]) / STEPS * 1e6)
            found["calls"].append(spent["calls"] / STEPS * 1e6)
        cunumeric.synchronize()
    finally:
        window._flush, execute._called = flush, called
    operations = (window.counters.recorded - before) / REPS / STEPS
    medians = {key: statistics.median(values) for key, values in found.items()}
    return {"operations": operations, **medians, "each": (medians["recording"] + medians["windows"]) / operations}


# Calls of a matrix, a vector and indices.
CALLS = """
m+m m*1.5 m**2 -m m>0 abs(m) np.exp(m) np.sqrt(m) np.maximum(m,m) np.where(m>0,m,1.0) m[1:-1,1:-1] m.T m.reshape(-1)
m.copy() m.astype("f4") m.sum() m.sum(axis=0) m.mean() m.std() m.max(axis=1) m.argmax() np.cumsum(v) np.sort(v)
np.clip(m,0,1) np.roll(m,1,axis=0) np.diff(v) np.concatenate([m,m]) np.take(m,i,axis=0) m@m np.dot(m,m)
np.outer(v[:99],v[:99]) np.einsum("ij,jk->ik",m,m) np.linalg.norm(m) np.fft.fft2(m) np.quantile(v,0.3)
np.zeros(m.shape) np.arange(0.0,v.size)
""".split()


def single(text: str, n: int) -> float:
    """Microseconds that recording a call takes."""
    names = {"np": cunumeric, "m": cunumeric.ones((n, n)), "v": cunumeric.ones(n * n), "i": cunumeric.arange(n)}
    call = eval("lambda: " + text, names)
    found = []
    for _ in range(REPS):
        cunumeric.synchronize()
        start = time.perf_counter()
        for _ in range(STEPS):
            call()
        found.append((time.perf_counter() - start) / STEPS * 1e6)
    return statistics.median(found)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=512, help="side of a square array")
    parser.add_argument("--only", nargs="*", default=["stencil", "cavity", "black_scholes", "cg", "cumsum"])
    parser.add_argument("--json", help="also write everything measured to this file")
    given = parser.parse_args(argv)
    if settings.engine != "xla":
        parser.error("there is no accelerator: CUNUMERIC_ENGINE=xla takes the processor for one")
    # Small arrays are treated as large ones are.
    settings.record_min = min(settings.record_min, given.n)
    window._Loops.BUSY = 1
    print("| program | operations a step | recording µs | windows µs | JAX's calls µs | µs an operation |")
    print("|---|---:|---:|---:|---:|---:|")
    everything: dict[str, Any] = {}
    for name in given.only:
        found = everything[name] = measure(name, given.n)
        print(
            f"| {name} | {found['operations']:.1f} | {found['recording']:.1f} | {found['windows']:.1f} | "
            f"{found['calls']:.1f} | {found['each']:.2f} |",
            flush=True,
        )
    calls = everything["calls"] = {text: single(text, given.n) for text in CALLS}
    print("\n| call | µs |\n|---|---:|")
    for text, each in calls.items():
        print(f"| `{text}` | {each:.1f} |")
    accelerator.finish({"n": given.n, "measured": everything}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
