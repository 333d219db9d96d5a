"""Every public name of NumPy has to be there: in each namespace, and on the classes of arrays and of ufuncs."""

import importlib
import subprocess
import sys
import types

import numpy
import pytest

import cunumeric

NAMESPACES = [
    "",
    "char",
    "ctypeslib",
    "dtypes",
    "emath",
    "exceptions",
    "fft",
    "lib",
    "lib.array_utils",
    "lib.format",
    "lib.introspect",
    "lib.mixins",
    "lib.npyio",
    "lib.recfunctions",
    "lib.scimath",
    "lib.stride_tricks",
    "lib.user_array",
    "linalg",
    "ma",
    "ma.extras",
    "ma.mrecords",
    "matlib",
    "polynomial",
    "polynomial.chebyshev",
    "polynomial.hermite",
    "polynomial.hermite_e",
    "polynomial.laguerre",
    "polynomial.legendre",
    "polynomial.polynomial",
    "polynomial.polyutils",
    "random",
    "rec",
    "strings",
    "testing",
    "testing.overrides",
    "typing",
    "version",
]


def find(top: types.ModuleType, name: str) -> types.ModuleType:
    """The module `name` below `top`, imported or, as `emath`, held as an attribute."""
    if not name:
        return top
    try:
        return importlib.import_module(f"{top.__name__}.{name}")
    except ModuleNotFoundError:
        parent, _, leaf = name.rpartition(".")
        return getattr(find(top, parent), leaf)


def public_names(module: types.ModuleType) -> list[str]:
    """What `module` offers: ``__all__``, else what has no underscore and is not a module imported by accident."""
    names = getattr(module, "__all__", None)
    if names is not None:
        return sorted(names)
    return [
        name
        for name in dir(module)
        if not name.startswith("_") and not isinstance(getattr(module, name, None), types.ModuleType)
    ]


@pytest.mark.parametrize("name", NAMESPACES, ids=lambda name: name or "main")
def test_every_public_name_is_there(name):
    try:
        theirs = find(numpy, name)
    except (ImportError, AttributeError):
        pytest.skip("this NumPy has no such module")
    ours = find(cunumeric, name)
    missing = [attribute for attribute in public_names(theirs) if not hasattr(ours, attribute)]
    assert not missing


@pytest.mark.parametrize("name", NAMESPACES, ids=lambda name: name or "main")
def test_all_lists_what_is_there(name):
    """``from cunumeric... import *`` brings what ``from numpy... import *`` brings."""
    try:
        theirs = find(numpy, name)
    except (ImportError, AttributeError):
        pytest.skip("this NumPy has no such module")
    if not hasattr(theirs, "__all__"):
        pytest.skip("NumPy's module has no __all__")
    ours = find(cunumeric, name)
    assert not set(theirs.__all__) - set(ours.__all__)
    assert not [attribute for attribute in ours.__all__ if not hasattr(ours, attribute)]


@pytest.mark.parametrize("kind", ["ndarray", "ufunc"])
def test_every_method_is_there(kind):
    theirs, ours = getattr(numpy, kind), getattr(cunumeric, kind)
    assert not [name for name in dir(theirs) if not hasattr(ours, name)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(cunumeric.arange(6.0).reshape(2, 3), numpy.arange(6.0).reshape(2, 3)), (cunumeric.add, numpy.add)],
    ids=["ndarray", "ufunc"],
)
def test_every_attribute_can_be_read(ours, theirs):
    """Instances answer too: a descriptor on the class alone would satisfy `hasattr` there."""
    assert not [name for name in dir(theirs) if hasattr(theirs, name) and not hasattr(ours, name)]


def test_every_namespace_of_numpy_is_walked():
    """A public module that NumPy adds one day has to come into `NAMESPACES`."""
    modules = {name for name in numpy.__all__ if isinstance(getattr(numpy, name), types.ModuleType)}
    # Packages beside the array library.
    assert modules - {"core", "f2py", "distutils", "test"} <= set(NAMESPACES)


def test_a_namespace_is_loaded_in_silence():
    """NumPy warns when names are asked for that it once had, such as `bytes`."""
    words = "import cunumeric; cunumeric.random.rand, cunumeric.fft.fft, cunumeric.linalg.norm, cunumeric.ma.array"
    found = subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", words], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
