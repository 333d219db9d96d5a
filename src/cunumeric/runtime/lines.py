"""Lines of the program that uses this package: where an operation was recorded, and where an array was made.

A line is kept as a code object and a position in it; that it is a line of a file is found out when somebody asks.
"""

from __future__ import annotations

import os
import sys
import types

# Files of this package.
HOUSE = os.path.dirname(os.path.dirname(__file__))
# The lines of smaller arrays are not kept: what is short of memory names the large ones.
KEPT_FROM = 1 << 20

Line = tuple[types.CodeType, int]


def user_frame() -> types.FrameType:
    """The innermost frame that is not this package's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cunumeric."):
        frame = frame.f_back
    return frame


def here() -> Line:
    """The line that is being run."""
    frame = user_frame()
    return frame.f_code, frame.f_lasti


def number(line: Line) -> int:
    """The number of the line in its file."""
    code, position = line
    numbers = [n for start, stop, n in code.co_lines() if start <= position < stop and n is not None]
    return numbers[0] if numbers else code.co_firstlineno


def told(line: Line | None) -> str:
    """`file:line`; nothing where it was not kept."""
    if line is None:
        return ""
    return f"{line[0].co_filename}:{number(line)}"
