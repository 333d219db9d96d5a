"""What this process is among those that run the program together; read from the environment once, when imported.

The `legate` command sets the variables for the processes that it starts, together with the one that names the line to
its supervisor (`channel.py`). They are taken out of the environment here: processes that the program starts are not
ranks. So are forked children not.
"""

from __future__ import annotations

import os

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


def _forked() -> None:
    global rank, size, local_rank, local_size, control, seed
    rank, size, local_rank, local_size, control, seed = 0, 1, 0, 1, -1, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
