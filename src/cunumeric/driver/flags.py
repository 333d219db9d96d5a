"""The flags of `legate`: one row each. A row says what the flag is for, or why it is accepted without effect."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

USAGE = "legate [flags] {prog.py | -m module} [arguments of the program]"


class UsageError(Exception):
    """Words that are no valid command; the message says which and why."""


def _whole(least: int) -> Callable[[str, str], int]:
    def read(flag: str, text: str) -> int:
        # isdecimal() alone admits digits of other scripts, which int() reads but nobody means.
        if not (text.isascii() and text.isdecimal()) or int(text) < least:
            raise UsageError(f"{flag} {text}: expected a whole number of at least {least}")
        return int(text)

    return read


def _text(flag: str, text: str) -> str:
    return text


def _launcher(flag: str, text: str) -> str:
    if text not in LAUNCHERS:
        raise UsageError(f"{flag} {text}: expected one of {', '.join(LAUNCHERS)}")
    return text


def _listed(flag: str, text: str) -> tuple[str, ...]:
    """One entry for each rank of a node, between slashes."""
    parts = tuple(text.split("/"))
    if not all(parts):
        raise UsageError(f"{flag} {text}: expected one entry for each rank of a node, separated by slashes")
    return parts


def numbers(flag: str, text: str) -> list[int]:
    """The numbers of "0,2-4"."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        first = _whole(0)(flag, low)
        found.extend(range(first, (_whole(first)(flag, high) if dash else first) + 1))
    return found


def _cores(flag: str, text: str) -> tuple[str, ...]:
    parts = _listed(flag, text)
    for part in parts:
        numbers(flag, part)
    return parts


LAUNCHERS = ("none", "mpirun", "srun", "jsrun")


@dataclass(frozen=True)
class Flag:
    names: tuple[str, ...]
    group: str
    value: str  # what help calls the value; empty: a switch
    meaning: str
    read: Callable[[str, str], Any] = _text
    idle: bool = False  # accepted without effect; `meaning` says why
    many: bool = False  # may be given several times

    @property
    def key(self) -> str:
        return self.names[-1].lstrip("-").replace("-", "_")


def _idle(name: str, group: str, value: str, why: str, read: Callable[[str, str], Any] = _text) -> Flag:
    return Flag((name,), group, value, why, read, idle=True)


PROGRAM, NODES, RESOURCES = "Program", "Nodes and ranks", "Resources of each rank"
BINDING, MEMORY, OUTPUT, ABOUT = "Binding", "Memory, in MiB", "Output", "Information"
_ONE_RUNTIME = "XLA has its own"
_ALL_OF_IT = "arrays may take what the machine has"
_NAMES = ", ".join(LAUNCHERS)
_GPUS = "GPUs; 0: none (default: an equal share of those visible; several ranks with --cpus: none)"
FLAGS = (
    Flag(("-m", "--module"), PROGRAM, "MODULE", "run a module instead of a file, as `python -m` does; the last flag"),
    Flag(("--nodes",), NODES, "N", "nodes; without a launcher, so many local processes stand for them", _whole(1)),
    Flag(("--ranks-per-node",), NODES, "N", "processes on each node (default 1)", _whole(1)),
    Flag(("--launcher",), NODES, "NAME", f"what starts the nodes: {_NAMES} (default none: this command)", _launcher),
    Flag(("--launcher-extra",), NODES, "WORDS", "further words for the launcher; may be repeated", _text, many=True),
    Flag(("--cpus",), RESOURCES, "N", "threads (default: the cores, shared among the ranks of a node)", _whole(1)),
    Flag(("--gpus",), RESOURCES, "N", _GPUS, _whole(0)),
    _idle("--omps", RESOURCES, "N", "there is one team of threads, --cpus", _whole(0)),
    _idle("--ompthreads", RESOURCES, "N", "there is one team of threads, --cpus", _whole(0)),
    _idle("--utility", RESOURCES, "N", "no threads are set aside for the runtime", _whole(0)),
    _idle("--auto-config", RESOURCES, "", "what is not said is chosen from the machine anyway"),
    Flag(("--cpu-bind",), BINDING, "CORES", "cores of each rank of a node, as 0-3/4-7", _cores),
    Flag(("--gpu-bind",), BINDING, "GPUS", "GPUs of each rank of a node, as 0,1/2,3", _listed),
    Flag(("--mem-bind",), BINDING, "NODES", "NUMA memory of each rank of a node, as 0/1 (by numactl)", _listed),
    Flag(("--nic-bind",), BINDING, "CARDS", "network cards of each rank of a node, as mlx5_0/mlx5_1", _listed),
    Flag(
        ("--fbmem",),
        MEMORY,
        "MIB",
        "memory of a GPU that arrays may take (default: what JAX reserves, 75 %)",
        _whole(0),
    ),
    _idle("--sysmem", MEMORY, "MIB", _ALL_OF_IT, _whole(0)),
    _idle("--numamem", MEMORY, "MIB", _ALL_OF_IT, _whole(0)),
    _idle("--zcmem", MEMORY, "MIB", "no memory is shared between host and GPU", _whole(0)),
    _idle("--regmem", MEMORY, "MIB", f"memory for the network: {_ONE_RUNTIME}", _whole(0)),
    _idle("--eager-alloc-percentage", MEMORY, "N", "there is one pool of memory", _whole(0)),
    Flag(("--verbose",), OUTPUT, "", "say which commands are run, to stderr"),
    Flag(("--all-ranks",), OUTPUT, "", "show the output of every rank, its number before each line"),
    Flag(("--log-to-file",), OUTPUT, "", "write the output of rank N to rank_N.log"),
    Flag(("--logdir",), OUTPUT, "FOLDER", "where --log-to-file writes (default: here)"),
    _idle("--color", OUTPUT, "", "what we print has no colours"),
    _idle("--show-progress", OUTPUT, "", "there are no tasks to show"),
    _idle("--show-memory-usage", OUTPUT, "", "memory is not divided among pools"),
    _idle("--profile", OUTPUT, "", "use nsys, or jax.profiler, on the program"),
    _idle("--nvprof", OUTPUT, "", "the tool is no more: nsys profile legate ..."),
    _idle("--nsys", OUTPUT, "", "put it before the command: nsys profile legate ..."),
    _idle("--gdb", OUTPUT, "", "put it before the command: gdb --args python -m cunumeric.driver ..."),
    Flag(("--show-config",), ABOUT, "", "print the resources that the program gets, then run it, if there is one"),
    Flag(
        ("--paper",), ABOUT, "N", "compute nothing: say what each of N devices would do and tell the others", _whole(1)
    ),
    Flag(("--dry-run",), ABOUT, "", "print the commands that would be run, and run nothing"),
    Flag(("-h", "--help"), ABOUT, "", "print this text"),
    Flag(("--version",), ABOUT, "", "print the version"),
)
EXAMPLES = (
    "legate prog.py                                     all cores of this machine, or its GPUs",
    "legate --nodes 4 --cpus 2 prog.py                  four processes here, two threads each",
    "legate --nodes 2 --gpus 4 --launcher srun prog.py  a process on each of two nodes, through Slurm",
    "mpirun -n 8 legate prog.py                         inside a launcher, which has chosen the ranks",
)
_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
KNOWN = ", ".join(f"{flag.names[-1]} {flag.value}".strip() for flag in FLAGS if flag.names[0] != "-m") + ", -m module"


