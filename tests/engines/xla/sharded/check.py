"""Kernels for several devices against NumPy: `python -m tests.engines.xla.sharded.check TOPIC`, with as many of the
processor's devices as XLA_FLAGS asks for. Each case is a program of its own; its results come in all dtypes at once."""

# ruff: noqa: B023  (the functions run before the loop goes on)

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cunumeric.engines.xla import region as regions
from cunumeric.engines.xla.sharded import transforms as kernels
from cunumeric.ops.lowering.products import contracted

from ..check import TOLERANCE
from .lab import Cost, jx, mesh, row, run, runner, spec

BITS = "float64 complex64 bool int8 uint32".split()
FLOATS = "float64 complex64".split()
LENGTHS = (1, 3, 23)
LINE = mesh.size == 4 and len(mesh.grid) == 1
# Of each call's operands so many-th, in turn; all with CUNUMERIC_TEST_ALL_DTYPES=1.
EACH = 1 if os.environ.get("CUNUMERIC_TEST_ALL_DTYPES") else 4 if LINE else 8
turns = itertools.count()


def numbers(dtype: str, *shape: int, odd: bool = False) -> np.ndarray:
    """Small numbers; `odd`: NaN and infinities among them."""
    kind = np.dtype(dtype).kind
    rng = np.random.default_rng(sum(shape) + len(dtype))
    x = rng.integers(0 if kind in "bu" else -3, 2 if kind == "b" else 4, shape).astype(dtype)
    if kind == "c":
        x = x + (1j * rng.integers(-3, 4, shape)).astype(dtype)
    if odd and kind in "fc" and x.size > 2:
        x.reshape(-1)[1::7] = np.nan
        x.reshape(-1)[2::11] = np.inf
    return x


def same(ours: Any, numpys: Any, where: str, exact: bool = False) -> None:
    if isinstance(numpys, (list, tuple)):
        for k, (x, y) in enumerate(zip(ours, numpys, strict=True)):
            same(x, y, f"{where} [{k}]", exact)
        return
    x, y = np.asarray(ours), np.asarray(numpys)
    assert x.shape == y.shape, f"{where}: {x.shape}, NumPy's {y.shape}"
    assert x.dtype == y.dtype, f"{where}: {x.dtype}, NumPy's {y.dtype}"
    if exact or y.dtype.kind not in "fc":
        assert np.array_equal(x, y, equal_nan=y.dtype.kind in "fc"), f"{where}: {x}, NumPy's {y}"
        return
    size = np.abs(y[np.isfinite(y)]).max(initial=1.0)
    tolerance = TOLERANCE[y.dtype.name]
    assert np.allclose(x, y, tolerance, tolerance * size, equal_nan=True), f"{where}: {x}, NumPy's {y}"


def share(cases: list[Any]) -> list[Any]:
    """Some of the cases, other ones the next time."""
    return cases[next(turns) % min(EACH, len(cases)) :: EACH]


def compare(ours: Callable[..., Any], numpys: Callable[..., Any], arrays: list[np.ndarray], where: str) -> None:
    """One program for all arrays; results in NumPy's dtypes, as the engine casts them."""
    arrays = share(arrays)
    with np.errstate(all="ignore"):
        expected = [numpys(a) for a in arrays]

    def every(*values: Any) -> list[Any]:
        found = [ours(v) for v in values]
        return [r.astype(e.dtype) if hasattr(r, "astype") else r for r, e in zip(found, expected, strict=True)]

    for a, x, y in zip(arrays, run(every, *arrays), expected, strict=True):
        same(x, y, f"{where}, {a.dtype}{a.shape}")


def cheap(cost: Cost, where: str, temporary: float = 2.5, gathered: float = 0.1) -> None:
    """No operand comes whole to a device, and memory stays near its share."""
    assert cost.gathered <= gathered, f"{where}: {cost}"
    assert cost.temporary <= temporary, f"{where}: {cost}"


