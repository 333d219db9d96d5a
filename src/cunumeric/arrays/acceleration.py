"""Small operations in C, where the optional extension was built: see `_fast.c`. Imported when the classes are complete,
because it takes the place of slots that Python fills from their methods."""

from __future__ import annotations

from typing import Any

from ..graph import record, window
from ..runtime import memory, residence
from ..runtime.settings import listen, settings
from .base import Deferred, _handed, ndarray, wrap_from
from .calls import again
from .extension import ARRAYS, UFUNCS, fast, in_c
from .recording import CAPSULE
from .ufunc import of, ufunc

# How many times more elements it takes than for an operation on doubles in company: for one without, and on others
# (OTHERS of `_recorded.h`), which are NumPy's up to there; for a function that records in Python, or has a kernel as
# well; for one that only records, in Python.
_ALONE, _KERNELS, _FUNCTIONS = (0, 1, 1) if residence.accelerated else (4, 2, 16)


def _start() -> bool:
    """Whether the extension is there and now in charge."""
    if fast is None:
        return False

    def heard(name: str, value: Any) -> None:
        if name in ("record_min", "kernel_min"):
            least = settings.record_min
            reduced = least if residence.accelerated or not least else max(least, record._REDUCED_FROM)
            kernel = min(settings.kernel_min, least * _KERNELS)
            fast.set_limits(least, least * _ALONE, kernel, least * _FUNCTIONS, reduced)

    heard("record_min", None)
    listen(heard)
    for kind, bound in ((ndarray, ARRAYS), (ufunc, UFUNCS)):
        for name, f in list(vars(kind).items()):
            if type(f) is type(_start):
                setattr(kind, name, in_c(f, bound=bound))
    # A method that C hands over to Python has one more reference to its array than one called by Python: the caller's.
    record._HELD_BY_CALL += 1
    remote = residence.Remote if residence.accelerated else None
    ways = memory.ways
    fast.accelerate(ndarray, ufunc, window.pending, _handed, wrap_from, again, ways, remote, Deferred, CAPSULE, of)
    return True


ACCELERATED = _start()
