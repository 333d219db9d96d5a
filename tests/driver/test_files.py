"""Files that several ranks write: each once, by one of them, and there for all when the call has ended."""

import os
import signal
import time
from importlib.util import find_spec

import pytest

from .started import NOTED, SOON, assert_gone, finish, legate, start, wait_for
from .test_ranks import OWN, free_port, launched

BEGIN = """
import io, os, sys, tempfile, time
from pathlib import Path
import cunumeric as np
from cunumeric.runtime import ranks
rank = ranks.rank
x = np.arange(12.0).reshape(4, 3)
"""


def run(folder, size, body, *flags, begin=BEGIN, **env):
    """Its status, what it wrote to stderr, and the lines of each rank."""
    (folder / "prog.py").write_text(begin + body)
    words = ("--nodes", size, "--cpus", 1, "--all-ranks", *flags, "prog.py")
    code, out, err = legate(*words, cwd=folder, within=90, **env)
    return code, err, [[line[4:] for line in out.splitlines() if line.startswith(f"[{k}]")] for k in range(size)]


def test_a_file_is_whole_when_the_call_has_ended(tmp_path):
    """Who opened a file for writing while another read it would leave nothing to read."""
    body = """
for turn in range(20):
    np.save("x.npy", x + turn)
    assert np.array_equal(np.load("x.npy"), x + turn)
"""
    assert run(tmp_path, 3, body) == (0, "", [[], [], []])


def test_rank_0_alone_writes(tmp_path):
    """Whatever the function, and how its arguments are given. The others come later and would write something else."""
    body = """
class Own(np.ndarray):
    pass
v = x + rank
writes = {
    "save.npy": lambda name: np.save(name[:-4], v),
    "path.npy": lambda name: np.save(Path(name), v),
    "savez.npz": lambda name: np.savez(name, v=v),
    "packed.npz": lambda name: np.savez_compressed(file=name, v=v),
    "objects.npz": lambda name: np.savez(file=name, v={"v": v}),
    "text": lambda name: np.savetxt(name, v),
    "text.gz": lambda name: np.savetxt(fname=name, X=[list(row) for row in v]),
    "raw": lambda name: v.tofile(name),
    "dump": lambda name: v.dump(name),
    "objects": lambda name: np.array([v, "word"], dtype=object).dump(file=name),
    "objects.npy": lambda name: np.save(name, np.array([v, "word"], dtype=object)),
    "objects.txt": lambda name: np.array([x, "word"], dtype=object).tofile(name, sep=" "),
    "own": lambda name: v.view(Own).tofile(name),
    "memmap": lambda name: np.memmap("mapped", shape=(2,), mode="w+").dump(name),
    "masked": lambda name: np.ma.MaskedArray(v).dump(name),
}
for name, write in writes.items():
    time.sleep(0.03 * rank)
    write(name)
    print(name, np.load(name, allow_pickle=True)["v"] if name.endswith(".npz") else len(Path(name).read_bytes()))
"""
    code, err, lines = run(tmp_path, 2, body)
    assert (code, err) == (0, ""), err
    assert lines[0] == lines[1]
    # The same again with one rank: what is there is what rank 0 would have written alone.
    apart = tmp_path / "apart"
    apart.mkdir()
    code, err, alone = run(apart, 1, body)
    assert (code, err, alone[0]) == (0, "", lines[0])
    for name in os.listdir(apart):
        if not name.endswith((".npz", ".gz", ".py")):  # archives know the time
            assert (tmp_path / name).read_bytes() == (apart / name).read_bytes(), name


