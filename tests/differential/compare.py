"""One body, run with NumPy and with us: values, dtypes, shapes, memory order, types of results and errors must agree.

    @compared
    def test_add(np):
        return np.arange(5) + 1

Every body runs in each of `SETUPS`: by default nearly all of it is small and goes straight to NumPy, in the other two
everything is recorded and cut into tiles of four elements. A body gets random numbers and the like through its
parameters or from seeds, so that both sides see the same. What may raise goes through `attempt`, which makes the
exception a value: one body then compares many calls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy
import pytest

import cunumeric
from cunumeric.arrays.base import Deferred, host
from cunumeric.runtime.settings import settings

TILES = {"record_min": 0, "tile": 4, "kernel_min": 0}
SETUPS: dict[str, dict[str, Any]] = {
    "default": {},
    "tiles-1-thread": {**TILES, "threads": 1},
    "tiles-2-threads": {**TILES, "threads": 2},
}
# With an accelerator's engine (chosen when the package is imported) there is one set-up: everything goes to it.
XLA = settings.engine == "xla"
if XLA:
    SETUPS = {"xla": {"record_min": 0}}
_ROUNDING = {"e": 2e-3, "f": 1e-5, "d": 1e-12}

BOOL = ["bool"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64", "longdouble"]
COMPLEX = ["complex64", "complex128", "clongdouble"]
NUMERIC = [*BOOL, *SIGNED, *UNSIGNED, *FLOATS, *COMPLEX]
ALL = [*NUMERIC, "object", "datetime64[s]", "timedelta64[ms]", "U3", "S2"]


# -- set-ups -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def configured(**changes: Any) -> Iterator[None]:
    """The package with other settings. Recorded work runs before they change, both ways."""
    cunumeric.synchronize()
    before = dataclasses.asdict(settings)
    for name, value in changes.items():
        assert name in before
        setattr(settings, name, value)
    try:
        yield
    finally:
        try:
            cunumeric.synchronize()
        finally:
            for name, value in before.items():
                setattr(settings, name, value)


def fails_in(*setups: str, reason: str, **parameters: Any) -> Callable:
    """The test finds a bug, in these set-ups and with these parameters only (the fixture `setup` reads the mark)."""

    def mark(test: Callable) -> Callable:
        known = getattr(test, "fails_in", [])
        test.fails_in = [*known, (setups, parameters, reason)]  # type: ignore[attr-defined]
        return test

    return mark


RECORDED = ("tiles-1-thread", "tiles-2-threads")


def for_dtypes(*dtypes: str, name: str = "dtype") -> Any:
    """The test once for each dtype."""
    return pytest.mark.parametrize(name, dtypes)


for_all_dtypes = for_dtypes(*ALL)
for_numeric_dtypes = for_dtypes(*NUMERIC)

# An array of so many elements is recorded by default, whatever the default is.
LARGE = settings.record_min + 5

# Small: below the threshold of recording. Recorded: above it, in the default set-up; with tiles of four a hundred
# elements are tiles enough.
for_sizes = pytest.mark.parametrize("n", ["small", "recorded"])


def _size(n: str) -> int:
    if n == "small":
        return 23
    return LARGE if settings.record_min else 103


# -- outcomes ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Raised:
    """An exception as a value: its type and its words."""

    kind: type
    words: str


@dataclasses.dataclass
class Loose:
    """An array that NumPy's own object handed out (a field of a record): an instance of `ndarray` is enough."""

    value: Any


@dataclasses.dataclass
class Near:
    """A floating-point result whose last bits depend on the order of summation: ours may not be farther from `exact`
    than NumPy's, or than `units` in the last place."""

    value: Any
    exact: Any
    units: int = 1


def _words(error: BaseException) -> str:
    # Python says a class's module only where the class is written in C.
    return str(error).replace("cunumeric", "numpy").replace("'numpy.ndarray'", "'ndarray'")


def attempt(f: Callable, *args: Any, **kwargs: Any) -> Any:
    """`f(*args, **kwargs)`, or `Raised`."""
    try:
        return f(*args, **kwargs)
    except Exception as error:
        return Raised(type(error), _words(error))


def misfit(f: Callable, *args: Any, **kwargs: Any) -> Any:
    """`attempt`, for calls that do not fit the signature: C and Python have words of their own for that."""
    r = attempt(f, *args, **kwargs)
    return Raised(r.kind, "") if isinstance(r, Raised) else r


def exact_sum(a: Any, axis: Any = None) -> Any:
    """The sum of floats rounded once: a Fraction for all of them, an object array of Fractions along an axis."""
    a = numpy.asarray(a)
    if axis is None:
        return sum(map(_fraction, a.ravel()), Fraction(0))
    moved = numpy.moveaxis(a, axis, -1)
    out = numpy.empty(moved.shape[:-1], object)
    for index in numpy.ndindex(out.shape):
        out[index] = sum(map(_fraction, moved[index]), Fraction(0))
    return out


