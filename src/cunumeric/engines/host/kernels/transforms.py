"""Fourier transforms of many lanes: the lanes are dealt to threads, each transformed by `numpy.fft`, bit for bit.

A lane along another axis than the last is strided; NumPy gathers lanes one at a time, which uses one element of each
cache line. Here a block of neighbouring lanes is transposed into contiguous scratch, transformed, and transposed back.
"""

from __future__ import annotations

import math

import numpy as np

from cunumeric.runtime import memory

from .support import INTEGERS, crew, normal_axis, plain, run_blocks, writable

# Elements of a block of contiguous lanes, and elements for which a thread is worth starting.
BLOCK = 16384
LEAST = 32768
# Strided lanes in a block, at least: a few cache lines of each row. Short ones are more: a block costs 15 µs in Python.
LANES = 16

_NORMS = (None, "backward", "ortho", "forward")
_SOURCES = "?" + INTEGERS + "fdFD"


def _length(a: np.ndarray, name: str, n: object, axis: int) -> tuple[int, int] | None:
    """Points of the transform and length of its result along `axis`, or None when NumPy has to judge `n`."""
    if n is None:
        n = a.shape[axis] if name != "irfft" else 2 * (a.shape[axis] - 1)
    if type(n) is not int or n < 1:
        return None
    return n, (n // 2 + 1 if name == "rfft" else n)


def _result_dtype(name: str, dtype: np.dtype) -> np.dtype:
    single = dtype.char in "fF"
    if name == "irfft":
        return np.dtype(np.float32 if single else np.float64)
    return np.dtype(np.complex64 if single else np.complex128)


def _along(name: str, a: np.ndarray, n: int, axis: int, norm, out: np.ndarray, parts: int) -> bool:
    """One transform of the C-contiguous `a` along `axis` into the C-contiguous `out`, which may be `a` itself.
    False when NumPy would report a floating-point condition."""
    transform = getattr(np.fft, name)
    before = math.prod(a.shape[:axis])
    after = math.prod(a.shape[axis + 1 :])
    m, n_out = a.shape[axis], out.shape[axis]
    longest = max(m, n_out)
    if after == 1:
        rows, results = a.reshape(before, m), out.reshape(before, n_out)

        def lanes(start: int, stop: int) -> None:
            transform(rows[start:stop], n, -1, norm, results[start:stop])

        # With one array for both, NumPy makes the copy that it needs.
        size = min(max(1, BLOCK // longest), -(-before // parts))
        return run_blocks(lanes, before, size, parts)

    source, target = a.reshape(before, m, after), out.reshape(before, n_out, after)
    size = min(max(LANES, min(BLOCK // longest, -(-after // parts))), after)
    across = -(-after // size)
    # Rows that are a multiple of a page apart meet in the same few sets of the cache, and reading down a column evicts
    # them before the next column comes: the rows of the block are then copied together first.
    staged = after * a.itemsize % 4096 == 0

    def strided(start: int, stop: int) -> None:
        stage = np.empty((m, size), a.dtype) if staged else None
        gathered = np.empty((size, m), a.dtype)
        transformed = gathered if m == n_out and a.dtype == out.dtype else np.empty((size, n_out), out.dtype)
        for block in range(start, stop):
            outer, inner = divmod(block, across)
            inner *= size
            width = min(size, after - inner)
            columns = source[outer, :, inner : inner + width]
            if stage is not None:
                stage[:, :width] = columns
                columns = stage[:, :width]
            gathered[:width] = columns.T
            transform(gathered[:width], n, -1, norm, transformed[:width])
            target[outer, :, inner : inner + width] = transformed[:width].T

    total = before * across
    # Several blocks a turn where blocks are small, for the sake of the scratch.
    return run_blocks(strided, total, max(1, min(BLOCK // (size * longest), -(-total // parts))), parts)


def _run(steps: list[tuple[str, object, int]], a, norm, out):
    """The transforms `steps`, each (name, n, axis), one after another."""
    if not (plain(a, _SOURCES) and a.ndim and a.size and norm in _NORMS):
        return NotImplemented
    if not a.flags.c_contiguous:
        if not a.flags.f_contiguous or out is not None:
            return NotImplemented
        # NumPy keeps the order of memory: the transform of the transpose is the same work on C order.
        mirrored = [(name, n, a.ndim - 1 - axis) for name, n, axis in steps]
        result = _run(mirrored, a.T, norm, None)
        return result if result is NotImplemented else result.T
    shape, dtype = a.shape, a.dtype
    plan: list[tuple[str, int, int, tuple[int, ...], np.dtype]] = []
    fewest = a.size
    for name, n, axis in steps:
        if name == "rfft" and dtype.kind == "c":
            return NotImplemented
        lengths = _length(np.broadcast_to(0, shape), name, n, axis)
        if lengths is None:
            return NotImplemented
        fewest = min(fewest, math.prod(shape) // shape[axis])
        shape = shape[:axis] + (lengths[1],) + shape[axis + 1 :]
        dtype = _result_dtype(name, dtype)
        plan.append((name, lengths[0], axis, shape, dtype))
    parts = min(crew(max(a.size, math.prod(shape)), LEAST), fewest)
    if parts <= 1 or not plan:
        return NotImplemented
    if out is not None and not writable(out, shape, dtype, a):
        return NotImplemented
    if out is not None and plan[-1][0] != "irfft" and any(step[3] != shape for step in plan):
        # NumPy gives `out` to every step.
        return NotImplemented
    current = a
    for step, (name, n, axis, step_shape, step_dtype) in enumerate(plan):
        if step == len(plan) - 1 and out is not None:
            target = out
        elif current is not a and current.shape == step_shape and current.dtype == step_dtype:
            target = current
        elif out is not None and out.shape == step_shape and out.dtype == step_dtype:
            target = out
        else:
            target = memory.empty(step_shape, step_dtype)
        if not _along(name, current, n, axis, norm, target, parts):
            return NotImplemented
        current = target
    return current


def _single(name: str, a, n, axis, norm, out):
    axis = normal_axis(axis, a.ndim) if type(a) is np.ndarray else None
    return NotImplemented if axis is None else _run([(name, n, axis)], a, norm, out)


def _several(a, s, axes) -> tuple[list[int | None], list[int]] | None:
    """Lengths and axes of an n-dimensional transform; None where NumPy has to judge (or warns about) them."""
    if type(a) is not np.ndarray or (axes is None and s is not None):
        return None
    given = tuple(range(a.ndim)) if axes is None else axes
    if type(given) not in (tuple, list) or not given:
        return None
    normal = [normal_axis(axis, a.ndim) for axis in given]
    if None in normal or len(set(normal)) != len(normal):
        return None
    if s is None:
        return [None] * len(normal), normal  # type: ignore[return-value]
    if type(s) not in (tuple, list) or len(s) != len(normal) or not all(type(n) is int for n in s):
        return None
    # In `s`, -1 stands for the length of the input.
    return [None if n == -1 else n for n in s], normal  # type: ignore[return-value]


def _complex(name: str, a, s, axes, norm, out):
    several = _several(a, s, axes)
    if several is None:
        return NotImplemented
    return _run([(name, n, axis) for n, axis in zip(*several, strict=True)][::-1], a, norm, out)  # type: ignore[arg-type]


def fft(a, n=None, axis=-1, norm=None, out=None):
    """`np.fft.fft` of two or more lanes."""
    return _single("fft", a, n, axis, norm, out)


def ifft(a, n=None, axis=-1, norm=None, out=None):
    """`np.fft.ifft` of two or more lanes."""
    return _single("ifft", a, n, axis, norm, out)


def rfft(a, n=None, axis=-1, norm=None, out=None):
    """`np.fft.rfft` of two or more lanes."""
    return _single("rfft", a, n, axis, norm, out)


def irfft(a, n=None, axis=-1, norm=None, out=None):
    """`np.fft.irfft` of two or more lanes."""
    return _single("irfft", a, n, axis, norm, out)


def fftn(a, s=None, axes=None, norm=None, out=None):
    """`np.fft.fftn`."""
    return _complex("fft", a, s, axes, norm, out)


def ifftn(a, s=None, axes=None, norm=None, out=None):
    """`np.fft.ifftn`."""
    return _complex("ifft", a, s, axes, norm, out)


def fft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`np.fft.fft2`."""
    return _complex("fft", a, s, axes, norm, out)


def ifft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`np.fft.ifft2`."""
    return _complex("ifft", a, s, axes, norm, out)


def rfftn(a, s=None, axes=None, norm=None, out=None):
    """`np.fft.rfftn`: the real transform along the last of `axes`, then complex ones from last to first."""
    several = _several(a, s, axes)
    if several is None:
        return NotImplemented
    (*lengths, last), (*others, axis) = several
    steps = [("rfft", last, axis)]
    steps += [("fft", n, other) for n, other in zip(lengths, others, strict=True)][::-1]
    return _run(steps, a, norm, out)  # type: ignore[arg-type]


def irfftn(a, s=None, axes=None, norm=None, out=None):
    """`np.fft.irfftn`: complex transforms from first to last of `axes`, then the real one along the last."""
    several = _several(a, s, axes)
    if several is None:
        return NotImplemented
    (*lengths, last), (*others, axis) = several
    if s is not None and last is None:
        last = a.shape[axis]
    steps = [("ifft", n, other) for n, other in zip(lengths, others, strict=True)]
    return _run([*steps, ("irfft", last, axis)], a, norm, out)


def rfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`np.fft.rfft2`."""
    return rfftn(a, s, axes, norm, out)


def irfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`np.fft.irfft2`."""
    return irfftn(a, s, axes, norm, out)
