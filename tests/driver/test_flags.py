"""The table of flags, and what a launcher and a machine make of a command."""

import os
import re
import subprocess
import sys

import pytest

from cunumeric.driver import flags, launch
from cunumeric.driver.flags import UsageError
from cunumeric.driver.launch import Place

from .started import clean, legate

PEERS = """--auto-config --show-config --show-memory-usage --show-progress --verbose --dry-run --nodes --ranks-per-node
    --launcher --launcher-extra --cpu-bind --mem-bind --gpu-bind --nic-bind --cpus --omps --ompthreads --gpus --utility
    --sysmem --numamem --fbmem --zcmem --regmem --eager-alloc-percentage --profile --logdir --log-to-file --nvprof
    --nsys --gdb --color --module""".split()


def test_every_flag_of_the_peers_is_a_row_and_in_the_help():
    text = flags.help_text()
    for name in PEERS:
        assert re.search(rf"{name}\b", text), name
    values = {"": [], "N": ["2"], "MIB": ["2"], "CORES": ["0/1"], "GPUS": ["0/1"], "NAME": ["srun"]}
    for flag in flags.FLAGS:
        command = flags.parse([flag.names[-1], *values.get(flag.value, ["x"])])
        assert flag.key in command.values


def test_values():
    command = flags.parse(["--nodes=2", "--launcher-extra", "-a b", "--launcher-extra=-c", "--gpus", "0", "p.py", "-x"])
    assert command.values == {"nodes": 2, "launcher_extra": ["-a b", "-c"], "gpus": 0}
    assert (command.program, command.arguments) == ("p.py", ("-x",))
    assert flags.parse(["--module", "m", "--nodes", "2"]).arguments == ("--nodes", "2")
    assert flags.numbers("--cpu-bind", "0,2-4") == [0, 2, 3, 4]