def scans() -> None:
    both = [(np.cumsum, BITS), (np.cumprod, BITS), (np.nancumsum, FLOATS), (np.add.accumulate, BITS)]
    both += [(getattr(np, name).accumulate, ["float64", "int64"]) for name in ("maximum", "fmin", "subtract")]
    both += [(np.logical_xor.accumulate, ["bool"]), (np.hypot.accumulate, ["float32"]), (np.gcd.accumulate, ["int8"])]
    for f, dtypes in both if LINE else both[::3]:
        odd = f not in (np.cumprod,)
        arrays = [numbers(d, n, odd=odd) for d in dtypes for n in LENGTHS]
        compare(row(f), f, arrays, f"{f}")
        for axis in (0, 1):
            arrays = [numbers(d, *shape, odd=odd) for d in dtypes[:2] for shape in ((8, 4), (5, 7), (2, 9))]
            compare(lambda a: row(f)(a, axis=axis), lambda a: f(a, axis=axis), arrays, f"{f}, axis {axis}")
    compare(row(np.cumsum), np.cumsum, [numbers("int8", 5, 7), numbers("float16", 4, 3)], "flattened")
    pieces = (0, 2, 2, 7)
    compare(
        lambda a: row(np.add.reduceat)(a, pieces), lambda a: np.add.reduceat(a, pieces), [numbers("int64", 11)], "at"
    )
    rows = numbers("float64", 7, 9) + 4
    compare(lambda a: row(np.divide.accumulate)(a), np.divide.accumulate, [rows], "divide.accumulate")
    cheap(Cost(row(np.cumsum), spec((1 << 18) + 3)), "cumsum")
    cheap(Cost(lambda a: row(np.cumsum)(a, axis=0), spec(1 << 14, 64)), "cumsum of columns")
    cheap(Cost(lambda a: row(np.cumsum)(a, axis=0), spec(5, 1 << 17)), "cumsum of short columns", 5, 1)
    cheap(Cost(row(np.maximum.accumulate), spec(1 << 18)), "maximum.accumulate")


def transforms() -> None:
    f = np.fft
    vectors = [
        numbers(d, n) for d, n in zip(("float64", "complex128", "complex64", "int8"), (32, 23, 64, 5), strict=True)
    ]
    vectors += [numbers("float32", 7), numbers("complex128", 1), numbers("float64", 3)]
    for one in (f.fft, f.ifft, f.rfft, f.irfft, f.hfft, f.ihfft) if LINE else (f.fft, f.irfft):
        some = [a for a in vectors if a.dtype.kind != "c" or one not in (f.rfft, f.ihfft)]
        some = [a for a in some if a.size > 1 or one not in (f.irfft, f.hfft)]
        compare(row(one), one, some, f"{one}")
        for axis in (0, 1):
            rows = [
                numbers(d, 6, 10) for d in ("float64", "complex64") if d == "float64" or one not in (f.rfft, f.ihfft)
            ]
            words = {"axis": axis, "n": 12, "norm": "ortho"}
            compare(lambda a: row(one)(a, **words), lambda a: one(a, **words), rows, f"{one}, axis {axis}")
        high = [numbers("float64", 17, 2)]
        compare(lambda a: row(one)(a, axis=0), lambda a: one(a, axis=0), high, f"{one} of columns")
    for one in (f.fft2, f.ifft2, f.rfft2, f.irfft2) if LINE else (f.fft2, f.irfft2):
        some = [numbers(d, *shape) for d, shape in (("float64", (8, 8)), ("float32", (5, 7)), ("float64", (33, 2)))]
        some += [numbers("complex128", 6, 5), numbers("complex64", 3, 8, 5)] if one is not f.rfft2 else []
        compare(row(one), one, some, f"{one}")
        words = {"s": (9, 6), "axes": (1, 0), "norm": "forward"}
        compare(lambda a: row(one)(a, **words), lambda a: one(a, **words), some[:2], f"{one}, other axes")
    for one in (f.fftn, f.ifftn, f.rfftn, f.irfftn) if LINE else (f.rfftn,):
        some = [numbers("float64", 4, 5, 6), numbers("float32", 2, 3, 5, 4)]
        compare(row(one), one, some, f"{one}")
        words = {"axes": (0, 2), "s": (7, 4)}
        compare(lambda a: row(one)(a, **words), lambda a: one(a, **words), some[:1], f"{one}, some axes")
    compare(
        lambda a: row(f.fftn)(a, axes=(0, 1, 0)), lambda a: f.fftn(a, axes=(0, 1, 0)), [numbers("float64", 4, 5)], "n"
    )
    _in_pieces()
    # of real operands: complex results are twice as large
    cheap(Cost(row(f.fft2), spec(256, 512)), "fft2", 6)
    cheap(Cost(lambda a: row(f.fft)(a, axis=1), spec(256, 512)), "fft of rows", 6)
    cheap(Cost(row(f.fft), spec(9 << 16)), "fft", 8)
    cheap(Cost(row(f.fft), spec(100003)), "fft of a prime length", 32)
    chain = Cost(lambda a: row(f.ifft2)(row(f.fft2)(a) * 0.5), spec(256, 512, dtype=complex))
    cheap(chain, "a chain of transforms", 4)
    assert chain.kinds["all-to-all"] < (2.1 if len(mesh.grid) == 1 else 4.1), f"a chain of transforms: {chain}"


