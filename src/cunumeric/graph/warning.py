"""Who hears of floating-point flags when the operation runs later than it was written.

NumPy warns at the call. Recorded operations warn when they run, at the line that recorded them. Where that would not
be the same thing (an error state that raises, prints or calls; warnings made errors; a `catch_warnings(record=True)`
block, which may be over by then), an operation that can raise a flag is not recorded at all.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy._core import umath as _umath

from ..runtime import lines
from ..runtime.lines import user_frame

_state = _umath._extobj_contextvar  # type: ignore[attr-defined]
_default = _state.get()
_show = warnings._showwarnmsg_impl  # type: ignore[attr-defined]
KINDS = ("divide", "over", "under", "invalid")
_FLAGS = {"divide by zero": "divide", "overflow": "over", "underflow": "under", "invalid value": "invalid"}

IGNORE: frozenset[str] = frozenset()
_DEFAULT_KINDS = frozenset({"divide", "over", "invalid"})
_last: tuple[Any, Any] = (_default, _DEFAULT_KINDS)
_filters: tuple[Any, Any, int, str] = (None, None, -1, "")


def _action() -> str:
    """What the warning filters do with a RuntimeWarning: "error", "ignore", or "warn" for the rest."""
    global _filters
    filters = warnings.filters
    first = filters[0] if filters else None
    known, known_first, known_length, action = _filters
    if filters is known and first is known_first and len(filters) == known_length:
        return action
    action = "warn"
    for what, message, category, module, _ in filters:
        if issubclass(RuntimeWarning, category):
            if what == "error":
                action = "error"
                break
            if message is None and module is None:
                action = "ignore" if what == "ignore" else "warn"
                break
    _filters = (filters, first, len(filters), action)
    return action


def kinds_heard() -> frozenset[str] | None:
    """Kinds of flag that the current error state and warning filters make a warning; None: do not record."""
    global _last
    state = _state.get()
    if state is _last[0]:
        kinds = _last[1]
    else:
        said = np.geterr()
        told = frozenset(k for k, v in said.items() if v == "warn")
        kinds = told if set(said.values()) <= {"warn", "ignore"} else None
        _last = (state, kinds)
    if not kinds:
        return kinds
    if warnings._showwarnmsg_impl is not _show:  # type: ignore[attr-defined]
        return None
    action = _action()
    return kinds if action == "warn" else IGNORE if action == "ignore" else None


class Ear:
    """The user's line that recorded an operation, and the kinds of flag it wants to hear of."""

    __slots__ = ("at", "code", "kinds", "namespace")

    def __init__(self, kinds: frozenset[str]) -> None:
        frame = user_frame()
        self.kinds = kinds
        self.code = frame.f_code
        self.at = frame.f_lasti  # to find the line takes longer than to record the operation: when it is wanted
        self.namespace = frame.f_globals

    def hear(self, flag: str, name: str) -> None:
        """Warn that `flag` ("overflow", …) was raised by the operation `name`."""
        if _FLAGS[flag] in self.kinds:
            registry = self.namespace.setdefault("__warningregistry__", {})
            warnings.warn_explicit(
                f"{flag} encountered in {name}", RuntimeWarning, self.code.co_filename,
                lines.number((self.code, self.at)),
                self.namespace.get("__name__"), registry,
            )  # fmt: skip