@dataclass
class Command:
    """What a line of words asks for."""

    values: dict[str, Any] = field(default_factory=dict)  # by `Flag.key`, those that were given
    program: str | None = None
    arguments: tuple[str, ...] = ()

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    @property
    def module(self) -> str | None:
        return self.values.get("module")


def parse(words: list[str]) -> Command:
    """Flags up to the program, then the program, then its arguments as they are.

    Raises:
        UsageError: for a flag that is not known, or a value that is missing or wrong.
    """
    command = Command()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, attached = word.partition("=")
        flag = _BY_NAME.get(name)
        if flag is None and not word.startswith("-"):
            command.program = word
            break
        if flag is None or (equals and not (flag.value and name.startswith("--"))):
            raise UsageError(f"unknown flag {word}")
        if not flag.value:
            command.values[flag.key] = True
            continue
        if not equals and not rest:
            raise UsageError(f"{name} needs a value")
        value = flag.read(name, attached if equals else rest.pop(0))
        command.values[flag.key] = [*command.get(flag.key, []), value] if flag.many else value
        if flag.key == "module":
            break
    command.arguments = tuple(rest)
    return command


def configured() -> Command:
    """The flags of LEGATE_CONFIG."""
    try:
        command = parse(shlex.split(os.environ.get("LEGATE_CONFIG", "")))
        if command.program is not None or command.module is not None:
            raise UsageError(f"{command.program or '-m'} does not belong here: it holds flags only")
    except (UsageError, ValueError) as error:  # ValueError: a quotation that is not closed
        raise UsageError(f"LEGATE_CONFIG: {error}") from None
    return command


def idle(command: Command) -> list[str]:
    """What to say of the flags that have no effect here."""
    return [f"{f.names[-1]} has no effect here: {f.meaning}" for f in FLAGS if f.idle and f.key in command.values]


def help_text() -> str:
    """All flags, in groups; those without effect last, in a group of their own."""

    def shown(flag: Flag) -> str:
        return f"  {', '.join(flag.names)} {flag.value}".rstrip()

    width = max(len(shown(flag)) for flag in FLAGS) + 2
    lines = [f"usage: {USAGE}", "", "Run a Python program that imports cunumeric, with the resources given."]
    groups = list(dict.fromkeys(flag.group for flag in FLAGS))
    for group in groups:
        lines += ["", f"{group}:"]
        lines += [f"{shown(f):{width}}{f.meaning}" for f in FLAGS if f.group == group and not f.idle]
    lines += ["", "Accepted without effect, because:"]
    lines += [f"{shown(f):{width}}{f.meaning}" for f in FLAGS if f.idle]
    lines += ["", "Examples:", *[f"  {line}" for line in EXAMPLES]]
    lines += ["", 'LEGATE_CONFIG holds flags too, e.g. LEGATE_CONFIG="--cpus 4"; those on the command line win.', ""]
    return "\n".join(lines)
