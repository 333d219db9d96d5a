"""Where ranks run and with what: what a launcher says of this process, the resources of each rank, the commands."""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from cunumeric.runtime.cores import gpu_ready

from .flags import Command, UsageError, numbers

# Set for processes that must not launch again: those that a launcher has started for us, and those that run a program.
LAUNCHED, RUNS = "CUNUMERIC_LAUNCHED", "CUNUMERIC_DRIVER"


@dataclass(frozen=True)
class Place:
    """A rank among all."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    source: str = ""  # what says so; empty: nobody, all ranks are started here
    job: str = ""  # a name that all processes of the launcher's job share, and no others

    @property
    def all_local(self) -> bool:
        return self.local_size == self.size


# Names of a rank, the number of ranks, and the same on the node; then of the job.
_LAUNCHERS = {
    "CUNUMERIC": (
        ("CUNUMERIC_RANK", "JOB_COMPLETION_INDEX"), ("CUNUMERIC_RANKS",),
        ("CUNUMERIC_LOCAL_RANK",), ("CUNUMERIC_LOCAL_RANKS",), (),
    ),
    "Open MPI": (
        ("OMPI_COMM_WORLD_RANK",), ("OMPI_COMM_WORLD_SIZE",),
        ("OMPI_COMM_WORLD_LOCAL_RANK",), ("OMPI_COMM_WORLD_LOCAL_SIZE",), ("PMIX_NAMESPACE",),
    ),
    "MVAPICH": (
        ("MV2_COMM_WORLD_RANK", "MVP_COMM_WORLD_RANK"), ("MV2_COMM_WORLD_SIZE", "MVP_COMM_WORLD_SIZE"),
        ("MV2_COMM_WORLD_LOCAL_RANK", "MVP_COMM_WORLD_LOCAL_RANK"),
        ("MV2_COMM_WORLD_LOCAL_SIZE", "MVP_COMM_WORLD_LOCAL_SIZE"), (),
    ),
    "jsrun": (
        ("JSM_NAMESPACE_RANK",), ("JSM_NAMESPACE_SIZE",),
        ("JSM_NAMESPACE_LOCAL_RANK",), ("JSM_NAMESPACE_LOCAL_SIZE",), ("PMIX_NAMESPACE",),
    ),
    # MPICH's and Intel's Hydra; Cray's PALS.
    "PMI": (
        ("PMI_RANK",), ("PMI_SIZE",), ("MPI_LOCALRANKID", "PMI_LOCAL_RANK"), ("MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"), (),
    ),
    "Slurm": (("SLURM_PROCID",), ("SLURM_STEP_NUM_TASKS",), ("SLURM_LOCALID",), (), ()),
}  # fmt: skip


def _told(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first of the variables that is set: its name, or nothing."""
    return next((name for name in names if environ.get(name, "").strip()), "")


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip() if name else ""
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{name}={text}: expected a whole number")
    return int(text)


def _slurms_local_size(environ: Mapping[str, str]) -> int:
    """Of "4(x2),3": so many ranks on this node."""
    node, found = _number(environ, "SLURM_NODEID", 0), 1
    for part in environ.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):
        count, _, times = part.rstrip(")").partition("(x")
        found = int(count) if count.isdecimal() else 1
        node -= int(times) if times.isdecimal() else 1
        if node < 0:
            break
    return found


def place(environ: Mapping[str, str]) -> Place:
    """What the launcher that has started this process says; where none has, or one alone, rank 0 of 1."""
    for source, names in _LAUNCHERS.items():
        rank, size, local_rank, local_size, job = [_told(environ, each) for each in names]
        own = source == "CUNUMERIC"  # plain variables: a rank is alone on its node unless they say more
        if not rank or not size or (rank == "JOB_COMPLETION_INDEX" and _number(environ, size, 1) == 1):
            continue
        number, count = _number(environ, rank, 0), _number(environ, size, 1)
        if number >= count:
            raise UsageError(f"{rank}={number}: there are {count} ranks, counted from 0")
        if count == 1 and not own:
            break
        slurms = source == "Slurm" or (not local_size and environ.get("SLURM_PROCID") == environ[rank])
        if slurms and not own:
            here = _number(environ, "SLURM_LOCALID", number), _slurms_local_size(environ)
        else:
            here = _number(environ, local_rank, 0 if own else number), _number(environ, local_size, 1 if own else count)
        name = environ.get("CUNUMERIC_JOB", "") or environ.get(job, "")
        return Place(number, count, *here, source, name or _batch_job(environ, here[1] == count))
    return Place()


