"""Several ranks on this machine: what they are given, what is shown of them, and that no fault leaves anything behind.

None of these programs records windows, so XLA is not started; `tests/engines/xla/test_processes.py` has those that do.
"""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from .started import NOTED, SOON, alive, assert_gone, clean, command, finish, legate, start, wait_for

FACTS = """
import os, random, sys
from cunumeric.runtime import ranks
from cunumeric.runtime.settings import settings
print(ranks.rank, ranks.size, ranks.local_rank, settings.engine, settings.threads, sys.argv, flush=True)
print("not for the screen", file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "facts.py").write_text(FACTS)
    return tmp_path


def test_only_rank_0_is_seen(folder):
    code, out, err = legate("--nodes", "2", "--cpus", "1", "facts.py", "--x", cwd=folder)
    assert (code, out, err) == (0, "0 2 0 xla 1 ['facts.py', '--x']\n", "not for the screen\n")


def test_all_ranks_behind_their_numbers_and_in_files(folder):
    words = ("--nodes", "2", "--cpus", "1", "--all-ranks", "--log-to-file", "--logdir", "logs", "-m", "facts")
    code, out, err = legate(*words, cwd=folder)
    assert code == 0
    assert sorted(line[:13] for line in out.splitlines()) == ["[0] 0 2 0 xla", "[1] 1 2 1 xla"]
    assert sorted(err.splitlines()) == ["[0] not for the screen", "[1] not for the screen"]
    for k in (0, 1):
        log = (folder / "logs" / f"rank_{k}.log").read_text().splitlines()
        assert sorted(line[:9] for line in log) == sorted(
            [f"{k} 2 {k} xla", "not for the screen"][j][:9] for j in (0, 1)
        )


def test_what_differs_between_processes_agrees(tmp_path):
    """Hashes, and generators without a seed: NumPy's, ours, old ones and new ones, and Python's. Not in their children,
    and not in the next run."""
    (tmp_path / "prog.py").write_text(
        "import random\n"
        "import numpy\n"
        "import cunumeric as np\n"
        "from multiprocessing import get_context\n"
        "def drawn(_=0):\n"
        "    return float(numpy.random.default_rng().random())\n"
        "print(hash('x'), random.random(), drawn(), float(np.random.rand()), np.random.SeedSequence().entropy,\n"
        "      np.random.RandomState().randint(10**6), np.random.default_rng().integers(10**6), numpy.random.rand())\n"
        "with get_context('fork').Pool(2) as pool:\n"
        "    assert len(set(pool.map(drawn, range(4), 1))) == 4\n"
    )
    runs = [legate("--nodes", "3", "--all-ranks", "prog.py", cwd=tmp_path)[1].splitlines() for _ in range(2)]
    for lines in runs:
        assert len(lines) == 3
        assert len({line[4:] for line in lines}) == 1
    assert runs[0][0].split()[2:] != runs[1][0].split()[2:]
    given = [
        legate("--nodes", "2", "--all-ranks", "prog.py", cwd=tmp_path, CUNUMERIC_JOB_SEED="12ab")[1] for _ in range(2)
    ]
    assert sorted(given[0].splitlines()) == sorted(given[1].splitlines())


def test_processes_that_a_rank_starts_are_no_ranks(tmp_path):
    (tmp_path / "prog.py").write_text(
        "import os, subprocess, sys, warnings\n"
        "from cunumeric.runtime import ranks\n"
        # From Python 3.12 on a fork beside any thread warns, and a rank has one that listens to the others.
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "own = [sys.executable, '-c', 'from cunumeric.runtime import ranks; print(ranks.size)']\n"
        "print(subprocess.run(own, capture_output=True, text=True).stdout.strip())\n"
        "if os.fork() == 0:\n"
        "    os._exit(ranks.size)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]), ranks.size)\n"
    )
    assert legate("--nodes", "2", "prog.py", cwd=tmp_path) == (0, "1\n1 2\n", "")


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (
            "if rank == 1: 1 / 0",
            1,
            ["ZeroDivisionError", "line 15", "rank 1 ended with status 1; all ranks were ended"],
        ),
        ("if rank == 2: sys.exit(5)", 5, ["rank 2 ended with status 5"]),
        ("if rank == 0: os.kill(os.getpid(), signal.SIGKILL)", 137, ["rank 0 was killed by SIGKILL"]),
        ("if rank == 1: os.kill(os.getpid(), signal.SIGSTOP)", 1, ["rank 1 was stopped"]),
        ("1 / 0", 1, ["ZeroDivisionError"]),
    ],
)
def test_a_fault_of_one_ends_all(tmp_path, fault, status, words):
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    (tmp_path / "prog.py").write_text(f"{NOTED}\nall_noted(3)\n{deaf}\n{fault}\ntime.sleep(100)\n")
    begun = time.monotonic()
    code, _, err = legate("--nodes", "3", "prog.py", cwd=tmp_path)
    assert time.monotonic() - begun < SOON
    assert code == status, err
    for word in words:
        assert word in err
    assert err.count("Traceback") == ("1 / 0" in fault)
    assert_gone(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_command_ends_all(tmp_path, number):
    (tmp_path / "prog.py").write_text(f"{NOTED}\ntime.sleep(100)\n")
    process = start("--nodes", "2", "prog.py", cwd=tmp_path)
    wait_for(tmp_path / "rank0.pid", tmp_path / "rank1.pid")
    process.send_signal(number)
    begun = time.monotonic()
    process.wait(SOON)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert_gone(tmp_path, within=SOON - (time.monotonic() - begun))
    process.communicate()


def test_a_rank_whose_supervisor_is_gone_before_it_listens(tmp_path):
    """Nobody could end it any more: it ends itself, and what it has started."""
    (tmp_path / "prog.py").write_text(
        f"import os\nos.setpgid(0, 0)\n{NOTED}\nimport socket\nfrom cunumeric.runtime import channel\n"
        "ours, theirs = socket.socketpair()\ntheirs.close()\nchannel.Channel(ours.detach())\ntime.sleep(100)\n"
    )
    code = subprocess.run([sys.executable, "prog.py"], cwd=tmp_path, env=clean(), timeout=SOON).returncode
    assert code == -signal.SIGKILL
    assert_gone(tmp_path)


def test_ctrl_c_twice_does_not_wait(tmp_path):
    (tmp_path / "prog.py").write_text(f"{NOTED}\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(100)\n")
    process = start("--nodes", "2", "prog.py", cwd=tmp_path)
    wait_for(tmp_path / "rank0.pid", tmp_path / "rank1.pid")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert finish(process, 10)[0] == 130
    assert_gone(tmp_path)


def test_a_rank_waits_for_the_others(tmp_path):
    """Also in `atexit` functions of the program, which come first."""
    (tmp_path / "prog.py").write_text(
        f"{NOTED}\nimport atexit\nchild.kill()\natexit.register(print, 'last words')\nif rank == 1: time.sleep(2)\n"
        "Path(f'end{rank}').write_text('x\\n')\n"
    )
    process = start("--nodes", "2", "prog.py", cwd=tmp_path)
    wait_for(tmp_path / "end0")
    time.sleep(0.5)
    assert alive(int((tmp_path / "rank0.pid").read_text()))
    assert finish(process) == (0, "last words\n", "")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launched(folder, size, words, variables, **env):
    """As a launcher starts them: one command a rank. Rank 0 comes last."""
    started = []
    for rank in reversed(range(size)):
        own = {name: str(value(rank, size)) for name, value in variables.items()}
        started.append(start(*words, cwd=folder, **own, **env))
    return [finish(process) for process in reversed(started)]


OWN = {"CUNUMERIC_RANK": lambda r, n: r, "CUNUMERIC_RANKS": lambda r, n: n}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": lambda r, n: r,
    "OMPI_COMM_WORLD_SIZE": lambda r, n: n,
    "OMPI_COMM_WORLD_LOCAL_RANK": lambda r, n: r,
    "OMPI_COMM_WORLD_LOCAL_SIZE": lambda r, n: n,
    "PMIX_NAMESPACE": lambda r, n: f"{os.getpid()}.{time.monotonic_ns() // 10**12}",
}


def test_ranks_of_a_launcher_meet(folder):
    (zero, out, _), (one, nothing, _) = launched(folder, 2, ["facts.py"], OPEN_MPI, CUNUMERIC_JOB=f"a{time.time_ns()}")
    assert (zero, one, out[:9], nothing) == (0, 0, "0 2 0 xla", "")


def test_ranks_of_plain_variables_meet(folder):
    at = f"127.0.0.1:{free_port()}"
    found = launched(folder, 3, ["--all-ranks", "facts.py"], OWN, CUNUMERIC_COORDINATOR=at, CUNUMERIC_TOKEN="t")
    assert [(code, out[:9]) for code, out, _ in found] == [(0, "[0] 0 3 0"), (0, "[1] 1 3 0"), (0, "[2] 2 3 0")]


def test_a_fault_under_a_launcher(tmp_path):
    (tmp_path / "prog.py").write_text(f"{NOTED}\nall_noted(2)\nif rank == 1: 1 / 0\ntime.sleep(100)\n")
    at = f"127.0.0.1:{free_port()}"
    begun = time.monotonic()
    found = launched(tmp_path, 2, ["prog.py"], OWN, CUNUMERIC_COORDINATOR=at)
    assert time.monotonic() - begun < SOON
    for code, _, err in found:
        assert code == 1
        assert "ZeroDivisionError" in err
        assert "rank 1 ended with status 1; all ranks were ended" in err
    assert_gone(tmp_path)


def test_a_supervisor_that_vanishes(tmp_path):
    (tmp_path / "prog.py").write_text(f"{NOTED}\ntime.sleep(100)\n")
    env = {"CUNUMERIC_RANKS": 2, "CUNUMERIC_COORDINATOR": f"127.0.0.1:{free_port()}"}
    one = start("prog.py", cwd=tmp_path, CUNUMERIC_RANK=1, **env)
    zero = start("prog.py", cwd=tmp_path, CUNUMERIC_RANK=0, **env)
    wait_for(tmp_path / "rank0.pid", tmp_path / "rank1.pid")
    one.kill()
    code, _, err = finish(zero, SOON)
    assert (code, err) == (1, "legate: rank 1 cannot be reached: the connection was closed; all ranks were ended.\n")
    one.communicate()
    assert_gone(tmp_path / ".")


@pytest.mark.parametrize(
    ("rank", "env", "words"),
    [
        (1, {"CUNUMERIC_COORDINATOR": "127.0.0.1:{free}"}, ["rank 1 cannot reach rank 0 at 127.0.0.1:", "refused"]),
        (0, {"CUNUMERIC_COORDINATOR": "127.0.0.1:{free}"}, ["rank 1 did not come within 2 s"]),
        (0, {"CUNUMERIC_COORDINATOR": "127.0.0.1:{busy}"}, ["rank 0 cannot listen at", "already in use"]),
        (1, {"CUNUMERIC_COORDINATOR": "no.such.host.invalid:5"}, ["rank 1 cannot reach rank 0 at no.such.host"]),
        (1, {"CUNUMERIC_COORDINATOR": "host"}, ["expected host:port"]),
        (1, {}, ["set CUNUMERIC_COORDINATOR=host:port on all ranks"]),
    ],
)
def test_ranks_that_do_not_come_together(folder, rank, env, words):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        env = {k: v.format(free=free_port(), busy=busy.getsockname()[1]) for k, v in env.items()}
        code, _, err = legate(
            "facts.py", cwd=folder, CUNUMERIC_RANK=rank, CUNUMERIC_RANKS=2, CUNUMERIC_START_SECONDS=2, **env
        )
    assert code == 1
    assert "Traceback" not in err
    assert [line[:8] for line in err.splitlines() if line != "not for the screen"] == ["legate: "]
    for word in words:
        assert word in err


def test_strangers_are_not_heard(folder):
    """Who does not know the token, or says nonsense, or much of it, changes nothing."""
    port = free_port()
    env = {"CUNUMERIC_RANKS": 2, "CUNUMERIC_COORDINATOR": f"127.0.0.1:{port}", "CUNUMERIC_TOKEN": "right"}
    zero = start("facts.py", cwd=folder, CUNUMERIC_RANK=0, **env)
    said = [
        b'{"kind":"hello","token":"wrong","rank":1,"size":2}\n{"kind":"failed"}\n',
        b"\x80\x04N.\n",
        b"[1]\n",
        b"x" * 3_000_000,
        b'{"kind":"hello","token":"right","rank":[1],"size":2}\n',
        b'{"kind":"hello","token":"right","rank":1,"size":3}\n',
    ]
    for data in said:
        until = time.monotonic() + 20
        while True:
            try:
                stranger = socket.create_connection(("127.0.0.1", port), 5)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < until
                time.sleep(0.05)
        with stranger:
            try:
                stranger.sendall(data)
                stranger.settimeout(15)
                while answer := stranger.recv(4096):
                    assert b"welcome" not in answer
            except (ConnectionResetError, BrokenPipeError):
                pass
    one = start("facts.py", cwd=folder, CUNUMERIC_RANK=1, **env)
    assert finish(one)[0] == 0
    assert finish(zero)[0] == 0


def test_a_launcher_is_run(tmp_path):
    """A stand-in for srun, which starts the ranks on this machine."""
    (tmp_path / "facts.py").write_text(FACTS)
    tool = tmp_path / "srun"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import os, subprocess, sys\n"
        "words = sys.argv[sys.argv.index('ALL') + 1:]\n"
        "n = int(sys.argv[sys.argv.index('--ntasks') + 1])\n"
        "own = dict(SLURM_JOB_ID=str(os.getpid()), SLURM_STEP_ID='0', SLURM_STEP_NUM_TASKS=str(n),\n"
        "           SLURM_STEP_TASKS_PER_NODE=str(n), SLURM_NODEID='0')\n"
        "ranks = [subprocess.Popen(words, env=os.environ | own | dict(SLURM_PROCID=str(k), SLURM_LOCALID=str(k)))\n"
        "         for k in range(n)]\n"
        "sys.exit(max(rank.wait() for rank in ranks))\n"
    )
    tool.chmod(0o755)
    found = subprocess.run(
        command("--ranks-per-node", "2", "--launcher", "srun", "--color", "facts.py", "z"),
        cwd=tmp_path,
        env=clean(PATH=f"{tmp_path}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (found.returncode, found.stdout.split("xla")[0]) == (0, "0 2 0 ")
    assert found.stderr.count("--color has no effect") == 1
