"""The `legate` command: flags, and that a program cannot tell it from `python`."""

import os
import signal
import subprocess
import sys
import zipfile

import pytest

PROBE = """
import sys
print(__name__, __file__, repr(__package__), __doc__, __spec__ and __spec__.name, type(__loader__).__name__)
print(sys.argv, sys.path[0], sys.modules["__main__"].__dict__ is globals())
print(type(__builtins__).__name__, sorted(name for name in globals() if name != "sys"))
import neighbour
"""

THREADS = """
import os
from cunumeric.runtime.settings import settings
print(settings.threads, os.environ.get("CUNUMERIC_NUM_THREADS"))
"""


def run(launcher, *words, cwd, env=None):
    """A command in a fresh interpreter, without the settings of this session."""
    clean = {k: v for k, v in os.environ.items() if k != "LEGATE_CONFIG" and not k.startswith("CUNUMERIC_")}
    return subprocess.run(
        [sys.executable, *launcher, *words],
        cwd=cwd,
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def legate(*words, cwd, env=None):
    return run(["-m", "cunumeric.driver"], *words, cwd=cwd, env=env)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "prog.py").write_text(PROBE)
    (tmp_path / "neighbour.py").write_text("print('neighbour found')\n")
    (tmp_path / "threads.py").write_text(THREADS)
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("import sys\nprint('argv on the way', sys.argv)\n")
    (package / "__main__.py").write_text(PROBE)
    (package / "inner.py").write_text(PROBE)
    (package / "neighbour.py").write_text("print('neighbour in package found')\n")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", PROBE)
        archive.writestr("neighbour.py", "print('neighbour in archive found')\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.py").symlink_to(tmp_path / "prog.py")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["prog.py"],
        ["prog.py", "--cpus", "9", "-m", "x", "--", "-h"],
        ["./elsewhere/../prog.py", "a b"],
        ["elsewhere/link.py"],
        ["package"],
        ["package", "--help"],
        ["archive.zip", "x"],
        ["-m", "prog", "--version"],
        ["-m", "package", "x"],
        ["-m", "package.inner"],
        ["-m", "package.__main__"],
    ],
    ids=" ".join,
)
def test_program_sees_what_python_shows_it(folder, words):
    expected = run([], *words, cwd=folder)
    got = legate(*words, cwd=folder)
    assert "found" in expected.stdout
    assert (got.stdout, got.stderr, got.returncode) == (expected.stdout, expected.stderr, 0)


@pytest.mark.parametrize(
    "source",
    [
        "import sys; sys.exit(7)",
        "import sys; sys.exit('in words')",
        "raise SystemExit",
        "def f():\n    return 1 / 0\n\nf()\n",
        "try:\n    {}['x']\nexcept KeyError:\n    raise ValueError('second')\n",
        "import missing_module\n",
        "import broken\n",
        "x = = 1\n",
        "import sys\nsys.excepthook = lambda kind, error, tb: print('own', kind, tb.tb_lineno, tb.tb_next)\n1 / 0\n",
        "import atexit; atexit.register(print, 'bye'); 1 / 0",
        "raise KeyboardInterrupt",
        "import threading\nthreading.Thread(target=lambda: print(__name__)).start()\n",
        "# -*- coding: latin-1 -*-\nprint(ascii('\u00e4'))\n",
    ],
)
def test_program_ends_as_under_python(tmp_path, source):
    (tmp_path / "prog.py").write_text(source, encoding="utf-8")
    (tmp_path / "broken.py").write_text("x = (\n")
    expected = run([], "prog.py", cwd=tmp_path)
    got = legate("prog.py", cwd=tmp_path)
    assert (got.stdout, got.stderr, got.returncode) == (expected.stdout, expected.stderr, expected.returncode)


def test_interrupted_program_ends_by_the_signal(tmp_path):
    (tmp_path / "prog.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    result = legate("prog.py", cwd=tmp_path)
    assert result.returncode == -signal.SIGINT
    assert "driver" not in result.stderr


def test_traceback_of_a_module_begins_in_the_module(tmp_path):
    (tmp_path / "prog.py").write_text("1 / 0\n")
    result = legate("-m", "prog", cwd=tmp_path)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path / "prog.py"}", line 1, in <module>'