def _fraction(x: Any) -> Fraction:
    """The number itself: long doubles through their integer ratio."""
    return Fraction(*x.as_integer_ratio())


# -- equality ----------------------------------------------------------------------------------------------------------


def layout(a: Any) -> list[int]:
    """Strides that say something: of axes with more than one element, in arrays that have any."""
    return [s for s, n in zip(a.strides, a.shape, strict=True) if n > 1] if a.size else []


def assert_same_values(ours: numpy.ndarray, numpys: numpy.ndarray, where: str) -> None:
    """Equal elements; NaN equals NaN, and zeros have the same sign."""
    if numpys.dtype.names is not None:
        for field in numpys.dtype.names:
            assert_same_values(ours[field], numpys[field], f"{where}[{field!r}]")
        return
    if numpys.dtype.kind in "V":
        assert ours.tobytes() == numpys.tobytes(), where
        return
    if numpys.dtype.kind == "O":
        for x, y in zip(ours.ravel().tolist(), numpys.ravel().tolist(), strict=True):
            assert_same(x, y, where)
        return
    if numpys.dtype.kind == "c":
        assert_same_values(ours.real, numpys.real, f"{where}.real")
        assert_same_values(ours.imag, numpys.imag, f"{where}.imag")
        return
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        same = ours == numpys
        if numpys.dtype.kind in "fmM":
            same = same | ((ours != ours) & (numpys != numpys))
        if numpys.dtype.kind == "f":
            same = same & ((numpy.signbit(ours) == numpy.signbit(numpys)) | (numpys != numpys))
        if XLA and numpys.dtype.char in _ROUNDING and not numpy.all(same):
            # XLA has functions of its own, and fuses: where values cancelled, by the largest of the array.
            largest = numpy.abs(numpys[numpy.isfinite(numpys)]).max(initial=0.0)
            unit = _ROUNDING[numpys.dtype.char]
            same = numpy.isclose(ours, numpys, rtol=unit, atol=unit * float(largest), equal_nan=True)
        if not numpy.all(same):
            bad = numpy.argwhere(~numpy.atleast_1d(same))
            raise AssertionError(
                f"{where}: {len(bad)} of {same.size} differ, the first at {bad[0]}:\n"
                f"NumPy {numpy.atleast_1d(numpys)[tuple(bad[0])]!r}\nours  {numpy.atleast_1d(ours)[tuple(bad[0])]!r}"
            )


def assert_same_array(ours: Any, numpys: numpy.ndarray, where: str = "result") -> None:
    assert isinstance(ours, cunumeric.ndarray), f"{where}: {type(ours)}"
    if type(numpys) is numpy.ndarray:
        assert type(ours) is cunumeric.ndarray, f"{where}: {type(ours)}"
    else:
        assert type(ours) is type(numpys), f"{where}: {type(numpys)}, ours {type(ours)}"
    assert ours.dtype == numpys.dtype, f"{where}: dtype {numpys.dtype}, ours {ours.dtype}"
    assert ours.shape == numpys.shape, f"{where}: shape {numpys.shape}, ours {ours.shape}"
    assert layout(ours) == layout(numpys), f"{where}: strides {numpys.strides}, ours {ours.strides}"
    assert ours.flags.writeable == numpys.flags.writeable, f"{where}: writeable"
    assert ours.flags.aligned == numpys.flags.aligned, f"{where}: aligned"
    # `host`, not numpy.asarray: memory that was handed out is not recorded on any more.
    assert_same_values(host(ours).view(numpy.ndarray), numpys.view(numpy.ndarray), where)


def _ulp(exact: Fraction, dtype: numpy.dtype) -> Fraction:
    """A unit in the last place of `exact` in `dtype`."""
    info = numpy.finfo(dtype)
    if exact == 0:
        return _fraction(info.smallest_subnormal)
    magnitude = math.floor(math.log2(abs(exact))) if abs(exact) < 2**1000 else exact.numerator.bit_length()
    return Fraction(2) ** (max(magnitude, info.minexp) - info.nmant)


def assert_near(ours: Near, numpys: Near, where: str) -> None:
    a, b = ours.value, numpys.value
    if isinstance(b, numpy.ndarray):
        assert type(a) is cunumeric.ndarray, where
    else:
        assert type(a) is type(b), f"{where}: {type(b)}, ours {type(a)}"
    assert a.dtype == b.dtype, f"{where}: {b.dtype}, ours {a.dtype}"
    assert a.shape == b.shape, f"{where}: {b.shape}, ours {a.shape}"
    found, expected = numpy.asarray(a).ravel(), numpy.asarray(b).ravel()
    exact = numpy.asarray(numpys.exact, object).ravel()
    for k, (f, e, x) in enumerate(zip(found, expected, exact, strict=True)):
        allowed = max(abs(_fraction(e) - x), numpys.units * _ulp(x, b.dtype))
        assert abs(_fraction(f) - x) <= allowed, f"{where}[{k}]: exact {float(x)!r}, NumPy {e!r}, ours {f!r}"