def _in_pieces() -> None:
    """Pieces on their way while others are transformed, of small arrays too."""
    f, least = np.fft, kernels._PIECE_LEAST
    kernels._PIECE_LEAST = 8
    some = [numbers("float64", 40, 12), numbers("complex64", 9, 50), numbers("complex128", 3, 20, 17)]
    for one in (f.fft2, f.ifft2) if LINE else (f.ifft2,):
        compare(row(one), one, some, f"{one} in pieces")
    compare(row(f.irfftn), f.irfftn, some[1:], "irfftn in pieces")
    chain = Cost(lambda a: row(f.ifft2)(row(f.fft2)(a) * 0.5), spec(256, 512, dtype=complex))
    cheap(chain, "a chain of transforms in pieces", 4)
    kernels._PIECE_LEAST = least


def each(f: Callable[..., Any], g: Callable[..., Any], groups: list[list[np.ndarray]], where: str) -> None:
    """`f` as a program of all groups of operands, against `g`."""
    groups = share(groups)
    if len(mesh.grid) > 1 and len(groups) > 1:  # small programs: the processor's devices keep no order among exchanges
        for group in groups:
            each(f, g, [group], where)
        return
    with np.errstate(all="ignore"):
        expected = [g(*group) for group in groups]
    sizes = [len(group) for group in groups]

    def every(*values: Any) -> list[Any]:
        rest = iter(values)
        found = [f(*[next(rest) for _ in range(n)]) for n in sizes]
        return [jx.jax.tree.map(lambda x, y: x.astype(y.dtype), r, e) for r, e in zip(found, expected, strict=True)]

    found = run(every, *[a for group in groups for a in group])
    for k, (x, y) in enumerate(zip(found, expected, strict=True)):
        same(x, y, f"{where}, " + " ".join([f"{a.dtype}{a.shape}" for a in groups[k]]))


def products() -> None:
    def pair(dtype: str, a: tuple[int, ...], b: tuple[int, ...]) -> list[np.ndarray]:
        return [numbers(dtype, *a), numbers(dtype, *b)]

    shapes: list[Any] = [((8, 8), (8, 8)), ((5, 7), (7, 6)), ((9, 5), (5, 11)), ((16, 3), (3, 17)), ((1, 9), (9, 5))]
    shapes += [((7,), (7, 5)), ((6, 5), (5,))]
    flat = len(shapes)
    shapes += [((3, 5, 7), (3, 7, 4)), ((3, 5, 7), (7, 4)), ((5, 7), (3, 7, 4)), ((8, 9, 10), (8, 10, 9))]
    groups = [pair(d, *s) for s in shapes for d in ("float64", "complex64")]
    groups += [pair(d, (9, 10), (10, 11)) for d in ("bool", "int8", "float16", "uint32")]
    each(row(np.matmul), np.matmul, groups, "matmul")
    each(
        row(np.dot), np.dot, [pair("float64", *s) for s in shapes[:flat]] + [pair("int64", (3, 5, 7), (2, 7, 9))], "dot"
    )
    each(row(np.inner), np.inner, [pair("float64", (7, 9), (8, 9)), pair("float32", (2, 40), (2, 40))], "inner")
    each(row(np.vdot), np.vdot, [pair("complex128", (7, 9), (7, 9)), pair("int8", (35,), (35,))], "vdot")
    each(lambda a, b: row(np.tensordot)(a, b, ((1, 2), (2, 0))), lambda a, b: np.tensordot(a, b, ((1, 2), (2, 0))),
         [pair("float64", (9, 4, 5), (5, 7, 4))], "tensordot")  # fmt: skip
    for text, a, b in (("ij,kj->ki", (9, 8), (7, 8)), ("bij,bkj->bik", (2, 9, 8), (2, 7, 8)), ("ij,jk", (9, 8), (8, 7)),
                       ("ii,ij->j", (6, 6), (6, 9)), ("ijk,jl->ilk", (5, 6, 7), (6, 9))):  # fmt: skip
        each(lambda x, y: row(contracted)(text, [x, y], True), lambda x, y: np.einsum(text, x, y),
             [pair("float64", a, b)], text)  # fmt: skip
    square, vector = spec(512, 512), spec(512)
    cheap(Cost(row(np.matmul), square, square), "a @ b", 5, 2.1)
    cheap(Cost(row(np.matmul), square, spec(512, 500)), "a @ b, uneven", 7, 2.1)
    cheap(Cost(lambda a, b: row(np.matmul)(a, b.T), square, square), "a @ b.T", 5, 2.1)
    cheap(Cost(row(np.matmul), square, vector), "a @ v", 1, 0.1)
    cheap(Cost(row(np.matmul), spec(1 << 14, 16), spec(16, 16)), "tall @ small", 3, 2.1)
    cheap(Cost(lambda a: row(np.matmul)(a.T, a), spec(1 << 14, 16)), "tall.T @ tall", 2.5, 0.1)


