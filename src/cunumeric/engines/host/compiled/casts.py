"""Which casts of floats to integers NumPy makes as the compiler does, numbers that do not fit included.

C leaves those open, and what NumPy's loops make of them is their compiler's affair: some are not even the same in a
loop's vectors and in its rest (to `uint32`). So NumPy is asked once, for numbers at which conversions differ.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

_NUMBERS = [
    0.0, -0.0, 1.7, -1.7, 127.5, 128.0, 255.9, -129.0, 256.0, 32768.0, -32769.5, 40000.0, 65536.0, 70000.0,
    2147483648.0, -2147483649.0, 3e9, 5e9, -3e9, 9.2e18, 2.0**63, -(2.0**63), 1e19, 2e19, -1e19, 1e25, -1e25, math.inf,
    -math.inf, math.nan,
]  # fmt: skip
# So many of each, side by side: NumPy's loops have vectors, of several widths, and a rest.
_COPIES = 37


def _converted(value: float, bits: int) -> int:
    """x86's conversion to a signed integer of so many bits."""
    least = -1 << (bits - 1)
    whole = int(value) if math.isfinite(value) else least
    return whole if least <= whole < -least else least


def expected(value: float, code: str) -> int:
    """What `ir` makes of a float."""
    bits = 8 * int(code[1])
    if bits < 64:
        found = _converted(value, 32)
    elif code == "i8" or not value >= 2.0**63:
        found = _converted(value, 64)
    else:
        found = _converted(value - 2.0**63, 64) ^ -(1 << 63)
    found %= 1 << bits
    return found - (1 << bits) if code[0] == "i" and found >> (bits - 1) else found


@cache
def exact(source: str, to: str) -> bool:
    """Whether NumPy's cast between the types of these codes ("f8", "u2") is the compiler's."""
    with np.errstate(all="ignore"):
        values = np.array(_NUMBERS).astype(source)
        for step in (1, 2):
            given = np.repeat(values, _COPIES * step).reshape(len(values), -1)[:, ::step]
            wanted = np.array([expected(v, to) for v in values.tolist()], to)[:, None]
            if not all(
                np.array_equal(row.astype(to), np.broadcast_to(w, row.shape))
                for row, w in zip(given, wanted, strict=True)
            ):
                return False
    return True
