"""`legate [flags] prog.py [args]` and `legate [flags] -m module [args]`.

The program runs in this process as `python prog.py` would run it: it is `__main__`, `sys.argv` and `sys.path[0]` are
its own, its exit status is the command's, and a traceback begins at its first line. Flags stand before the program;
everything after it belongs to the program. `LEGATE_CONFIG` holds further flags; the command line wins over it.

A number of threads comes from the first of: `--cpus` on the command line, `CUNUMERIC_NUM_THREADS`, `--cpus` in
`LEGATE_CONFIG`, the cores this process may use.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import shlex
import sys
import types
import zipfile
from dataclasses import dataclass
from typing import Any, NoReturn

from cunumeric.runtime.settings import settings
from cunumeric.runtime.version import VERSION

USAGE = "legate [--cpus N] [--help] [--version] {prog.py | -m module} [arguments of the program]"
KNOWN_FLAGS = "--cpus N, --help, --version, -m module"
HELP = f"""usage: {USAGE}

Run a Python program that imports cunumeric, with the resources given.

  --cpus N     threads for the program's operations (default: the cores this process may use)
  -m module    run a module instead of a file, as `python -m module` does
  -h, --help   print this text
  --version    print the version

LEGATE_CONFIG holds flags too, e.g. LEGATE_CONFIG="--cpus 4"; those on the command line win.
"""


class UsageError(Exception):
    """Words that are no valid command; the message says which and why."""


@dataclass
class Command:
    """What a line of words asks for."""

    cpus: int | None = None
    help: bool = False
    version: bool = False
    module: str | None = None
    program: str | None = None
    arguments: tuple[str, ...] = ()


def _cpus(text: str) -> int:
    # isdecimal() alone admits digits of other scripts, which int() reads but nobody means.
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise UsageError(f"--cpus {text}: expected a whole number of at least 1")
    return int(text)


def parse(words: list[str]) -> Command:
    """Flags up to the program, then the program, then its arguments as they are.

    Raises:
        UsageError: for a flag that is not known, or a value that is missing or wrong.
    """
    command = Command()
    rest = list(words)

    def value(flag: str) -> str:
        if not rest:
            raise UsageError(f"{flag} needs a value")
        return rest.pop(0)

    while rest:
        word = rest.pop(0)
        name, equals, attached = word.partition("=")
        if word in ("-h", "--help"):
            command.help = True
        elif word == "--version":
            command.version = True
        elif name == "--cpus":
            command.cpus = _cpus(attached if equals else value(name))
        elif word == "-m":
            command.module = value(word)
            break
        elif word.startswith("-"):
            raise UsageError(f"unknown flag {word}")
        else:
            command.program = word
            break
    command.arguments = tuple(rest)
    return command


def _configured() -> Command:
    """The flags of LEGATE_CONFIG."""
    try:
        command = parse(shlex.split(os.environ.get("LEGATE_CONFIG", "")))
        if command.program is not None or command.module is not None:
            raise UsageError(f"{command.program or '-m'} does not belong here: it holds flags only")
    except (UsageError, ValueError) as error:  # ValueError: a quotation that is not closed
        raise UsageError(f"LEGATE_CONFIG: {error}") from None
    return command


def _use_threads(number: int) -> None:
    """For this process, whose settings were read when the package was imported, and for those it starts."""
    os.environ["CUNUMERIC_NUM_THREADS"] = str(number)
    settings.threads = number


def _fail(message: str, status: int) -> NoReturn:
    print(f"legate: {message}", file=sys.stderr)
    raise SystemExit(status)


def _new_main(spec: importlib.machinery.ModuleSpec | None, **attributes: object) -> types.ModuleType:
    """An empty `__main__` in the place of ours."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __spec__=spec, **attributes)
    if "__annotations__" in sys.modules["__main__"].__dict__:  # up to Python 3.13 each `__main__` begins with one
        module.__annotations__ = {}
    sys.modules["__main__"] = module
    return module


def _first_on_path(folder: str) -> None:
    """Put the program's folder where `python` puts it: in the place of the command's own."""
    if not sys.flags.safe_path:
        sys.path[:1] = [folder]


def _is_package_of_files(path: str) -> bool:
    """A folder or a zip archive, which `python` runs by the `__main__` inside."""
    return os.path.isdir(path) or zipfile.is_zipfile(path)


