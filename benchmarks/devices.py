"""The programs of `accelerator.py` on one and on several devices of this process: how much faster, and what moves.

    python benchmarks/devices.py [--n 16384] [--meshes 1 2 4] [--only name ...] [--json FILE]

Each program runs unmodified, in a process of its own for each number of devices (`CUNUMERIC_MESH`; `2x2` is a grid,
`2p` are two processes with a GPU each).
Times are medians of five runs of ten steps between two waits. `between devices` is what the compiled windows of the
largest mesh say to each other: kind, how many, and bytes that one device receives in the largest window.
Without GPUs: `XLA_FLAGS=--xla_force_host_platform_device_count=4 CUNUMERIC_ENGINE=xla` gives the last column, and no
meaningful times.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

import accelerator


def run(name: str, n: int) -> dict[str, Any]:
    """One program on the devices that the settings say; what it took, and what its windows say to each other."""
    found = accelerator.run_side("cunumeric", name, n)
    import jax

    from cunumeric.engines.xla import execute

    peaks = [(device.memory_stats() or {}).get("peak_bytes_in_use", 0) for device in jax.local_devices()]
    found["peak"] = max(peaks) / 2**20
    windows = [execute.said_between_devices(program) for program in execute.programs()]
    found["collectives"] = max(windows, key=lambda w: sum(c.nbytes for c in w), default=[])
    return found


def _summary(collectives: list[list[Any]]) -> str:
    kinds: dict[str, list[int]] = {}
    for kind, nbytes in collectives:
        kinds.setdefault(kind, []).append(nbytes)
    return ", ".join(f"{len(sizes)} {kind} {sum(sizes):,}" for kind, sizes in sorted(kinds.items())) or "nothing"


def _on(mesh: str, words: list[str]) -> dict[str, Any]:
    if mesh.endswith("p"):
        return accelerator.in_process(__file__, words, int(mesh[:-1]))
    return accelerator.in_process(__file__, words, CUNUMERIC_MESH=mesh)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=16384, help="side of a square array")
    parser.add_argument("--meshes", nargs="*", default=["1", "2"], help="devices: 1, 2, 4, 2x2, 2p ...")
    parser.add_argument("--only", nargs="*", default=[p for p in accelerator.PROGRAMS if p != "small"])
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.inside:
        print(json.dumps(run(given.only[0], given.n)))
        return 0
    heads = [f"ms on {mesh}" for mesh in given.meshes] + [f"{mesh} / {given.meshes[0]}" for mesh in given.meshes[1:]]
    print(f"| program | {' | '.join(heads)} | peak MiB a device | between devices |")
    print("|---|" + "---:|" * (len(heads) + 1) + "---|")
    everything = []
    for name in given.only:
        words = ["--inside", "--only", name, "--n", str(given.n)]
        found = {mesh: _on(mesh, words) for mesh in given.meshes}
        everything.append({"program": name, "n": given.n, **found})
        times = [one.get("ms", math.nan) for one in found.values()]
        last = found[given.meshes[-1]]
        row = [f"{t:.3f}" for t in times] + [f"{times[0] / t:.2f}" for t in times[1:]]
        row.append(", ".join(f"{one.get('peak', math.nan):.0f}" for one in found.values()))
        row.append(_summary(last.get("collectives", [])))
        print(f"| {name} | {' | '.join(row)} |", flush=True)
        results = [one["result"] for one in found.values() if "result" in one]
        if any(not math.isclose(r, results[0], rel_tol=1e-9, abs_tol=1e-12) for r in results):
            print(f"{name}: results differ: {results}", file=sys.stderr, flush=True)
        accelerator.complain({f"{name} on {mesh}": one for mesh, one in found.items()})
    accelerator.finish({"programs": everything}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
