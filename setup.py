"""The one thing that pyproject.toml cannot say: optional extensions that need NumPy's headers.

Without a C compiler the package installs all the same, and does in Python what they do faster.
"""

import numpy
from setuptools import Extension, setup


def extension(name: str, *parts: str) -> Extension:
    """One of the optional extensions, beside the Python files that do the same, and the files that it includes."""
    return Extension(
        f"cunumeric.{name.replace('/', '.')}",
        [f"src/cunumeric/{name}.c"],
        depends=[f"src/cunumeric/{part}" for part in parts],
        include_dirs=[numpy.get_include()],
        extra_compile_args=["-O3"],
        optional=True,
    )


setup(
    ext_modules=[
        extension(
            "arrays/_fast",
            "arrays/_fast.h",
            "arrays/_floats.h",
            "arrays/_functions.h",
            "arrays/_rows.h",
            "arrays/_view.h",
            "arrays/_whole.h",
            "arrays/_recorded.h",
            "runtime/_slots.h",
            "runtime/_vectors.h",
        ),
        extension(
            "arrays/_recording",
            "arrays/_gate.h",
            "arrays/_recorded.h",
            "arrays/_reduced.h",
            "runtime/_gate.h",
            "runtime/_pool.h",
            "runtime/_slots.h",
        ),
        extension(
            "engines/host/_tiles",
            *[
                f"engines/host/_{part}.h"
                for part in ("along", "deal", "form", "gather", "loops", "program", "replay", "split", "team", "work")
            ],
            "runtime/_gate.h",
            "runtime/_slots.h",
            "runtime/_vectors.h",
        ),
        extension("engines/xla/_recipe", "runtime/_slots.h"),
        extension("runtime/_shelf", "runtime/_pieces.h"),
    ]
)