@pytest.mark.parametrize(
    "words",
    [["--nodes", "0"], ["--launcher", "ssh"], ["--cpu-bind", "0//1"], ["--cpu-bind", "3-1"], ["--gpus", "-1"]],
    ids=" ".join,
)
def test_wrong_values(words):
    with pytest.raises(UsageError, match=words[0]):
        flags.parse(words)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Place()),
        (
            {"CUNUMERIC_RANK": "1", "CUNUMERIC_RANKS": "4"},
            Place(1, 4, 0, 1, "CUNUMERIC"),
        ),
        (
            {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
             "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "PMIX_NAMESPACE": "job1"},
            Place(5, 8, 1, 4, "Open MPI", "job1"),
        ),
        (
            {"MV2_COMM_WORLD_RANK": "1", "MV2_COMM_WORLD_SIZE": "2", "MV2_COMM_WORLD_LOCAL_RANK": "1",
             "MV2_COMM_WORLD_LOCAL_SIZE": "2"},
            Place(1, 2, 1, 2, "MVAPICH"),
        ),
        (
            {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"},
            Place(3, 4, 1, 2, "PMI"),
        ),
        (
            {"SLURM_PROCID": "9", "SLURM_STEP_NUM_TASKS": "11", "SLURM_LOCALID": "1", "SLURM_NODEID": "2",
             "SLURM_STEP_TASKS_PER_NODE": "4(x2),3", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0"},
            Place(9, 11, 1, 3, "Slurm", "77.0"),
        ),
        (  # an indexed job of Kubernetes
            {"JOB_COMPLETION_INDEX": "2", "CUNUMERIC_RANKS": "4"},
            Place(2, 4, 0, 1, "CUNUMERIC"),
        ),
        ({"JOB_COMPLETION_INDEX": "2"}, Place()),
        ({"JOB_COMPLETION_INDEX": "2", "CUNUMERIC_RANKS": "1"}, Place()),  # a command that a rank has started
        (
            {"MVP_COMM_WORLD_RANK": "3", "MVP_COMM_WORLD_SIZE": "4", "MVP_COMM_WORLD_LOCAL_RANK": "1",
             "MVP_COMM_WORLD_LOCAL_SIZE": "2", "PBS_JOBID": "12.host"},
            Place(3, 4, 1, 2, "MVAPICH", "12.host"),
        ),
        (
            {"JSM_NAMESPACE_RANK": "3", "JSM_NAMESPACE_SIZE": "4", "JSM_NAMESPACE_LOCAL_RANK": "1",
             "JSM_NAMESPACE_LOCAL_SIZE": "2", "PMIX_NAMESPACE": "5", "LSB_JOBID": "77"},
            Place(3, 4, 1, 2, "jsrun", "5"),
        ),
        (  # Cray's
            {"PMI_RANK": "3", "PMI_SIZE": "4", "PMI_LOCAL_RANK": "1", "PMI_LOCAL_SIZE": "2", "PBS_JOBID": "9"},
            Place(3, 4, 1, 2, "PMI", "9"),
        ),
        (  # several commands of a batch on one machine do not meet each other
            {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "PBS_JOBID": "9"},
            Place(1, 2, 1, 2, "PMI"),
        ),
        (  # Hydra, whose proxies, one a node, Slurm has started
            {"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "SLURM_PROCID": "1",
             "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1", "SLURM_JOB_ID": "7",
             "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_STEP_ID": "2"},
            Place(1, 4, 1, 2, "PMI", "7.2"),
        ),
        (  # the shell of an allocation
            {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
             "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "4294967290"},
            Place(),
        ),
        (  # a batch script is no step
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "77"},
            Place(),
        ),
        (
            {"SLURM_PROCID": "1", "PMI_RANK": "1", "PMI_SIZE": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0",
             "SLURM_NODEID": "1", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "3"},
            Place(1, 2, 0, 1, "PMI", "7.3"),
        ),
    ],
)  # fmt: skip
def test_ranks_that_a_launcher_has_started(environ, expected):
    assert launch.place(environ) == expected


def test_rank_out_of_range():
    with pytest.raises(UsageError, match="counted from 0"):
        launch.place({"PMI_RANK": "2", "PMI_SIZE": "2"})


@pytest.fixture
def machine(monkeypatch):
    """A machine of 8 cores and 4 GPUs."""
    monkeypatch.setattr(launch, "available", lambda: list(range(8)))
    monkeypatch.setattr(launch, "visible_gpus", lambda environ: ["0", "1", "2", "3"])
    monkeypatch.setattr(launch, "gpu_ready", lambda: True)
    monkeypatch.setattr(launch.os, "cpu_count", lambda: 8)


def settings(words, size, threads=None, source=""):
    command = flags.parse(words)
    if threads is None:
        threads = command.get("cpus")
    return [launch.setting(command, Place(k, size, k, size, source), threads, {}) for k in range(size)]


def test_ranks_share_cores_and_gpus(machine):
    found = settings(["--gpus", "2"], 2)
    assert [s.environ["CUDA_VISIBLE_DEVICES"] for s in found] == ["0,1", "2,3"]
    assert [s.cores for s in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert all(s.environ["CUNUMERIC_ENGINE"] == "xla" and s.environ["PYTHONHASHSEED"] == "0" for s in found)
    found = settings(["--cpus", "2"], 4)
    assert [s.cores for s in found] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert {s.environ["JAX_PLATFORMS"] for s in found} == {"cpu"}
    assert {s.environ["CUNUMERIC_NUM_THREADS"] for s in found} == {"2"}
    assert [s.cores for s in settings(["--cpus", "3"], 4)] == [None] * 4  # not enough for all
    assert [s.environ["CUDA_VISIBLE_DEVICES"] for s in settings([], 2)] == ["0,1", "2,3"]


def test_binding(machine):
    found = settings(["--cpu-bind", "0-1,6/2", "--gpu-bind", "3/1,2", "--nic-bind", "a/b"], 2)
    assert [s.cores for s in found] == [[0, 1, 6], [2]]
    assert [s.environ["CUNUMERIC_NUM_THREADS"] for s in found] == ["3", "1"]
    assert [s.environ["CUDA_VISIBLE_DEVICES"] for s in found] == ["3", "1,2"]
    assert [s.environ["NCCL_IB_HCA"] for s in found] == ["a", "b"]
    for words in (["--cpu-bind", "0"], ["--cpu-bind", "0/9"], ["--gpus", "3"], ["--gpu-bind", "0/7"]):
        with pytest.raises(UsageError, match=words[0]):
            settings(words, 2)


def test_what_a_launcher_has_bound_stays(machine, monkeypatch):
    monkeypatch.setattr(launch, "available", lambda: [2, 3])
    assert [s.cores for s in settings([], 2, source="Open MPI")] == [None, None]
    monkeypatch.setattr(launch, "visible_gpus", lambda environ: ["2"])
    assert {s.environ["CUDA_VISIBLE_DEVICES"] for s in settings(["--gpus", "1"], 2, source="Slurm")} == {"2"}


@pytest.mark.parametrize("name", ["mpirun", "srun", "jsrun"])
def test_launchers(name):
    words = ["--nodes", "2", "--ranks-per-node", "4", "--launcher", name, "--launcher-extra", "--x 'a b'"]
    line = launch.launcher_words(flags.parse(words), ["--nodes", "2", "p.py"], {"CUNUMERIC_JOB": "j", "HOME": "/"})
    assert line[0] == name
    assert "8" in line or name == "jsrun"
    assert line[line.index("--x") + 1] == "a b"
    assert line[-3:] == ["--nodes", "2", "p.py"]
    assert line.index("--x") < line.index("cunumeric.driver")
    assert ("CUNUMERIC_JOB" in line) == (name != "srun")
    assert "HOME" not in line


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("mpirun (Open MPI) 5.0.7", "-n 8 --map-by ppr:4:node --bind-to none -x CUNUMERIC_JOB"),
        ("HYDRA build details:\n    Version: 4.3.0", "-n 8 -ppn 4 -genvall"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.13", "-n 8 -ppn 4 -genvall"),
    ],
)
def test_each_mpirun_has_its_own_flags(tmp_path, version, flags):
    tool = tmp_path / "mpirun"
    tool.write_text(f"#!/bin/sh\necho '{version}'\n")
    tool.chmod(0o755)
    words = ("--nodes", "2", "--ranks-per-node", "4", "--launcher", "mpirun", "--dry-run", "x.py")
    code, out, err = legate(*words, cwd=tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (code, err) == (0, "")
    assert out.startswith(f"CUNUMERIC_LAUNCHED=1 mpirun {flags} ")


def test_missing_gpu_is_one_line(tmp_path):
    (tmp_path / "prog.py").write_text("print('ran')")
    code, out, err = legate("--gpus", "2", "prog.py", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert (code, out, err) == (2, "", "legate: --gpus 2: no GPU is visible here\n")


def test_flags_without_effect_say_so_once(tmp_path):
    (tmp_path / "prog.py").write_text("print('ran')")
    code, out, err = legate("--sysmem", "9", "--color", "prog.py", cwd=tmp_path, LEGATE_CONFIG="--utility 2 --sysmem 8")
    assert (code, out) == (0, "ran\n")
    assert sorted(line.split()[1] for line in err.splitlines()) == ["--color", "--sysmem", "--utility"]


def test_dry_run_and_show_config(tmp_path):
    code, out, err = legate("--nodes", "2", "--dry-run", "--show-config", "x.py", "--y", cwd=tmp_path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == "ranks: 2, 2 started here"
    assert [line.split()[-2:] for line in lines[-2:]] == [["x.py", "--y"]] * 2
    assert "CUNUMERIC_RANK=1" in lines[-1]
    code, out, err = legate("--show-config", cwd=tmp_path, CUDA_VISIBLE_DEVICES="", CUNUMERIC_NUM_THREADS=3)
    assert (code, err) == (0, "")
    assert "rank 0: threads: 3; arrays: on the processor, by NumPy and our own loops (engine host)\n" in out
    code, out, err = legate("--show-config", "--nodes", "2", "--cpus", "2", cwd=tmp_path)
    assert out.count("arrays: on the processor, by XLA (engine xla)\n    set for it: CUNUMERIC_ENGINE=xla ") == 2
    assert "arrays: on paper, for 20 devices" in legate("--show-config", "--paper", "20", cwd=tmp_path)[1]
    code, out, err = legate("--nodes", "2", "--launcher", "srun", "--dry-run", "x.py", cwd=tmp_path)
    assert out.split()[1:6] == ["srun", "--nodes", "2", "--ntasks", "2"]
    code, out, err = legate("--launcher", "srun", "x.py", cwd=tmp_path, PATH="/nowhere")
    assert (code, out, err) == (2, "", "legate: --launcher srun: No such file or directory\n")


def test_what_a_dry_run_prints_can_be_run(tmp_path):
    """By hand, in one shell."""
    (tmp_path / "prog.py").write_text("from cunumeric.runtime import ranks; print(ranks.rank, ranks.size)")
    out = legate("--nodes", "2", "--cpus", "1", "--dry-run", "prog.py", cwd=tmp_path)[1]
    lines = [line.partition(": ")[2] + " &\n" for line in out.splitlines()]
    done = subprocess.run(
        ["sh", "-c", "".join(lines) + "wait"], cwd=tmp_path, env=clean(), capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0 2\n", "")


def test_a_launcher_that_says_nothing(tmp_path):
    """Each of its processes would start all ranks."""
    tool = tmp_path / "mpirun"
    tool.write_text(f'#!/bin/sh\nwhile [ "$1" != {sys.executable} ]; do shift; done\nexec "$@"\n')
    tool.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, out, err = legate("--nodes", "2", "--launcher", "mpirun", "x.py", cwd=tmp_path, PATH=path)
    assert (code, out) == (2, "")
    assert err == "legate: --launcher mpirun has started this process without saying which it is\n"


def test_several_ranks_from_the_shell_of_an_allocation(tmp_path):
    (tmp_path / "prog.py").write_text("from cunumeric.runtime import ranks; print(ranks.size)")
    step = {"SLURM_PROCID": 0, "SLURM_STEP_NUM_TASKS": 1, "SLURM_LOCALID": 0}
    assert legate("--nodes", "2", "--cpus", "1", "prog.py", cwd=tmp_path, **step) == (0, "2\n", "")


def test_the_engine_of_one_rank(tmp_path):
    (tmp_path / "prog.py").write_text("import os; print(os.environ['CUNUMERIC_ENGINE'], __name__)")
    code, out, err = legate("--gpus", "0", "prog.py", cwd=tmp_path)
    assert (code, out, err) == (0, "host __main__\n", "")
    code, out, err = legate("--fbmem", "100", "-m", "prog", cwd=tmp_path, CUNUMERIC_ENGINE="host")
    assert (code, out, err) == (0, "host __main__\n", "")


@pytest.mark.parametrize(
    ("environ", "words", "said"),
    [
        ({"CUNUMERIC_RANK": "0", "CUNUMERIC_RANKS": "4"}, ["python", "x.py"], "CUNUMERIC_RANKS is 4"),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, ["python", "x.py"], "OMPI_COMM_WORLD_SIZE is 2"),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, ["python", "x.py"], ""),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, ["python", "/usr/bin/legate", "x.py"], ""),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, ["python", "-m", "cunumeric.driver", "x.py"], ""),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "CUNUMERIC_RANKS": "1"}, ["python", "x.py"], ""),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, ["python", "x.py"], ""),
        ({"JOB_COMPLETION_INDEX": "0", "CUNUMERIC_RANKS": "2"}, ["python", "x.py"], "CUNUMERIC_RANKS is 2"),
        ({"JOB_COMPLETION_INDEX": "1", "CUNUMERIC_RANKS": "2"}, ["python", "x.py"], ""),
        ({"JSM_NAMESPACE_RANK": "0", "JSM_NAMESPACE_SIZE": "2"}, ["python", "x.py"], "JSM_NAMESPACE_SIZE is 2"),
        ({}, ["python", "x.py"], ""),
    ],
)
def test_a_process_that_is_alone_among_several(environ, words, said):
    from cunumeric.runtime import ranks

    text = ranks.alone_among(environ, words)
    assert text.startswith(f"cunumeric: {said}, but each process works alone" if said else "")
    assert bool(text) == bool(said)


def test_scale_on_paper(tmp_path):
    (tmp_path / "prog.py").write_text("from cunumeric.runtime.settings import settings as s; print(s.paper, s.engine)")
    code, out, err = legate("--paper", "2048", "prog.py", cwd=tmp_path)
    assert (code, out) == (0, "2048 xla\n")
    assert "no window was compiled: " in err
    code, out, err = legate("--paper", "8", "--nodes", "2", "prog.py", cwd=tmp_path)
    assert (code, out, err) == (2, "", "legate: --paper 8 needs one process, there are 2\n")
