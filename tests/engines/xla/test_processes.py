"""Ranks that record windows: they meet over loopback and agree; one that goes another way or fails ends them all."""

import time
from importlib.util import find_spec

import pytest

from cunumeric.engines.xla import processes
from tests.driver.started import NOTED, SOON, assert_gone, legate

pytestmark = pytest.mark.skipif(find_spec("jax") is None, reason="JAX, an extra, is not installed")

BEGIN = f"""{NOTED}
import gc, weakref
import cunumeric as np
x = np.arange(64.0)
def total(y):
    return float(y.sum())
def everyone():  # a collective of XLA's own, as arrays over all ranks will need
    import jax, numpy
    mesh = jax.sharding.Mesh(numpy.array(jax.devices()), ("r",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("r"))
    v = jax.make_array_from_callback((mesh.size,), spread, lambda index: numpy.ones(mesh.size, numpy.int32)[index])
    return int(jax.jit(lambda v: v.sum())(v))
"""

WELL = """
class Cycle:
    pass
cycle = Cycle()
cycle.me = cycle
windows = 0
weakref.finalize(cycle, lambda: Path(f"freed{rank}").write_text(f"{windows}\\n"))
del cycle
for windows in range(300):
    seen = total(x + windows)
print(seen, gc.isenabled(), everyone())
here = Path("/proc/self/fd")
inodes = {os.readlink(fd) for fd in here.iterdir() if fd.is_symlink()}
with open(f"ports{rank}", "w") as file:
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            at, state, inode = (line.split()[k] for k in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in inodes:
                print(at, file=file)
child.kill()
"""


def run(folder, size, body, **env):
    (folder / "prog.py").write_text(BEGIN + body)
    begun = time.monotonic()
    found = legate("--nodes", size, "prog.py", cwd=folder, CUNUMERIC_RECORD_MIN=1, **env)
    assert "[Gloo]" not in found[1]
    assert_gone(folder)
    return *found, time.monotonic() - begun


def listening():
    """Addresses at which anybody listens on this machine."""
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as file:
            lines = [line.split() for line in file.read().splitlines()[1:]]
        found |= {line[1] for line in lines if line[3] == "0A"}
    return found


def test_ranks_agree_and_listen_on_loopback_alone(tmp_path):
    size = 4
    code, out, err, _ = run(tmp_path, size, WELL)
    assert (code, out, err) == (0, f"{64 * 63 / 2 + 64 * 299} False {size}\n", "")
    ports = [(tmp_path / f"ports{rank}").read_text().split() for rank in range(size)]
    used = {at for of_rank in ports for at in of_rank}
    assert used
    loopback = ("0100007F", "0000000000000000FFFF00000100007F")
    assert all(at.split(":")[0] in loopback for at in used)
    assert not used & listening()
    # Garbage in cycles is collected at the same window on every rank.
    assert len({(tmp_path / f"freed{rank}").read_text() for rank in range(size)}) == 1


BRANCH = "if rank == 1:\n    y = np.sqrt(y)\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"{BRANCH}total(y)\n", ["(add 64, sum scalar; constants", "(add 64, sqrt 64, sum scalar"]),
        ("total(y * (rank + 2))\n", ["constants 1.0, 2.0", "constants 1.0, 3.0"]),
        ("total(y)\nif rank == 0:\n    total(y + 1)\n", ["rank 0 was at", "prog.py:", "rank 1 had ended"]),
        ("from cunumeric.engines.xla import processes\nprocesses.event('read', rank)\n", ["(read)", "prog.py:"]),
    ],
    ids=["operation", "constant", "end", "event"],
)
def test_a_parting_names_the_lines(tmp_path, body, words):
    waits = "" if "ended" in words[-1] else "time.sleep(100)\n"
    code, _, err, took = run(tmp_path, 2, f"total(x)\nall_noted(2)\ny = x + 1\n{body}{waits}")
    assert code == 1
    assert took < SOON
    assert "legate: rank 1 parted from rank 0 at window " in err
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_ranks_that_hang_in_a_collective_are_told(tmp_path):
    """Three wait for one that took another way: none of them can do anything about it itself."""
    body = "total(x)\nif rank == 2:\n    total(x * 3)\n    time.sleep(100)\ntotal(x + 1)\neveryone()\n"
    code, _, err, took = run(tmp_path, 4, body)
    assert code == 1
    assert took < SOON
    assert "rank 2 parted from rank 0 at window 2: rank 0 was at" in err
    assert err.count("prog.py:") == 2


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_killed_while_others_wait_for_it(tmp_path, victim):
    body = f"total(x)\nif rank == {victim}:\n    time.sleep(0.5)\n    os.kill(os.getpid(), 9)\neveryone()\n"
    code, _, err, took = run(tmp_path, 2, body)
    assert code == 137
    assert took < SOON
    assert err == f"legate: rank {victim} was killed by SIGKILL; all ranks were ended.\n"


def test_what_can_be_seen_of_an_object_has_no_address():
    class Thing:
        pass

    assert processes._stable((Thing(), 1.0)) == processes._stable((Thing(), 1.0))
    assert processes._stable(1) != processes._stable(1.0)