def assert_same(ours: Any, numpys: Any, where: str = "result") -> None:
    """`ours` is what a user of NumPy expects who saw `numpys`."""
    __tracebackhide__ = True
    if type(ours) is Deferred:
        ours = ours.value()
    if isinstance(numpys, Raised):
        assert isinstance(ours, Raised), f"{where}: NumPy raises {numpys}, ours is {ours!r}"
        if ours != numpys:
            raise AssertionError(f"{where}: {numpys}, ours {ours}")
    elif isinstance(ours, Raised):
        raise AssertionError(f"{where}: ours raises {ours}, NumPy's is {numpys!r}")
    elif isinstance(numpys, Loose):
        assert isinstance(ours.value, cunumeric.ndarray), f"{where}: {type(ours.value)}"
        assert_same_array(cunumeric.asarray(ours.value), numpys.value, where)
    elif isinstance(numpys, Near):
        assert_near(ours, numpys, where)
    elif isinstance(numpys, numpy.ndarray):
        assert_same_array(ours, numpys, where)
    elif isinstance(numpys, (tuple, list)):
        assert type(ours) is type(numpys), f"{where}: {type(numpys)}, ours {type(ours)}"
        assert len(ours) == len(numpys), f"{where}: length {len(numpys)}, ours {len(ours)}"
        found = []
        for k, (x, y) in enumerate(zip(ours, numpys, strict=True)):
            try:
                assert_same(x, y, f"{where}[{k}]")
            except AssertionError as error:
                found.append(str(error))
        if found:
            raise AssertionError("\n".join(found[:12]))
    elif isinstance(numpys, dict):
        assert list(ours) == list(numpys), where
        for key, value in numpys.items():
            assert_same(ours[key], value, f"{where}[{key!r}]")
    elif isinstance(numpys, numpy.generic):
        assert type(ours) is type(numpys), f"{where}: {type(numpys)}, ours {type(ours)}"
        assert ours.dtype == numpys.dtype, where
        assert_same_values(numpy.asarray(ours), numpy.asarray(numpys), where)
    else:
        assert type(ours) is type(numpys), f"{where}: {type(numpys)}, ours {type(ours)}"
        assert ours == numpys or (ours != ours and numpys != numpys), f"{where}: {numpys!r}, ours {ours!r}"


# -- the decorator -----------------------------------------------------------------------------------------------------


def outcome(body: Callable, np: Any, kwargs: dict[str, Any]) -> Any:
    """What `body` returns with the module `np`. Floating-point flags are ignored: where flags would be warnings made
    errors, or recorded by a block, nothing that can warn is recorded, and the tests would never see recorded work."""
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return attempt(body, np, **kwargs)


def compared(body: Callable) -> Callable:
    """The decorator: `body(np, ...)` as a test in every set-up."""
    signature = inspect.signature(body)
    first, *others = signature.parameters.values()
    assert first.name == "np"

    @functools.wraps(body)
    def test(setup, **kwargs):
        if kwargs.get("n") in ("small", "recorded"):
            kwargs["n"] = _size(kwargs["n"])
        __tracebackhide__ = True
        expected = outcome(body, numpy, kwargs)
        found = outcome(body, cunumeric, kwargs)
        assert_same(found, expected)

    del test.__wrapped__  # type: ignore[attr-defined]  # pytest would see the body's own parameters
    setup = inspect.Parameter("setup", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([setup, *others])  # type: ignore[attr-defined]
    return test


# -- data --------------------------------------------------------------------------------------------------------------


def sample(np: Any, dtype: Any, shape: Any = 23, seed: int = 0, special: bool = True) -> Any:
    """Numbers of `dtype` that both sides get alike: small ones of both signs, and in floats zeros, NaN and infinities
    (`special`)."""
    size = math.prod(shape) if isinstance(shape, tuple) else shape
    rng = numpy.random.default_rng(seed)
    dtype = numpy.dtype(dtype)
    whole = rng.integers(-20, 21, size)
    if dtype.kind == "b":
        a = whole > 0
    elif dtype.kind in "u":
        a = abs(whole).astype(dtype)
    elif dtype.kind == "f":
        a = (whole / 8 + rng.random(size)).astype(dtype)
        if special:
            a[::7] = [0.0, -0.0, numpy.nan, numpy.inf, -numpy.inf, 1.0, -1.0][seed % 7]
            a[3::11] = 0.0
    elif dtype.kind == "c":
        a = (whole / 8 + 1j * rng.random(size)).astype(dtype)
    elif dtype.kind in "US":
        a = numpy.array([str(abs(k) % 13) for k in whole], dtype)
    elif dtype.kind in "mM":
        a = whole.astype(dtype)
    else:
        a = whole.astype(dtype)
    return np.array(a.reshape(shape))
