"""JAX, imported when the first window runs, and set up once: 64-bit types, no rounding that NumPy does not do, programs
kept on disk between runs."""

from __future__ import annotations

import functools
import logging
import math
import os
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime import places, ranks, residence, threads
from ...runtime.cores import gpu_ready
from ...runtime.settings import settings
from . import sharded
from .mesh import Mesh, grid_for


class Modules(types.SimpleNamespace):
    """What lowerings are given: `np`, `lax`, `scipy`, and `jax` itself; the `mesh` of devices (None where there is one)
    and the kernels for it (`sharded`); `computed(value)`: whether the program computes an operand element by element (a
    trace knows)."""

    np: Any
    lax: Any
    scipy: Any
    jax: Any
    mesh: Mesh | None
    sharded: Any
    computed: Callable[[Any], bool]


class _Kept(logging.Filter):
    """Keeps what a logger is told to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        self.records.append(record)
        return False

    def cause(self) -> str:
        """The first exception that was told of, or else the first message."""
        errors = [f"{type(r.exc_info[1]).__name__}: {r.exc_info[1]}" for r in self.records if r.exc_info]
        return [*errors, *[r.getMessage() for r in self.records], "JAX does not see it"][0]


def _devices(jax: Any) -> list[Any]:
    """JAX's devices. Where the machine shows a GPU that JAX cannot use, JAX takes the processor and logs a traceback:
    that is an error here, with the cause in its message."""
    if not gpu_ready():
        return jax.devices()
    kept, logger = _Kept(), logging.getLogger("jax._src.xla_bridge")
    logger.addFilter(kept)
    try:
        found = jax.devices()
        if found[0].platform == "cpu":
            raise RuntimeError(f"the GPU does not start: {kept.cause()}")
    finally:
        logger.removeFilter(kept)
    for record in kept.records:
        logger.handle(record)
    return found


# So much of what is free on a GPU may be taken, if it is needed; the rest is for libraries that XLA calls.
_MEMORY = "0.92"


@functools.cache
def modules() -> Modules:
    """JAX, ready to use. Raises ImportError, or what JAX raises where no device can be used."""
    if settings.paper:  # so many devices, of which none will run anything
        count = f"--xla_force_host_platform_device_count={settings.paper}"
        os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS=f"{os.environ.get('XLA_FLAGS', '')} {count}")
    if ranks.size > 1 or "host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        # The processor's devices would begin collectives that do not depend on each other in any order, and could wait
        # for each other for ever.
        order = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {order}".strip()
    # JAX would take three quarters of a GPU's memory at once, and never more.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:  # its older name
        os.environ.setdefault("XLA_CLIENT_MEM_FRACTION", _MEMORY)
    import jax
    import jax.numpy
    import jax.scipy

    jax.config.update("jax_enable_x64", True)
    kept = places.directory()
    jax.config.update("jax_compilation_cache_dir", str(kept / "xla") if kept is not None else None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    if ranks.size > 1:
        from . import processes

        processes.join()
    devices = _devices(jax)
    grid = settings.mesh or grid_for(len(devices))
    if math.prod(grid) > len(devices):
        raise RuntimeError(f"CUNUMERIC_MESH asks for {math.prod(grid)} devices, there are {len(devices)}")
    several = Mesh(jax, devices[: math.prod(grid)], grid) if math.prod(grid) > 1 else None
    return Modules(
        np=jax.numpy, lax=jax.lax, scipy=jax.scipy, jax=jax, mesh=several, sharded=sharded, computed=lambda _: False
    )


@functools.cache
def usable() -> bool:
    """Whether JAX and a device can be used; if not, one line says why."""
    with threads.held_interrupts():  # an import that was broken off cannot be begun again
        return _usable()


def _usable() -> bool:
    try:
        modules()
    except Exception as error:  # whatever is wrong with an installation
        if ranks.size > 1:  # the others go on
            raise
        reason = str(error).strip().splitlines()
        warnings.warn(
            f"the accelerator cannot be used, NumPy's kernels on the processor are: {type(error).__name__}: "
            f"{reason[0] if reason else ''}",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    return True


def devices() -> int:
    """Over how many devices windows are shared out; 1 where none can be used."""
    several = modules().mesh if usable() else None
    return 1 if several is None else several.size


@functools.cache
def capacity() -> int:
    """Bytes that all devices together can hold: what the allocator of each may take, or the host's memory."""
    if settings.paper:
        return sys.maxsize
    total = 0
    jax = modules().jax
    for device in jax.local_devices():  # those of other processes are like ours, and do not tell
        stats = device.memory_stats() or {}
        total += stats.get("bytes_limit", 0)
    total = total * jax.device_count() // jax.local_device_count()
    return total or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def kind() -> str:
    """The kind of device: "cpu", "gpu"."""
    return modules().jax.default_backend()


_ALIGNMENT = 16  # bytes: XLA's programs on a GPU expect it of their operands


class _Compact:
    """Stands for a foreign array whose layout JAX does not take: its owner exports a copy."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()

    def __dlpack__(self, **kwargs: Any) -> Any:
        try:
            return self.x.__dlpack__(**kwargs, copy=True)
        except (BufferError, TypeError):  # CuPy copies to the host alone, others know no copy
            copied = self.x.copy if hasattr(self.x, "copy") else self.x.clone
            return copied().__dlpack__(**kwargs)


def _aligned(value: Any) -> bool:
    """Whether XLA computes with what begins there."""
    return not value.size or value.unsafe_buffer_pointer() % _ALIGNMENT == 0


def take(x: Any) -> Any:
    """A copy of a foreign array that lives on the device, through DLPack; cut over the devices if there are several.
    Raises BufferError for elements that NumPy does not have."""
    from jax import dlpack

    jx = modules()
    try:
        found = dlpack.from_dlpack(x)
        if not _aligned(found):
            raise BufferError
    # A begin that XLA does not take, gaps, elements that JAX has not, memory that is read only.
    except (BufferError, jx.jax.errors.JaxRuntimeError):
        try:
            found = dlpack.from_dlpack(_Compact(x))
        except (TypeError, AttributeError):  # its package does not copy (DLPack before 2023.12)
            raise BufferError("only arrays without gaps can be taken from this package: copy it there first") from None
        except jx.jax.errors.JaxRuntimeError as error:
            raise BufferError(str(error)) from None
    if not residence.suits(np.dtype(found.dtype)):
        raise BufferError("Unsupported dtype in DLTensor.")
    found = jx.np.array(found, copy=True)
    if jx.mesh is not None:
        padding = [(0, n - m) for n, m in zip(jx.mesh.padded(found.shape), found.shape, strict=True)]
        found = jx.jax.device_put(jx.np.pad(found, padding), jx.mesh.sharding(found.shape))
    # The owner does not know that it is read: what it writes from now on must not show.
    return found.block_until_ready()


residence.kind = kind
residence.take = take
residence.capacity = capacity

# XLA may otherwise compute float16 chains in float32, which rounds less often than NumPy.
OPTIONS = {"xla_allow_excess_precision": False}
