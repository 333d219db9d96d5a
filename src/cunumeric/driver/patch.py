"""`lgpatch prog.py -p numpy [args]`: run a program that imports NumPy, and cannot be edited, with cunumeric.

Who asks for `numpy` decides what is given. The program and the modules beside it get cunumeric; the standard library,
installed packages and cunumeric itself get NumPy, so that compiled code and libraries work as they were built. With
several ranks: `legate [flags] -m cunumeric.driver.patch prog.py -p numpy [args]`.
"""

from __future__ import annotations

import builtins
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from typing import Any

from . import run

USAGE = "lgpatch {prog.py | -m module} [-p numpy] [arguments of the program]"
HELP = f"""usage: {USAGE}

Run a program that imports numpy with cunumeric in numpy's place. Installed packages keep NumPy.

  -p, --patch numpy   what is replaced; numpy is the only choice, and the default
  -m MODULE           run a module instead of a file

With several ranks or GPUs: legate [flags] -m cunumeric.driver.patch prog.py -p numpy
"""
_import = builtins.__import__
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INSTALLED = tuple(
    {os.path.join(os.path.realpath(sysconfig.get_path(name)), "") for name in ("stdlib", "purelib", "platlib")}
    | {os.path.join(os.path.realpath(_HERE), "")}
)
_known: dict[str, bool] = {}  # by file: whether it is the program's


def _of_program(asking: Mapping[str, Any] | None) -> bool:
    """Whether the module with these globals is the program's own."""
    if asking is None or asking.get("__name__") == "__main__":
        return asking is not None
    file = asking.get("__file__")
    if not isinstance(file, str):
        return False
    found = _known.get(file)
    if found is None:
        found = _known[file] = not os.path.realpath(file).startswith(_INSTALLED)
    return found


def _patched(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    if level == 0 and (name == "numpy" or name.startswith("numpy.")) and _of_program(globals):
        try:
            return _import(f"cunumeric{name[len('numpy') :]}", globals, locals, fromlist or (), 0)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("cunumeric"):
                raise
    return _import(name, globals, locals, fromlist or (), level)


def main() -> None:
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        raise SystemExit(0 if words else 2)

    def take(what: str) -> str:
        if not words:
            run.fail(f"{what} needs a value\nusage: {USAGE}", 2)
        return words.pop(0)

    def patches() -> None:
        while words and words[0] in ("-p", "--patch"):
            flag = words.pop(0)
            package = take(flag)
            if package != "numpy":
                run.fail(f"{flag} {package}: only numpy can be replaced", 2)

    patches()
    first = take("lgpatch")
    module = first == "-m"
    program = take(first) if module else first
    if program.startswith("-"):
        run.fail(f"unknown flag {program}\nusage: {USAGE}", 2)
    patches()
    builtins.__import__ = _patched
    try:
        if module:
            run.run_module(program, tuple(words))
        else:
            run.run_file(program, tuple(words))
    except SystemExit:
        raise
    except BaseException:
        run.hide_our_frames()
        raise


if __name__ == "__main__":
    main()
