"""One process against several on this machine's processor, one core each: how much faster several are.

    python benchmarks/processes.py [--n 4096] [--ranks 2] [--only stencil black_scholes] [--rounds 3] [--json FILE]

Programs are those of `accelerator.py`, run by `legate --cpus 1` and `legate --ranks-per-node N --cpus 1`, each rank
bound to a core of its own; one process is measured with the host's engine, which the driver chooses for it, and with
XLA, which it chooses for several. What is compared runs in turns, and the best round counts: other work on the machine
only adds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from typing import Any

import accelerator


def _run(ranks: int, engine: str, name: str, n: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "cunumeric.driver", "--ranks-per-node", str(ranks), "--cpus", "1"]
    if ranks == 1:
        command += ["--cpu-bind", str(min(os.sched_getaffinity(0)))]
    command += [__file__, "--inside", "--only", name, "--n", str(n)]
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "JAX_PLATFORMS": "cpu", "CUNUMERIC_ENGINE": engine}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1:], "ms": math.nan, "result": math.nan}
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=4096, help="side of a square array")
    parser.add_argument("--ranks", type=int, default=2, help="processes")
    parser.add_argument("--only", nargs="*", default=["stencil", "black_scholes"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.inside:
        print(json.dumps(accelerator.run_side("cunumeric", given.only[0], given.n)))
        return 0
    sides = {"1, host": (1, "host"), "1, xla": (1, "xla"), f"{given.ranks}, xla": (given.ranks, "xla")}
    first, second, several = sides
    print(f"| program | {' | '.join(f'ms, {side}' for side in sides)} | against {first} | against {second} |")
    print("|---|" + "---:|" * 5)
    everything = []
    for name in given.only:
        rounds = [{side: _run(*how, name, given.n) for side, how in sides.items()} for _ in range(given.rounds)]
        best = {side: min(rounds, key=lambda found, side=side: found[side]["ms"])[side] for side in sides}  # type: ignore[misc]
        everything.append({"program": name, "n": given.n, "rounds": rounds})
        times = [best[side]["ms"] for side in sides]
        against = [f"{times[0] / times[2]:.2f}", f"{times[1] / times[2]:.2f}"]
        print(f"| {name} | {' | '.join([*(f'{t:.1f}' for t in times), *against])} |", flush=True)
        for side, found in best.items():
            if "error" in found:
                print(f"{name} on {side}: {found['error']}", file=sys.stderr, flush=True)
            elif not math.isclose(found["result"], best[several]["result"], rel_tol=1e-9):
                print(f"{name}: results differ: {found['result']}", file=sys.stderr, flush=True)
    print(f"\n{accelerator.machine()}")
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"machine": accelerator.machine(), "programs": everything}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