def test_mapped_files_are_made_once(tmp_path):
    """Who made the file anew would cut off what others have mapped, and they would die of it."""
    body = """
for turn in range(10):
    m = np.memmap("mapped", dtype="f8", mode="w+", shape=(3000, 2))
    m[-1] = turn + 1
    time.sleep(0.02 * ((rank + turn) % 3))
    assert m.sum() == 2 * (turn + 1) and m.mode == "w+"
    n = np.lib.format.open_memmap("made.npy", "w+", np.dtype("i4"), (700,))
    n[:] = turn
    assert n.sum() == 700 * turn and np.load("made.npy")[-1] == turn
class Own(np.memmap):
    pass
own = Own(Path("own"), "u1", "w+", 0, (5,))
own[rank] = 1
np.save("x", x)  # all are here
print(type(own).__name__, own.sum(), len(np.memmap("own", mode="r")))
for wrong in (lambda: np.memmap("none", mode="w+"), lambda: np.memmap("no/such", mode="w+", shape=3), np.memmap):
    try:
        wrong()
    except Exception as error:
        print(type(error).__name__, error)
"""
    code, err, lines = run(tmp_path, 3, body)
    assert (code, err) == (0, ""), err
    assert lines[0] == lines[1] == lines[2]
    assert lines[0][0] == "Own 3 5"
    assert [line.split()[0] for line in lines[0][1:]] == ["ValueError", "FileNotFoundError", "TypeError"]


def test_what_each_rank_has_for_itself(tmp_path):
    """Files that the program opened, and names of its own: of a temporary folder, say."""
    body = """
opened = io.BytesIO()
np.save(opened, x + rank)
with open(f"opened{rank}", "wb") as file:
    x.tofile(file)
with tempfile.TemporaryDirectory() as folder:
    np.save(folder + "/x.npy", x + rank)
    print(len(opened.getvalue()), np.load(folder + "/x.npy")[0, 0])
name = "first" if rank < 2 else "second"
np.savetxt(name, x + rank)
print(np.loadtxt(name)[0, 0])
"""
    code, err, lines = run(tmp_path, 4, body)
    assert (code, err) == (0, ""), err
    assert lines == [[f"224 {k}.0", f"{0.0 if k < 2 else 2.0}"] for k in range(4)]
    assert all((tmp_path / f"opened{k}").stat().st_size == 96 for k in range(4))


def test_ranks_of_a_launcher(tmp_path):
    (tmp_path / "prog.py").write_text(BEGIN + "for k in range(9): np.save('x', x + rank)\nnp.save('no/such', x)\n")
    at = f"127.0.0.1:{free_port()}"
    found = launched(tmp_path, 3, ["prog.py"], OWN, CUNUMERIC_COORDINATOR=at)
    assert [code for code, _, _ in found] == [1] * 3
    assert "No such file or directory: 'no/such.npy'" in found[0][2]
    assert (tmp_path / "x.npy").read_bytes()[128:136] == bytes(8)


def test_all_fail_as_the_writer_fails(tmp_path):
    body = """
class Mine:
    def __reduce__(self):
        raise ZeroDivisionError("no pickle of this")
attempts = (
    lambda: np.save("no/such/folder/x.npy", x),
    lambda: x.tofile("/dev/full/x"),
    lambda: np.savetxt("t.txt", x, fmt=["%d"]),
    lambda: np.savetxt("t.txt", x, header="\\udcff", encoding="utf-8"),
    lambda: np.save("o.npy", np.array([None]), allow_pickle=False),
    lambda: np.save("o.npy", np.array([Mine()], dtype=object)),
    lambda: np.savetxt("/dev/full", x),
    lambda: np.savez("z", x, arr_0=x),
)
for attempt in attempts:
    try:
        attempt()
    except Exception as error:
        print(type(error).__module__, type(error).__name__, error, getattr(error, "filename", ""))
np.save("missing/x.npy", x)
"""
    code, err, lines = run(tmp_path, 3, body)
    assert code == 1
    assert lines[0] == lines[1] == lines[2]
    assert len(lines[0]) == 8
    assert err.count("FileNotFoundError: [Errno 2] No such file or directory: 'missing/x.npy'") == 3
    apart = tmp_path / "apart"
    apart.mkdir()
    assert run(apart, 1, body)[2][0] == lines[0]


