"""Random programs whose windows are cut in two as if there were no room for them:
`python -m tests.engines.xla.halving FIRST COUNT`."""

from __future__ import annotations

import random
import sys

from cunumeric.engines.xla import execute, parts, recipe

from ...random_programs.check import difference


def main() -> int:
    recipe._GIVEN_FROM = 0  # small memory is given away, too
    attempt, chance, cuts = execute._attempt, random.Random(1), 0

    def attempted(part):
        nonlocal cuts
        if len(part) > 1 and chance.random() < 0.7:
            cuts += 1
            return parts.TooLarge(None)
        return attempt(part)

    execute._attempt = attempted
    first, count = int(sys.argv[1]), int(sys.argv[2])
    found = {seed: difference(seed) for seed in range(first, first + count)}
    for seed, told in found.items():
        if told:
            print(f"--- seed {seed}: {told}")
    differ = sum(map(bool, found.values()))
    print(f"{count} programs, {differ} differ; {cuts} cuts")
    return int(bool(differ) or cuts < count)


if __name__ == "__main__":
    sys.exit(main())
