"""`legate [flags] prog.py [args]` and `legate [flags] -m module [args]`.

Flags stand before the program; everything after it belongs to the program. `LEGATE_CONFIG` holds further flags; the
command line wins over it. A program of one rank runs in this process; several ranks are processes under a supervisor
(`supervise.py`), here or, started by a launcher, one on each machine.

A number of threads comes from the first of: `--cpus` on the command line, `CUNUMERIC_NUM_THREADS`, `--cpus` in
`LEGATE_CONFIG`, the cores this process may use.
"""

from __future__ import annotations

import atexit
import io
import os
import secrets
import sys
import time
from pathlib import Path
from typing import NoReturn

from cunumeric.runtime import channel, ranks, typed
from cunumeric.runtime.settings import settings
from cunumeric.runtime.version import VERSION

from . import launch, run
from .flags import KNOWN, USAGE, Command, UsageError, configured, help_text, idle, parse
from .launch import LAUNCHED, RUNS, Place, Setting
from .referee import GRACE, SECOND_HAND


def _use_threads(number: int) -> None:
    """For this process, whose settings were read when the package was imported, and for those it starts."""
    os.environ["CUNUMERIC_NUM_THREADS"] = str(number)
    settings.threads = number


def _threads(given: Command, config: Command) -> int | None:
    """Threads that somebody asked for."""
    if "cpus" in given.values:
        return given.values["cpus"]
    text = os.environ.get("CUNUMERIC_NUM_THREADS", "").strip()
    return int(text) if text else config.get("cpus")


def _run_program(command: Command) -> None:
    """The program, in this process."""
    try:
        if command.module is not None:
            run.run_module(command.module, command.arguments)
        elif command.program is not None:
            run.run_file(command.program, command.arguments)
    except SystemExit as ended:
        channel.status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        raise
    except BaseException as error:
        channel.status = 130 if isinstance(error, KeyboardInterrupt) else 1
        channel.error = f"{type(error).__name__}: {error}"[:2000]
        if ranks.size > 1 and any(words in channel.error for words in SECOND_HAND):
            time.sleep(2 * GRACE)  # the supervisor knows what came first, and ends this rank
        run.hide_our_frames()
        raise


def _run_rank(command: Command) -> None:
    """This process is one of several, or of one that is watched."""
    channel.open_channel()
    typed.start()
    if ranks.size > 1:
        from cunumeric.runtime import agreed

        agreed.start()
    atexit.register(channel.leave)  # before any of the program's, so that it is the last
    _run_program(command)


def _computes(environ: dict[str, str]) -> str:
    """Where a rank computes."""
    if paper := environ.get("CUNUMERIC_PAPER", "").strip().lstrip("0"):
        return f"arrays: on paper, for {paper} devices"
    if (environ.get("CUNUMERIC_ENGINE", "").strip() or settings.engine) == "host":
        return "arrays: on the processor, by NumPy and our own loops (engine host)"
    gpus = launch.visible_gpus(environ) if environ.get("JAX_PLATFORMS", "cuda").split(",")[0] in ("cuda", "gpu") else []
    where = f"on GPU {', '.join(gpus)}" if gpus else "on the processor"
    return f"arrays: {where}, by XLA (engine xla)"


def _show(command: Command, where: Place, settings_of: list[Setting]) -> None:
    from cunumeric.runtime.places import directory

    print(f"cunumeric {VERSION}, Python {sys.version.split()[0]}")
    said = f" (as {where.source} says)" if where.source else ""
    print(f"ranks: {where.size}, {len(settings_of)} started here{said}")
    print(f"cores this process may use: {', '.join(map(str, launch.available()))}")
    print(f"GPUs visible here: {', '.join(launch.visible_gpus(os.environ)) or 'none'}")
    print(f"compiled programs are kept in: {directory() or 'nowhere'}")
    for rank, setting in enumerate(settings_of, where.rank):
        environ = os.environ | setting.environ
        threads = environ.get("CUNUMERIC_NUM_THREADS") or settings.threads
        bound = f" on cores {','.join(map(str, setting.cores))}" if setting.cores else ""
        print(f"rank {rank}: threads: {threads}{bound}; {_computes(environ)}")
        told = " ".join(f"{k}={v}" for k, v in sorted(setting.environ.items()) if not k.startswith("CUNUMERIC_RANK"))
        if told:
            print(f"    set for it: {told}")
    sys.stdout.flush()


def _wanted(command: Command) -> Place:
    """The rank, or the first of those, that this process has to start."""
    asked = command.get("nodes", 1) * command.get("ranks_per_node", 1)
    where = launch.place(os.environ)
    if not where.source:
        if LAUNCHED in os.environ and asked > 1:
            raise UsageError(
                f"--launcher {command.get('launcher')} has started this process without saying which it is"
            )
        return Place(0, asked, 0, asked)
    if {"nodes", "ranks_per_node"} & command.values.keys() and asked != where.size:
        raise UsageError(f"--nodes × --ranks-per-node is {asked}, but {where.source} has started {where.size} ranks")
    return where