def test_a_write_waits_for_who_still_reads(tmp_path):
    body = """
np.save("x.npy", x)
if rank == 1:
    with open("x.npy", "rb") as file:
        head = file.read(100)
        time.sleep(1)
        print(len(head + file.read()))
np.save("x.npy", x[:1])
"""
    assert run(tmp_path, 2, body) == (0, "", [[], ["224"]])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("pass", ["rank 0 had ended", "(save to "]),
        ("np.savez('a.npy', x)", ["savez to ", "save to "]),
        ("np.save('b.npy', x) or np.save('a.npy', x)", ["save to ", "rank 1 had ended"]),
    ],
)
def test_nothing_is_written_where_ranks_part(tmp_path, other, words):
    (tmp_path / "a.npy").write_text("as before")
    mine = "b.npy" if "b.npy" in other else "a.npy"
    body = f"all_noted(2)\nif rank == 1:\n    np.save('{mine}', x)\nelse:\n    {other}\n"
    begun = time.monotonic()
    code, err, _ = run(tmp_path, 2, body, begin=NOTED + BEGIN)
    assert code == 1
    assert time.monotonic() - begun < SOON
    assert " parted from rank " in err
    assert "prog.py:" in err
    for word in words:
        assert word in err
    assert (tmp_path / "a.npy").read_text() == "as before"
    assert_gone(tmp_path)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_killed_while_others_wait_at_a_write(tmp_path, victim):
    body = f"all_noted(3)\nif rank == {victim}:\n    time.sleep(1)\n    os.kill(os.getpid(), 9)\nnp.save('x.npy', x)\n"
    begun = time.monotonic()
    code, err, _ = run(tmp_path, 3, body, begin=NOTED + BEGIN)
    assert code == 137
    assert time.monotonic() - begun < SOON
    assert f"rank {victim} was killed by SIGKILL; all ranks were ended." in err
    assert not (tmp_path / "x.npy").exists()
    assert_gone(tmp_path)


def test_a_writer_killed_while_it_writes(tmp_path):
    """A pipe that nobody reads holds rank 0 in the write."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "prog.py").write_text(f"{NOTED}{BEGIN}\nnp.savetxt('pipe', x)\n")
    process = start("--nodes", 3, "--cpus", 1, "prog.py", cwd=tmp_path)
    pids = [tmp_path / f"rank{k}.pid" for k in range(3)]
    wait_for(*pids)
    time.sleep(1.5)
    os.kill(int(pids[0].read_text()), signal.SIGKILL)
    code, _, err = finish(process, within=SOON)
    assert (code, err) == (137, "legate: rank 0 was killed by SIGKILL; all ranks were ended.\n")
    assert_gone(tmp_path)


def test_a_state_is_saved_at_ctrl_c(tmp_path):
    """Each rank is interrupted somewhere else: rank 0 writes, and waits for nobody."""
    body = """
try:
    print("begun", file=open(f"begun{rank}", "w"), flush=True)
    for turn in range(rank):
        np.save("other.npy" + str(os.getpid()), x)
    time.sleep(100)
except KeyboardInterrupt:
    np.save("state.npy", x)
"""
    (tmp_path / "prog.py").write_text(BEGIN + body)
    process = start("--nodes", 2, "--cpus", 1, "prog.py", cwd=tmp_path)
    wait_for(tmp_path / "begun0", tmp_path / "begun1")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert finish(process, within=SOON) == (0, "", "")
    assert (tmp_path / "state.npy").stat().st_size == 224


@pytest.mark.skipif(find_spec("jax") is None, reason="several ranks compute with JAX, which is an extra")
def test_arrays_that_are_shared(tmp_path):
    """What is written is read on all ranks first, also what a pickle of an object finds."""
    body = """
y = np.arange(60_000.0).reshape(300, 200) * 2
np.save("y.npy", y)
np.savetxt("y.txt", y[:3], fmt="%d")
(y + 1).tofile("raw")
np.savez("z.npz", y=y * 3, state={"y": y + 2, "step": 4})
np.save("o.npy", np.array([y + 3, "x"], dtype=object))
print(np.load("y.npy").sum(), np.loadtxt("y.txt").sum(), np.fromfile("raw").sum(), np.load("z.npz")["y"].sum(),
      np.load("z.npz", allow_pickle=True)["state"].item()["y"].sum(), np.load("o.npy", allow_pickle=True)[0].sum())
"""
    code, err, lines = run(tmp_path, 2, body, CUNUMERIC_SHARD_MIN=1, CUNUMERIC_RECORD_MIN=1)
    total, short = 2 * sum(range(60_000)), 2 * sum(range(600))
    expected = [total, short, total + 60_000, 3 * total, total + 120_000, total + 180_000]
    assert (code, err) == (0, ""), err
    assert [[float(v) for v in of_rank[-1].split()] for of_rank in lines] == [expected] * 2
