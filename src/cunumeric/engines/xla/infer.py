"""What a call gives: shapes from a trace of its lowering, dtypes from NumPy itself, on arrays of one element."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from ...ops.calls import Bound
from ...ops.lowering import Fault, Refused
from ...runtime import threads
from ...runtime.settings import settings
from . import backend

Signature = tuple[tuple[tuple[int, ...], np.dtype], ...]


@functools.lru_cache(maxsize=8192)
def infer(bound: Bound, operands: Signature) -> Any:
    """Whether there are several results, and the shape and dtype of each; None where the call is NumPy's."""
    with threads.held_interrupts():  # what a signal's handler raises is no error of the lowering
        return _inferred(bound, operands)


def _inferred(bound: Bound, operands: Signature) -> Any:
    if not backend.usable():
        return None
    jx = backend.modules()
    try:
        specs = [jx.jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in operands]
        found = jx.jax.eval_shape(lambda *arrays: bound.lower(jx, *arrays), *specs)
    except Refused:
        return None
    except Exception as error:  # whatever is wrong with the arguments, NumPy says it in its own words
        if settings.faults and _accepted(bound, operands):
            raise Fault(f"the lowering of {bound.name} failed: {error!r}") from error
        return None
    several = isinstance(found, (tuple, list))
    results = list(found) if several else [found]
    asks = operands and not bound.spec.grows  # what it gives for small arrays may be large
    dtypes = (_dtypes(bound, operands, len(results)) if asks else None) or [np.dtype(r.dtype) for r in results]
    # Of equal dtypes the one that is native without saying so: what is kept for one of them, here or by JAX, is found
    # for the others.
    dtypes = [dtype.newbyteorder("=") for dtype in dtypes]
    return several, tuple([(tuple(r.shape), d) for r, d in zip(results, dtypes, strict=True)])


def _accepted(bound: Bound, operands: Signature) -> bool:
    """Whether NumPy takes a call of this signature: zeros where the operands are integers, which may be indices."""
    arrays = [(np.zeros if dtype.kind in "iu" else np.ones)(shape, dtype) for shape, dtype in operands]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bound.numpys(*arrays)
    except Exception:
        return False
    return True


def _dtypes(bound: Bound, operands: Signature, count: int) -> list[np.dtype] | None:
    """Dtypes of NumPy's results; None where arrays of one element are no arguments for this call."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = bound.numpys(*[np.ones([1] * len(shape), dtype) for shape, dtype in operands])
    except Exception:
        return None
    results = list(found) if isinstance(found, (tuple, list)) else [found]
    if len(results) != count:
        return None
    return [np.asarray(r).dtype for r in results]
