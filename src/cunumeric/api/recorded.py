"""Functions that are recorded like the operators: `where`, `clip`, `round`, `copy`, and the reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.base import nd, ndarray, strip, wrap_from
from ..arrays.calls import call as plainly
from ..arrays.extension import Quick, quick
from ..arrays.lowered import worth_recording
from ..engines.host import kernels
from ..graph import record
from ..ops import elementwise
from ..runtime.settings import settings

__all__ = [
    "all", "amax", "amin", "any", "around", "clip", "copy", "max", "mean", "min", "prod", "round", "std", "sum", "var",
    "where",
]  # fmt: skip


def _reduction(name: str, numpys: Any) -> Any:
    method = getattr(nd, name)

    def call(a, *args, **kwargs):
        if worth_recording(a):
            r = record.method_reduction(name, a, args, kwargs)
            if r is not NotImplemented:
                return r
        if type(a) is ndarray and len(args) <= 1 and not kwargs:
            return wrap_from(method(strip(a), *args), (a,))
        return plainly(numpys, (a, *args), kwargs)

    call.__name__ = call.__qualname__ = numpys.__name__  # in errors of missing arguments
    quick[call] = Quick(numpys, "BELOW_MOMENT" if name in ("mean", "std", "var") else "BELOW_REDUCED")
    return call


for _name in ("sum", "prod", "min", "max", "mean", "any", "all", "std", "var"):
    globals()[_name] = _reduction(_name, getattr(np, _name))
amin = _reduction("min", np.amin)
amax = _reduction("max", np.amax)


def where(condition, *branches):
    if len(branches) == 2:
        if worth_recording(condition):
            r = record.where(condition, *branches)
            if r is not NotImplemented:
                return r
        c, x, y = strip(condition), strip(branches[0]), strip(branches[1])
        r = kernels.where3(c, x, y) if type(c) is nd and c.size >= settings.kernel_min else NotImplemented
        if r is not NotImplemented:
            return wrap_from(r, (condition, *branches))
        return plainly(np.where, (condition, *branches), {})
    c = strip(condition)
    if not branches and type(c) is nd and c.size >= settings.kernel_min:
        r = kernels.nonzero(c)
        if r is not NotImplemented:
            return wrap_from(r, (condition,))
    return plainly(np.where, (condition, *branches), {})


_CLIP = elementwise.CLIP
_RINT = elementwise.row(np.rint)


def clip(a, *args, **kwargs):
    if worth_recording(a) and len(args) == 2 and not kwargs and args[0] is not None and args[1] is not None:
        r = record.elementwise_call(_CLIP, (a, *args))
        if r is not NotImplemented:
            return r
    return plainly(np.clip, (a, *args), kwargs)


def round(a, decimals=0, out=None):
    if worth_recording(a) and decimals == 0 and out is None and a._a.dtype.kind == "f":
        r = record.elementwise_call(_RINT, (a,))  # type: ignore[arg-type]
        if r is not NotImplemented:
            return r
    return plainly(np.round, (a, decimals, out) if out is not None else (a, decimals), {})


around = round


def copy(a, order="K", subok=False):
    if worth_recording(a):
        r = record.copy(a, order)
        if r is not NotImplemented:
            return r
    return plainly(np.copy, (a, order, subok), {})


quick |= {
    where: Quick(np.where, "BELOW_KERNEL"),
    clip: Quick(np.clip, "BELOW_RECORD"),
    round: Quick(np.round, "BELOW_RECORD"),
    copy: Quick(np.copy, "BELOW_RECORD"),
}
