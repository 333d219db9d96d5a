"""What the outside world does to ranks: signals, files that are closed or full, readers that do not read; and what a
program does with its own process."""

import os
import signal
import socket
import subprocess
import time

import pytest

from .started import NOTED, SOON, assert_gone, clean, command, finish, legate, start, wait_for
from .test_ranks import free_port

TWO = ("--nodes", 2, "--cpus", 1)


UP = "from cunumeric.runtime import ranks\nup = lambda: print('x', file=open(f'up{ranks.rank}', 'w'), flush=True)\n"


def running(folder, program, *flags, ready=("up0", "up1"), **more):
    """Ranks that have come to where the program calls `up`."""
    (folder / "prog.py").write_text(UP + program)
    words = command(*TWO, *flags, "prog.py")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, cwd=folder, env=clean(), **(pipes | more))
    wait_for(*(folder / name for name in ready))
    return process


SAVES = """
import signal, sys, time
def saves(number, frame):
    print("saving", flush=True)
    time.sleep(2.5)
    print(f"saved at {number}", flush=True)
    sys.exit(%d)
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, saves)
up()
time.sleep(100)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("status", [0, 7])
def test_a_program_may_end_in_its_own_way(tmp_path, number, status):
    """As batch systems ask for it: the status is the program's too."""
    process = running(tmp_path, SAVES % status)
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)  # `timeout` does so
    code, out, err = finish(process, within=SOON)
    assert (code, err) == (status, "")
    assert f"saved at {number}\n" in out


def test_ctrl_c_that_the_program_expects(tmp_path):
    process = running(
        tmp_path, "import time\ntry:\n    up()\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    pass\n"
    )
    process.send_signal(signal.SIGINT)
    assert finish(process, within=SOON) == (0, "", "")


def test_a_second_signal_does_not_wait(tmp_path):
    process = running(tmp_path, "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nup()\ntime.sleep(100)\n")
    process.terminate()
    time.sleep(0.5)
    begun = time.monotonic()
    process.terminate()
    assert finish(process, within=SOON)[0] == 143
    assert time.monotonic() - begun < 10


def test_a_hang_up_that_is_ignored(tmp_path):
    """As `nohup` has it."""
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = running(tmp_path, "import time\nup()\ntime.sleep(1.5)\nprint('survived')\n")
    finally:
        signal.signal(signal.SIGHUP, kept)
    process.send_signal(signal.SIGHUP)
    assert finish(process, within=SOON) == (0, "survived\n", "")


def test_a_signal_while_ranks_come_together(tmp_path):
    """Rank 1 has found somebody who does not answer."""
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, -15)):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            at = f"127.0.0.1:{mute.getsockname()[1]}"
            process = start("prog.py", cwd=tmp_path, CUNUMERIC_RANK=1, CUNUMERIC_RANKS=2, CUNUMERIC_COORDINATOR=at)
            connection, _ = mute.accept()
            begun = time.monotonic()
            process.send_signal(number)
            code, _, err = finish(process, within=SOON)
            connection.close()
        assert (code, err) == (status, "")
        assert time.monotonic() - begun < 10


def test_a_signal_before_all_have_come(tmp_path):
    program = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nup()\ntime.sleep(100)\n"
    (tmp_path / "prog.py").write_text(UP + program)
    env = {"CUNUMERIC_RANK": 0, "CUNUMERIC_RANKS": 2, "CUNUMERIC_COORDINATOR": f"127.0.0.1:{free_port()}"}
    process = start("prog.py", cwd=tmp_path, **env)
    wait_for(tmp_path / "up0")
    begun = time.monotonic()
    process.terminate()
    assert finish(process, within=SOON) == (143, "", "")
    assert time.monotonic() - begun < 10


def test_a_forked_child_that_ends_as_programs_end(tmp_path):
    (tmp_path / "prog.py").write_text(
        "import atexit, os, sys, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "import cunumeric as np\n"
        "atexit.register(lambda: print('bye', flush=True))\n"
        "if os.fork() == 0:\n    sys.exit(int(np.arange(4).sum()))\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)\n"
    )
    assert legate(*TWO, "prog.py", cwd=tmp_path) == (0, "bye\n6\nbye\n", "")
    assert legate("--all-ranks", "prog.py", cwd=tmp_path) == (0, "[0] bye\n[0] 6\n[0] bye\n", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("flag", [(), ("--all-ranks",)])
def test_standard_files_that_are_closed(tmp_path, closed, flag):
    (tmp_path / "prog.py").write_text("print('x')\n")
    line = " ".join(command(*TWO, *flag, "prog.py"))
    done = subprocess.run(["sh", "-c", f"{line} {closed}"], cwd=tmp_path, env=clean(), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"x\n") == (0 if " >" in f" {closed}" else 2 if flag else 1)


MANY = "for k in range(100_000):\n    print(k, 'x' * 60)\n"


@pytest.mark.parametrize("flag", [(), ("--all-ranks",)])
def test_a_reader_that_goes_away(tmp_path, flag):
    (tmp_path / "prog.py").write_text(f"{NOTED}\nchild.kill()\nall_noted(2)\n{MANY}time.sleep(100)\n")
    process = start(*TWO, *flag, "prog.py", cwd=tmp_path)
    assert process.stdout.readline().endswith(" " + "x" * 60 + "\n")
    begun = time.monotonic()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(SOON) == 1
    assert time.monotonic() - begun < 10
    assert err.count("Broken pipe") == 1
    assert err.count("legate: ") == 1
    process.stderr.close()
    assert_gone(tmp_path)


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "prog.py").write_text("print('x')\n")
    (tmp_path / "logs" / "rank_1.log").mkdir(parents=True)
    for words in (("--all-ranks",), ("--log-to-file", "--logdir", "logs")):
        with open("/dev/full" if "--all-ranks" in words else os.devnull, "wb") as out:
            process = subprocess.Popen(
                command(*TWO, *words, "prog.py"),
                cwd=tmp_path,
                env=clean(),
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            )
            code, _, err = finish(process)
        assert code == 1
        assert err.startswith("legate: the output of ranks cannot be written")
        assert ("No space left" if "--all-ranks" in words else "logs/rank_1.log: Is a directory") in err


