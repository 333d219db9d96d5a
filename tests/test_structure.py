"""The house stands: imports go downward, and no file has grown into two."""

import ast
import re
import runpy
from pathlib import Path

import pytest

import cunumeric

HOUSE = Path(cunumeric.__file__).parent
# Everything that is not a folder of this list is a namespace, and on top; `control` is part of the one on top of all.
ORDER = ["runtime", "ops", "graph", "engines", "arrays", "api"]
TOP = len(ORDER)
LONGEST = 800
FILES = sorted(HOUSE.rglob("*.py"))


def room(parts: tuple[str, ...]) -> str:
    """The folder of a module below the package: its first name, or "" for the package itself."""
    return parts[0] if parts else ""


def imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    package = path.relative_to(HOUSE).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                base += tuple((node.module or "").split(".")) if node.module else ()
            elif node.module and node.module.split(".")[0] == "cunumeric":
                base = tuple(node.module.split(".")[1:])
            else:
                continue
            if base:
                found.add(base[0])
            else:
                found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(
                ".".join(alias.name.split(".")[1:2]) for alias in node.names if alias.name.split(".")[0] == "cunumeric"
            )
    return found


def level(name: str) -> int:
    return ORDER.index(name) if name in ORDER else TOP


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_imports_go_downward(path):
    parts = path.relative_to(HOUSE).parts
    mine = parts[0] if len(parts) > 1 else ""
    if mine == "driver":
        assert imported(path) <= {"runtime", "driver"}
        return
    above = {name for name in imported(path) if level(name) > level(mine)}
    assert not above, f"imports {above} from above"
    if mine in ORDER:
        assert "driver" not in imported(path)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_no_file_is_two_rooms(path):
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{lines} lines: split it by what it knows"


def included(path: Path) -> set[Path]:
    """The files of ours that a C file includes, and those that they include."""
    found = {(path.parent / name).resolve() for name in re.findall(r'#include "(.+)"', path.read_text())}
    return found.union(*map(included, found))


def test_extensions_name_what_they_include(monkeypatch):
    """What is not named is not in a source distribution: no extension is built from that, without an error."""
    setuptools, root = pytest.importorskip("setuptools"), HOUSE.parents[1]
    if not (root / "setup.py").exists():
        pytest.skip("installed")
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(root)
    runpy.run_path("setup.py")
    for extension in given["ext_modules"]:
        needed = set().union(*[included(root / source) for source in extension.sources])
        assert needed == {root / part for part in extension.depends}, extension.name


def test_every_folder_has_its_place():
    """A new folder below the namespaces has to come into `ORDER`; other folders are NumPy's, or the driver."""
    import numpy

    folders = {p.parent.name for p in HOUSE.glob("*/__init__.py")}
    assert not {name for name in folders - set(ORDER) - {"driver"} if not hasattr(numpy, name)}


def test_only_numpy_is_needed():
    """Nothing outside the standard library and NumPy is imported; the compiler's library where it is first used."""
    import sys

    outside = set()
    for path in FILES:
        module = ast.parse(path.read_text())
        on_use = {id(node) for f in ast.walk(module) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
        for node in ast.walk(module):
            names = []
            if path.name == "compiler.py" and id(node) in on_use:
                continue
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            outside.update(name.split(".")[0] for name in names)
    assert outside - set(sys.stdlib_module_names) <= {"numpy", "cunumeric", "jax"}


def test_only_the_xla_engine_knows_jax():
    """JAX is an extra: whoever imports it may not be imported by anybody who does without."""
    for path in FILES:
        imports = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, (ast.Import, ast.ImportFrom))]
        names = [a.name for n in imports if isinstance(n, ast.Import) for a in n.names]
        names += [n.module or "" for n in imports if isinstance(n, ast.ImportFrom) and not n.level]
        if any(name.split(".")[0] == "jax" for name in names):
            assert path.is_relative_to(HOUSE / "engines" / "xla"), path
