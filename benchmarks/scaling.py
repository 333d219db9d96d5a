"""The channel flow on a grid that grows with the devices, and a stencil that no single device holds.

    python benchmarks/scaling.py weak [--n 8192] [--meshes 1 2 4]
    python benchmarks/scaling.py large [--n 112000] [--mesh 2]

*weak*: each device has a grid of n by n points; a step has 50 sweeps of the pressure. Milliseconds a step, median of
five steps after two, each number of devices in a process of its own; the efficiency is the time on the first over the
time on each.

*large*: u of n by n doubles (112,000: 100 GB), updated in place; the time of a step, and what a device held at most.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FLOW = Path(__file__).resolve().parent.parent / "examples" / "channel_flow.py"


def weak(n: int, devices: int) -> dict[str, Any]:
    """Milliseconds of a step of the channel flow on n by n points a device."""
    import cunumeric as np

    spec: Any = importlib.util.spec_from_file_location("channel_flow", FLOW)
    flow = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flow)
    flow.np = np
    times: list[float] = []

    def timed(steps: range) -> Any:
        for k in steps:
            start = time.perf_counter()
            yield k
            np.synchronize()
            times.append(time.perf_counter() - start)

    u, _, _ = flow.simulate(n, n * devices, 7, sweeps=50, progress=timed)
    return {"ms": statistics.median(times[2:]) * 1e3, "first": times[0], "result": float(u.sum())}


def large(n: int) -> dict[str, Any]:
    """Milliseconds of a step of a stencil on n by n points, and MiB that a device held at most."""
    import jax

    import cunumeric as np

    u = np.ones((n, n))
    u[0, :] = 3.0
    times = []
    for _ in range(6):
        start = time.perf_counter()
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        np.synchronize()
        times.append(time.perf_counter() - start)
    peaks = [(d.memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**20 for d in jax.local_devices()]
    corner = [float(v) for v in u[1, :4]]
    return {"ms": statistics.median(times[2:]) * 1e3, "peak": max(peaks), "corner": corner, "sum": float(u.sum())}


def _in_process(mesh: str, words: list[str]) -> dict[str, Any]:
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "CUNUMERIC_MESH": mesh}
    done = subprocess.run([sys.executable, __file__, "--inside", *words], capture_output=True, text=True, env=env)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["weak", "large"])
    parser.add_argument("--n", type=int)
    parser.add_argument("--meshes", nargs="*", default=["1", "2"])
    parser.add_argument("--mesh", default="2")
    parser.add_argument("--devices", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    n = given.n or (8192 if given.what == "weak" else 112_000)
    if given.inside:
        print(json.dumps(weak(n, given.devices) if given.what == "weak" else large(n)))
    elif given.what == "large":
        print(json.dumps(_in_process(given.mesh, ["large", "--n", str(n)])))
    else:
        first = 0.0
        for mesh in given.meshes:
            found = _in_process(mesh, ["weak", "--n", str(n), "--devices", mesh])
            first = first or found.get("ms", 0.0)
            print(f"{mesh} devices: {found}; efficiency {first / found.get('ms', float('nan')):.3f}", flush=True)


if __name__ == "__main__":
    main()
