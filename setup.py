"""The one thing that pyproject.toml cannot say: an optional extension that needs NumPy's headers.

Without a C compiler the package installs all the same; small operations then cost about 0.3 µs more.
"""

import numpy
from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "cunumeric.arrays._fast",
            ["src/cunumeric/arrays/_fast.c"],
            include_dirs=[numpy.get_include()],
            extra_compile_args=["-O2"],
            optional=True,
        )
    ]
)
