"""Recording in C, where an accelerator is in charge and the optional extension was built: see `_recording.c`. Imported
when the classes are complete, because it takes the place of their methods."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..graph import record, warning, window
from ..graph.node import Leaf, Node, Store
from ..ops import elementwise
from ..runtime import lines, residence
from ..runtime.settings import listen, settings
from .base import Deferred, ndarray
from .operators import _ARITHMETIC, _COMPARISONS


def _start() -> bool:
    """Whether the extension is there and now in charge."""
    if not residence.accelerated or not settings.native:
        return False
    try:
        from . import _recording  # type: ignore[attr-defined]
    except ImportError:
        return False
    _recording.start(
        {
            "ndarray": ndarray, "Node": Node, "Leaf": Leaf, "Store": Store, "Remote": residence.Remote,
            "Deferred": Deferred, "Traffic": window.Traffic, "pending": window.pending, "memory": window.memory,
            "leaves": window._leaves, "exposed": window._exposed, "signatures": record.signatures,
            "window": vars(window), "loops": window._loops, "saw": window._loops.saw, "cut": window.cut,
            "traffic_of": window.traffic_of, "kinds_heard": warning.kinds_heard, "state": warning._state,
            "filters": vars(warnings),
            "square": elementwise.row(np.square), "house": lines.HOUSE, "kept_from": lines.KEPT_FROM,
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

    heard("record_min", settings.record_min)
    heard("eager", settings.eager)
    heard("window", settings.window)
    listen(heard)
    record.at_once = _recording.elementwise

    def replace(name: str, row: Any, how: int) -> None:
        setattr(ndarray, name, _recording.method(row, getattr(ndarray, name), how))

    for symbol, kernel in _ARITHMETIC.items():
        if symbol != "pow":
            replace(f"__{symbol}__", elementwise.row(kernel), 0)
            replace(f"__r{symbol}__", elementwise.row(kernel), 1)
            replace(f"__i{symbol}__", elementwise.row(kernel), 4)
    replace("__pow__", None, 0)
    for symbol, kernel in _COMPARISONS.items():
        replace(f"__{symbol}__", elementwise.row(kernel), 0)
    replace("__neg__", elementwise.row(np.negative), 0)
    replace("__abs__", elementwise.row(np.absolute), 0)
    replace("__getitem__", None, 2)
    replace("__setitem__", None, 3)
    return True


RECORDING = _start()
