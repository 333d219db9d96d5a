"""What the kernels share: which arrays they take, how blocks are dealt to threads, floating-point conditions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cunumeric.runtime import threads

# NumPy's own numbers; user-defined dtypes may claim the same kinds, so the characters are named.
INTEGERS = "bBhHiIlLqQ"
REALS = "efd"
COMPLEXES = "FD"
NUMBERS = "?" + INTEGERS + REALS + COMPLEXES


def plain(a: object, chars: str = NUMBERS) -> bool:
    """Whether `a` is a base-class array of native, aligned numbers of one of the dtypes `chars`."""
    if type(a) is not np.ndarray:
        return False
    dtype = a.dtype
    return dtype.char in chars and dtype.isnative and a.flags.aligned


def writable(out: object, shape: tuple[int, ...], dtype: np.dtype, *sources: np.ndarray) -> bool:
    """Whether `out` can be filled block by block in any order: C-contiguous, exact, and apart from the sources."""
    return (
        plain(out)
        and out.shape == shape  # type: ignore[attr-defined]
        and out.dtype == dtype  # type: ignore[attr-defined]
        and out.flags.c_contiguous  # type: ignore[attr-defined]
        and out.flags.writeable  # type: ignore[attr-defined]
        and not any(np.may_share_memory(out, source) for source in sources)  # type: ignore[arg-type]
    )


def normal_axis(axis: object, ndim: int) -> int | None:
    """`axis` from 0 to `ndim - 1`, or None when NumPy has to judge it."""
    if type(axis) is not int or not -ndim <= axis < ndim:
        return None
    return axis % ndim


def crew(work: int, least: int) -> int:
    """Threads for `work` items when one is worth starting for `least` of them; 1 means: leave it to NumPy."""
    return max(1, min(threads.count(), work // max(1, least)))


def run(body: Callable[[int], None], parts: int) -> bool:
    """`threads.run`; False when a floating-point condition arose of which the caller's `errstate` wants to hear.

    A worker has an error state of its own, and a warning must name the user's line: workers only take note, and on
    False the kernel leaves the whole operation to NumPy, which then warns, raises or calls as it should.
    """
    heard = {name: "call" for name, action in np.geterr().items() if action != "ignore"}
    noted: list[str] = []

    def note(kind: str, _flags: int) -> None:
        noted.append(kind)

    def guarded(part: int) -> None:
        with np.errstate(**{"divide": "ignore", "over": "ignore", "under": "ignore", "invalid": "ignore", **heard},  # type: ignore[arg-type]
                         call=note):  # fmt: skip
            body(part)

    threads.run(guarded, parts)
    return not noted


def run_blocks(body: Callable[[int, int], None], n: int, size: int, parts: int) -> bool:
    """`body(start, stop)` for the blocks of `size` in `range(n)`; a free thread takes the next, as cores differ in
    speed. Same answer as `run`."""
    starts = iter(range(0, n, size))

    def work(_part: int) -> None:
        for start in starts:
            body(start, min(start + size, n))

    return run(work, min(parts, -(-n // size)))