def _run_file(path: str, arguments: tuple[str, ...]) -> None:
    full = os.path.join(os.getcwd(), path)  # as python says it: absolute, not tidied
    if _is_package_of_files(path):
        if not sys.flags.safe_path:
            sys.path[:1] = [full]
        else:
            sys.path.insert(0, full)  # without it there is no program: python does so too
        _run_found("__main__", path, arguments, f"can't find '__main__' module in {full!r}")
        return
    try:
        with io.open_code(full) as file:
            source = file.read()
    except OSError as error:
        _fail(f"can't open file {full!r}: [Errno {error.errno}] {error.strerror}", 2)
    sys.argv[:] = [path, *arguments]
    _first_on_path(os.path.dirname(os.path.realpath(path)))
    loader = importlib.machinery.SourceFileLoader("__main__", full)
    module = _new_main(None, __file__=full, __cached__=None, __loader__=loader, __package__=None)
    exec(compile(source, full, "exec", dont_inherit=True), module.__dict__)


def _run_module(name: str, arguments: tuple[str, ...]) -> None:
    _first_on_path(os.getcwd())
    # What `python -m` shows to packages imported on the way to the module.
    sys.argv[:] = ["-m", *arguments]
    _run_found(name, None, arguments, f"No module named {name}")


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module, or None; a package that is missing on the way to it counts as the module missing."""
    if not all(name.split(".")):
        return None
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise
    except ValueError:  # a module in sys.modules without a spec
        return None


def _run_found(name: str, shown: str | None, arguments: tuple[str, ...], missing: str) -> None:
    """Run the module called `name`, or the `__main__` of the package called so."""
    # `__main__` is in sys.modules, where find_spec would find us instead of the program.
    ours = sys.modules.pop("__main__") if name == "__main__" else None
    try:
        spec = _find(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = _find(f"{name}.__main__")
            missing = f"No module named {name}.__main__; {name!r} is a package and cannot be directly executed"
    finally:
        if ours is not None:
            sys.modules["__main__"] = ours
    loader: Any = None if spec is None else spec.loader
    code = loader.get_code(spec.name) if spec is not None and hasattr(loader, "get_code") else None
    if spec is None or code is None:
        _fail(missing, 1)
    sys.argv[:] = [shown if shown is not None else str(spec.origin), *arguments]
    module = _new_main(
        spec, __file__=spec.origin, __cached__=spec.cached, __loader__=spec.loader, __package__=spec.parent
    )
    exec(code, module.__dict__)


def _hide_our_frames() -> None:
    """Let the exception that is about to end the process be shown without the driver's frames.

    The exception itself goes on to the interpreter, so that what follows (the exit status, the signal of a
    KeyboardInterrupt, exit handlers) is the interpreter's own. The hook in force is kept: the program may have set it.
    """
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
        rest, frame = traceback, traceback
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == __file__:
                rest = frame.tb_next
            frame = frame.tb_next
        # Between us and a package that `-m` imports on the way there is only the import system.
        while rest is not None and rest.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            rest = rest.tb_next
        show(kind, error.with_traceback(rest), rest)

    sys.excepthook = hook


def main(words: list[str] | None = None) -> None:
    """Entry point of the command; returns when the program has ended without an error or an exit status."""
    try:
        command = parse(sys.argv[1:] if words is None else words)
        configured = _configured()
    except UsageError as error:
        _fail(f"{error}\nusage: {USAGE}\nknown flags: {KNOWN_FLAGS}", 2)
    if command.help or configured.help:
        print(HELP, end="")
        return
    if command.version or configured.version:
        print(f"legate (cunumeric {VERSION})")
        return
    if command.program is None and command.module is None:
        _fail(f"no program given\nusage: {USAGE}", 2)

    if command.cpus is not None:
        _use_threads(command.cpus)
    elif configured.cpus is not None and not os.environ.get("CUNUMERIC_NUM_THREADS", "").strip():
        _use_threads(configured.cpus)

    try:
        if command.module is not None:
            _run_module(command.module, command.arguments)
        elif command.program is not None:
            _run_file(command.program, command.arguments)
    except SystemExit:
        raise
    except BaseException:
        _hide_our_frames()
        raise
