"""Commands in fresh processes, without the settings of this session; and what they leave behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

LAUNCHERS = ("OMPI_", "PMI_", "PMIX_", "MPI_LOCAL", "MV2_", "MVP_", "JSM_", "SLURM_", "JOB_COMPLETION_INDEX")
SOON = 30  # seconds in which every fault must have ended every rank


def clean(**more):
    kept = {
        k: v
        for k, v in os.environ.items()
        if k != "LEGATE_CONFIG" and not k.startswith(("CUNUMERIC_", *LAUNCHERS)) and k != "XLA_FLAGS"
    }
    return kept | {k: str(v) for k, v in more.items()}


def command(*words):
    return [sys.executable, "-m", "cunumeric.driver", *map(str, words)]


def start(*words, cwd, **env):
    return subprocess.Popen(
        command(*words), cwd=cwd, env=clean(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process, within=120):
    """Its status and what it wrote."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"no end after {within} s; it wrote:\n{out}\n{err}") from None
    return process.returncode, out, err


def legate(*words, cwd, within=120, **env):
    return finish(start(*words, cwd=cwd, **env), within)


def wait_for(*files, within=60):
    """Until the programs have written these, with a line end."""
    until = time.monotonic() + within
    while not all(f.exists() and f.read_text().endswith("\n") for f in files):
        assert time.monotonic() < until, f"{[f.name for f in files if not f.exists()]} were not written"
        time.sleep(0.02)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_gone(folder, within=5):
    """No process that noted itself in a file `*.pid` of the folder is left."""
    pids = [int(f.read_text()) for f in folder.glob("*.pid")]
    assert pids
    until = time.monotonic() + within
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < until, f"processes {left} are left"
        time.sleep(0.05)


# Beginning of programs whose ranks note themselves, and a process that they have started.
NOTED = """
import os, subprocess, sys, time, signal
from pathlib import Path
from cunumeric.runtime import ranks
rank = ranks.rank
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(f"child{rank}.pid").write_text(f"{child.pid}\\n")
Path(f"rank{rank}.pid").write_text(f"{os.getpid()}\\n")
def all_noted(n):
    while len(list(Path().glob("rank*.pid"))) < n:
        time.sleep(0.01)
"""
