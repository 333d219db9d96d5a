"""What the windows of a grid that is relaxed in place say between devices that are there on paper alone:
`CUNUMERIC_PAPER=16 python -m tests.engines.xla.relaxation SIDE`."""

from __future__ import annotations

import json
import sys

import cunumeric as np
from cunumeric.engines.xla import paper

TURNS = 30


def main() -> None:
    side = int(sys.argv[1])
    p = np.ones((side, side))
    for _ in range(TURNS):
        p[1:-1, 1:-1] = 0.25 * (p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1])
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[-1, :] = p[-2, :]
    np.synchronize()
    assert float(p[3, 4]) == 0  # nothing was computed
    print(json.dumps([[w.runs, [list(c) for c in w.collectives]] for w in paper.windows]))


if __name__ == "__main__":
    main()
