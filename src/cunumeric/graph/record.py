"""Recording: which calls become nodes and stores, and which are left to NumPy at once (NotImplemented).

Left to NumPy: small results whose operands do not wait for anything; dtypes that tiles do not work on; operands whose
memory order would not give C order; calls in which NumPy raises (it then raises at the call, in its own words); and
operations that could warn where warnings cannot be deferred (`warning`).
"""

from __future__ import annotations

import math
import sys
import weakref
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from ..ops import elementwise
from ..ops.elementwise import CAST, COPY, WHERE, Row, resolve
from ..runtime import lines, memory, residence
from ..runtime.settings import settings
from . import warning, window
from .node import Node, Reduction, Store, owner_of
from .window import company

nd = np.ndarray
_WEAK = frozenset({int, float, complex})
_NUMBERS = (np.number, np.bool_)
# Above this, memory for the result is asked for (and given back) at the call, so that MemoryError comes at the call.
_ASK_FROM = 1 << 30
# Bits of `flags.num`: writeable, and warn on write. Reading `flags.writeable` warns too.
_WRITEABLE, _WRITING = 0x400, 0x400 | 1 << 31
# Below this many additions of elements an operation is worth recording only in company (`window.company`).
_MIDDLING = 1 << 21
# From this many elements on, threads reduce an array faster than NumPy alone.
_REDUCED_FROM = 1 << 21
SIGNATURES_MOST = 1 << 16
_SILENT_ON_INTEGERS = frozenset({"add", "subtract", "multiply", "square", "negative", "absolute", "cast"})

# Set by the array layer: the classes of arrays and of deferred scalars.
ndarray: Any = None
Deferred: Any = None
_new = object.__new__


# What was seen to be recorded: (row, shape and dtype of each operand, or None and the type of a scalar) gives
# (shape, dtype, size, dtypes of the operands, whether floating-point flags may be heard).
signatures: dict[tuple, tuple] = {}
# Set where it is built: recording in C of what is in `signatures`; None for everything else.
at_once: Any = None


class _No(Exception):
    """This call is NumPy's."""


def _descending(a: np.ndarray) -> bool:
    """Whether the axes are in C order of memory, so that results of this operand are in C order too."""
    if a.flags.c_contiguous:
        return True
    last = math.inf
    for n, s in zip(a.shape, a.strides, strict=True):
        if n == 1:
            continue
        if s <= 0 or s > last:
            return False
        last = s
    return True


def _operands(args: tuple) -> list[Any]:
    """Arguments as nodes, NumPy arrays, or Python or NumPy scalars; _No for anything else."""
    for v in args:
        # Whatever must run first runs before any operand is looked at: running turns nodes into memory.
        t = type(v)
        if t is nd:
            window.expose(v)  # the user holds it, and can write it past us
        elif t is ndarray and window.pending and v._a.ndim == 0 and type(v._a) is nd and window.touched(v._a):
            window.flush()
    return [_operand(v) for v in args]


def _operand(v: Any) -> Any:
    t = type(v)
    if t is ndarray:
        a = v._a
        return a.copy() if type(a) is nd and a.ndim == 0 and not residence.on_device(a) else a
    if t in _WEAK or t is nd:
        return v
    if t is bool:
        return np.bool_(v)
    if t is Deferred:
        return v._x._a
    if isinstance(v, _NUMBERS):
        return v
    raise _No


