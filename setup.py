"""The one thing that pyproject.toml cannot say: optional extensions that need NumPy's headers.

Without a C compiler the package installs all the same, and does in Python what they do faster.
"""

import numpy
from setuptools import Extension, setup


def extension(name: str) -> Extension:
    """One of the optional extensions, beside the Python file that does the same."""
    return Extension(
        f"cunumeric.{name.replace('/', '.')}",
        [f"src/cunumeric/{name}.c"],
        include_dirs=[numpy.get_include()],
        extra_compile_args=["-O3"],
        optional=True,
    )


setup(
    ext_modules=[
        extension("arrays/_fast"),
        extension("arrays/_recording"),
        extension("engines/host/_tiles"),
        extension("engines/xla/_recipe"),
    ]
)