def _batch_job(environ: Mapping[str, str], all_local: bool) -> str:
    """The name that a batch system has for what runs here. That of a whole batch, which may run several commands, is
    taken only where there is no other way to meet."""
    names = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
    if environ.get("SLURM_STEP_ID"):
        return f"{environ.get('SLURM_JOB_ID', '')}.{environ['SLURM_STEP_ID']}"
    return "" if all_local else environ.get(_told(environ, names), "")


@dataclass
class Setting:
    """What one rank is started with."""

    environ: dict[str, str] = field(default_factory=dict)  # beside the inherited
    cores: list[int] | None = None
    prefix: list[str] = field(default_factory=list)  # words before the command


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
    """The names by which this machine's GPUs are chosen, those that this process may use."""
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    present = len(glob.glob("/dev/nvidia[0-9]*"))
    if chosen is None:
        return [str(k) for k in range(present)]
    return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")] if present else []


def available() -> list[int]:
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # platforms without affinity
        return list(range(os.cpu_count() or 1))


def _entry(command: Command, key: str, local_rank: int, local_size: int) -> str | None:
    entries = command.get(key)
    if entries is None:
        return None
    if len(entries) < local_size:
        raise UsageError(f"--{key.replace('_', '-')}: {len(entries)} entries for {local_size} ranks of a node")
    return entries[local_rank]


def _gpus_of(command: Command, where: Place, environ: Mapping[str, str]) -> list[str] | None:
    """The GPUs of a rank; None: whatever there is, as without the command."""
    count, present = command.get("gpus"), visible_gpus(environ)
    bound = _entry(command, "gpu_bind", where.local_rank, where.local_size)
    if bound is not None:
        mine = bound.split(",")
        missing = [name for name in mine if name.isdecimal() and name not in present]
        if missing:
            raise UsageError(f"--gpu-bind {bound}: {_seen(present)}")
        if count is not None and len(mine) != count:
            raise UsageError(f"--gpu-bind {bound}: --gpus asks for {count}")
        return mine
    if count is None:
        if where.size == 1:
            return None
        count = 0 if "cpus" in command.values or not gpu_ready() else len(present) // where.local_size
    if where.source and len(present) == count:
        return present  # the launcher has given each rank its own
    if count * where.local_size > len(present):
        ranks = f" for each of {where.local_size} ranks" if where.local_size > 1 else ""
        raise UsageError(f"--gpus {count}{ranks}: {_seen(present)}")
    return present[where.local_rank * count :][:count]


def _seen(present: list[str]) -> str:
    if not present:
        return "no GPU is visible here"
    return f"{len(present)} GPU{'s are' if len(present) > 1 else ' is'} visible here ({', '.join(present)})"


