"""How many cores this process may use: affinity mask and cgroup quota, not what the machine has."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _cgroup_quota() -> float:
    """CPU quota of the control group in cores (v2, then v1); infinity where none is set or it cannot be read."""
    try:
        quota, period = read("/sys/fs/cgroup/cpu.max").split()[:2]
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int(read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
        return math.inf if quota_us <= 0 else quota_us / int(read("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    except (OSError, ValueError):
        return math.inf


def available_cores() -> int:
    """Cores by affinity, cut to the control group's quota; at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # platforms without affinity
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, cores if quota >= cores else math.ceil(quota))


def gpu_ready() -> bool:
    """Whether this machine shows a GPU of NVIDIA's and has JAX with its plugin for them; nothing is imported."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or not os.path.exists("/dev/nvidiactl"):
        return False
    if os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu"):
        return False
    plugins = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    return any(find_spec(name) is not None for name in plugins) and find_spec("jax") is not None
