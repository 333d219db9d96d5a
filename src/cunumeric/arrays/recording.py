"""Recording in C, where the optional extension was built: see `_recording.c`. Imported when the classes are complete,
because it takes the place of their methods."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import record, warning, window
from ..graph.node import Leaf, Node, Reduction, Store
from ..ops import elementwise
from ..runtime import lines, memory, residence
from ..runtime.settings import asked, listen, settings
from . import lowered
from .base import Deferred, ndarray
from .operators import _ARITHMETIC, _COMPARISONS

# Elements from which results are recorded on the host: windows of many operations on so many doubles pay, as long as
# recording one takes a microsecond and not ten. Of others it takes more (OTHERS of `_recorded.h`).
_LEAST = 8192


def _start() -> Any:
    """Put the extension in charge, where it is there; the capsule by which C records."""
    if not settings.native:
        return None
    try:
        from . import _recording  # type: ignore[attr-defined]
    except ImportError:
        return None
    gate = None if residence.accelerated else _recording.Gate()
    _recording.start(
        {
            "ndarray": ndarray, "Node": Node, "Leaf": Leaf, "Store": Store, "Remote": residence.Remote,
            "Deferred": Deferred, "Traffic": window.Traffic, "Lease": memory.Lease, "Ear": warning.Ear,
            "Row": elementwise.Row, "square": elementwise.row(np.square), "copying": elementwise.COPY,
            "choosing": elementwise.WHERE,
            "pending": window.pending, "memory": window.memory, "leaves": window._leaves, "exposed": window._exposed,
            "window": window.state, "gate": gate, "names": vars(window), "flush": window._flush,
            "Reduction": Reduction, "counters": window.counters, "least": window._crowd.LEAST,
            "add": np.add, "maximum": np.maximum, "minimum": np.minimum, "logical_or": np.logical_or,
            "logical_and": np.logical_and,
            "cut": window.cut, "loops": window._loops, "saw": window._loops.saw, "period": window._period,
            "company": window.company, "crowd": window._crowd, "signatures": record.signatures,
            "house": lines.HOUSE, "kept_from": lines.KEPT_FROM, "kinds_heard": warning.kinds_heard,
            "state": warning._state, "filters": vars(warnings), "taking": vars(memory),
        }
    )  # fmt: skip

    def heard(name: str, value: Any) -> None:
        if name == "record_min":
            _recording.set_limit(value)
        elif name == "window":
            _recording.set_window(value)
        elif name == "eager":
            _recording.set_eager(value)
        elif name == "engine":  # no device can be used: nothing is recorded here any more
            _recording.set_eager(value == "host")

    if gate is not None:
        window.lock = window.gate = gate
        _recording.set_host(True)
        if not asked("CUNUMERIC_RECORD_MIN"):
            settings.record_min = _LEAST
    heard("record_min", settings.record_min)
    heard("eager", settings.eager)
    heard("window", settings.window)
    listen(heard)
    record.at_once = _recording.elementwise

    def replace(name: str, row: Any, how: int, numpys: Callable | None = None) -> None:
        setattr(ndarray, name, _recording.method(row, getattr(ndarray, name), how, numpys))

    for symbol, kernel in _ARITHMETIC.items():
        if symbol != "pow":
            numpys = getattr(operator, f"__{symbol}__")
            replace(f"__{symbol}__", elementwise.row(kernel), 0, numpys)
            replace(f"__r{symbol}__", elementwise.row(kernel), 1, numpys)
            replace(f"__i{symbol}__", elementwise.row(kernel), 4, getattr(operator, f"__i{symbol}__"))
    replace("__pow__", None, 0, operator.pow)
    for symbol, kernel in _COMPARISONS.items():
        replace(f"__{symbol}__", elementwise.row(kernel), 0, getattr(operator, symbol))
    replace("__neg__", elementwise.row(np.negative), 0, operator.neg)
    replace("__abs__", elementwise.row(np.absolute), 0, operator.abs)
    if residence.accelerated:
        lowered.again, lowered.key = _recording.call, _recording.key
        for symbol, kernel in _ARITHMETIC.items():
            if symbol != "pow":
                for how, name in enumerate((f"__{symbol}__", f"__r{symbol}__")):
                    method = _recording.method(elementwise.row(kernel), getattr(Deferred, name), how, None)
                    setattr(Deferred, name, method)
    replace("__getitem__", None, 2)
    replace("__setitem__", None, 3)
    return _recording.recorded


CAPSULE = _start()