def setting(command: Command, where: Place, threads: int | None, environ: Mapping[str, str]) -> Setting:
    """The resources of the rank at `where`. Raises UsageError for what this machine has not."""
    found = Setting()
    add = found.environ
    cores = available()
    bound = _entry(command, "cpu_bind", where.local_rank, where.local_size)
    if bound is not None:
        found.cores = numbers("--cpu-bind", bound)
        if not set(found.cores) <= set(cores):
            raise UsageError(f"--cpu-bind {bound}: this process may use the cores {', '.join(map(str, cores))}")
        threads = threads or len(found.cores)
    elif where.local_size > 1 and not (where.source and len(cores) < (os.cpu_count() or 1)):
        # What a launcher has bound already is left as it is.
        threads = threads or max(1, len(cores) // where.local_size)
        if threads * where.local_size <= len(cores):
            found.cores = cores[where.local_rank * threads :][:threads]
    if threads is not None:
        add["CUNUMERIC_NUM_THREADS"] = str(threads)
    gpus = _gpus_of(command, where, environ)
    if gpus:
        add["CUDA_VISIBLE_DEVICES"], add["CUNUMERIC_ENGINE"] = ",".join(gpus), "xla"
        if where.size > 1 and where.all_local and "NCCL_SOCKET_IFNAME" not in environ:
            add["NCCL_SOCKET_IFNAME"] = "lo"
    elif where.size > 1:
        add["CUNUMERIC_ENGINE"], add["JAX_PLATFORMS"] = "xla", "cpu"
    elif gpus is not None:
        add["CUNUMERIC_ENGINE"] = "host"
    if "fbmem" in command.values:
        add["CUNUMERIC_FBMEM"] = str(command.values["fbmem"])
    if "paper" in command.values:
        if where.size > 1:
            raise UsageError(f"--paper {command.values['paper']} needs one process, there are {where.size}")
        add["CUNUMERIC_PAPER"] = str(command.values["paper"])
    cards = _entry(command, "nic_bind", where.local_rank, where.local_size)
    if cards is not None:
        add["NCCL_IB_HCA"] = add["UCX_NET_DEVICES"] = cards
    memory = _entry(command, "mem_bind", where.local_rank, where.local_size)
    if memory is not None:
        tool = shutil.which("numactl")
        if tool is None:
            raise UsageError("--mem-bind needs the command numactl, which is not installed here")
        found.prefix = [tool, "--membind", memory]
    if where.size > 1:
        # The order of sets of strings must not differ between ranks.
        if environ.get("PYTHONHASHSEED", "random") == "random":
            add["PYTHONHASHSEED"] = "0"
        add |= {
            "CUNUMERIC_RANK": str(where.rank),
            "CUNUMERIC_RANKS": str(where.size),
            "CUNUMERIC_LOCAL_RANK": str(where.local_rank),
            "CUNUMERIC_LOCAL_RANKS": str(where.local_size),
        }
    return found


def interpreter() -> list[str]:
    """This command as it was started: the interpreter, its options, and the script or module."""
    from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]

    started = getattr(sys.modules["__main__"], "__spec__", None) is None and os.path.basename(sys.argv[0]) == "legate"
    script = [os.path.abspath(sys.argv[0])] if started else ["-m", "cunumeric.driver"]
    return [sys.executable, *_args_from_interpreter_flags(), *script]


def program_words(command: Command) -> list[str]:
    if command.module is not None:
        return ["-m", command.module, *command.arguments]
    return [command.program or "", *command.arguments]


def _is_hydra(name: str) -> bool:
    """Whether this is MPICH's or Intel's command, which has other flags than Open MPI's."""
    try:
        said = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "HYDRA" in said or "Intel(R) MPI" in said


def launcher_words(command: Command, words: list[str], environ: Mapping[str, str]) -> list[str]:
    """The command that starts `legate` again, once for each rank, on all nodes."""
    name, nodes, each = command.get("launcher"), command.get("nodes", 1), command.get("ranks_per_node", 1)
    total = str(nodes * each)
    extra = [word for line in command.get("launcher_extra", []) for word in shlex.split(line)]
    passed = sorted(
        key
        for key in environ
        if key.startswith(("CUNUMERIC_", "PYTHON", "JAX_", "XLA_", "NCCL_")) or key in ("LEGATE_CONFIG", LAUNCHED)
    )
    if name == "mpirun" and _is_hydra(name):
        start = [name, "-n", total, "-ppn", str(each), "-genvall"]
    elif name == "mpirun":
        start = [name, "-n", total, "--map-by", f"ppr:{each}:node", "--bind-to", "none"]
        start += [word for key in passed for word in ("-x", key)]
    elif name == "srun":
        start = [name, "--nodes", str(nodes), "--ntasks", total, "--ntasks-per-node", str(each), "--export", "ALL"]
    else:
        start = [name, "-n", str(nodes), "-r", "1", "-a", str(each), "-c", "ALL_CPUS", "-g", "ALL_GPUS", "-b", "none"]
        start += [word for key in passed for word in ("-E", key)]
    return [*start, *extra, *interpreter(), *words]


def in_words(environ: dict[str, str], words: list[str]) -> str:
    """As a line for a shell."""
    return " ".join([f"{key}={shlex.quote(value)}" for key, value in sorted(environ.items())] + [shlex.join(words)])