def movements() -> None:
    vectors = [[numbers("float64", 23), numbers("float64", n)] for n in (1, 8, 40)] + [
        [numbers("bool", 5), numbers("int8", 9)]
    ]
    rows = [[numbers("float32", 5, 7), numbers("float32", 5, 7)], [numbers("int64", 8, 4), numbers("int64", 8, 4)]]
    names = "concatenate vstack hstack dstack stack column_stack".split()
    for f in [getattr(np, name) for name in names]:
        groups = rows + (vectors if f in (np.concatenate, np.hstack) else [])
        each(lambda a, b: row(f)([a, b]), lambda a, b: f([a, b]), groups, f"{f}")
    for axis in (None, 1):
        each(
            lambda a, b: row(np.concatenate)([a, b, a], axis),
            lambda a, b: np.concatenate([a, b, a], axis),
            rows,
            "three",
        )
    each(row(np.append), np.append, vectors + rows, "append")
    each(lambda a, b: row(np.insert)(a, 3, b), lambda a, b: np.insert(a, 3, b), vectors, "insert")
    each(lambda a, b: row(np.insert)(a, (1, 4), b, 1), lambda a, b: np.insert(a, (1, 4), b, 1),
         [[numbers("int64", 9, 11), numbers("int64", 9, 2)]], "insert columns")  # fmt: skip
    some = [numbers("float64", 23), numbers("int8", 5, 7), numbers("complex64", 8, 4), numbers("bool", 3)]
    calls: list[tuple[Any, Any]] = [(np.roll, (k, axis)) for k in (1, -9, 30) for axis in (None, 0)]
    calls += [(np.tile, (3,)), (np.tile, ((2, 3),)), (np.repeat, (3,)), (np.repeat, (2, 0)), (np.delete, (2, 0))]
    calls += [(np.delete, ((0, 2), 0)), (np.pad, (2,)), (np.diff, ()), (np.cumulative_sum, ())]
    calls += [(np.pad, (2, mode)) for mode in ("edge", "wrap", "symmetric", "reflect")]
    for f, words in calls:
        arrays = [a for a in some if a.ndim == 1 or f is not np.cumulative_sum]
        compare(lambda a: row(f)(a, *words), lambda a: f(a, *words), arrays, f"{f}{words}")
    compare(lambda a: row(np.roll)(a, (1, 2), (1, 0)), lambda a: np.roll(a, (1, 2), (1, 0)), some[1:3], "roll of both")
    for shape in ((7, 5), (35,), (1, 35), (35, 1), (5, 1, 7)):
        compare(lambda a: jx.sharded.reshaped(jx, a, shape), lambda a: a.reshape(shape), some[1:2], f"{shape}")
    for f in (np.max, np.min, np.ptp, np.maximum.reduce):
        odd = [numbers(d, *s, odd=True) for d in ("float64", "float16", "complex128") for s in ((23,), (9, 10))]
        compare(row(f), f, odd, f"{f}")
        compare(lambda a: row(f)(a, 0), lambda a: f(a, 0), odd, f"{f} of columns")
    for f in (np.argmax, np.argmin, np.nanargmax):
        odd = [
            numbers(d, *s, odd=f is not np.nanargmax)
            for d in ("float64", "complex64", "int8", "bool")
            for s in ((5,), (9, 10))
        ]
        compare(row(f), f, odd, f"{f}")
        compare(lambda a: row(f)(a, 0, keepdims=True), lambda a: f(a, 0, keepdims=True), odd, f"{f} of columns")
    whole, uneven, square = spec(1 << 16), spec((1 << 16) + 3), spec(255, 257)
    cheap(Cost(lambda a, b: row(np.concatenate)([a, b]), whole, uneven), "concatenate", 6)
    cheap(Cost(lambda a, b: row(np.concatenate)([a, b]), square, square), "concatenate rows", 8)
    cheap(Cost(lambda a: row(np.roll)(a, 1000), uneven), "roll")
    cheap(Cost(lambda a: row(np.roll)(a, 3), square), "roll of all", 4.5)
    cheap(Cost(lambda a, b: row(np.insert)(a, 500, b), uneven, spec(1)), "insert", 6)
    cheap(Cost(lambda a: row(np.delete)(a, 500), uneven), "delete")
    cheap(Cost(lambda a: row(np.pad)(a, 3, "reflect"), uneven), "pad")
    cheap(Cost(lambda a: row(np.pad)(a, 30000), uneven), "wide pad", 4)
    cheap(Cost(lambda a: jx.sharded.reshaped(jx, a, (257, 255)), square), "reshape", 3)
    cheap(Cost(row(np.argmax), square), "argmax")


