"""Compare random programs against NumPy: `python -m tests.random_programs.check [FIRST] [COUNT] [SIDE]`."""

from __future__ import annotations

import sys
import traceback

import numpy

import cunumeric
from cunumeric.runtime.settings import settings

from .programs import run


def _agree(e: numpy.ndarray, f: numpy.ndarray) -> bool:
    """Bit for bit on the host. XLA fuses multiplication and addition and has functions of its own, so that values that
    cancel may differ by as much as what cancelled did: there, by the largest of the array."""
    if settings.engine == "host" or e.dtype.kind not in "fc":
        return numpy.array_equal(e, f, equal_nan=e.dtype.kind in "fc")
    with numpy.errstate(all="ignore"):
        finite = e[numpy.isfinite(e)]
        largest = float(numpy.abs(finite).max()) if finite.size else 0.0
        return numpy.allclose(e, f, rtol=_ROUNDING[e.real.dtype.char], atol=1e-8 * largest, equal_nan=True)


_ROUNDING = {"e": 1e-2, "f": 1e-4, "d": 1e-9}


def difference(seed: int, side: int = 9, steps: int = 14) -> str | None:
    """What differs between NumPy and us in the program `seed`; None when nothing does."""
    expected = run(numpy, seed, side, steps)
    try:
        found = run(cunumeric, seed, side, steps)
    except Exception:
        return traceback.format_exc()
    if len(expected) != len(found):
        return f"{len(expected)} values, ours {len(found)}"
    for k, (e, f) in enumerate(zip(expected, found, strict=True)):
        if isinstance(e, str) or isinstance(f, str):
            if not (isinstance(e, str) and isinstance(f, str)) or e != f:
                return f"value {k}: {e!r}\nours: {f!r}"
            continue
        if e.dtype != f.dtype or e.shape != f.shape:
            return f"value {k}: {e.dtype}{e.shape}, ours {f.dtype}{f.shape}"
        if 1 not in e.shape and e.size and e.strides != f.strides:
            return f"value {k}: strides {e.strides}, ours {f.strides}"
        if not _agree(e, numpy.asarray(f)):
            return f"value {k} {e.dtype}{e.shape}:\n{e}\nours:\n{f}"
    return None


def main() -> int:
    first, count, side = (int(v) for v in (sys.argv[1:] + ["0", "500", "9"][len(sys.argv) - 1 :]))
    bad = 0
    for seed in range(first, first + count):
        found = difference(seed, side)
        if found:
            bad += 1
            print(f"--- seed {seed}: {found}", flush=True)
            if bad >= 8:
                break
    print(f"{count} programs, {bad} differ; {cunumeric.graph.window.counters.values()}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
