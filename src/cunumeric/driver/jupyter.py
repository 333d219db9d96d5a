"""`legate-jupyter [--name NAME] [--prefix FOLDER] [flags of legate]`: install a Jupyter kernel that runs under legate.

The kernel is one process, on one node: what is typed into a notebook is run by one rank.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from . import run
from .flags import UsageError, parse

USAGE = "legate-jupyter [--name NAME] [--prefix FOLDER] [flags of legate]"
HELP = f"""usage: {USAGE}

Install a kernel for Jupyter whose notebooks run under legate, with the given flags.

  --name NAME       name of the kernel (default: legate)
  --prefix FOLDER   install below FOLDER/share/jupyter instead of the user's folder
"""


def _folder(prefix: str | None) -> Path:
    """Where Jupyter looks for the user's kernels."""
    if prefix is not None:
        return Path(prefix) / "share" / "jupyter" / "kernels"
    data = os.environ.get("JUPYTER_DATA_DIR")
    if data:
        return Path(data) / "kernels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter" / "kernels"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "jupyter" / "kernels"


def main() -> None:
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(HELP, end="")
        return
    own: dict[str, str] = {}
    while words and words[0] in ("--name", "--prefix"):
        flag = words.pop(0)
        if not words:
            run.fail(f"{flag} needs a value\nusage: {USAGE}", 2)
        own[flag] = words.pop(0)
    try:
        command = parse(words)
    except UsageError as error:
        run.fail(f"{error}\nusage: {USAGE}", 2)
    if command.program is not None or command.module is not None:
        run.fail(f"a kernel runs no program\nusage: {USAGE}", 2)
    if command.get("nodes", 1) * command.get("ranks_per_node", 1) > 1 or command.get("launcher", "none") != "none":
        run.fail("a kernel is one process: --nodes, --ranks-per-node and --launcher do not belong here", 2)
    name = own.get("--name", "legate")
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        run.fail(f"--name {name}: letters, digits, and . _ - only", 2)
    folder = _folder(own.get("--prefix")) / name.lower()
    kernel = {
        "argv": [
            sys.executable,
            "-m",
            "cunumeric.driver",
            *words,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
        "display_name": f"Python, {name}",
        "language": "python",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kernel.json").write_text(json.dumps(kernel, indent=1) + "\n")
    except OSError as error:
        run.fail(f"{folder}: {error.strerror}", 1)
    print(f"installed {folder}")
    if find_spec("ipykernel") is None:
        print("the kernel needs the package ipykernel, which is not installed here", file=sys.stderr)


if __name__ == "__main__":
    main()
