"""Every ufunc, the reductions, every parallel kernel and the commonest functions, by size and dtype, beside NumPy's.

    python benchmarks/functions.py [--sizes 10 1000 1000000] [--dtypes float64] [--only sum sort] [--budget 0.1]

Below 10 000 elements what counts is the price of a call: microseconds more than NumPy's. Above it is the ratio, NumPy's
time over ours. The two take turns; the turns are cut into three blocks, and each side is given the least of its blocks'
medians: what else the machine does meanwhile then counts little. Results that are recorded are run inside the timed
region. Cases are listed worst first; the last lines say how many are under 0.95, and how many over 1.5 µs.

`--again 2` measures a case that misses twice more, and counts the middle one of the three: of two thousand cases some
miss by chance. `--control` puts NumPy on both sides: how many miss by chance on this machine, at this time.

`tests/test_benchmarks.py` fails when a public ufunc or a kernel has no line here.
"""

from __future__ import annotations

import argparse
import functools
import gc
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

import cunumeric
from cunumeric.graph import window
from cunumeric.runtime.settings import settings

SIZES = [10**k for k in range(1, 8)]
DTYPES = ["float32", "float64", "int64"]
SMALL = 10_000  # below, extra microseconds are reported, above, ratios
RATIO, EXTRA = 0.95, 1.5  # the promise: not slower than NumPy by more than this

UNARY = """
abs absolute arccos arccosh acos acosh arcsin arcsinh asin asinh arctan arctanh atan atanh bitwise_count bitwise_invert
bitwise_not cbrt ceil conj conjugate cos cosh deg2rad degrees exp exp2 expm1 fabs floor frexp invert isfinite isinf
isnan isnat log
log10 log1p log2 logical_not modf negative positive rad2deg radians reciprocal rint sign signbit sin sinh
spacing sqrt square tan tanh trunc
""".split()
BINARY = """
add arctan2 atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide divmod equal
float_power floor_divide fmax fmin fmod gcd greater greater_equal heaviside hypot lcm ldexp left_shift less less_equal
logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum mod multiply nextafter not_equal pow power
remainder right_shift subtract true_divide
""".split()
REDUCTIONS = "sum prod min max any all mean std var argmin argmax ptp count_nonzero".split()


def square(np: Any, x: Any) -> Any:
    """The largest square matrix of the elements of `x`."""
    side = int(x.size**0.5)
    return x[: side * side].reshape(side, side)


# Ufuncs over whole vectors.
PRODUCTS = {
    "matmul": lambda np, x, y: lambda: np.matmul(x, y),
    "vecdot": lambda np, x, y: lambda: np.vecdot(x, y),
    "matvec": lambda np, x, y: functools.partial(np.matvec, square(np, x), square(np, x)[0]),
    "vecmat": lambda np, x, y: functools.partial(np.vecmat, square(np, x)[0], square(np, x)),
}


def square_of(f: Callable) -> Callable:
    """A case on the square matrix."""

    def prepare(np, x, y):
        m = square(np, x)
        return lambda: f(np, m)

    return prepare


def squares_of(f: Callable) -> Callable:
    """A case on two square matrices."""

    def prepare(np, x, y):
        m, n = square(np, x), square(np, y)
        return lambda: f(np, m, n)

    return prepare


def indexed(f: Callable) -> Callable:
    """A case with random indices into `x`."""

    def prepare(np, x, y):
        index = np.array(numpy.random.default_rng(3).integers(0, x.size, x.size))
        z = x.copy()
        return lambda: f(np, z, index)

    return prepare


def masked(f: Callable) -> Callable:
    """A case with a mask over half of `x`."""

    def prepare(np, x, y):
        mask = np.array(numpy.random.default_rng(3).random(x.size) < 0.5)
        z = x.copy()
        return lambda: f(np, z, mask)

    return prepare


def plain(f: Callable) -> Callable:
    return lambda np, x, y: lambda: f(np, x, y)


