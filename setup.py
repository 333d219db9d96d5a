"""The one thing that pyproject.toml cannot say: optional extensions that need NumPy's headers.

Without a C compiler the package installs all the same, and does in Python what they do faster.
"""

import re
from pathlib import Path

import numpy
from setuptools import Extension, setup

SOURCE = Path("src/cunumeric")


def included(path: Path) -> set[Path]:
    """The files of ours that a C file includes, and that those include: a source distribution has them too."""
    found: set[Path] = set()
    for name in re.findall(r'^#include "(.+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
        part = (path.parent / name).resolve().relative_to(Path.cwd())
        found |= {part} | included(part)
    return found


def extension(name: str) -> Extension:
    """One of the optional extensions, beside the Python files that do the same."""
    path = SOURCE / f"{name}.c"
    return Extension(
        f"cunumeric.{name.replace('/', '.')}",
        [str(path)],
        depends=sorted(map(str, included(path))),
        include_dirs=[numpy.get_include()],
        extra_compile_args=["-O3"],
        optional=True,
    )


names = ("arrays/_fast", "arrays/_recording", "engines/host/_tiles", "engines/xla/_recipe", "runtime/_shelf")
setup(ext_modules=[extension(name) for name in names])
