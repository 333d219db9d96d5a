"""Functions with a parallel kernel on the host: the kernel where it answers, NumPy otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.base import nd, strip, strip_keywords, wrap_from
from ..arrays.calls import again
from ..arrays.extension import Quick, kernel_rule, quick
from ..engines.host import kernels
from ..graph import record
from ..runtime.settings import settings

__all__ = [
    "argmax", "argmin", "argpartition", "argsort", "bincount", "compress", "cumprod", "cumsum", "digitize",
    "flatnonzero", "histogram", "nonzero", "partition", "searchsorted", "sort", "take", "unique",
]  # fmt: skip


def with_kernel(kernel: Callable, numpys: Callable) -> Callable:
    """`numpys` on our arrays, with `kernel` tried first where some array is large and the arguments are its own."""
    code = kernel.__code__
    most = code.co_argcount
    names = frozenset(code.co_varnames[: most + code.co_kwonlyargcount])
    waits = numpys in (np.argmax, np.argmin)

    def call(*args, **kwargs):
        if waits and args:
            r: Any = record.extreme(numpys.__name__, args[0], args[1:], kwargs)
            if r is not NotImplemented:
                return r
        given = [strip(a) for a in args]
        named = strip_keywords(kwargs)
        r = NotImplemented
        limit = settings.kernel_min
        for v in given:
            if type(v) is nd and v.size >= limit:
                if len(given) <= most and named.keys() <= names and not _subclass_among(given):
                    r = kernel(*given, **named)
                break
        if r is NotImplemented:
            try:
                r = numpys(*given, **named)
            except (TypeError, ValueError) as error:
                r = again(error, numpys, args, kwargs)
        return wrap_from(r, args, kwargs)

    name = numpys.__name__
    quick[call] = Quick(numpys, kernel_rule(name), least=kernels.LEAST.get(name, 0), lanes=kernels.LANES.get(name))
    return call


def _subclass_among(args: list) -> bool:
    """Kernels take NumPy's exact arrays, not subclasses, which have rules of their own."""
    return any(isinstance(v, nd) and type(v) is not nd for v in args)


for _name in __all__:
    globals()[_name] = with_kernel(getattr(kernels, _name), getattr(np, _name))