def generator(f: Callable) -> Callable:
    def prepare(np, x, y):
        rng = np.random.default_rng(1)
        return lambda: f(rng, x.size)

    return prepare


FUNCTIONS: dict[str, Callable] = {
    # operators and views
    "x + y": plain(lambda np, x, y: x + y),
    "x * 2": plain(lambda np, x, y: x * 2),
    "2 - x": plain(lambda np, x, y: 2 - x),
    "x ** 2": plain(lambda np, x, y: x**2),
    "x < y": plain(lambda np, x, y: x < y),
    "x @ y": plain(lambda np, x, y: x @ y),
    "-x": plain(lambda np, x, y: -x),
    "x += y - y": plain(lambda np, x, y: x.__iadd__(y - y)),
    "x[1:-1]": plain(lambda np, x, y: x[1:-1]),
    "x[3]": plain(lambda np, x, y: x[3]),
    "x[3] = 1": plain(lambda np, x, y: x.__setitem__(3, 1)),
    "x[1:] = y[:-1]": plain(lambda np, x, y: x.__setitem__(slice(1, None), y[:-1])),
    "x[:-1] + x[1:]": plain(lambda np, x, y: x[:-1] + x[1:]),
    "x * y + x": plain(lambda np, x, y: x * y + x),
    "(x * y).sum()": plain(lambda np, x, y: (x * y).sum()),
    "(x * y).argmax()": plain(lambda np, x, y: (x * y).argmax()),
    "(x * y).astype(i4)": plain(lambda np, x, y: (x * y).astype("i4")),
    "x.T": plain(lambda np, x, y: x.T),
    "x.reshape": plain(lambda np, x, y: x.reshape(-1, 1)),
    "x.astype": plain(lambda np, x, y: x.astype("f4" if x.dtype != "f4" else "f8")),
    "x.copy": plain(lambda np, x, y: x.copy()),
    "x.fill": plain(lambda np, x, y: x.fill(1)),
    "x.shape, x.dtype": plain(lambda np, x, y: (x.shape, x.dtype)),
    # creation
    "zeros": plain(lambda np, x, y: np.zeros(x.shape, x.dtype)),
    "ones": plain(lambda np, x, y: np.ones(x.shape, x.dtype)),
    "full": plain(lambda np, x, y: np.full(x.shape, 2, x.dtype)),
    "empty": plain(lambda np, x, y: np.empty(x.shape, x.dtype)),
    "zeros_like": plain(lambda np, x, y: np.zeros_like(x)),
    "arange": plain(lambda np, x, y: np.arange(x.size)),
    "linspace": plain(lambda np, x, y: np.linspace(0, 1, x.size)),
    "array": plain(lambda np, x, y: np.array(x)),
    "asarray": plain(lambda np, x, y: np.asarray(x)),
    "eye": square_of(lambda np, m: np.eye(len(m))),
    # movement
    "concatenate": plain(lambda np, x, y: np.concatenate([x, y])),
    "stack": plain(lambda np, x, y: np.stack([x, y])),
    "vstack": plain(lambda np, x, y: np.vstack([x, y])),
    "split": plain(lambda np, x, y: np.split(x, 2)),
    "roll": plain(lambda np, x, y: np.roll(x, 3)),
    "flip": plain(lambda np, x, y: np.flip(x)),
    "tile": plain(lambda np, x, y: np.tile(x, 2)),
    "repeat": plain(lambda np, x, y: np.repeat(x, 2)),
    "pad": plain(lambda np, x, y: np.pad(x, 1)),
    "ravel": square_of(lambda np, m: np.ravel(m)),
    "transpose copy": square_of(lambda np, m: m.T.copy()),
    "broadcast_to": plain(lambda np, x, y: np.broadcast_to(x, (2, x.size))),
    # elementwise functions that are not ufuncs
    "where": plain(lambda np, x, y: np.where(x > y, x, y)),
    "clip": plain(lambda np, x, y: np.clip(x, 1, 3)),
    "round": plain(lambda np, x, y: np.round(x)),
    "isclose": plain(lambda np, x, y: np.isclose(x, y)),
    "allclose": plain(lambda np, x, y: np.allclose(x, y)),
    "array_equal": plain(lambda np, x, y: np.array_equal(x, y)),
    "nan_to_num": plain(lambda np, x, y: np.nan_to_num(x)),
    "diff": plain(lambda np, x, y: np.diff(x)),
    "gradient": plain(lambda np, x, y: np.gradient(x)),
    "interp": plain(lambda np, x, y: np.interp(x, [0, 1, 2], [3, 4, 5])),
    # along axes
    "sum axis 0": square_of(lambda np, m: m.sum(0)),
    "sum axis 1": square_of(lambda np, m: m.sum(1)),
    "max axis 0": square_of(lambda np, m: m.max(0)),
    "mean axis 1": square_of(lambda np, m: m.mean(1)),
    "(x * y).sum(0)": squares_of(lambda np, m, n: (m * n).sum(0)),
    "(x * y).sum(1)": squares_of(lambda np, m, n: (m * n).sum(1)),
    "(x * y).max(0)": squares_of(lambda np, m, n: (m * n).max(0)),
    "(x * y).argmax(0)": squares_of(lambda np, m, n: (m * n).argmax(0)),
    "median": plain(lambda np, x, y: np.median(x)),
    "percentile": plain(lambda np, x, y: np.percentile(x, 90)),
    "average": plain(lambda np, x, y: np.average(x, weights=y)),
    # products
    "dot": plain(lambda np, x, y: np.dot(x, y)),
    "outer": plain(lambda np, x, y: np.outer(x[:8], y)),
    "einsum": plain(lambda np, x, y: np.einsum("i,i->i", x, y)),
    "norm": plain(lambda np, x, y: np.linalg.norm(x)),
    "solve": square_of(lambda np, m: np.linalg.solve(m[:200, :200] + 300 * np.eye(len(m[:200])), m[0, :200])),
    # kernels, each under its name
    "sort": plain(lambda np, x, y: np.sort(x)),
    "sort_into": plain(lambda np, x, y: x.copy().sort()),
    "argsort": plain(lambda np, x, y: np.argsort(x, kind="stable")),
    "partition": square_of(lambda np, m: np.partition(m, 1)),
    "argpartition": square_of(lambda np, m: np.argpartition(m, 1)),
    "searchsorted": plain(lambda np, x, y: np.searchsorted(y[:100], x)),
    "unique": plain(lambda np, x, y: np.unique(x)),
    "cumsum": plain(lambda np, x, y: np.cumsum(x)),
    "cumprod": plain(lambda np, x, y: np.cumprod(x)),
    "accumulate": plain(lambda np, x, y: np.maximum.accumulate(x)),
    "getitem_index": indexed(lambda np, x, index: x[index]),
    "getitem_mask": masked(lambda np, x, mask: x[mask]),
    "setitem_index": indexed(lambda np, x, index: x.__setitem__(index, 1)),
    "setitem_mask": masked(lambda np, x, mask: x.__setitem__(mask, 1)),
    "take": indexed(lambda np, x, index: np.take(x, index)),
    "put": indexed(lambda np, x, index: np.put(x, index, 1)),
    "compress": masked(lambda np, x, mask: np.compress(mask, x)),
    "nonzero": masked(lambda np, x, mask: np.nonzero(mask)),
    "flatnonzero": masked(lambda np, x, mask: np.flatnonzero(mask)),
    "where3": masked(lambda np, x, mask: np.where(mask, x, 0)),
    "bincount": indexed(lambda np, x, index: np.bincount(index % 1000)),
    "histogram": plain(lambda np, x, y: np.histogram(x, 100)),
    "digitize": plain(lambda np, x, y: np.digitize(x, [1, 2, 3])),
    "fft": square_of(lambda np, m: np.fft.fft(m)),
    "ifft": square_of(lambda np, m: np.fft.ifft(m)),
    "rfft": square_of(lambda np, m: np.fft.rfft(m)),
    "irfft": square_of(lambda np, m: np.fft.irfft(m)),
    "fft2": square_of(lambda np, m: np.fft.fft2(m)),
    "ifft2": square_of(lambda np, m: np.fft.ifft2(m)),
    "rfft2": square_of(lambda np, m: np.fft.rfft2(m)),
    "irfft2": square_of(lambda np, m: np.fft.irfft2(m)),
    "fftn": square_of(lambda np, m: np.fft.fftn(m)),
    "ifftn": square_of(lambda np, m: np.fft.ifftn(m)),
    "rfftn": square_of(lambda np, m: np.fft.rfftn(m)),
    "irfftn": square_of(lambda np, m: np.fft.irfftn(m)),
    "random_into": generator(lambda rng, n: rng.random(n)),
    "uniform_into": generator(lambda rng, n: rng.uniform(0, 2, n)),
    "normal": generator(lambda rng, n: rng.normal(size=n)),
}