def _build(row: Row, values: list[Any]) -> tuple[Node, bool]:
    """A node of `row` on operands (see `_operands`), and whether some operand's memory is exposed; _No where the call
    is NumPy's. Nothing is entered into the window."""
    signature = []
    shape: tuple[int, ...] = ()
    waits = False
    accelerated = residence.accelerated
    for v in values:
        t = type(v)
        if t is Node:
            waits = True
            signature.append(v.dtype)
        elif t in _WEAK:
            signature.append(t)
            continue
        else:
            signature.append(v.dtype)
        s = v.shape
        if s != shape:
            if not shape:
                shape = s
            elif s:
                try:
                    shape = np.broadcast_shapes(shape, s)
                except ValueError:
                    raise _No from None
    size = math.prod(shape)
    if size == 0 or (not shape and not (accelerated and (waits or _any_waits(values)))):
        raise _No
    if not waits and size * row.cost < _MIDDLING:
        small = size < settings.record_min
        alone = small or (settings.record_min and not accelerated and _seen(row, values) and not company.expected(size))
        if alone and not _any_waits(values):
            raise _No
    dtypes = resolve(row, tuple(signature))
    if dtypes is None:
        raise _No
    out = dtypes[-1]
    kinds: Any = warning.IGNORE
    flagged = False
    if accelerated and row.lower is None:
        raise _No
    if not row.silent:
        integer = dtypes[0].kind in "biu" and out.kind in "biu"
        if (
            integer
            and row.name == "power"
            and not (accelerated and type(values[1]) is int and values[1] >= 0 and values[0].dtype.kind in "iu")
        ):
            raise _No  # a negative exponent is an error that only the data shows
        if not (integer and row.name in _SILENT_ON_INTEGERS):
            flagged = True
            kinds = warning.kinds_heard()
            if kinds is None:
                raise _No
    if accelerated and not all(map(residence.suits, dtypes)):
        raise _No
    exposed = ordered = False
    args = []
    for v, d in zip(values, dtypes, strict=False):
        t = type(v)
        if t is Node:
            if v.shape != shape and not accelerated:
                raise _No  # another iteration space
            ordered = ordered or v.strides is not None
            args.append(v)
        elif t is nd and (v.ndim or (accelerated and residence.on_device(v))):
            if accelerated and not residence.suits(v.dtype):
                raise _No
            if not _descending(v) or not v.flags.aligned:
                if not accelerated or not v.flags.aligned:
                    raise _No
                ordered = True
            leaf = window.leaf(v)
            exposed = exposed or window.is_exposed(leaf.owner)
            args.append(leaf)
        else:
            try:
                args.append(np.array(v, d))
            except (OverflowError, TypeError):
                raise _No from None
    if size * out.itemsize >= _ASK_FROM:
        if accelerated:
            residence.ask(shape, out)
        else:
            np.empty(shape, out)
    node = Node(row, tuple(args), shape, out, size, window.sequence())
    if ordered:
        node.strides = _result_strides(values, out)
    elif at_once is not None and not (row.name == "power" and out.kind in "iu") and len(signatures) < SIGNATURES_MOST:
        described = (len(shape), out.itemsize, size * out.itemsize)
        signatures[_signature(row, values)] = (shape, out, size, dtypes, flagged, *described)
    if kinds and not accelerated:  # a device tells of no flags
        node.errors = warning.Ear(kinds)
    return node, exposed


def _signature(row: Row, values: list[Any]) -> tuple:
    key: list[Any] = [row]
    for v in values:
        key += (v.shape, v.dtype) if type(v) is Node or type(v) is nd else (None, type(v))
    return tuple(key)


def _seen(row: Row, values: list[Any]) -> bool:
    """Whether C may know the operation: what was not recorded yet is recorded once, so that it does."""
    return at_once is None or len(signatures) >= SIGNATURES_MOST or _signature(row, values) in signatures


def _result_strides(values: list[Any], dtype: np.dtype) -> tuple[int, ...] | None:
    """Strides of the result that NumPy makes for operands of these memory orders; None for C order."""
    stand_ins = []
    for v in values:
        if type(v) is Node:
            if v.strides is None:
                v = np.empty(v.shape, bool)
            else:
                span = sum(s * (n - 1) for n, s in zip(v.shape, v.strides, strict=True)) + v.itemsize
                v = np.ndarray(v.shape, v.dtype, np.empty(span, np.uint8), strides=v.strides)
        if isinstance(v, nd):
            stand_ins.append(v)
    flags: Any = [["readonly"]] * len(stand_ins) + [["writeonly", "allocate"]]
    found = np.nditer([*stand_ins, None], [], flags, [None] * len(stand_ins) + [dtype]).operands[-1]  # type: ignore[list-item]
    return None if found.flags.c_contiguous else found.strides


def _any_waits(values: list[Any]) -> bool:
    """Whether recorded work reads or writes the memory of some operand: then joining it is cheaper than running it now,
    which is what handing that memory to NumPy does. Likewise where the memory is on the device."""
    if residence.accelerated and any(type(v) is nd and residence.on_device(v) for v in values):
        return True
    if window.pending:
        for v in values:
            if type(v) is nd and window.touched(v):
                return True
    return False


