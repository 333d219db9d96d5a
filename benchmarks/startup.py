"""How long the channel flow takes to get going: in a first process with an empty cache, and in a second one.

    python benchmarks/startup.py [--n 4096] [--sweeps 50] [--json FILE]

Times in seconds from the start of the process. `window`: the first window of recorded operations is ready on the
device; `step`: the first time step; `steps`: ten of them, by when everything has been compiled. How the last one is
spent: `import` of cunumeric, `jax` (its import and the device's start), `trace` (Python to JAX's expressions), `lower`
(those to XLA's), `compile` (XLA, or reading what it compiled for the process before), and the `rest`: recording,
transfers, the device's work. `programs`, and those of them that were found in the cache: windows, and reads of parts.
Without a GPU: `CUNUMERIC_ENGINE=xla` and a smaller `--n`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import accelerator

STEPS = 10
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "channel_flow.py"
SPLIT = ("import", "jax", "trace", "lower", "compile", "rest")
_STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


def inside(n: int, sweeps: int, began: float) -> dict[str, Any]:
    """The flow in this process, which began at the time `began`."""
    found: dict[str, Any] = {"trace": 0.0, "lower": 0.0, "compile": 0.0, "programs": 0, "from cache": 0}

    def since() -> float:
        return time.time() - began

    # JAX is imported by the package itself, when it first needs it: here only the example is loaded.
    spec = importlib.util.spec_from_file_location("channel_flow", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found["import"] = since()

    from cunumeric.engines.xla import backend, execute
    from cunumeric.graph import window

    start = time.perf_counter()
    backend.usable()
    found["jax"] = time.perf_counter() - start
    import jax

    def took(name: str, seconds: float, **_: Any) -> None:
        if name in _STAGES:
            found[_STAGES[name]] += seconds
            found["programs"] += _STAGES[name] == "compile"

    def happened(name: str, **_: Any) -> None:
        found["from cache"] += name == "/jax/compilation_cache/cache_hits"

    jax.monitoring.register_event_duration_secs_listener(took)
    jax.monitoring.register_event_listener(happened)
    plain = window.run

    def run(*args: Any) -> None:
        plain(*args)
        if "window" not in found:
            execute.wait()
            found["window"] = since()

    window.run = run
    u, v, p = example.simulate(n, n, 1, sweeps=sweeps)
    example.np.synchronize()
    found["step"] = since()
    for _ in range(STEPS - 1):
        dx, dy = example.spacing(n, n)
        dt = example.stable_dt(n, n, 2.0)
        example.relax_pressure(p, example.poisson_source(u, v, dx, dy, dt), dx, dy, sweeps)
        example.move(u, v, p, dx, dy, dt)
    example.np.synchronize()
    found["steps"] = since()
    found["windows"] = execute.counters.compiled
    found["rest"] = found["steps"] - sum(found[name] for name in SPLIT[:-1])
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4096, help="grid points in both directions")
    parser.add_argument("--sweeps", type=int, default=50, help="sweeps of the pressure equation in a step")
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--inside", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.inside:
        print(json.dumps(inside(given.n, given.sweeps, given.inside)))
        return 0
    columns = ("window", "step", "steps", *SPLIT)
    print(f"| process | {' | '.join(columns)} | programs, from the cache |")
    print("|---|" + "---:|" * (len(columns) + 1))
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("first", "second"):
            words = ["--n", str(given.n), "--sweeps", str(given.sweeps), "--inside", repr(time.time())]
            one = found[name] = accelerator.in_process(__file__, words, CUNUMERIC_CACHE=cache)
            if "error" not in one:
                times = " | ".join(f"{one[column]:.2f}" for column in columns)
                print(f"| {name} | {times} | {one['programs']}, {one['from cache']} |", flush=True)
    accelerator.complain(found)
    accelerator.finish({"n": given.n, "sweeps": given.sweeps, **found}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