def cases() -> Iterator[tuple[str, Callable]]:
    """(name, prepare): `prepare(np, x, y)` gives the call that is timed."""
    for name in UNARY:
        yield name, lambda np, x, y, name=name: functools.partial(getattr(np, name), x)
    for name in BINARY:
        yield name, lambda np, x, y, name=name: functools.partial(getattr(np, name), x, y)
    yield from PRODUCTS.items()
    for name in REDUCTIONS:
        yield name, lambda np, x, y, name=name: functools.partial(getattr(np, name), x)
    yield from FUNCTIONS.items()


NAMES = [*UNARY, *BINARY, *PRODUCTS, *REDUCTIONS, *FUNCTIONS]


def operands(n: int, dtype: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Numbers between 0 and 5, and between 0 and 1 where a fraction of them is an argument's domain."""
    rng = numpy.random.default_rng(0)
    if dtype.startswith("int"):
        return rng.integers(1, 6, n).astype(dtype), rng.integers(1, 6, n).astype(dtype)
    return rng.random(n).astype(dtype), (0.5 + rng.random(n)).astype(dtype)


class Found(NamedTuple):
    name: str
    dtype: str
    n: int
    numpys: float  # seconds
    ours: float

    @property
    def ratio(self) -> float:
        return self.numpys / self.ours

    @property
    def extra(self) -> float:
        """Microseconds more than NumPy's."""
        return 1e6 * (self.ours - self.numpys)


pending = window.pending


def batch(f: Callable, number: int) -> float:
    """Seconds of a call, everything that it recorded included."""
    calls = itertools.repeat(None, number)
    start = time.perf_counter()
    for _ in calls:
        r = f()  # noqa: F841  (a result that nobody holds would not be computed)
        if pending:
            cunumeric.synchronize()
    return (time.perf_counter() - start) / number


def measure(numpys: Callable, ours: Callable, budget: float) -> tuple[float, float]:
    """Seconds of both, in at most about `budget` seconds, or three turns."""
    first = batch(numpys, 1) + batch(ours, 1)
    first = min(first, batch(numpys, 1) + batch(ours, 1))
    number = max(1, min(1000, int(min(2e-3, budget / 6) / max(first, 1e-7))))
    turns = max(3, min(30, int(budget / max(first * number, 1e-6))))
    times: list[tuple[float, float]] = []
    for turn in range(turns):
        if turn % 2:
            b, a = batch(ours, number), batch(numpys, number)
        else:
            a, b = batch(numpys, number), batch(ours, number)
        times.append((a, b))
    blocks = [times[k::3] for k in range(3)]
    least = [min(statistics.median(pair[side] for pair in block) for block in blocks) for side in (0, 1)]
    return least[0], least[1]


def misses(r: Found) -> bool:
    return r.ratio < RATIO if r.n >= SMALL else r.extra > EXTRA


def one(name: str, prepare: Callable, n: int, dtype: str, budget: float, other: Any) -> Found | None:
    """A case, on arrays of its own; None where NumPy has no loop for this dtype, or the size is too small."""
    window.company.alone = 0  # as in a program of its own: whether operations come alone is found out by each
    x, y = operands(n, dtype)
    try:
        numpys = prepare(numpy, x.copy(), y.copy())
        numpys()
    except (TypeError, ValueError):
        return None
    return Found(name, dtype, n, *measure(numpys, prepare(other, other.array(x), other.array(y)), budget))


def sweep(
    names: list[str], sizes: list[int], dtypes: list[str], budget: float, again: int = 0, other: Any = cunumeric
) -> Iterator[Found]:
    """All cases; of those that miss, the middle one of 1 + `again` measurements."""
    for n, dtype in itertools.product(sizes, dtypes):
        for name, prepare in cases():
            if names and name not in names:
                continue
            found = [one(name, prepare, n, dtype, budget, other)]
            if found[0] is None:
                continue
            if misses(found[0]):
                found += [one(name, prepare, n, dtype, budget, other) for _ in range(again)]
            yield sorted(found, key=lambda r: r.ratio)[len(found) // 2]


def table(title: str, rows: list[Found], top: int) -> None:
    if not rows:
        return
    print(f"\n{title}\n")
    print("| function | dtype | elements | NumPy µs | ours µs | ratio | extra µs |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for r in rows[: top or None]:
        print(
            f"| {r.name} | {r.dtype} | {r.n} | {1e6 * r.numpys:.2f} | {1e6 * r.ours:.2f} "
            f"| {r.ratio:.2f} | {r.extra:.2f} |"
        )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: int(float(text)), nargs="*", default=SIZES)
    parser.add_argument("--dtypes", nargs="*", default=DTYPES)
    parser.add_argument("--only", nargs="*", default=[], help="names of cases")
    parser.add_argument("--budget", type=float, default=0.1, help="seconds for a case")
    parser.add_argument("--again", type=int, default=0, help="measure what misses so often again")
    parser.add_argument("--control", action="store_true", help="NumPy against itself")
    parser.add_argument("--top", type=int, default=0, help="print only so many of the worst of each table")
    given = parser.parse_args(argv)
    unknown = set(given.only) - set(NAMES)
    if unknown:
        parser.error(f"no case is named {', '.join(sorted(unknown))}")
    start = time.perf_counter()
    gc.disable()  # its runs would strike one side
    found = []
    with numpy.errstate(all="ignore"):
        other = numpy if given.control else cunumeric
        for r in sweep(given.only, given.sizes, given.dtypes, given.budget, given.again, other):
            found.append(r)
            if sys.stderr.isatty():
                print(f"\r{len(found)} {r.n} {r.dtype} {r.name:30}", end="", file=sys.stderr)
    gc.enable()
    large = sorted((r for r in found if r.n >= SMALL), key=lambda r: r.ratio)
    small = sorted((r for r in found if r.n < SMALL), key=lambda r: -r.extra)
    table(f"From {SMALL} elements, worst ratio first", large, given.top)
    table(f"Below {SMALL} elements, most extra time first", small, given.top)
    print(f"\n{len(found)} cases in {time.perf_counter() - start:.0f} s, {settings.threads} threads.")
    if large:
        slow = sum(map(misses, large))
        middle = statistics.median(r.ratio for r in large)
        print(f"Large: {slow} of {len(large)} under {RATIO} of NumPy's speed; the median is {middle:.2f}.")
    if small:
        slow = sum(map(misses, small))
        middle = statistics.median(r.extra for r in small)
        print(f"Small: {slow} of {len(small)} over {EXTRA} µs more than NumPy; the median is {middle:.2f} µs.")


if __name__ == "__main__":
    main()