def _stands_for(node: Node) -> Any:
    """A new array that stands for `node`, which enters the window."""
    x = _new(ndarray)
    x._a = node
    x._b = None
    node.handle = weakref.ref(x)
    if node.nbytes >= lines.KEPT_FROM and residence.accelerated:
        node.line = lines.here()
    window.note(node)
    return x


def _finish(exposed: bool) -> None:
    if exposed:
        window.flush()


def _ready() -> bool:
    if window.state.lingering is not None:
        window._drop_lingering()
    window.cut()
    return not settings.eager and not window.busy()


def elementwise_call(row: Row, args: tuple) -> Any:
    """`row` on `args` as a recorded array, or NotImplemented."""
    if at_once is not None:
        r = at_once(row, args)
        if r is not None:
            return r
    if not _ready():
        return NotImplemented
    try:
        with window.lock:
            node, exposed = _build(row, _operands(args))
            x = _stands_for(node)
            _finish(exposed)
            return x
    except _No:
        return NotImplemented


# -- operators and ufunc calls -----------------------------------------------------------------------------------------

_SQUARE: Row = elementwise.row(np.square)  # type: ignore[assignment]
_SQRT: Row = elementwise.row(np.sqrt)  # type: ignore[assignment]
_RECIPROCAL: Row = elementwise.row(np.reciprocal)  # type: ignore[assignment]
_POSITIVE: Row = elementwise.row(np.positive)  # type: ignore[assignment]
# NumPy's operator has short ways for these exponents, with results and warnings of their own.
_SHORT = {(int, 2): _SQUARE, (int, 1): _POSITIVE, (int, -1): _RECIPROCAL, (float, 0.5): _SQRT}


def operator(row: Row, x: Any, y: Any, reflected: bool) -> Any:
    """A Python operator on an array of ours."""
    if row.name == "power" and not reflected and type(y) in (int, float):
        kind = x._a.dtype.kind
        if kind in "fc":
            short = _SHORT.get((type(y), y))
            if y == 2 and kind == "f" and residence.accelerated:
                short = _SQUARE  # NumPy's loop multiplies, a device's powers are a bit off
            if short is not None:
                return elementwise_call(short, (x,))
            if y == 0:
                return NotImplemented
        elif kind in "iu" and y == 2 and type(y) is int:
            return elementwise_call(_SQUARE, (x,))
    return elementwise_call(row, (y, x) if reflected else (x, y))


def inplace(row: Row, x: Any, y: Any) -> bool | Any:
    """`x op= y` for an array of ours: True, or NotImplemented."""
    if not _ready() or (row.name == "power" and x._a.dtype.kind not in "fc"):
        return NotImplemented
    if row.name == "power" and type(y) in (int, float):
        short = _SHORT.get((type(y), y))
        return _into(short, (x,), x) if short is not None else NotImplemented
    return _into(row, (x, y), x)


def _into(row: Row, args: tuple, out: Any) -> bool | Any:
    """`row` on `args`, stored in the array `out`: True, or NotImplemented."""
    try:
        with window.lock:
            node, exposed = _build(row, _operands(args))
            target = out._a
            if node.shape != target.shape or not np.can_cast(node.dtype, target.dtype, "same_kind"):
                return NotImplemented
            if type(target) is Node:
                if node.dtype == target.dtype:
                    # No memory was given to the array yet: it stands for the new value from now on.
                    node.strides = target.strides
                    window.note(node)
                    target.handle = None
                    node.handle = weakref.ref(out)
                    out._a = node
                    _finish(exposed)
                    return True
                target = window.place(out)
            if target.flags.num & _WRITING != _WRITEABLE or not _storable(target):
                return NotImplemented
            destination = window.leaf(target)
            window.note(node)
            window.note_store(destination, node)
            _finish(exposed or window.is_exposed(destination.owner))
            return True
    except _No:
        return NotImplemented


def _storable(a: np.ndarray) -> bool:
    d = a.dtype
    if residence.accelerated:
        return residence.suits(d) and a.flags.aligned and (a.flags.c_contiguous or _nested(a))
    return d.kind in elementwise.KINDS and d.isnative and a.flags.aligned and _descending(a) and _distinct(a)


def _nested(a: np.ndarray) -> bool:
    """Whether each axis, from the smallest step on, steps over everything that those before it span."""
    axes = sorted(zip([abs(s) for s in a.strides], a.shape, strict=True), reverse=True)
    span = a.itemsize
    for s, n in reversed(axes):
        if n > 1:
            if s < span:
                return False
            span = s * (n - 1) + span
    return True


