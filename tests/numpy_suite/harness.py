"""A pytest plugin that runs NumPy's installed tests with another module in NumPy's place.

Nothing of NumPy's text is kept here. Test files are read from the installed package, parsed, and every import of NumPy
is redirected before they are compiled:

* a public module (``numpy``, ``numpy.linalg``, ``numpy.ma`` ...) becomes the same module of the package under test;
* a private module (``numpy._core.umath``, ``numpy.lib._npyio_impl`` ...) becomes a stand-in that hands out the public
  twin where the object found is a public NumPy object that the package under test has as well, and NumPy's own object
  otherwise: ``from numpy._core.numeric import array`` gives the array function of the package under test.

Attribute chains that lead into private modules (``np._core.umath``) are redirected alike. With ``--module numpy`` the
files are compiled as they are, so that what passes with NumPy itself is known under the same conditions.

The plugin is loaded by ``run.py`` (``-p harness``); it works inside pytest-xdist's workers.
"""

from __future__ import annotations

import ast
import faulthandler
import fnmatch
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import re
import signal
import sys
import types
from pathlib import Path

import numpy
import pytest

NUMPY_ROOT = Path(numpy.__file__).parent
HERE = Path(__file__).parent

# The folders of tests, under the installed package.
FOLDERS = (
    "_core/tests",
    "lib/tests",
    "linalg/tests",
    "fft/tests",
    "random/tests",
    "ma/tests",
    "polynomial/tests",
    "matrixlib/tests",
)

# Everything that NumPy's manual names as a module; all else below ``numpy`` is private.
PUBLIC_MODULES = frozenset(
    {
        "numpy",
        "numpy.char",
        "numpy.ctypeslib",
        "numpy.dtypes",
        "numpy.emath",
        "numpy.exceptions",
        "numpy.fft",
        "numpy.lib",
        "numpy.lib.array_utils",
        "numpy.lib.format",
        "numpy.lib.introspect",
        "numpy.lib.mixins",
        "numpy.lib.npyio",
        "numpy.lib.recfunctions",
        "numpy.lib.scimath",
        "numpy.lib.stride_tricks",
        "numpy.lib.user_array",
        "numpy.linalg",
        "numpy.ma",
        "numpy.ma.extras",
        "numpy.ma.mrecords",
        "numpy.matlib",
        "numpy.polynomial",
        "numpy.polynomial.chebyshev",
        "numpy.polynomial.hermite",
        "numpy.polynomial.hermite_e",
        "numpy.polynomial.laguerre",
        "numpy.polynomial.legendre",
        "numpy.polynomial.polynomial",
        "numpy.polynomial.polyutils",
        "numpy.random",
        "numpy.rec",
        "numpy.strings",
        "numpy.testing",
        "numpy.testing.overrides",
        "numpy.typing",
        "numpy.version",
    }
)

# Packages beside the array library: they keep their own names and are never redirected.
_UNTOUCHED = ("numpy.f2py", "numpy.distutils", "numpy.__config__")

# Test files, and the assertions of the masked arrays' tests: they ask for the class of arrays themselves.
_TEST_MODULE = re.compile(r"numpy\.(?:(?:\w+\.)*tests\.\w+|ma\.testutils)\Z")


def is_test_module(name: str) -> bool:
    """Whether `name` is test code of NumPy: imported as it is by name, but with redirected imports inside."""
    return _TEST_MODULE.match(name) is not None


def is_numpy(name: str) -> bool:
    """Whether imports of `name` are redirected."""
    if name != "numpy" and not name.startswith("numpy."):
        return False
    if name.startswith(_UNTOUCHED):
        return False
    return not (is_test_module(name) or name.endswith(".tests"))


def is_private_module(name: str) -> bool:
    """Whether `name` is an importable module of NumPy that its manual does not name."""
    if name in PUBLIC_MODULES or not is_numpy(name):
        return False
    parent, _, leaf = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(parent), leaf, None)
        if found is None:
            return importlib.util.find_spec(name) is not None
        # A function can hide the module it comes from (numpy._core.printoptions), and numpy.lib.math is Python's.
        return isinstance(found, types.ModuleType) and found.__name__.startswith("numpy.")
    except (ImportError, ValueError):
        return False