def test_a_reader_that_is_slow(tmp_path):
    """Ranks are held, not what they wrote; and they are watched, and ended, meanwhile."""
    process = running(tmp_path, f"up()\n{MANY}", "--all-ranks")
    time.sleep(2)
    out = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 0
    for rank in (0, 1):
        assert [line[4:] for line in out if line[1] == str(rank)] == [f"{k} {'x' * 60}" for k in range(100_000)]
    process = running(tmp_path, f"up()\n{MANY}", "--all-ranks")
    time.sleep(2)
    process.terminate()
    assert process.wait(SOON) == 143
    process.communicate()


def test_lines_without_end(tmp_path):
    """Progress bars are seen as they go, and very long lines in parts."""
    (tmp_path / "prog.py").write_text(
        "import sys, time\nsys.stdout.write('\\r1%\\r2%')\nsys.stdout.flush()\ntime.sleep(0.5)\n"
        "sys.stdout.write('\\r\\n')\nfor _ in range(300): sys.stdout.write('y' * 100_000)\n"
    )
    with open(tmp_path / "out", "wb") as out:
        done = subprocess.run(command("--all-ranks", "prog.py"), cwd=tmp_path, env=clean(), stdout=out, timeout=60)
    said = (tmp_path / "out").read_bytes()
    assert done.returncode == 0
    assert said.startswith(b"[0] \r[0] 1%\r[0] 2%\r\n[0] yyy")
    assert said.count(b"y") == 30_000_000
    assert max(map(len, said.splitlines())) < 1 << 18


ASKS = """
import sys, time
from cunumeric.runtime import ranks
time.sleep(0.2 * ranks.rank)
print(len(sys.stdin.buffer.read(40_000)), sys.stdin.buffer.readline())
print(input("first? "), sys.stdin.isatty())
print(sys.stdin.readline().strip())
print(repr(sys.stdin.read()), repr(sys.stdin.read()))
try:
    input()
except EOFError as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["file", "pipe", "launched"])
def test_all_ranks_read_the_same(tmp_path, how):
    (tmp_path / "prog.py").write_text(ASKS)
    given = b"\xff\x00" * 20_000 + b"abc\n" + "one\nzwölf\nlast words".encode()
    (tmp_path / "data").write_bytes(given)
    words = command(*TWO, "--all-ranks", "prog.py")
    if how == "launched":
        env = {"CUNUMERIC_RANKS": 2, "CUNUMERIC_COORDINATOR": f"127.0.0.1:{free_port()}"}
        words = command("--all-ranks", "prog.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        zero, one = (subprocess.Popen(words, cwd=tmp_path, env=clean(CUNUMERIC_RANK=k, **env), **pipes) for k in (0, 1))
        one.stdin.close()
        out, err = zero.communicate(given, timeout=60)
        out += one.stdout.read()
        assert (zero.wait(), one.wait(10), err, one.stderr.read()) == (0, 0, b"", b"")
        one.stdout.close(), one.stderr.close()
    else:
        with open(tmp_path / "data", "rb") as file:
            more = {"stdin": file} if how == "file" else {"input": given}
            done = subprocess.run(words, cwd=tmp_path, env=clean(), capture_output=True, timeout=60, **more)
        out = done.stdout
        assert (done.returncode, done.stderr) == (0, b"")
    seen = ["40000 b'abc\\n'", "first? one False", "zwölf", "'last words' ''", "EOF when reading a line"]
    for rank in (0, 1):
        assert [line[4:] for line in out.decode().splitlines() if line[1] == str(rank)] == seen


def test_what_is_not_read_stays_for_others(tmp_path):
    """The loop of a shell goes on."""
    (tmp_path / "prog.py").write_text("print('done')\n")
    line = " ".join(command(*TWO, "prog.py"))
    loop = f"printf 'a\\nb\\n' | while read name; do {line}; echo $name; done"
    done = subprocess.run(["sh", "-c", loop], cwd=tmp_path, env=clean(), capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("done\na\ndone\nb\n", "")


def test_a_terminal(tmp_path):
    """What is typed comes as it is typed, and Ctrl-D ends it for all."""
    (tmp_path / "prog.py").write_text(
        "import sys\nfrom cunumeric.runtime import ranks\nfor line in sys.stdin:\n"
        "    print(line.strip(), sys.stdin.isatty(), file=open(f'{line.strip()}{ranks.rank}', 'w'), flush=True)\n"
    )
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command(*TWO, "prog.py"),
        cwd=tmp_path,
        env=clean(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for word in ("this", "that"):
        os.write(ours, f"{word}\n".encode())
        wait_for(tmp_path / f"{word}0", tmp_path / f"{word}1")
    os.write(ours, b"\x04")
    assert finish(process, within=SOON) == (0, b"", b"")
    assert (tmp_path / "that1").read_text() == "that True\n"
    os.close(ours)
    os.close(theirs)


def test_ctrl_c_at_a_question(tmp_path):
    program = "try:\n    up()\n    input()\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    read, write = os.pipe()
    process = running(tmp_path, program, stdin=read)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert finish(process, within=SOON) == (0, "interrupted\n", "")
    os.close(read)
    os.close(write)