def places() -> None:
    """Regions whose place is an argument, and thin ones whose place is known."""

    def viewed(a: np.ndarray, key: Any) -> tuple[Any, np.ndarray]:
        view = a[key]
        offset = (view.__array_interface__["data"][0] - a.__array_interface__["data"][0]) // a.itemsize
        return regions.describe(a.shape, offset, view.shape, tuple([k // a.itemsize for k in view.strides])), view

    keys: list[Any] = [(slice(23, 24),), (slice(3, 4),), (slice(2, 9),), (slice(2, 39),), (slice(1, 38, 3),)]
    tables: list[Any] = [
        (3,),
        (slice(None), 2),
        (slice(2, 8),),
        (slice(1, 9, 2), slice(2, 9)),
        (slice(5, 6), slice(1, 11)),
    ]
    for shape, some in (((41,), keys), ((10, 12), tables)):
        for number, key in enumerate(some):
            dtype = ("float64", "complex64", "int16", "bool", "float16")[number]
            a = numbers(dtype, *shape, odd=True)
            a.reshape(-1)[4] = -a.reshape(-1)[4] if dtype != "bool" else 1
            region, view = viewed(a, key)
            source = numbers(dtype, *view.shape) + a.dtype.type(1)

            def both(a: Any, b: Any, starts: Any) -> Any:
                at = [starts[k] for k in range(a.ndim)]
                return regions.read(jx, a, region, at), regions.write(jx, a, region, b, at)

            starts = np.array(region.starts)
            call = runner(both, a, source, starts)
            most = [n - step * (m - 1) - 1 for n, step, m in zip(a.shape, region.steps, region.sizes, strict=True)]
            for there in {
                *zip(*[range(0, n + 1, 1 + n // 5) for n in most], strict=False),
                tuple(most),
                tuple(region.starts),
            }:
                moved = sum([(x - y) * s for x, y, s in zip(there, region.starts, a.strides, strict=True)])
                wanted = np.lib.stride_tricks.as_strided(
                    np.frombuffer(a.tobytes(), a.dtype, offset=0), (a.size,)
                ).copy()
                first = (view.__array_interface__["data"][0] - a.__array_interface__["data"][0] + moved) // a.itemsize
                part = np.lib.stride_tricks.as_strided(wanted[first:], view.shape, view.strides)
                before = part.copy()
                got, written = call(a, source, np.array(there))
                same(got.view(np.uint8), before.view(np.uint8), f"read {dtype}{shape} {key} at {there}")
                part[...] = source
                same(written, wanted.reshape(shape), f"write {dtype}{shape} {key} at {there}", exact=True)
    vector, table, at = spec(1 << 16), spec(512, 256), spec(1, dtype=int)
    thin = regions.describe((1 << 16,), 5, (100,), (1,))
    thick = regions.describe((1 << 16,), 5, (40000,), (1,))
    line = regions.describe((512, 256), 512, (256,), (1,))
    cheap(Cost(lambda a, k: regions.read(jx, a, thin, [k[0]]), vector, at), "thin read", 0.5)
    cheap(Cost(lambda a, k: regions.read(jx, a, thick, [k[0]]), vector, at), "thick read", 5)
    cheap(Cost(lambda a, b, k: regions.write(jx, a, thin, b, [k[0]]), vector, spec(100), at), "thin write", 1.5)
    cheap(Cost(lambda a, b, k: regions.write(jx, a, thick, b, [k[0]]), vector, spec(40000), at), "thick write", 6)
    cheap(Cost(lambda a: regions.read(jx, a, line) * 2, table), "row", 0.5)
    part = regions.describe((1 << 16,), 20000, (8000,), (1,))
    cheap(Cost(lambda a, b: regions.write(jx, a, part, b), vector, spec(8000)), "write of a part")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print(f"{sys.argv[1]}: passed")
