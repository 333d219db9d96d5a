"""Linear algebra that joins what is recorded."""

from __future__ import annotations

import numpy.linalg as _numpy

from ..arrays.base import ndarray
from ..arrays.calls import call as plainly
from ..arrays.extension import Quick, quick
from ..graph import record

__all__ = ["norm"]


def norm(x, ord=None, axis=None, keepdims=False):
    if type(x) is ndarray and ord is None and axis is None and not keepdims:
        r = record.norm(x)
        if r is not NotImplemented:
            return r
    return plainly(_numpy.norm, (x, ord, axis, keepdims), {})


quick[norm] = Quick(_numpy.norm, "ALWAYS")  # with nothing waiting, NumPy's product of vectors
