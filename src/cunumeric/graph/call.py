"""Recording calls: operations that are not elementwise, on an engine that runs them (`window.infer`).

A call becomes one node for each of its results. Shapes and dtypes are the engine's to say, and known at the call.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np

from ..ops.calls import Bound, bind
from ..ops.lowering import Spec
from ..runtime import residence
from ..runtime.settings import settings
from . import record, warning, window
from .node import Leaf, Node

nd = np.ndarray
_WORDS = (bool, int, float, complex, np.number, np.bool_)


class _No(Exception):
    """This call is NumPy's."""


def _operand(v: Any) -> Any:
    """A node, a NumPy array, or a 0-d array."""
    t = type(v)
    if t is record.ndarray:
        v = v._a
        t = type(v)
        if t is Node:
            return v
    elif t is record.Deferred:
        v = v._x._a
        t = type(v)
        if t is Node:
            return v
    elif t in (list, tuple):
        try:
            v = np.asarray(v)
        except (ValueError, TypeError):
            raise _No from None
    elif isinstance(v, _WORDS):
        try:
            v = np.asarray(v)
        except OverflowError:
            raise _No from None
    elif t is not nd:
        raise _No
    if not residence.suits(v.dtype) or not v.flags.aligned:
        raise _No
    return v


# The axes of an array in descending order of strides, each with the sign of its stride; None for C order.
_Order = tuple[tuple[int, int], ...] | None


def _order(v: Any) -> _Order:
    if type(v) is Node:
        strides = v.strides
        if strides is None:
            return None
    elif v.ndim < 2 or record._descending(v):
        return None
    else:
        strides = v.strides
    return tuple([(k, int(np.sign(strides[k]))) for k in _descending(strides)])


def _descending(strides: tuple[int, ...]) -> list[int]:
    """The axes in descending order of strides."""
    return sorted(range(len(strides)), key=lambda k: -abs(strides[k]))


def _stand_in(shape: tuple[int, ...], dtype: np.dtype, order: _Order) -> np.ndarray:
    """An array of this shape and memory order: zeros for integers, which may be indices; ones otherwise."""
    make = np.zeros if dtype.kind in "iu" else np.ones
    if order is None:
        return make(shape, dtype)
    a = make([shape[k] if sign else 1 for k, sign in order], dtype)
    a = a[tuple([slice(None, None, sign or 1) for _, sign in order])]
    return np.broadcast_to(a.transpose(np.argsort([k for k, _ in order])), shape)


@functools.lru_cache(maxsize=4096)
def _axes(bound: Bound, operands: tuple[tuple[tuple[int, ...], np.dtype, _Order], ...]) -> list[list[int]]:
    """For each result its axes in descending order of strides, as NumPy makes them for operands of these memory
    orders. It is asked with small arrays, whose lengths are equal where the operands' are."""
    lengths = sorted({n for shape, _, _ in operands for n in shape if n > 1})
    small = {n: k + 2 for k, n in enumerate(lengths)}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = bound.numpys(*[_stand_in(tuple([small.get(n, n) for n in s]), d, o) for s, d, o in operands])
    except Exception:  # lengths that other arguments name: as the first operand lies
        return [[k for k, _ in operands[0][2] or ()]]
    return [_descending(np.asarray(r).strides) for r in (found if isinstance(found, (tuple, list)) else [found])]


def _strides(axes: list[int], shape: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    """Strides of an array without gaps whose axes are in this order; None for C order."""
    if len(axes) != len(shape) or axes == list(range(len(axes))):
        return None
    found = [0] * len(shape)
    for k in reversed(axes):
        found[k] = itemsize
        itemsize *= shape[k]
    return tuple(found)


def _concerns(operands: list[Any]) -> bool:
    """Whether the device is the place for a call on these; it is for what is made from nothing."""
    return not operands or any(
        type(v) is Node or v.size >= settings.record_min or residence.on_device(v) for v in operands
    )


def call(spec: Spec, given: tuple[tuple[str, int], ...], arrays: list[Any], static: tuple[tuple[str, Any], ...]) -> Any:
    """The result of the call, an array or a tuple of arrays, recorded; NotImplemented where it is NumPy's. `given`
    names the parameters that `arrays` are for (see `Bound`), `static` the other arguments."""
    if not residence.accelerated or not record._ready():
        return NotImplemented
    try:
        with window.lock:
            for v in arrays:
                t = type(v)
                if t is nd:
                    window.expose(v)
                elif t is record.ndarray and type(v._a) is nd and not v._a.ndim and window.touched(v._a):
                    window.flush()
            operands = [_operand(v) for v in arrays]
            if not (spec.grows or _concerns(operands)) or warning.kinds_heard() is None:
                return NotImplemented
            first = bind(spec, given, static, None)
            found = window.infer(first, tuple([(v.shape, v.dtype) for v in operands]))
            if found is None:
                return NotImplemented
            args: list[Any] = []
            exposed = False
            for v in operands:
                if type(v) is nd and (v.ndim or residence.on_device(v)):
                    v = window.leaf(v)
                    exposed = exposed or window.is_exposed(v.owner)
                elif type(v) is nd:
                    v = v.copy()
                args.append(v)
            several, results = found
            if not any(math.prod(shape) for shape, _ in results):
                empty = tuple([record._as_array(np.empty(shape, dtype)) for shape, dtype in results])
                return empty if several else empty[0]
            for shape, dtype in results:
                if not residence.suits(dtype) or not math.prod(shape):
                    return NotImplemented
                residence.ask(shape, dtype)
            orders = [_order(v) for v in operands]
            axes: list[list[int]] = []
            if any(orders):
                axes = _axes(first, tuple([(v.shape, v.dtype, o) for v, o in zip(operands, orders, strict=True)]))
            made = []
            for index, (shape, dtype) in enumerate(results):
                row: Any = bind(spec, given, static, index) if several else first
                node = Node(row, tuple(args), shape, dtype, math.prod(shape), window.sequence())
                if axes:
                    node.strides = _strides(axes[min(index, len(axes) - 1)], shape, dtype.itemsize)
                made.append(record._stands_for(node))
            record._finish(exposed)
            return tuple(made) if several else made[0]
    except (_No, TypeError):
        return NotImplemented


def remember(key: Any, held: tuple[Any, ...], given: list[Any], r: Any, warns: bool) -> None:
    """Have C record calls of this key (`arrays/_calls.h`) without asking here, after one that gave `r`. `held`: what
    the arrays in the key hold; they must be the operands, of which numbers are copies of what was `given`, for others
    are fixed by their values. `warns`: where somebody waits for warnings the call is NumPy's."""
    node = r._a
    if type(node) is not Node or node.strides is not None or len(record.signatures) >= record.SIGNATURES_MOST:
        return
    if len(held) != len(node.args) or any(_order(a) is not None for a in held):
        return

    def holds(k: int, v: Any, a: Any) -> bool:
        return v is a or (v.a is a if type(v) is Leaf else type(v) is nd and k < len(given) and given[k] is a)

    if all(holds(k, v, a) for k, (v, a) in enumerate(zip(node.args, held, strict=True))):
        described = (node.shape, node.dtype, node.size, None, warns, node.ndim, node.itemsize, node.nbytes)
        record.signatures[key] = (*described, node.row)
