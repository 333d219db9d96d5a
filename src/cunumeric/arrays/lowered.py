"""NumPy's functions as calls for an accelerator: arguments divided into arrays and what is fixed, by
`lowering.TABLE`. Functions that take more than one call (`WAYS`: results whose size the data decide, arguments that
must be checked, arrays that are written) are in the modules beside this one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import call as calls
from ..graph import warning, window
from ..graph.node import Node
from ..ops import lowering
from ..ops.calls import Bound
from ..runtime import residence
from ..runtime.settings import settings
from . import fallback
from .base import Deferred, host
from .base import ndarray as _ndarray
from .extension import Quick, quick

ndarray: Any = _ndarray  # its methods are attached elsewhere
nd = np.ndarray
_ATOMS = (type(None), bool, int, float, complex, str, np.dtype, type, np.generic)
# Arrays of so many elements can be fixed arguments: axes, widths, percentiles.
_FIXED_MOST = 1024

# Set where recording is in C: `again(name, args, kwargs)` records what was recorded before, and gives None for all
# else; `key` says what a call is known by. Its name is NumPy's function or, of what a way calls, the table's row.
again: Callable[[Any, tuple, dict[str, Any]], Any] | None = None
key: Callable[[Any, tuple, dict[str, Any]], Any] | None = None
# NumPy's function -> a function with its signature that makes several calls, or says NotImplemented.
WAYS: dict[Any, Callable[..., Any]] = {}


# Of ways that do some calls by one row of the table, without looking at values: which calls, told by their arguments.
DIRECT: dict[Any, Callable[..., bool]] = {}


def way(
    *functions: Any, direct: Callable[..., bool] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a way of doing NumPy's `functions` by several calls; those for which `direct` is true are done by one."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            WAYS[function] = f
            if direct is not None:
                DIRECT[function] = direct
        return f

    return enter


def concerns(v: Any) -> bool:
    """Whether `v` is an array that is on the device, or belongs there."""
    if type(v) is not ndarray:
        return type(v) is Deferred
    a = v._a
    return type(a) is Node or a.size >= settings.record_min or residence.on_device(a)


def worth_recording(v: Any) -> bool:
    """Whether operations on `v` are worth recording from Python: it is large or on the device, or others wait."""
    if type(v) is not ndarray:
        return False
    return bool(window.pending) or (concerns(v) and (residence.accelerated or v._a.size >= 4 * settings.record_min))


def _fixed(v: Any) -> Any:
    """A fixed argument as something hashable; raises TypeError for what cannot be one."""
    if type(v) is Deferred:
        return v.value()
    if isinstance(v, _ATOMS):
        return v
    if isinstance(v, (tuple, list)):
        return tuple([_fixed(e) for e in v])
    if type(v) is ndarray or type(v) is nd:
        if v.size > _FIXED_MOST or v.dtype not in (np.float64, np.int64, np.bool_):
            raise TypeError
        a = host(v, writes=False)
        return _fixed(a.tolist()) if a.ndim else a[()]
    raise TypeError


def attempt(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What NumPy's `function` gives, recorded for the accelerator; NotImplemented where it is NumPy's to do."""
    if again is not None:
        r = again(function, args, kwargs)
        if r is not None:
            return r
    found = WAYS.get(function)
    if found is None:
        return _anew(function, function, args, kwargs)
    try:
        r = found(*args, **kwargs)
        direct = DIRECT.get(function)
        if direct is not None and type(r) in (ndarray, Deferred) and direct(*args, **kwargs):
            remember(function, args, kwargs, r._x if type(r) is Deferred else r if r.ndim else None)
        return r
    except Elsewhere:
        return NotImplemented
    except TypeError as error:  # arguments that the way does not take: NumPy says so, or takes them
        if settings.faults and error.__traceback__.tb_next is not None:  # type: ignore[union-attr]
            _blame(function, args, kwargs, error)
        return NotImplemented


