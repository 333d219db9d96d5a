"""Ranks on two hosts, for which network namespaces of this machine stand: each has interfaces, ports and a loopback of
its own, and there is a cable between them that can be pulled."""

import importlib.util
import os
import shutil
import subprocess

import pytest

from .started import NOTED, SOON, assert_gone, clean, command, finish, wait_for

ADDRESSES = ("10.213.77.1", "10.213.77.2")


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@pytest.fixture
def hosts():
    """Names of two namespaces with a cable between them."""
    if shutil.which("ip") is None:
        pytest.skip("no `ip` to make network namespaces with")
    names = [f"cunumeric-{os.getpid()}-{k}" for k in (0, 1)]
    wires = [f"cn{os.getpid() % 10**6}x{k}" for k in (0, 1)]
    made = [ip("netns", "add", name) for name in names]
    made.append(ip("link", "add", wires[0], "netns", names[0], "type", "veth", "peer", wires[1], "netns", names[1]))
    for name, wire, address in zip(names, wires, ADDRESSES, strict=True):
        made.append(ip("-n", name, "address", "add", f"{address}/24", "dev", wire))
        made += [ip("-n", name, "link", "set", which, "up") for which in (wire, "lo")]
    try:
        for done in made:
            if done.returncode:
                pytest.skip(f"network namespaces are not allowed here: {done.stderr.strip()}")
        yield list(zip(names, wires, strict=True))
    finally:
        for name in names:
            ip("netns", "delete", name)


def start_on(hosts, folder, inputs=(None, None), **more):
    """A rank on each host."""
    env = {"CUNUMERIC_RANKS": 2, "CUNUMERIC_COORDINATOR": f"{ADDRESSES[0]}:5000", "CUNUMERIC_TOKEN": "t", **more}
    return [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *command("--cpus", "1", "prog.py")],
            cwd=folder,
            env=clean(CUNUMERIC_RANK=k, **env),
            stdin=inputs[k],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k, (name, _) in enumerate(hosts)
    ]


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="several ranks compute with JAX, which is an extra")
def test_two_hosts_share_an_array(hosts, tmp_path):
    (tmp_path / "prog.py").write_text(
        "import numpy\n"
        "import cunumeric as np\n"
        "x = np.arange(60_000.0).reshape(300, 200) * 2\n"
        "y = np.sort(x.T[::-1].copy(), axis=None)\n"
        "print(float(x.sum()), float(y[777]), numpy.array_equal(y, numpy.arange(60_000.0) * 2), flush=True)\n"
    )
    ends = [finish(p) for p in start_on(hosts, tmp_path, CUNUMERIC_SHARD_MIN=1, JAX_PLATFORMS="cpu")]
    assert ends[0] == (0, "3599940000.0 1554.0 True\n", "")
    assert ends[1] == (0, "", "")


def test_two_hosts_write_a_file_once_and_read_one_input(hosts, tmp_path):
    (tmp_path / "prog.py").write_text(
        "import time\nimport cunumeric as np\nfrom cunumeric.runtime import ranks\n"
        "time.sleep(0.3 * ranks.rank)\n"
        "np.save('x.npy', np.arange(5) * int(input()) + ranks.rank)\n"
        "assert np.array_equal(np.load('x.npy'), np.arange(5) * 3)\n"
        "np.save('no/such/x.npy', np.arange(5))\n"
    )
    (tmp_path / "three").write_text("3\n")
    with open(tmp_path / "three") as three:
        ends = [finish(p) for p in start_on(hosts, tmp_path, inputs=(three, subprocess.DEVNULL))]
    assert [code for code, _, _ in ends] == [1, 1]
    assert ends[0][2].count("FileNotFoundError: [Errno 2] No such file or directory: 'no/such/x.npy'") == 1


def test_a_pulled_cable_ends_all(hosts, tmp_path):
    (tmp_path / "prog.py").write_text(f"{NOTED}\nall_noted(2)\ntime.sleep(600)\n")
    ranks = start_on(hosts, tmp_path)
    wait_for(tmp_path / "rank0.pid", tmp_path / "rank1.pid")
    assert ip("-n", hosts[1][0], "link", "set", hosts[1][1], "down").returncode == 0
    ends = [finish(p, within=SOON) for p in ranks]
    assert [code for code, _, _ in ends] == [1, 1]
    assert "rank 1 cannot be reached" in ends[0][2]
    assert "rank 1 cannot reach rank 0 any more" in ends[1][2]
    assert_gone(tmp_path)
