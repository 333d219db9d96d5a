"""Running the program in this process, as `python` would.

The program is `__main__`, `sys.argv` and `sys.path[0]` are its own, its exit status is the command's, and a traceback
begins at its first line.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import sys
import types
import zipfile
from typing import Any, NoReturn


def fail(message: str, status: int) -> NoReturn:
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


def run_file(path: str, arguments: tuple[str, ...]) -> None:
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
        fail(f"can't open file {full!r}: [Errno {error.errno}] {error.strerror}", 2)
    sys.argv[:] = [path, *arguments]
    _first_on_path(os.path.dirname(os.path.realpath(path)))
    loader = importlib.machinery.SourceFileLoader("__main__", full)
    module = _new_main(None, __file__=full, __cached__=None, __loader__=loader, __package__=None)
    exec(compile(source, full, "exec", dont_inherit=True), module.__dict__)


def run_module(name: str, arguments: tuple[str, ...]) -> None:
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
        fail(missing, 1)
    sys.argv[:] = [shown if shown is not None else str(spec.origin), *arguments]
    module = _new_main(
        spec, __file__=spec.origin, __cached__=spec.cached, __loader__=spec.loader, __package__=spec.parent
    )
    exec(code, module.__dict__)


def hide_our_frames() -> None:
    """Let the exception that is about to end the process be shown without the driver's frames.

    The exception itself goes on to the interpreter, so that what follows (the exit status, the signal of a
    KeyboardInterrupt, exit handlers) is the interpreter's own. The hook in force is kept: the program may have set it.
    """
    show = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
        rest, frame = traceback, traceback
        while frame is not None:
            if os.path.dirname(frame.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
                rest = frame.tb_next
            frame = frame.tb_next
        # Between us and a package that `-m` imports on the way there is only the import system.
        while rest is not None and rest.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            rest = rest.tb_next
        show(kind, error.with_traceback(rest), rest)

    sys.excepthook = hook