def _blame(function: Any, args: tuple, kwargs: dict[str, Any], error: TypeError) -> None:
    """Raise a `Fault` if NumPy takes the call in which `error` was raised."""

    def copied(v: Any) -> Any:
        if type(v) in (list, tuple):
            return type(v)([copied(e) for e in v])
        return host(v, writes=False).copy() if type(v) is ndarray else v.value() if type(v) is Deferred else v

    copies = [copied(v) for v in args], {name: copied(v) for name, v in kwargs.items()}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*copies[0], **copies[1])
    except Exception:
        return
    raise lowering.Fault(f"the way of {function.__name__} failed: {error!r}") from error


# Chapters of calls that NumPy never warns in: elements are moved and compared.
_SILENT = frozenset({"sorting", "movement", "selection", "indexing"})
_COMPARISONS = f"{lowering.__name__}.comparisons"


def warns(spec: lowering.Spec) -> bool:
    """Whether NumPy may warn in this call. The device does not: where somebody waits for it, the call is NumPy's."""
    chapter = spec.lowering.__module__.rpartition(".")[2]
    return chapter not in _SILENT and spec.function.__module__ != _COMPARISONS


def recorded(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`attempt` by one row of the table, for ways."""
    spec = lowering.TABLE.get(function)
    if again is not None and spec is not None:
        r = again(spec, args, kwargs)
        if r is not None:
            return r
    return _anew(spec, function, args, kwargs)


def _anew(call: Any, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`recorded`, for the first time; for C to record it as `call` from now on."""
    spec = lowering.TABLE.get(function)
    if spec is None or len(args) > len(spec.names):
        return NotImplemented
    if kwargs and spec.takes is not None and not spec.takes.issuperset(kwargs):
        return NotImplemented
    given: list[tuple[str, int]] = []
    arrays: list[Any] = []
    static: list[tuple[str, Any]] = []
    out = None
    try:
        for name, v in (*zip(spec.names, args, strict=False), *sorted(kwargs.items())):
            kind = spec.arrays.get(name)
            if name == "out":
                out = v
            elif v is np._NoValue:
                continue
            elif name == "keepdims" and not isinstance(v, (int, np.bool_)):
                return NotImplemented  # NumPy says what is wrong, or warns
            elif kind is None or v is None or (kind == "?" and isinstance(v, _ATOMS) and type(v) is not Deferred):
                static.append((name, _fixed(v)))
            elif kind == "*":
                if type(v) not in (list, tuple):
                    return NotImplemented
                given.append((name, len(v)))
                arrays.extend(v)
            else:
                given.append((name, -1))
                arrays.append(v)
    except TypeError:
        return NotImplemented
    if out is not None and any(name == "casting" or (name == "dtype" and v is not None) for name, v in static):
        return NotImplemented  # what goes into what is NumPy's to say
    there = spec.grows or not spec.arrays or any(map(concerns, arrays))
    if not there or (warns(spec) and warning.kinds_heard() is None):
        return NotImplemented
    changing = _changing(spec, arrays, static) if spec.numbers else {}
    r: Any = NotImplemented
    if changing:
        fixed = tuple([(name, v) for name, v in static if name not in changing])
        operands = [(name, -1) for name in changing]
        r = calls.call(spec, (*given, *operands), [*arrays, *changing.values()], fixed)
    if r is NotImplemented:
        r = calls.call(spec, tuple(given), arrays, tuple(static))
    if r is NotImplemented:
        return r
    if out is None:
        if type(r) is ndarray:
            remember(call, args, kwargs, r, arrays)
        return told(r)
    return _into(out, r, "dtype" in spec.names)


def remember(call: Any, args: tuple, kwargs: dict[str, Any], r: Any, given: list[Any] | None = None) -> None:
    """Have C record such calls, which gave the array `r`, from now on (`again`); `given`: their operands."""
    known = key(call, args, kwargs) if key is not None and r is not None and type(r._a) is Node else None
    if known is not None:
        (name, held), row = known, r._a.row
        calls.remember(name, held, given or [], r, type(row) is not Bound or warns(row.spec))


# Values of a number that are compiled into programs: shifts and places are few, and known ones cost less.
_INTEGERS_MOST = 4
_FLOATS_MOST = 2
_met: dict[Any, set[str]] = {}
_CALLS_MOST = 4096


def _changing(spec: lowering.Spec, arrays: list[Any], static: list[tuple[str, Any]]) -> dict[str, np.ndarray]:
    """Those of a call's fixed numbers whose values keep changing, as operands (`lowering.numbers`)."""
    numbers = {name: v for name, v in static if name in spec.numbers and (type(v) is float or type(v) is int)}
    if not numbers:
        return {}
    fixed = {name: v for name, v in static if name not in numbers}
    if len(_met) > _CALLS_MOST:
        _met.clear()
    values = _met.setdefault((spec.function, tuple(numbers), repr(fixed)), set())
    value = repr(numbers)
    if value in values:
        return {}
    if len(values) < (_FLOATS_MOST if float in map(type, numbers.values()) else _INTEGERS_MOST):
        values.add(value)
        return {}
    dtypes = [v.dtype for v in arrays if hasattr(v, "dtype")]
    found = {name: spec.numbers[name](v, dtypes, dict(static)) for name, v in numbers.items()}
    return {name: v for name, v in found.items() if v is not None}


def one(function: Any, *args: Any, **kwargs: Any) -> Any:
    """`recorded`, as an array even where it has no dimensions; raises `Elsewhere` where it is NumPy's."""
    r = recorded(function, args, kwargs)
    if r is NotImplemented:
        raise Elsewhere
    return r


class Elsewhere(TypeError):
    """Raised inside a way: NumPy does the call on the host after all."""


# Functions that make arrays from numbers alone, and which calls of them are none of the accelerator's; see
# `_functions.h`. Of others like them Python decides.
_FROM_NUMBERS = {
    np.empty: "FROM_NOTHING", np.zeros: "FROM_NOTHING", np.ones: "FROM_NOTHING", np.full: "FROM_NOTHING",
    np.arange: "COUNTED", np.linspace: "SIZED", np.eye: "", np.identity: "", np.tri: "", np.indices: "",
    np.meshgrid: "", np.fromfunction: "", np.logspace: "", np.geomspace: "",
}  # fmt: skip


def offer(ours: Any, numpys: Any) -> Any:
    """`ours`, with the accelerator asked first, and a word said where it declines and the bytes have to move."""
    call = fallback.aloud(ours, numpys)
    if numpys in lowering.TABLE or numpys in WAYS:
        call = _asking_first(ours, numpys, call)
    rule = _FROM_NUMBERS.get(numpys, "AT_HOME")
    if call is not ours and ours in quick and rule:
        quick[call] = Quick(quick[ours].numpys, rule, quick[ours].likes)
    return call


def _asking_first(ours: Any, numpys: Any, aloud: Any) -> Any:
    def call(*args, **kwargs):
        r = attempt(numpys, args, kwargs)
        if r is not NotImplemented:
            return r
        # Where NumPy does it for the sake of its warnings or errors, ours would be one too many.
        return ours(*args, **kwargs) if warning.kinds_heard() is None else aloud(*args, **kwargs)

    return call


# Methods that are functions of NumPy's with the array as first argument, and those that have ways of their own.
METHODS = {
    name: getattr(np, name)
    for name in """sum prod min max mean any all std var argmax argmin cumsum cumprod dot clip round take repeat trace
    searchsorted nonzero choose argsort argpartition""".split()
} | {name: getattr(nd, name) for name in "sort partition put flatten compress conj conjugate".split()}


def told(r: Any) -> Any:
    """Results as the user has them: those without dimensions are scalars."""
    if type(r) is tuple:
        return tuple([told(e) for e in r])
    return Deferred(r) if not r.ndim else r


def _into(out: Any, r: Any, decides: bool) -> Any:
    """`r`, stored in the array `out`; `decides`: NumPy computes in the dtype of `out`."""
    if type(out) is tuple and len(out) == 1:
        out = out[0]
    if type(out) is not ndarray or type(r) is not ndarray or out.shape != r.shape or not out.ndim:
        return NotImplemented
    if not np.can_cast(r.dtype, out.dtype, "same_kind") or (decides and r.dtype != out.dtype):
        return NotImplemented
    out[...] = r
    return out
