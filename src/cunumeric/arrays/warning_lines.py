"""Warnings name the user's line.

NumPy's C code warns at the innermost Python frame, and its Python code at a number of frames above itself: for arrays
of ours both are frames of this package. Python shows warnings through `warnings._showwarnmsg`; there, a warning that
names a file of this package is issued anew at the frame that called the package, under that module's filters and
registry. So that Python does not remember our line, and drops the next warning from another line of the user's, the
modules of this package have no registry.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_plain = getattr(warnings, "_showwarnmsg", None)


def _show(message: Any) -> None:
    if message.filename.startswith(_FOLDER):
        frame: Any = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(_FOLDER):
            frame = frame.f_back  # NumPy's own
        while frame is not None and frame.f_code.co_filename.startswith(_FOLDER):
            frame = frame.f_back
        if frame is not None:
            # Only the user's line counts as shown.
            warnings.onceregistry.pop((str(message.message), message.category), None)  # type: ignore[attr-defined]
            warnings.warn_explicit(
                message.message, message.category, frame.f_code.co_filename, frame.f_lineno,
                frame.f_globals.get("__name__"), frame.f_globals.setdefault("__warningregistry__", {}),
                source=message.source,
            )  # fmt: skip
            return
    _plain(message)  # type: ignore[misc]


def install() -> None:
    if _plain is None:  # a Python that shows warnings another way
        return
    warnings._showwarnmsg = _show  # type: ignore[attr-defined]
    for name, module in list(sys.modules.items()):
        if name.startswith("cunumeric."):
            forget(vars(module))


def forget(namespace: dict[str, Any]) -> None:
    """Let the module of this namespace have no registry of warnings."""
    namespace["__warningregistry__"] = None
