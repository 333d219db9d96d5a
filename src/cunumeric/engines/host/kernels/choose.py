"""Three-operand `where`."""

from __future__ import annotations

import numpy as np

from cunumeric.runtime import memory

from .support import INTEGERS, crew, plain, run_blocks

# Elements from which bits are blended, those for which a thread is worth starting, and those of a block.
BLEND_FROM = 32768
LEAST = 65536
BLOCK = 8192
# NumPy branches on each element: between these densities of True, so many branches are mispredicted that blending wins
# (10⁶ doubles on one core: at 0.12 1.4 ms and 2.6 blended, at 0.5 3.6 and 1.8).
SPARSE, DENSE = 0.2, 0.8


def _branch(value: object, condition: np.ndarray) -> bool:
    """Whether `value` can be read beside the flat condition: a scalar, or an array of the same layout."""
    if plain(value):
        return value.shape == condition.shape and value.flags.c_contiguous  # type: ignore[attr-defined]
    return type(value) in (bool, int, float, complex) or isinstance(value, np.generic)


def _bits(value: object, dtype: np.dtype, whole: np.dtype) -> np.ndarray:
    """`value` in the result's `dtype`, seen as integers."""
    return np.asarray(value).astype(dtype, copy=False).view(whole)


def where3(condition, x, y):
    """`np.where(condition, x, y)` for a C-contiguous boolean condition and branches that are scalars or like it.

    Where the condition is irregular, the bits of the branches are blended, `y ^ ((x ^ y) & mask)`, which has no branch
    to mispredict and wins on one thread too.
    """
    if not (plain(condition, "?") and condition.flags.c_contiguous and condition.size >= BLEND_FROM):
        return NotImplemented
    if not (_branch(x, condition) and _branch(y, condition)):
        return NotImplemented
    flat = condition.reshape(-1)
    x, y = (b.reshape(-1) if type(b) is np.ndarray else b for b in (x, y))
    try:
        with np.errstate(all="raise"):
            dtype = np.where(flat[:1], *(b[:1] if type(b) is np.ndarray else b for b in (x, y))).dtype
    except Exception:
        return NotImplemented
    if dtype.char not in "?" + INTEGERS + "efdFD":
        return NotImplemented
    sample = flat[:: max(1, flat.size // 1024)]
    irregular = SPARSE < np.count_nonzero(sample) / sample.size < DENSE
    parts = crew(flat.size, LEAST)
    if parts < 4 and not (irregular and (dtype.itemsize <= 8 or parts > 1)):
        return NotImplemented
    result = memory.empty(condition.shape, dtype)
    target = result.reshape(-1)

    def choose(start: int, stop: int) -> None:
        chosen, other = (b[start:stop] if type(b) is np.ndarray else b for b in (x, y))
        target[start:stop] = np.where(flat[start:stop], chosen, other)

    if not irregular or dtype.itemsize > 8:
        return result if run_blocks(choose, flat.size, 4 * BLOCK, parts) else NotImplemented
    whole = np.dtype(f"i{dtype.itemsize}")
    truth, blended = flat.view(np.int8), target.view(whole)
    chosen_bits, other_bits = (b if type(b) is np.ndarray else _bits(b, dtype, whole) for b in (x, y))

    def blend(start: int, stop: int) -> None:
        ones = np.empty(stop - start, whole)
        np.negative(truth[start:stop], out=ones, casting="unsafe")
        chosen, other = (_bits(b[start:stop], dtype, whole) if b.ndim else b for b in (chosen_bits, other_bits))
        out = blended[start:stop]
        np.bitwise_xor(chosen, other, out=out)
        np.bitwise_and(out, ones, out=out)
        np.bitwise_xor(out, other, out=out)

    return result if run_blocks(blend, flat.size, BLOCK, parts) else NotImplemented
