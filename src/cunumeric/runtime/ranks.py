"""What this process is among those that run the program together; read from the environment once, when imported.

The `legate` command sets the variables for the processes that it starts, together with the one that names the line to
its supervisor (`channel.py`). They are taken out of the environment here: processes that the program starts are not
ranks. So are forked children not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

CONTROL = "CUNUMERIC_CONTROL"  # number of the inherited socket to the supervisor


def _taken(name: str, default: int) -> int:
    return int(os.environ.pop(f"CUNUMERIC_{name}", default))


control = _taken("CONTROL", -1)  # the socket's descriptor; -1: this process is alone
_alone = control < 0
rank = 0 if _alone else _taken("RANK", 0)
size = 1 if _alone else _taken("RANKS", 1)
local_rank = 0 if _alone else _taken("LOCAL_RANK", 0)
local_size = 1 if _alone else _taken("LOCAL_RANKS", 1)
# Where this process may listen for the others: an address of the interface that reaches them.
address = "127.0.0.1" if _alone else os.environ.pop("CUNUMERIC_ADDRESS", "127.0.0.1")
# The same on all ranks and another in each run: what generators without a seed begin with. 0: ask the system.
seed = 0 if _alone else int(os.environ.pop("CUNUMERIC_JOB_SEED", "0"), 16)


# Rank and number of ranks, as launchers tell them.
_TOLD = (
    ("CUNUMERIC_RANK", "CUNUMERIC_RANKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("MVP_COMM_WORLD_RANK", "MVP_COMM_WORLD_SIZE"),
    ("JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
_COMMANDS = ("legate", "lgpatch", "legate-jupyter")


def alone_among(environ: Mapping[str, str], words: Sequence[str]) -> str:
    """What to say of a process, begun with `words`, that a launcher has started as one of several but that is no rank
    of `legate`: it computes everything by itself, and so do the others. Empty where there is nothing to say; rank 0
    alone says it."""
    driver = any("cunumeric.driver" in word or os.path.basename(word) in _COMMANDS for word in words)
    for rank, size in _TOLD:
        number, count = environ.get(rank, "").strip(), environ.get(size, "").strip()
        if count:
            if rank == "CUNUMERIC_RANK":
                number = number or environ.get("JOB_COMPLETION_INDEX", "").strip()
            if driver or not count.isdecimal() or int(count) < 2 or number not in ("", "0"):
                return ""
            return (
                f"cunumeric: {size} is {count}, but each process works alone: `legate` before the program makes them "
                "one (CUNUMERIC_RANKS=1 if this is meant)"
            )
    return ""


def say_if_alone() -> None:
    """At import; processes that a rank starts are alone as they should be."""
    if not _alone:
        os.environ["CUNUMERIC_RANKS"] = "1"
    elif text := alone_among(os.environ, sys.orig_argv):
        print(text, file=sys.stderr)


def _forked() -> None:
    global rank, size, local_rank, local_size, control, seed
    rank, size, local_rank, local_size, control, seed = 0, 1, 0, 1, -1, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