def test_error_in_a_package_on_the_way_is_shown(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("1 / 0\n")
    (tmp_path / "package" / "inner.py").write_text("")
    result = legate("-m", "package.inner", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[1] == f'  File "{tmp_path / "package" / "__init__.py"}", line 1, in <module>'


def test_processes_that_the_program_spawns(tmp_path):
    """`spawn` imports `__main__` again by what it says of itself."""
    (tmp_path / "prog.py").write_text(
        "import multiprocessing\n"
        "def square(x):\n"
        "    return x * x\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(square, [1, 2, 3]))\n"
    )
    for words in (["prog.py"], ["-m", "prog"]):
        result = legate(*words, cwd=tmp_path)
        assert (result.stdout, result.stderr) == ("[1, 4, 9]\n", "")


@pytest.mark.parametrize(
    ("words", "env", "expected"),
    [
        (["--cpus", "3"], {}, "3 3"),
        (["--cpus=3"], {}, "3 3"),
        (["--cpus", "5", "--cpus", "3"], {}, "3 3"),
        ([], {"LEGATE_CONFIG": "--cpus 3"}, "3 3"),
        (["--cpus", "3"], {"LEGATE_CONFIG": "--cpus 5"}, "3 3"),
        (["--cpus", "3"], {"CUNUMERIC_NUM_THREADS": "5"}, "3 3"),
        ([], {"CUNUMERIC_NUM_THREADS": "3", "LEGATE_CONFIG": "--cpus=5"}, "3 3"),
        ([], {"CUNUMERIC_NUM_THREADS": "3"}, "3 3"),
    ],
)
def test_number_of_threads(folder, words, env, expected):
    result = legate(*words, "threads.py", cwd=folder, env=env)
    assert result.stdout.strip() == expected, result.stderr


def test_number_of_threads_reaches_the_package_under_m(folder):
    result = legate("--cpus", "3", "-m", "threads", cwd=folder)
    assert result.stdout.strip() == "3 3"


@pytest.mark.parametrize("words", [["--gpu", "1"], ["--verbose=1"], ["-x"], ["-"], ["--cpu", "2"], ["--cpus2"]])
def test_unknown_flags_are_refused(folder, words):
    for got in (
        legate(*words, "prog.py", cwd=folder),
        legate("prog.py", cwd=folder, env={"LEGATE_CONFIG": " ".join(words)}),
    ):
        assert got.returncode == 2
        assert got.stdout == ""
        assert f"unknown flag {words[0]}" in got.stderr
        assert "--cpus N, --gpus N, " in got.stderr
        assert "--help, --version, -m module" in got.stderr
        assert "Traceback" not in got.stderr
    assert "LEGATE_CONFIG" in got.stderr


@pytest.mark.parametrize("value", ["0", "x", "-1", "2.5", "", "²", "٣"])
def test_wrong_number_of_threads(folder, value):
    for words in (["--cpus", value], [f"--cpus={value}"]):
        result = legate(*words, "prog.py", cwd=folder)
        assert result.returncode == 2
        assert result.stdout == ""
        assert "expected a whole number of at least 1" in result.stderr
        assert "Traceback" not in result.stderr


def test_wrong_number_of_threads_in_the_environment(folder):
    result = legate("prog.py", cwd=folder, env={"LEGATE_CONFIG": "--cpus 0"})
    assert result.returncode != 0
    assert "LEGATE_CONFIG: --cpus 0: expected a whole number of at least 1" in result.stderr


@pytest.mark.parametrize(
    ("words", "env", "message"),
    [
        (["--cpus"], {}, "--cpus needs a value"),
        (["-m"], {}, "-m needs a value"),
        ([], {}, "no program given"),
        (["--cpus", "2"], {}, "no program given"),
        (["prog.py"], {"LEGATE_CONFIG": "other.py"}, "LEGATE_CONFIG: other.py does not belong here"),
        (["prog.py"], {"LEGATE_CONFIG": "-m other"}, "LEGATE_CONFIG: -m does not belong here"),
    ],
)
def test_incomplete_commands(folder, words, env, message):
    result = legate(*words, cwd=folder, env=env)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [["nowhere.py"], ["elsewhere"], ["-m", "nowhere"], ["-m", "nowhere.inner"], ["-m", "elsewhere"], ["-m", "a..b"]],
    ids=" ".join,
)
def test_missing_program_is_one_line(folder, words):
    expected = run([], *words, cwd=folder)
    result = legate(*words, cwd=folder)
    assert result.returncode == expected.returncode != 0
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("legate: ")
    assert words[-1] in result.stderr


def test_help_and_version(folder):
    for words in (["--help"], ["-h", "prog.py"], ["--cpus", "2", "--help"]):
        result = legate(*words, cwd=folder)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("usage: legate ")
        assert "--cpus N" in result.stdout
    from cunumeric.runtime.version import VERSION

    assert legate("--version", cwd=folder).stdout == f"legate (cunumeric {VERSION})\n"


def test_installed_command(folder):
    """The entry point that installing the package makes, where it has been installed."""
    command = os.path.join(os.path.dirname(sys.executable), "legate")
    if not os.path.exists(command):
        pytest.skip("the package is not installed as a command beside this interpreter")
    got = subprocess.run([command, "prog.py", "x"], cwd=folder, capture_output=True, text=True, timeout=120)
    expected = run([], "prog.py", "x", cwd=folder)
    assert (got.stdout, got.stderr) == (expected.stdout, expected.stderr)