def public_names(module: types.ModuleType) -> list[str]:
    """Public names of `module`: its ``__all__`` where it has one, else what does not start with an underscore."""
    names = getattr(module, "__all__", None)
    return list(names) if names is not None else [name for name in dir(module) if not name.startswith("_")]


class Redirect:
    """Where imports of NumPy lead: the module under test for public names, stand-ins for private modules.

    Args:
        target: name of the top module that stands in NumPy's place.
    """

    def __init__(self, target: str):
        self.target = target
        self._twins: dict[int, object] | None = None
        self._stand_ins: dict[str, types.ModuleType] = {}

    def module(self, name: str) -> types.ModuleType:
        """The module that stands in the place of NumPy's module `name`."""
        if not is_numpy(name):
            return importlib.import_module(name)
        if name in PUBLIC_MODULES:
            try:
                return importlib.import_module(self.target + name.removeprefix("numpy"))
            except ModuleNotFoundError:
                # Some of NumPy's own are attributes only (numpy.emath).
                parent, _, leaf = name.rpartition(".")
                if parent and isinstance(getattr(self.module(parent), leaf, None), types.ModuleType):
                    return getattr(self.module(parent), leaf)
                raise
        return self.stand_in(name)

    def member(self, name: str, attribute: str) -> object:
        """What ``from name import attribute`` gives, for NumPy's module `name`."""
        inner = f"{name}.{attribute}"
        if is_private_module(inner):
            return self.module(inner)
        module = self.module(name)
        try:
            return getattr(module, attribute)
        except AttributeError:
            if inner in PUBLIC_MODULES:
                return self.module(inner)
            raise ImportError(f"cannot import name {attribute!r} from {module.__name__!r}") from None

    def twin(self, found: object) -> object:
        """The counterpart of NumPy's object `found` in the module under test, else `found` itself."""
        if isinstance(found, types.ModuleType):
            return self.module(found.__name__) if is_numpy(found.__name__) else found
        if self._twins is None:
            self._twins = self._pair_public_names()
        return self._twins.get(id(found), found)

    def stand_in(self, name: str) -> types.ModuleType:
        """The stand-in for NumPy's private module `name`."""
        if name not in self._stand_ins:
            self._stand_ins[name] = StandIn(importlib.import_module(name), self)
        return self._stand_ins[name]

    def _pair_public_names(self) -> dict[int, object]:
        """Map the identity of each public NumPy object to the object of that name in the module under test."""
        twins: dict[int, object] = {}
        for name in sorted(PUBLIC_MODULES):
            try:
                theirs, ours = importlib.import_module(name), self.module(name)
            except ImportError:
                continue
            for attribute in public_names(theirs):
                old, new = getattr(theirs, attribute, None), getattr(ours, attribute, None)
                # Plain values (None, True, pi, "1.2") are shared by all of Python: identity says nothing about them.
                if new is None or old is new or isinstance(old, (types.ModuleType, str, int, float, tuple, list, dict)):
                    continue
                twins.setdefault(id(old), new)
        return twins


class StandIn(types.ModuleType):
    """A private NumPy module whose public objects are replaced by those of the module under test.

    Values are copied at the start, so that tests that walk ``__dict__`` see them; assignment goes to both.
    """

    def __init__(self, real: types.ModuleType, redirect: Redirect):
        super().__init__(real.__name__, real.__doc__)
        held = self.__dict__
        held["_stand_in_for"] = real
        held["_redirect"] = redirect
        for name, value in list(vars(real).items()):  # twins may import what enters itself here
            # Modules wait until asked for: following them here would walk the whole package.
            if not isinstance(value, types.ModuleType) and name != "__getattr__":
                held[name] = redirect.twin(value)

    def __getattr__(self, name: str) -> object:
        return self._redirect.twin(getattr(self._stand_in_for, name))

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__[name] = value
        setattr(self._stand_in_for, name, value)

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)
        delattr(self._stand_in_for, name)

    def __dir__(self) -> list[str]:
        return dir(self._stand_in_for)