def _distinct(a: np.ndarray) -> bool:
    """Whether no two elements share memory."""
    return all(s != 0 or n <= 1 for n, s in zip(a.shape, a.strides, strict=True)) and (
        a.flags.c_contiguous or a.base is None or _nested(a)
    )


def ufunc_call(row: Row, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A ufunc called by name: with `out=` of ours, or without keywords."""
    out = None
    if kwargs:
        if set(kwargs) != {"out"}:
            return NotImplemented
        out = kwargs["out"]
        if type(out) is tuple and len(out) == 1:
            out = out[0]
    if len(args) == row.nin + 1 and out is None and row.name not in ("maximum", "minimum"):  # those warn of it
        *args, out = args  # type: ignore[assignment]
    if len(args) != row.nin:
        return NotImplemented
    if out is None:
        return elementwise_call(row, tuple(args))
    if type(out) is not ndarray or not _ready():
        return NotImplemented
    return out if _into(row, tuple(args), out) is True else NotImplemented


def where(condition: Any, x: Any, y: Any) -> Any:
    """`numpy.where` with three arguments."""
    if not _ready():
        return NotImplemented
    c = condition
    if type(c) is ndarray and c._a.dtype != bool:
        c = elementwise_call(elementwise.row(np.not_equal), (c, 0))  # type: ignore[arg-type]
        if c is NotImplemented:
            return c
    elif type(c) is not ndarray:
        return NotImplemented
    return elementwise_call(WHERE, (c, x, y))


def cast(x: Any, dtype: Any, casting: str) -> Any:
    """`x.astype(dtype)`."""
    if type(dtype) is str and dtype[:1] == "a":
        return NotImplemented  # NumPy warns of the old name of bytes, once
    try:
        to = np.dtype(dtype)
    except TypeError:
        return NotImplemented
    a = x._a
    if casting not in ("no", "equiv", "safe", "same_kind", "unsafe"):
        return NotImplemented
    if not _ready() or to.kind not in elementwise.KINDS or not to.isnative or a.ndim == 0:
        return NotImplemented
    if a.dtype.kind not in elementwise.KINDS or (a.dtype.kind == "c" and to.kind != "c"):
        return NotImplemented  # NumPy warns of the discarded imaginary part
    if to.char == "e" and a.dtype.kind in "iu":
        return NotImplemented  # NumPy warns of overflow, which casts of integers have with half floats alone
    if not np.can_cast(a.dtype, to, casting):  # type: ignore[arg-type]
        return NotImplemented
    if residence.accelerated and not residence.suits(to):
        return NotImplemented
    try:
        with window.lock:
            node, exposed = _build(CAST if to != a.dtype else COPY, _operands((x,)))
            if node.strides is not None:
                node.strides = tuple([s // node.itemsize * to.itemsize for s in node.strides])
            node.dtype, node.itemsize = to, to.itemsize
            node.nbytes = node.size * to.itemsize
            y = _stands_for(node)
            _finish(exposed)
            return y
    except _No:
        return NotImplemented


def copy(x: Any, order: str) -> Any:
    """`x.copy(order)`."""
    if order not in ("C", "K"):
        return NotImplemented
    y = elementwise_call(COPY, (x,))
    if order == "C" and y is not NotImplemented and type(y._a) is Node:
        y._a.strides = None
    return y


# -- stores ------------------------------------------------------------------------------------------------------------

_BASIC = frozenset({slice, EllipsisType, NoneType, int, np.int64, np.intp})


def _is_basic(key: Any) -> bool:
    return all(type(k) in _BASIC for k in key) if type(key) is tuple else type(key) in _BASIC


def setitem(x: Any, key: Any, value: Any) -> bool:
    """`x[key] = value` for a basic index; False where it is NumPy's."""
    if not _ready() or not _is_basic(key):
        return False
    try:
        with window.lock:
            a = x._a
            if type(a) is Node:
                a = window.place(x)
            # With an ellipsis an index of integers names a view too, not an element.
            keys = key if type(key) is tuple else (key,)
            destination = a[keys if Ellipsis in keys else (*keys, ...)]
            if residence.accelerated and (residence.on_device(a) or (window.pending and window.written(a))):
                destination, value = _small_parts(a, destination, value)
            return _store(destination, a, *_operands((value,)))
    except (_No, IndexError):
        return False


# A loop that writes elements is left to the host after so many: there they cost next to nothing.
_DRIPS = 16


def _small_parts(a: np.ndarray, destination: np.ndarray, value: Any) -> tuple[np.ndarray, Any]:
    """One element of the device's memory as a view that can be stored to, and a list of numbers as an array: so that
    the whole memory need not come home for them. Raises `_No` where it had better."""
    if type(value) in (list, tuple) and all(type(v) in (bool, int, float) for v in value):
        try:
            value = np.array(value, destination.dtype)
        except (ValueError, OverflowError):
            raise _No from None  # NumPy says what is wrong
    if destination.ndim:
        return destination, value
    owner = owner_of(a)
    last = window.pending[-_DRIPS:]
    if len(last) == _DRIPS and all(
        type(p) is Store and p.destination.owner is owner and p.destination.a.size == 1 for p in last
    ):
        raise _No
    return destination.reshape(1), value


def fill(x: Any, value: Any) -> bool:
    """`x.fill(value)`."""
    if not _ready():
        return False
    try:
        with window.lock:
            a = x._a
            if type(a) is Node:
                a = window.place(x)
            (v,) = _operands((value,))
            return type(v) is not nd and type(v) is not Node and _store(a, a, v)
    except _No:
        return False


def _store(destination: np.ndarray, whole: np.ndarray, value: Any) -> bool:
    """Record `destination[...] = value`; False where it is NumPy's, or not worth recording."""
    size = destination.size
    if size == 0 or destination.flags.num & _WRITING != _WRITEABLE or destination.ndim == 0:
        return False
    if not _storable(destination):
        return False
    dtype = destination.dtype
    t = type(value)
    scalar = t is not Node and not (t is nd and (value.ndim or residence.on_device(value)))
    waits = bool(window.pending) and (t is Node or window.written(whole) or (t is nd and window.written(value)))
    accelerated = residence.accelerated
    if accelerated and not waits:
        waits = residence.on_device(whole) or (t is nd and residence.on_device(value))
        if size >= settings.record_min and residence.remote_of(whole) is not None:
            waits = True
    if not waits and (size < settings.record_min or scalar):
        return False  # NumPy fills at the speed of memory
    alone = not waits and size < _MIDDLING and settings.record_min and not accelerated and not window.touched(whole)
    if alone and not (t is nd and window.touched(value)) and not company.expected(size):
        return False
    if scalar:
        if t is complex or (hasattr(value, "dtype") and value.dtype.kind == "c" and dtype.kind != "c"):
            return False
        try:
            source: Any = np.empty((), dtype)
            source[...] = value
        except (OverflowError, TypeError, ValueError):
            return False
        window.note_store(window.leaf(destination), source)
        _finish(window.is_exposed(window.leaf(destination).owner))
        return True
    if value.dtype.kind not in elementwise.KINDS or (value.dtype.kind == "c" and dtype.kind != "c"):
        return False
    exposed = False
    shape = value.shape
    if shape != destination.shape and not (accelerated and _spreads(shape, destination.shape)):
        return False
    if accelerated and not residence.suits(value.dtype):
        return False
    if t is nd:
        if not value.dtype.isnative or not value.flags.aligned or not (accelerated or _descending(value)):
            return False
        if _same_view(value, destination):
            return True  # x[i] op= y ends with x[i] = x[i]
        source = window.leaf(value)
        exposed = window.is_exposed(source.owner)
    else:
        source = value
    if value.dtype != dtype and warning.kinds_heard() is None:
        return False
    leaf = window.leaf(destination)
    window.note_store(leaf, source)
    _finish(exposed or window.is_exposed(leaf.owner))
    return True


def _spreads(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether a value of `shape` can be assigned to a view of shape `to`."""
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _same_view(a: np.ndarray, b: np.ndarray) -> bool:
    return (
        a.strides == b.strides
        and a.shape == b.shape
        and a.dtype == b.dtype
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )


# -- reductions --------------------------------------------------------------------------------------------------------

_UFUNC_OF = {
    "sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum, "any": np.logical_or,
    "all": np.logical_and,
}  # fmt: skip


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Normalised, distinct axes; _No where NumPy would raise."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int:
        axis = (axis,)
    if type(axis) is not tuple or not all(type(k) is int and -ndim <= k < ndim for k in axis):
        raise _No
    found = tuple(sorted({k % ndim for k in axis}))
    if len(found) != len(axis):
        raise _No
    return found


def _accumulator(ufunc: Any, dtype: np.dtype) -> np.dtype:
    """The dtype in which NumPy reduces `dtype` (sums of small integers are wide), or of positions."""
    if ufunc in (np.argmin, np.argmax):
        return np.dtype(np.intp)
    if ufunc in (np.logical_or, np.logical_and):
        return np.dtype(bool)
    if ufunc in (np.add, np.multiply) and dtype.kind in "biu" and dtype.itemsize < np.dtype(np.intp).itemsize:
        return np.dtype(np.uintp if dtype.kind == "u" else np.intp)
    return dtype


# References to an array inside the functions below when nothing but the call on it holds it: the caller's parameter,
# ours, and the argument of getrefcount. Should another Python count otherwise, only time is lost (`window._linger`).
_HELD_BY_CALL = 3


def reduce(ufunc: Any, x: Any, axis: Any, keepdims: bool, temporary: int, moments: bool = False) -> Any:
    """`ufunc.reduce(x, axis)` with everything recorded run before it, in one sweep where it fits; raises _No.
    `temporary`, `moments`: see `Reduction`."""
    (v,) = _operands((x,))
    if type(v) is not Node and (type(v) is not nd or v.ndim == 0):
        raise _No
    if v.dtype.kind not in elementwise.KINDS or not v.dtype.isnative or v.dtype == np.float16 or not v.size:
        raise _No
    if type(v) is nd:
        least = settings.record_min if window.pending else max(settings.record_min, _REDUCED_FROM)
        if (v.size < least and settings.record_min) or not _descending(v) or not v.flags.aligned:
            raise _No
    if v.dtype.kind == "c" and ufunc in (np.minimum, np.maximum):
        raise _No
    axes = _axes(axis, v.ndim)
    accumulator = np.dtype(np.float64) if moments else _accumulator(ufunc, v.dtype)
    kinds: Any = warning.IGNORE
    if v.dtype.kind in "fc" and ufunc in (np.add, np.multiply, np.minimum, np.maximum):
        kinds = warning.kinds_heard()
        if kinds is None:
            raise _No
    if not axes:
        raise _No
    shape = v.shape
    source: Any = v if isinstance(v, Node) else window.leaf(v)
    reduction = Reduction(ufunc, source, axes, accumulator)
    reduction.seq = window.sequence()
    reduction.temporary, reduction.moments = int(temporary), moments
    if kinds:
        reduction.errors = warning.Ear(kinds)
    window.flush(reduction)
    value = reduction.value
    if keepdims:
        value = memory.shaped(np.asarray(value), tuple([1 if k in axes else n for k, n in enumerate(shape)]))
    return value


def method_reduction(name: str, x: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`x.sum(axis, dtype, out, keepdims)` and its like; NotImplemented where it is NumPy's."""
    if not _ready() or residence.accelerated:
        return NotImplemented
    temporary = sys.getrefcount(x) <= _HELD_BY_CALL
    axis, keepdims, ddof = None, False, 0
    if args:
        if len(args) > 1:
            return NotImplemented
        axis = args[0]
    for k, v in kwargs.items():
        if k == "axis" and not args:
            axis = v
        elif k == "keepdims":
            keepdims = v
        elif k == "ddof" and name in ("std", "var"):
            ddof = v
        elif not (k in ("dtype", "out") and v is None):
            return NotImplemented
    if type(keepdims) is not bool or type(ddof) is not int:
        return NotImplemented
    try:
        with window.lock:
            if name in _UFUNC_OF:
                return _as_array(reduce(_UFUNC_OF[name], x, axis, keepdims, temporary))
            return _moment(name, x, axis, keepdims, ddof, temporary)
    except _No:
        return NotImplemented


def extreme(name: str, x: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`x.argmax(axis, keepdims=...)` or `x.argmin` of what is recorded, in the sweep that computes it; NotImplemented
    where it is NumPy's."""
    if type(x) is not ndarray or type(x._a) is not Node or not _ready() or residence.accelerated or len(args) > 1:
        return NotImplemented
    temporary = sys.getrefcount(x) <= _HELD_BY_CALL
    given = {"axis": args[0]} if args else {}
    given.update({k: v for k, v in kwargs.items() if not (k == "out" and v is None)})
    axis, keepdims = given.get("axis"), given.get("keepdims", False)
    if not set(given) <= {"axis", "keepdims"} or type(keepdims) is not bool or (args and "axis" in kwargs):
        return NotImplemented
    if x._a.dtype.kind not in "biuf" or not (axis is None or type(axis) is int):
        return NotImplemented
    try:
        with window.lock:
            ufunc: Any = np.argmax if name == "argmax" else np.argmin
            return _as_array(reduce(ufunc, x, axis, keepdims, temporary))
    except _No:
        return NotImplemented


def reduction_call(ufunc: np.ufunc, x: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """`ufunc.reduce(x, axis=0, keepdims=False)`."""
    if ufunc not in _UFUNC_OF.values() or not _ready() or len(args) > 1 or not set(kwargs) <= {"axis", "keepdims"}:
        return NotImplemented
    if residence.accelerated:
        return NotImplemented
    if not window.pending and x._a.size < settings.record_min:
        return NotImplemented
    temporary = sys.getrefcount(x) <= _HELD_BY_CALL
    axis = args[0] if args else kwargs.get("axis", 0)
    try:
        with window.lock:
            return _as_array(reduce(ufunc, x, axis, bool(kwargs.get("keepdims", False)), temporary))
    except _No:
        return NotImplemented


def _as_array(value: Any) -> Any:
    if type(value) is not nd:
        return value
    x = _new(ndarray)
    x._a = value
    x._b = None
    return x


def _moment(name: str, x: Any, axis: Any, keepdims: bool, ddof: int, temporary: bool) -> Any:
    """Mean, variance and standard deviation: the sum over the count; the sum of squared distances from the mean over
    the count less `ddof`, found in one sweep of all elements, in two along axes, as NumPy does."""
    dtype = x._a.dtype
    if dtype.kind not in "fiub" or dtype == np.float16:
        raise _No
    axes = _axes(axis, x._a.ndim)
    count = math.prod(x._a.shape[k] for k in axes)
    if count - ddof <= 0:
        raise _No
    wide = np.dtype(np.float64) if dtype.kind in "iub" else dtype
    source = x if dtype == wide else cast(x, wide, "unsafe")
    if source is NotImplemented:
        raise _No
    if name == "mean":
        return _as_array(_over(reduce(np.add, source, axis, keepdims, temporary or source is not x), count))
    if len(axes) == x._a.ndim:
        squares = reduce(np.add, source, axis, keepdims, temporary or source is not x, moments=True)
        with np.errstate(over="ignore"):
            value = (squares / (count - ddof)).astype(wide)
        return _as_array(np.sqrt(value) if name == "std" else value)
    if source is x and type(x._a) is Node:
        window.place(x)  # it is read twice
    mean = _over(reduce(np.add, source, axis, True, False), count)
    distance = elementwise_call(elementwise.row(np.subtract), (source, _as_array(mean)))  # type: ignore[arg-type]
    if distance is NotImplemented:
        raise _No
    squares = elementwise_call(elementwise.row(np.multiply), (distance, distance))  # type: ignore[arg-type]
    del distance
    value = _over(reduce(np.add, squares, axis, keepdims, True), count - ddof)
    if name == "std":
        value = np.sqrt(value)
    return _as_array(value)


def norm(x: Any) -> Any:
    """The square root of the sum of squares of what is recorded, in the sweep that computes it; NotImplemented where
    it is NumPy's."""
    temporary = sys.getrefcount(x) <= _HELD_BY_CALL
    if not _ready() or residence.accelerated or type(x._a) is not Node or x._a.dtype.char not in "fd":
        return NotImplemented
    squares = elementwise_call(elementwise.row(np.multiply), (x, x))  # type: ignore[arg-type]
    if squares is NotImplemented:
        return squares
    try:
        with window.lock:
            return np.sqrt(reduce(np.add, squares, None, False, 1 + temporary))
    except _No:
        return NotImplemented


def _over(total: Any, count: int) -> Any:
    """NumPy's division of a sum by a count: in place for arrays, in the sum's type for scalars."""
    if type(total) is nd:
        return np.true_divide(total, count, out=total, casting="unsafe")
    return total.dtype.type(total / count)
