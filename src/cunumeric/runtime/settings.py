"""Settings: read once from the environment, changed at run time only through `settings` or `eager()`.

| variable | meaning | default |
|---|---|---|
| `CUNUMERIC_NUM_THREADS` | threads that run sweeps and parallel kernels | cores this process may use |
| `LEGATE_CONFIG` | Legate's flags; of them `--cpus N` sets the same number | |
| `CUNUMERIC_TILE` | elements in a tile of a sweep | 32768 |
| `CUNUMERIC_ENGINE` | `host`, or `xla` (an accelerator, or XLA on the processor) | `xla` where there is a GPU |
| `CUNUMERIC_RECORD_MIN` | smallest result, in elements, that is recorded instead of run at once | 8192, or 32768 |
| `CUNUMERIC_WINDOW` | recorded operations after which the window is run | 200, or 128 |
| `CUNUMERIC_FBMEM` | memory of the device, in MiB, that arrays may take; 0: all that it has | 0 |
| `CUNUMERIC_MESH` | how the devices stand: `1` (only one is used), `4`, `2x2` | all, in a line; from 16 on in a grid |
| `CUNUMERIC_SHARD_MIN` | smallest array, in elements, that is cut over several devices | 65536 |
| `CUNUMERIC_PAPER` | so many devices, on paper: windows are compiled for them and described, nothing is computed | 0 |
| `CUNUMERIC_PAPER_RATES` | for that: GB/s of memory, GB/s of links, µs of latency | `3000,50,10` |
| `CUNUMERIC_EAGER` | 1: record nothing, run every operation at once (for debugging) | 0 |
| `CUNUMERIC_STRICT` | 1: what would leave the accelerator to be done by NumPy is an error | 0 |
| `CUNUMERIC_FAULTS` | 1: an error of ours in a lowering is raised; else NumPy does the call (for tests) | 0 |
| `CUNUMERIC_COMPILE` | 0: never compile sweeps; `always`: every sweep, before its first run (for tests) | 1 |
| `CUNUMERIC_CACHE` | directory for compiled sweeps and programs; 0: none is kept | `~/.cache/cunumeric` |
| `CUNUMERIC_ACCELERATE` | 0: small operations in Python, also where the C extension is there | 1 |
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from .cores import available_cores, gpu_ready


def asked(name: str) -> bool:
    """Whether the environment has something to say."""
    return bool(os.environ.get(name, "").strip())


def _integer(name: str, default: int, least: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{name}={text!r}: expected a whole number") from None
    if value < least:
        raise ValueError(f"{name}={value}: must be at least {least}")
    return value


def _legate_cpus() -> int:
    """`--cpus N` of LEGATE_CONFIG, or 0."""
    words = shlex.split(os.environ.get("LEGATE_CONFIG", ""))
    for i, word in enumerate(words):
        text = word.partition("=")[2] if word.startswith("--cpus=") else ""
        if word == "--cpus" and i + 1 < len(words):
            text = words[i + 1]
        if text:
            if not text.isdigit() or int(text) < 1:
                raise ValueError(f"LEGATE_CONFIG: --cpus {text}: expected a whole number of at least 1")
            return int(text)
    return 0


def _compile() -> int:
    text = os.environ.get("CUNUMERIC_COMPILE", "").strip()
    found = {"": 1, "0": 0, "1": 1, "always": 2}.get(text)
    if found is None:
        raise ValueError(f"CUNUMERIC_COMPILE={text!r}: expected 0, 1 or always")
    return found


def _mesh() -> tuple[int, ...]:
    text = os.environ.get("CUNUMERIC_MESH", "").strip()
    sides = text.split("x") if text else []
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(f"CUNUMERIC_MESH={text!r}: expected a number of devices, or two with an x between them")
    return tuple([int(side) for side in sides])


def _rates() -> tuple[float, float, float]:
    """Bytes a second of a device's memory and of its links, and seconds of latency; given in GB/s and µs."""
    text = os.environ.get("CUNUMERIC_PAPER_RATES", "").strip() or "3000,50,10"
    try:
        memory, link, latency = [float(word) for word in text.split(",")]
    except ValueError:
        memory = link = latency = 0.0
    if min(memory, link) <= 0 or latency < 0:
        raise ValueError(f"CUNUMERIC_PAPER_RATES={text!r}: expected memory,links,latency in GB/s, GB/s and µs")
    return memory * 1e9, link * 1e9, latency * 1e-6


def _threads() -> int:
    return _integer("CUNUMERIC_NUM_THREADS", _legate_cpus() or available_cores(), 1)


def _engine() -> str:
    """The engine asked for; where none is, XLA's if there is a GPU and what it takes to use it."""
    asked = os.environ.get("CUNUMERIC_ENGINE", "").strip()
    if _integer("CUNUMERIC_PAPER", 0, 0):
        return "xla"
    if asked in ("host", "xla"):
        return asked
    if asked:
        raise ValueError(f"CUNUMERIC_ENGINE={asked!r}: expected host or xla")
    return "xla" if gpu_ready() else "host"


_ENGINE = _engine()


@dataclass
class Settings:
    engine: str = _ENGINE
    threads: int = field(default_factory=_threads)
    tile: int = field(default_factory=lambda: _integer("CUNUMERIC_TILE", 32768, 1))
    record_min: int = field(default_factory=lambda: _integer("CUNUMERIC_RECORD_MIN", 32768, 0))
    kernel_min: int = 16384  # elements from which a parallel kernel is asked at all
    window: int = field(default_factory=lambda: _integer("CUNUMERIC_WINDOW", 200 if _ENGINE == "host" else 128, 1))
    eager: bool = field(default_factory=lambda: bool(_integer("CUNUMERIC_EAGER", 0, 0)))
    mesh: tuple[int, ...] = field(default_factory=_mesh)
    shard_min: int = field(default_factory=lambda: _integer("CUNUMERIC_SHARD_MIN", 65536, 1))
    paper: int = field(default_factory=lambda: _integer("CUNUMERIC_PAPER", 0, 0))
    paper_rates: tuple[float, float, float] = field(default_factory=_rates)
    strict: bool = field(default_factory=lambda: bool(_integer("CUNUMERIC_STRICT", 0, 0)))
    faults: bool = field(default_factory=lambda: bool(_integer("CUNUMERIC_FAULTS", 0, 0)))
    fbmem: int = field(default_factory=lambda: _integer("CUNUMERIC_FBMEM", 0, 0))
    native: bool = field(default_factory=lambda: bool(_integer("CUNUMERIC_ACCELERATE", 1, 0)))
    compile: int = field(default_factory=_compile)
    cache: str = field(default_factory=lambda: os.environ.get("CUNUMERIC_CACHE", "").strip())
    accelerate: bool = field(default_factory=lambda: bool(_integer("CUNUMERIC_ACCELERATE", 1, 0)))

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        for heard in _listeners:
            heard(name, value)


# Called with the name and value of a setting that changes.
_listeners: list[Callable[[str, object], None]] = []


def listen(heard: Callable[[str, object], None]) -> None:
    _listeners.append(heard)


settings = Settings()