# ---------------------------------------------------------------------------------------------------------------------
# The rewriting of sources

_HOOK = "__numpy_suite_redirect__"


class RewriteImports(ast.NodeTransformer):
    """Replace NumPy imports by assignments from the `Redirect` that the loader puts into each test module.

    Args:
        package: the package of the file, for relative imports.
        aliases: names that the file binds to the top module (``np``, ``numpy``).
    """

    def __init__(self, package: str, aliases: set[str]):
        self.package = package
        self.aliases = aliases

    @classmethod
    def apply(cls, tree: ast.Module, package: str) -> ast.Module:
        """Rewrite `tree` in place."""
        aliases = {
            alias.asname or "numpy"
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "numpy" or (alias.name.startswith("numpy.") and not alias.asname)
        }
        return ast.fix_missing_locations(cls(package, aliases).visit(tree))

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for alias in node.names:
            if not is_numpy(alias.name):
                statements.append(ast.Import([alias]))
            elif alias.asname or "." not in alias.name:
                statements.append(_assign(alias.asname or alias.name, _call("module", alias.name)))
            else:
                # ``import numpy.linalg`` binds the top module, after the inner one was found.
                statements.append(ast.Expr(_call("module", alias.name)))
                statements.append(_assign("numpy", _call("module", "numpy")))
        return [ast.copy_location(statement, node) for statement in statements]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        name = node.module or ""
        if node.level:
            name = importlib.util.resolve_name("." * node.level + name, self.package)
        if not is_numpy(name) or any(alias.name == "*" for alias in node.names):
            return node
        statements: list[ast.stmt] = []
        for alias in node.names:
            if not is_numpy(f"{name}.{alias.name}"):
                statements.append(ast.ImportFrom(name, [alias], 0))
            else:
                statements.append(_assign(alias.asname or alias.name, _call("member", name, alias.name)))
        return [ast.copy_location(statement, node) for statement in statements]

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        path = self._dotted(node)
        if path is not None and is_private_module(path):
            return ast.copy_location(_call("module", path), node)
        self.generic_visit(node)
        return node

    def _dotted(self, node: ast.expr) -> str | None:
        """The full name that `node` spells when it is a chain of attributes of the top module."""
        if isinstance(node, ast.Name):
            return "numpy" if node.id in self.aliases else None
        if isinstance(node, ast.Attribute):
            inner = self._dotted(node.value)
            return None if inner is None else f"{inner}.{node.attr}"
        return None


def _call(method: str, *arguments: str) -> ast.Call:
    function = ast.Attribute(ast.Name(_HOOK, ast.Load()), method, ast.Load())
    return ast.Call(function, [ast.Constant(argument) for argument in arguments], [])