def main(words: list[str] | None = None) -> None:
    """Entry point of the command; returns when the program has ended without an error or an exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        given, config = parse(words), configured()
    except UsageError as error:
        run.fail(f"{error}\nusage: {USAGE}\nknown flags: {KNOWN}", 2)
    if os.environ.pop(RUNS, None) is not None:  # everything was arranged by the process that started this one
        if ranks.control >= 0:
            _run_rank(given)
        else:
            _run_program(given)
        return
    command = Command(config.values | given.values, given.program, given.arguments)
    if command.get("help"):
        print(help_text(), end="")
        return
    if command.get("version"):
        print(f"legate (cunumeric {VERSION})")
        return
    no_program = command.program is None and command.module is None
    if no_program and not command.get("show_config"):
        run.fail(f"no program given\nusage: {USAGE}", 2)
    try:
        _launch(command, _threads(given, config), words, no_program)
    except UsageError as error:
        run.fail(str(error), 2)


def _launch(command: Command, threads: int | None, words: list[str], no_program: bool) -> None:
    launched = LAUNCHED in os.environ
    verbose, dry = command.get("verbose"), command.get("dry_run")
    if command.get("launcher", "none") != "none" and not launched:
        _say_idle(command)
        os.environ |= {LAUNCHED: "1", "CUNUMERIC_JOB": secrets.token_hex(8)}
        flags = words[: len(words) - len(launch.program_words(command))]
        words = [word for word in flags if word != "--dry-run"] + launch.program_words(command)
        line = launch.launcher_words(command, words, os.environ)
        if dry or verbose:
            print(launch.in_words({LAUNCHED: "1"}, line), file=sys.stdout if dry else sys.stderr, flush=True)
        if dry:
            return
        try:
            os.execvp(line[0], line)
        except OSError as error:
            raise UsageError(f"--launcher {line[0]}: {error.strerror}") from None
    where = _wanted(command)
    if where.rank == 0 and not launched:
        _say_idle(command)
    here = [where] if where.source else [Place(k, where.size, k, where.size) for k in range(where.size)]
    found = [launch.setting(command, each, threads, os.environ) for each in here]
    line = launch.interpreter() + launch.program_words(command)
    if command.get("show_config"):
        _show(command, where, found)
        if no_program:
            return
    if dry or verbose:
        for each, setting in zip(here, found, strict=True):
            bound = f" (cores {','.join(map(str, setting.cores))})" if setting.cores else ""
            shown = launch.in_words(setting.environ, setting.prefix + line)
            print(f"rank {each.rank}{bound}: {shown}", file=sys.stdout if dry else sys.stderr, flush=True)
        if dry:
            return
    watched = command.get("log_to_file") or command.get("all_ranks")
    if where.size > 1 or watched:
        _supervise(command, here, found, line)
    _alone(command, found[0], line)


def _say_idle(command: Command) -> None:
    for words in idle(command):
        print(f"legate: {words}", file=sys.stderr)


def _alone(command: Command, setting: Setting, line: list[str]) -> None:
    """One rank: in this process; begun anew where the package was imported with other settings than it should have."""
    if setting.cores:
        os.sched_setaffinity(0, setting.cores)
    threads = setting.environ.pop("CUNUMERIC_NUM_THREADS", None)
    if threads is not None:
        _use_threads(int(threads))
    if setting.environ or setting.prefix:
        line = setting.prefix + line
        sys.stdout.flush()
        os.execvpe(line[0], line, os.environ | setting.environ | {RUNS: "1"})
    _run_program(command)


def _standard_files() -> None:
    """Those that were closed lead nowhere from now on: sockets must not get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(os.devnull, "w"))
    sys.stderr = sys.stderr or io.TextIOWrapper(io.FileIO(os.devnull, "w"))


def _supervise(command: Command, here: list[Place], found: list[Setting], line: list[str]) -> NoReturn:
    """Start the ranks of this machine, watch over them, and end as they did."""
    from . import network, output, supervise

    _standard_files()
    folder = None
    if command.get("log_to_file"):
        folder = Path(command.get("logdir", "."))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--logdir {folder}: {error.strerror}") from None
    shown = output.Output(bool(command.get("all_ranks")), folder)
    first = here[0]
    supervisor = supervise.Supervisor(shown, tells=first.rank == 0 or first.source in ("", "CUNUMERIC"))
    environ = dict(os.environ)
    for name in (LAUNCHED, "CUNUMERIC_JOB", "CUNUMERIC_TOKEN", "CUNUMERIC_COORDINATOR"):
        environ.pop(name, None)
    try:
        link = network.join(supervisor, first)
    except network.NotReached as error:
        supervisor.release()
        run.fail(str(error), 1)
    except KeyboardInterrupt:
        supervisor.release()
        raise SystemExit(130) from None
    supervisor.catch_signals()
    for place, setting in zip(here, found, strict=True):
        setting.environ |= {"CUNUMERIC_JOB_SEED": link.seed, "CUNUMERIC_ADDRESS": link.address}
        try:
            supervisor.start(place.rank, setting, line, environ)
        except OSError as error:
            supervisor.end({"text": f"rank {place.rank} cannot be started: {error}", "status": 1})
            break
    status = supervisor.run()
    link.close(time.monotonic() + supervise.PATIENCE)
    sys.stdout.flush()
    raise SystemExit(status)
