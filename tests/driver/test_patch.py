"""`lgpatch`: who asks for numpy decides what is given. And the kernel for Jupyter."""

import json
import os
import subprocess
import sys

import pytest

from .started import clean, legate

PROGRAM = """
import sys
import numpy as np
import numpy.linalg as la
import numpy
from numpy import fft, pi
from numpy.random import default_rng
import beside
import statistics, json
print(np.__name__, la.__name__, fft.__name__, default_rng.__module__, numpy is np, beside.np is np, sys.argv)
x = np.linspace(0, pi, 200_000)
y = np.sin(x) + 1
print(type(y).__module__, round(float(y.mean()), 6), round(float(la.norm(y[:4])), 6))
import concurrent.futures, unittest.mock
from numpy import __config__
"""
SEEN = "cunumeric cunumeric.linalg cunumeric.fft cunumeric.random.generators True True "


def run(module, *words, cwd, **env):
    return subprocess.run(
        [sys.executable, "-m", f"cunumeric.driver.{module}", *words],
        cwd=cwd, env=clean(**env), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "prog.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text("import numpy as np\n")
    (tmp_path / "bad.py").write_text("import numpy as np\n\nnp.ones(3) @ np.ones(4)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (["prog.py", "-p", "numpy", "a", "-p", "b"], ["prog.py", "a", "-p", "b"]),
        (["-p", "numpy", "prog.py"], ["prog.py"]),
        (["prog.py", "x"], ["prog.py", "x"]),
        (["-m", "prog", "-p", "numpy", "y"], None),
    ],
    ids=lambda v: " ".join(v) if v else "",
)
def test_the_program_has_ours_and_libraries_have_numpys(folder, words, argv):
    found = run("patch", *words, cwd=folder)
    assert (found.returncode, found.stderr) == (0, "")
    first, second = found.stdout.splitlines()
    assert first.startswith(SEEN)
    if argv is not None:
        assert first == f"{SEEN}{argv}"
    assert second.startswith("cunumeric 1.63661")


def test_installed_packages_keep_numpy(folder):
    scipy = pytest.importorskip("scipy", reason="scipy is not installed")
    (folder / "prog.py").write_text(
        "import numpy as np, scipy.optimize, sys\n"
        "assert np.__name__ == 'cunumeric'\n"
        "assert scipy.optimize._root.np is sys.modules['numpy'] is not np\n"
        "print(round(float(scipy.optimize.root(lambda x: x**2 - 2, np.array([1.0])).x[0]), 6))\n"
    )
    assert scipy.__name__ == "scipy"
    found = run("patch", "prog.py", "-p", "numpy", cwd=folder)
    assert (found.stdout, found.returncode) == ("1.414214\n", 0), found.stderr


def test_with_several_ranks(folder):
    code, out, _ = legate("--nodes", "2", "-m", "cunumeric.driver.patch", "prog.py", "-p", "numpy", "z", cwd=folder)
    assert code == 0
    assert out.splitlines()[0] == f"{SEEN}['prog.py', 'z']"


def test_errors_begin_in_the_program(folder):
    found = run("patch", "bad.py", cwd=folder)
    assert found.returncode == 1
    assert found.stderr.splitlines()[1] == f'  File "{folder / "bad.py"}", line 3, in <module>'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prog.py", "-p", "cupy"], "only numpy can be replaced"),
        (["prog.py", "-p"], "-p needs a value"),
        (["--x", "prog.py"], "unknown flag --x"),
    ],
)
def test_wrong_words(folder, words, message):
    found = run("patch", *words, cwd=folder)
    assert (found.returncode, found.stdout) == (2, "")
    assert message in found.stderr


def test_a_kernel_for_jupyter(tmp_path):
    found = run("jupyter", "--name", "mine", "--cpus", "3", cwd=tmp_path, JUPYTER_DATA_DIR=tmp_path / "data")
    kernel = tmp_path / "data" / "kernels" / "mine" / "kernel.json"
    assert (found.returncode, found.stdout) == (0, f"installed {kernel.parent}\n")
    said = json.loads(kernel.read_text())
    assert said["argv"][0] == sys.executable
    # What Jupyter would start, with a stand-in for ipykernel.
    (tmp_path / "ipykernel_launcher.py").write_text(
        "import sys, os; print(sys.argv[1:], os.environ['CUNUMERIC_NUM_THREADS'])"
    )
    words = [word.format(connection_file="c.json") for word in said["argv"]]
    kernel_says = subprocess.run(words, cwd=tmp_path, env=clean(), capture_output=True, text=True, timeout=60).stdout
    assert kernel_says == "['-f', 'c.json'] 3\n"
    for words in (["--nodes", "2"], ["--gpu", "1"], ["x.py"], ["--name"]):
        assert run("jupyter", *words, cwd=tmp_path, JUPYTER_DATA_DIR=tmp_path).returncode == 2
    assert os.listdir(tmp_path / "data" / "kernels") == ["mine"]
