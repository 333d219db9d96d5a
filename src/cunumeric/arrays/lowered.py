"""NumPy's functions as calls for an accelerator: arguments divided into arrays and what is fixed, by
`lowering.TABLE`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import call as calls
from ..graph.node import Node
from ..ops import lowering
from ..runtime import residence
from ..runtime.settings import settings
from .base import Deferred
from .base import ndarray as _ndarray

ndarray: Any = _ndarray  # its methods are attached elsewhere
_ATOMS = (type(None), bool, int, float, complex, str, np.dtype, type, np.generic)


def concerns(v: Any) -> bool:
    """Whether `v` is an array that is on the device, or belongs there."""
    if type(v) is not ndarray:
        return type(v) is Deferred
    a = v._a
    return type(a) is Node or a.size >= settings.record_min or residence.on_device(a)


def _fixed(v: Any) -> Any:
    """A fixed argument as something hashable; raises TypeError for what cannot be one."""
    if isinstance(v, _ATOMS):
        return v
    if isinstance(v, (tuple, list)):
        return tuple([_fixed(e) for e in v])
    raise TypeError


def attempt(function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What NumPy's `function` gives, recorded for the accelerator; NotImplemented where it is NumPy's to do."""
    spec = lowering.TABLE.get(function)
    if spec is None or len(args) > len(spec.names):
        return NotImplemented
    given: list[tuple[str, int]] = []
    arrays: list[Any] = []
    static: list[tuple[str, Any]] = []
    out = None
    try:
        for name, v in (*zip(spec.names, args, strict=False), *sorted(kwargs.items())):
            sequence = spec.arrays.get(name)
            if name == "out":
                out = v
            elif sequence is None or v is None or v is np._NoValue:
                if v is not np._NoValue:
                    static.append((name, _fixed(v)))
            elif sequence:
                if type(v) not in (list, tuple):
                    return NotImplemented
                given.append((name, len(v)))
                arrays.extend(v)
            else:
                given.append((name, -1))
                arrays.append(v)
    except TypeError:
        return NotImplemented
    if not any(map(concerns, arrays)):
        return NotImplemented
    r = calls.call(spec, tuple(given), arrays, tuple(static))
    if r is NotImplemented or out is None:
        return r if r is NotImplemented else told(r)
    return _into(out, r)


def offer(ours: Any, numpys: Any) -> Any:
    """`ours`, with the accelerator asked first."""
    if numpys not in lowering.TABLE:
        return ours

    def call(*args, **kwargs):
        r = attempt(numpys, args, kwargs)
        return ours(*args, **kwargs) if r is NotImplemented else r

    return call


# Methods that are functions of NumPy's with the array as first argument.
METHODS = {
    name: getattr(np, name)
    for name in """sum prod min max mean any all std var argmax argmin cumsum cumprod dot clip round take repeat trace
    searchsorted nonzero compress choose argsort argpartition conj conjugate""".split()
}


def told(r: Any) -> Any:
    """Results as the user has them: those without dimensions are scalars."""
    if type(r) is tuple:
        return tuple([told(e) for e in r])
    return Deferred(r) if not r.ndim else r


def _into(out: Any, r: Any) -> Any:
    """`r`, stored in the array `out`."""
    if type(out) is tuple and len(out) == 1:
        out = out[0]
    if type(out) is not ndarray or type(r) is not ndarray or out.shape != r.shape:
        return NotImplemented
    if not np.can_cast(r.dtype, out.dtype, "same_kind"):
        return NotImplemented
    out[...] = r
    return out
