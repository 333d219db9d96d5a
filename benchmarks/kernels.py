"""NumPy's time beside ours for every parallel kernel: `python benchmarks/kernels.py [--scale S] [name ...]`.

The two alternate, and the medians count: other work on the machine then meets both alike. "one" is our kernel with a
single thread; a dash means that it leaves the case to NumPy. "work" is our processor time, of all threads, over
NumPy's: the number of threads divided by it is the ratio that idle cores would give.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from cunumeric.engines.host import kernels
from cunumeric.runtime.settings import settings

Case = tuple[str, Callable[[], object], Callable[[], object]]


def cases(scale: float) -> Iterator[Case]:
    """(name, ours, NumPy's); sizes are for `scale` 1."""
    rng = np.random.default_rng(0)
    n = int(4_000_000 * scale)
    side = int(2048 * scale**0.5)
    x, y = rng.random(n), rng.random(n)
    mask, rare = x > 0.5, x > 0.99
    index = rng.integers(0, n, n)
    x32, i16, i64, few = x.astype("f4"), index.astype("i2"), index.copy(), rng.integers(0, 1000, n)
    ordered = np.arange(n, dtype="f8")
    image = rng.random((side, side))
    spectrum = image + 1j
    out = np.empty(n)
    edges = np.linspace(0, 1, 1001)
    generator = np.random.default_rng(1)
    k = kernels

    for name, a in (("f8", x), ("f4", x32), ("i8", i64), ("i8 few", few), ("i2", i16), ("ordered", ordered)):
        yield f"sort {name}", lambda a=a: k.sort(a), lambda a=a: np.sort(a)
    yield "sort f8 stable", lambda: k.sort(x, kind="stable"), lambda: np.sort(x, kind="stable")
    yield "sort 2-D axis 1", lambda: k.sort(image), lambda: np.sort(image)
    yield "sort 2-D axis 0", lambda: k.sort(image, 0), lambda: np.sort(image, 0)
    yield "argsort f8 stable", lambda: k.argsort(x, kind="stable"), lambda: np.argsort(x, kind="stable")
    yield "argsort 2-D", lambda: k.argsort(image), lambda: np.argsort(image)
    yield "partition 2-D", lambda: k.partition(image, 9), lambda: np.partition(image, 9)
    yield "searchsorted", lambda: k.searchsorted(edges, x), lambda: np.searchsorted(edges, x)
    for name, a in (("f8", x), ("i8", i64), ("i8 few", few)):
        yield f"unique {name}", lambda a=a: k.unique(a), lambda a=a: np.unique(a)

    for name, a in (("f8", x), ("f4", x32), ("i8", i64)):
        yield f"cumsum {name}", lambda a=a: k.cumsum(a), lambda a=a: np.cumsum(a)
    yield "cumprod i8", lambda: k.cumprod(i64), lambda: np.cumprod(i64)
    yield "cumsum axis 0", lambda: k.cumsum(image, 0), lambda: np.cumsum(image, 0)
    yield "cumsum axis 1", lambda: k.cumsum(image, 1), lambda: np.cumsum(image, 1)
    yield "maximum.accumulate", lambda: k.accumulate(np.maximum, x), lambda: np.maximum.accumulate(x)

    yield "x[index]", lambda: k.getitem_index(x, index), lambda: x[index]
    yield "take", lambda: k.take(x, index), lambda: np.take(x, index)
    yield "take axis 1", lambda: k.take(image, index[:side] % side, 1), lambda: np.take(image, index[:side] % side, 1)
    yield "x[mask] half", lambda: k.getitem_mask(x, mask), lambda: x[mask]
    yield "x[mask] 1%", lambda: k.getitem_mask(x, rare), lambda: x[rare]
    yield "compress", lambda: k.compress(mask, x), lambda: np.compress(mask, x)
    yield "flatnonzero bool", lambda: k.flatnonzero(mask), lambda: np.flatnonzero(mask)
    yield "flatnonzero f8", lambda: k.flatnonzero(x), lambda: np.flatnonzero(x)
    yield "where", lambda: k.where3(mask, x, y), lambda: np.where(mask, x, y)
    yield "where scalar", lambda: k.where3(mask, x, 0.0), lambda: np.where(mask, x, 0.0)
    yield "x[index] = 0", lambda: k.setitem_index(out, index, 0), lambda: out.__setitem__(index, 0)
    yield "x[mask] = 0 half", lambda: k.setitem_mask(out, mask, 0), lambda: out.__setitem__(mask, 0)
    yield "x[mask] = 0 1%", lambda: k.setitem_mask(out, rare, 0), lambda: out.__setitem__(rare, 0)

    yield "bincount", lambda: k.bincount(few), lambda: np.bincount(few)
    yield "histogram", lambda: k.histogram(x, 100), lambda: np.histogram(x, 100)
    yield "digitize", lambda: k.digitize(x, edges), lambda: np.digitize(x, edges)
    yield "argmax", lambda: k.argmax(x), lambda: np.argmax(x)

    yield "fft axis 1", lambda: k.fft(spectrum), lambda: np.fft.fft(spectrum)
    yield "fft axis 0", lambda: k.fft(spectrum, axis=0), lambda: np.fft.fft(spectrum, axis=0)
    yield "fft2", lambda: k.fft2(spectrum), lambda: np.fft.fft2(spectrum)
    yield (
        "ifft2(fft2(x)*0.5)",
        lambda: k.ifft2(k.fft2(spectrum) * 0.5) if settings.threads > 1 else NotImplemented,
        lambda: np.fft.ifft2(np.fft.fft2(spectrum) * 0.5),
    )
    yield "rfft2", lambda: k.rfft2(image), lambda: np.fft.rfft2(image)
    single = spectrum.astype("F")
    yield "fft2 single", lambda: k.fft2(single), lambda: np.fft.fft2(single)

    yield "random", lambda: k.random_into(generator, out), lambda: generator.random(out=out)
    yield "uniform", lambda: k.uniform_into(generator, out, -1.0, 3.0), lambda: generator.uniform(-1, 3, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the arrays, 1 for 4 million elements")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("names", nargs="*", help="only the cases whose names contain one of these")
    arguments = parser.parse_args()
    team = settings.threads
    print(f"{arguments.scale * 4:g}M elements, {team} threads")
    print(f"{'function':20s} {'NumPy ms':>10s} {'ours ms':>10s} {'ratio':>7s} {'one':>7s} {'work':>7s}")
    for name, ours, numpys in cases(arguments.scale):
        if arguments.names and not any(part in name for part in arguments.names):
            continue
        times: dict[str, list[float]] = {"numpy": [], "ours": [], "one": []}
        work: dict[str, list[float]] = {"numpy": [], "ours": [], "one": []}
        for turn in range(arguments.repeat + 1):
            for who, function, threads in (("numpy", numpys, team), ("ours", ours, team), ("one", ours, 1)):
                settings.threads = threads
                start, spent = time.perf_counter(), time.process_time()
                result = function()
                end, spent = time.perf_counter(), time.process_time() - spent
                # The first turn warms memory and caches.
                if turn and result is not NotImplemented:
                    times[who].append(end - start)
                    work[who].append(spent)
                del result
        settings.threads = team
        middle = {who: statistics.median(found) * 1e3 if found else None for who, found in times.items()}
        ratio, one = (f"{middle['numpy'] / middle[who]:.2f}" if middle[who] else "–" for who in ("ours", "one"))
        spent = f"{statistics.median(work['ours']) / statistics.median(work['numpy']):.2f}" if work["ours"] else "–"
        ours_ms = f"{middle['ours']:.2f}" if middle["ours"] else "–"
        print(f"{name:20s} {middle['numpy']:10.2f} {ours_ms:>10s} {ratio:>7s} {one:>7s} {spent:>7s}")


if __name__ == "__main__":
    main()