def _assign(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


class TestLoader(importlib.machinery.SourceFileLoader):
    """Loads one of NumPy's test files, with redirected imports unless `redirect` is None."""

    __test__ = False  # not a class of tests, whatever its name says

    def __init__(self, name: str, path: str, redirect: Redirect | None):
        super().__init__(name, path)
        self.redirect = redirect

    def get_code(self, fullname: str) -> types.CodeType:
        """Compile the source anew: the byte code beside the installed file belongs to the file as it is."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        tree = ast.parse(source, path)
        if self.redirect is not None:
            tree = RewriteImports.apply(tree, fullname.rpartition(".")[0])
        _rewrite_asserts(tree, source, path)
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: types.ModuleType) -> None:
        if self.redirect is not None:
            setattr(module, _HOOK, self.redirect)
        super().exec_module(module)


def _rewrite_asserts(tree: ast.Module, source: bytes, path: str) -> None:
    """Give ``assert`` statements pytest's explanations; without them failures have no text to group by."""
    try:
        from _pytest.assertion.rewrite import rewrite_asserts
    except ImportError:
        return
    rewrite_asserts(tree, source, path)


class TestFinder(importlib.abc.MetaPathFinder):
    """Finds NumPy's test modules by their own names, so that relative imports and pickles of their classes work."""

    __test__ = False

    def __init__(self, redirect: Redirect | None):
        self.redirect = redirect

    def find_spec(self, fullname, path=None, target=None):
        if not is_test_module(fullname):
            return None
        file = NUMPY_ROOT.joinpath(*fullname.split(".")[1:]).with_suffix(".py")
        if not file.is_file():
            return None
        loader = TestLoader(fullname, str(file), self.redirect)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


class SuiteModule(pytest.Module):
    """A file of NumPy's tests, imported through `TestFinder`."""

    def _getobj(self) -> types.ModuleType:
        name = ".".join(("numpy", *self.path.relative_to(NUMPY_ROOT).with_suffix("").parts))
        try:
            return importlib.import_module(name)
        except pytest.skip.Exception:
            raise
        except Exception as error:
            raise self.CollectError(_last_line(error)) from error


# ---------------------------------------------------------------------------------------------------------------------
# Choice of tests


def read_list(path: Path) -> dict[str, str]:
    """Read lines ``entry  # reason``; blank lines and lines that start with ``#`` are notes."""
    entries: dict[str, str] = {}
    if not path.exists():
        return entries
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        entry, _, reason = line.rpartition("  # ")
        if not entry:
            raise ValueError(f"{path.name}: no reason given: {line}")
        entries[entry.strip()] = reason.strip()
    return entries


def in_share(test: str, share: float) -> bool:
    """Whether `test` belongs to the fixed share of all tests; a matter of its id alone."""
    return int.from_bytes(hashlib.sha1(test.encode()).digest()[:4], "big") < share * 2**32


class Selection:
    """Leaves out what `excluded.txt` names and what is not in the share or the list asked for."""

    def __init__(self, excluded: dict[str, str], share: float = 1.0, only: str | None = None, done: str | None = None):
        self.share = share
        self.done = set(Path(done).read_text(encoding="utf-8").splitlines()) if done else set()
        self.only = re.compile(only) if only else None
        self.files = [pattern for pattern in excluded if "::" not in pattern]
        # Ids hold brackets that mean themselves.
        self.tests = re.compile(
            "|".join(re.escape(p).replace(r"\*", ".*") + r"(\[.*)?\Z" for p in excluded if "::" in p) or r"(?!)"
        )

    def leaves_out(self, test: str) -> bool:
        """Whether `excluded.txt` names `test` or its file."""
        file = test.partition("::")[0]
        return self.tests.match(test) is not None or any(fnmatch.fnmatch(file, pattern) for pattern in self.files)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        if collection_path.suffix != ".py":
            return None
        return True if self.leaves_out(collection_path.relative_to(NUMPY_ROOT).as_posix()) else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept, left_out = [], []
        for item in items:
            wanted = not self.leaves_out(item.nodeid) and in_share(item.nodeid, self.share)
            wanted = wanted and item.nodeid not in self.done
            wanted = wanted and (self.only is None or self.only.search(item.nodeid) is not None)
            (kept if wanted else left_out).append(item)
        items[:] = kept
        if left_out:
            config.hook.pytest_deselected(items=left_out)


# ---------------------------------------------------------------------------------------------------------------------
# Results


def _last_line(error: BaseException) -> str:
    """Type and first words of `error`, on one line: what failures are grouped by."""
    try:
        text = " ".join(str(error).split())
    except Exception as inner:  # an error whose message cannot be printed is itself worth knowing
        text = f"<message failed: {type(inner).__name__}>"
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _frames(error: BaseException) -> list[str]:
    """Where `error` came from: file, line and function of the frames, innermost last."""
    frames, at = [], error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        file = code.co_filename
        if "/_pytest/" not in file and "/pluggy/" not in file:
            frames.append(f"{'/'.join(Path(file).parts[-3:])}:{at.tb_lineno}:{code.co_name}")
        at = at.tb_next
    return frames[-12:]


class Results:
    """Writes the outcome of each test as a line of JSON.

    With pytest-xdist only the controller writes; errors travel to it with the reports.
    """

    def __init__(self, path: str | None):
        self.file = open(path, "a", encoding="utf-8") if path else None  # noqa: SIM115 - closed at unconfigure

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if call.excinfo is not None and report.outcome == "failed":
            report.suite_error = _last_line(call.excinfo.value)
            report.suite_frames = _frames(call.excinfo.value)
        return report

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        # Should the whole run end now, this is the test to blame.
        if self.file is not None:
            self.file.write(json.dumps({"id": nodeid, "outcome": "started"}) + "\n")
            self.file.flush()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A passed set-up or tear-down says nothing more.
        if report.when != "call" and report.passed:
            return
        outcome = "xfail" if hasattr(report, "wasxfail") else report.outcome
        self._write(report, outcome, report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._write(report, "uncollected" if report.failed else "skipped", 0.0)

    def _write(self, report, outcome: str, seconds: float) -> None:
        if self.file is None:
            return
        error = getattr(report, "suite_error", None)
        if error is None and outcome in ("failed", "uncollected", "skipped"):
            if isinstance(report.longrepr, tuple):
                error = report.longrepr[-1]
            else:
                # Keeps the end: of a crash of a worker, or of an error at collection.
                error = " ".join(str(report.longrepr).split())[-300:]
        line = {"id": report.nodeid, "outcome": outcome, "seconds": round(seconds, 3)}
        if error:
            line |= {"error": error, "frames": getattr(report, "suite_frames", [])}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    def pytest_unconfigure(self) -> None:
        if self.file is not None:
            self.file.close()


# ---------------------------------------------------------------------------------------------------------------------
# Guard against hangs


class Guard:
    """Ends the worker whose test hangs; pytest-xdist counts the test as failed and goes on with a new worker.

    An exception raised into the test would be kinder, but it can strike inside a lock of the package under test and
    leave all later tests waiting.

    Args:
        seconds: time one test may take.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        if hasattr(os, "register_at_fork"):
            # A process that a test forked and that hangs holds the worker's pipes, and pytest-xdist would wait for
            # their end after the worker is gone. Not faulthandler: in a child it waits for a thread that is not there.
            os.register_at_fork(after_in_child=lambda: signal.alarm(math.ceil(seconds)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=sys.__stderr__)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()


# ---------------------------------------------------------------------------------------------------------------------
# The plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("NumPy's own tests")
    group.addoption("--module", default="cunumeric", help="module that stands in NumPy's place")
    group.addoption("--suite-results", default=None, help="file that receives one line of JSON for each outcome")
    group.addoption("--suite-share", type=float, default=1.0, help="share of the tests to run, chosen by their ids")
    group.addoption("--suite-only", default=None, help="regular expression that ids must contain")
    group.addoption("--suite-done", default=None, help="file of ids to leave out, one a line")
    group.addoption("--suite-timeout", type=float, default=400.0, help="seconds one test may take")


def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    redirect = None if option.module == "numpy" else Redirect(option.module)
    sys.meta_path.insert(0, TestFinder(redirect))
    excluded = read_list(HERE / "excluded.txt")
    selection = Selection(excluded, option.suite_share, option.suite_only, option.suite_done)
    config.pluginmanager.register(selection, "numpy-suite-selection")
    is_worker = hasattr(config, "workerinput")
    config.pluginmanager.register(Results(None if is_worker else option.suite_results), "numpy-suite-results")
    config.pluginmanager.register(Guard(option.suite_timeout), "numpy-suite-guard")


def pytest_pycollect_makemodule(module_path: Path, parent) -> pytest.Module | None:
    if NUMPY_ROOT in module_path.parents:
        return SuiteModule.from_parent(parent, path=module_path)
    return None


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Modules under test that are parameters carry NumPy's names, so that ids are the same for both."""
    if isinstance(val, types.ModuleType):
        return re.sub(rf"\A{re.escape(config.option.module)}\b", "numpy", val.__name__)
    return None
