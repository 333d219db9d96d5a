"""Run NumPy's own installed tests against cunumeric, and say what changed.

    python tests/numpy_suite/run.py [--config default|forced|compiled|xla|all] [--share 0.15] [--update]

A test counts when it passes with NumPy itself under the same harness. Of those, every test that fails has to stand in
``known_failures_<config>.txt``, and every test that stands there has to fail: the lists can only shrink. The exit
status is 1 when something is amiss, 2 when the tests could not be run.

Lines of the lists are ``id  # reason``. ``...::test_x[*]`` stands for all parameters of one test, ``file.py::*`` for
all tests of one file; such a line is as strict as the single ones: none of its tests may pass.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
sys.path.insert(0, str(HERE))

import harness  # noqa: E402 - it lies beside this file, wherever this file is started from

CONFIGS: dict[str, dict[str, str]] = {
    "default": {},
    # Tiles of four elements and no lower bound for recording: the smallest arrays take the whole path.
    "forced": {"CUNUMERIC_TILE": "4", "CUNUMERIC_RECORD_MIN": "0"},
    # The accelerator's engine on the processor, with everything on the "device", and errors of ours raised.
    "xla": {"CUNUMERIC_ENGINE": "xla", "CUNUMERIC_RECORD_MIN": "0", "CUNUMERIC_FAULTS": "1", "JAX_PLATFORMS": "cpu"},
    # The same, and every sweep compiled before its first run.
    "compiled": {"CUNUMERIC_TILE": "4", "CUNUMERIC_RECORD_MIN": "0", "CUNUMERIC_COMPILE": "always"},
}
# Configurations that must fail where another one does, and nowhere else.
LIKE = {"compiled": "forced"}

TODO = "TODO reason"


# ---------------------------------------------------------------------------------------------------------------------
# Running


def run_tests(module: str, settings: dict[str, str], args: argparse.Namespace) -> dict[str, dict]:
    """Run the tests with `module` in NumPy's place and return the outcome of each by its id.

    A run that ends before its time (a crash that pytest-xdist does not survive) is taken up again without the tests
    that have an outcome; those that were running count as failed.

    Args:
        module: ``numpy`` or the module under test.
        settings: environment variables to add.
        args: the command line.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CUNUMERIC_", "PYTEST_"))}
    environment |= settings
    # Tests that ask for more memory than this skip themselves, with NumPy and with ours.
    environment.setdefault("NPY_AVAILABLE_MEM", "1 GB")
    paths = [str(HERE), str(SOURCE), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    outcomes: dict[str, dict] = {}
    for _ in range(6):
        status, lines, log = _run_pytest(module, environment, args, list(outcomes))
        if not any("id" in line for line in lines) and status not in (0, 1, 5):
            break
        for line in lines:
            seen = outcomes.get(line["id"])
            # Of several reports of one test (call, tear-down) the first failure decides.
            if seen is None or seen["outcome"] == "started" or line["outcome"] == "failed" != seen["outcome"]:
                outcomes[line["id"]] = line
        if status in (0, 1, 5):
            return outcomes
        for line in outcomes.values():
            if line["outcome"] == "started":
                line |= {"outcome": "failed", "error": "the run ended while this test ran"}
        # Files that could not be collected are tried again; what fails there says so anew.
        outcomes = {test: line for test, line in outcomes.items() if line["outcome"] != "uncollected"}
        print(f"the run with {module} ended early (status {status}); going on with the rest", flush=True)
    print(f"the tests could not be run with {module} (status {status}):\n{log}", file=sys.stderr)
    if not outcomes:
        raise SystemExit(2)
    return outcomes


def _run_pytest(
    module: str, environment: dict[str, str], args: argparse.Namespace, done: list[str]
) -> tuple[int, list[dict], str]:
    """One run of pytest without the tests `done`: its status, the lines of results, the end of what it printed."""
    folders = [str(harness.NUMPY_ROOT / folder) for folder in harness.FOLDERS if args.folder in (None, folder)]
    with tempfile.TemporaryDirectory() as scratch:
        results, log, left_out = Path(scratch, "results.jsonl"), Path(scratch, "log.txt"), Path(scratch, "done.txt")
        left_out.write_text("\n".join(done), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-c", str(HERE / "pytest.ini"), "-p", "harness"]
        command += [f"--rootdir={harness.NUMPY_ROOT}", f"--confcutdir={harness.NUMPY_ROOT}"]
        command += ["-m", "not slow", "--tb=line", "--continue-on-collection-errors", f"--basetemp={scratch}/tmp"]
        command += [f"--module={module}", f"--suite-results={results}", f"--suite-share={args.share}"]
        command += [f"--suite-timeout={args.timeout}", f"--suite-done={left_out}"]
        if args.only:
            command += [f"--suite-only={args.only}"]
        if args.processes > 1:
            command += ["-n", str(args.processes), "--max-worker-restart=1000"]
        with log.open("w") as output:
            # Started in the scratch folder: some tests leave files where they run.
            ended = subprocess.run(
                command + folders, cwd=scratch, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        return ended.returncode, [json.loads(line) for line in lines], tail


def baseline(args: argparse.Namespace) -> dict[str, str]:
    """What NumPy itself does with the tests of this run: outcome by id, kept in a cache outside git."""
    machine = f"{platform.system()}-{platform.machine()}"
    name = f"baseline-numpy{numpy.__version__}-py{sys.version_info.major}.{sys.version_info.minor}-{machine}.json"
    cache = Path(args.cache) / name
    excluded = harness.read_list(HERE / "excluded.txt")
    kept: dict = {"excluded": list(excluded), "runs": {}}
    if cache.exists():
        read = json.loads(cache.read_text(encoding="utf-8"))
        # More may be excluded now than then; what was not run then is unknown.
        if set(read.get("excluded", "?")) <= set(excluded):
            kept["runs"] = read["runs"]
    left_out = harness.Selection(excluded)
    key = f"{args.folder or 'all'} {args.only or ''}"
    for run in (kept["runs"].get(key), kept["runs"].get("all ")):
        if run is not None and run["share"] >= args.share:
            outcomes = run["outcomes"].items()
            return {test: how for test, how in outcomes if _asked_for(test, args) and not left_out.leaves_out(test)}
    print("running NumPy's tests with NumPy itself ...", flush=True)
    outcomes = {test: line["outcome"] for test, line in run_tests("numpy", {}, args).items()}
    kept["runs"][key] = {"share": args.share, "outcomes": outcomes}
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps(kept), encoding="utf-8")
    return outcomes


def _asked_for(test: str, args: argparse.Namespace) -> bool:
    if args.folder and not test.startswith(args.folder + "/"):
        return False
    if args.only and not re.search(args.only, test):
        return False
    return harness.in_share(test, args.share)


# ---------------------------------------------------------------------------------------------------------------------
# Comparing


class KnownFailures:
    """One list of known failures: single ids, and lines that stand for a test with all its parameters or for a file."""

    def __init__(self, path: Path):
        self.path = path
        self.entries = harness.read_list(path)

    def line_for(self, test: str) -> str | None:
        """The line of the list that covers `test`."""
        file, function = test.partition("::")[0], test.partition("[")[0]
        for entry in (test, f"{function}[*]", f"{file}::*"):
            if entry in self.entries:
                return entry
        return None

    def reason_for(self, test: str) -> str | None:
        line = self.line_for(test)
        return None if line is None else self.entries[line]

    def rewrite(self, counted: list[str], failed: dict[str, str], whole: bool) -> None:
        """Write the list anew.

        Args:
            counted: all tests that pass with NumPy in this run.
            failed: those of them that fail with ours, and their errors.
            whole: whether the run held all tests; else lines about other tests stay as they are.
        """
        reasons: dict[str, str] = {}
        ran = set(counted)
        if not whole:
            reasons |= {line: why for line, why in self.entries.items() if line not in ran}
        families: dict[str, list[str]] = collections.defaultdict(list)
        for test in counted:
            families[test.partition("[")[0]].append(test)
        for function, tests in families.items():
            failing = [test for test in tests if test in failed]
            if not failing:
                if whole:
                    continue
                reasons.pop(f"{function}[*]", None)
                continue
            whys = [self._reason(test, failed[test]) for test in failing]
            if len(failing) == len(tests) > 1 and whole:
                reasons[f"{function}[*]"] = collections.Counter(whys).most_common(1)[0][0]
            else:
                for test, why in zip(failing, whys, strict=True):
                    if reasons.get(f"{function}[*]") is None:
                        reasons[test] = why
        config = self.path.stem.rpartition("_")[2]
        header = (
            f"# Tests that pass with NumPy and fail with cunumeric in the configuration {config}.\n"
            "# One line each: id  # reason. Written by `run.py --update`; reasons are kept when it is run again.\n"
        )
        # Lines without a reason yet come last, grouped by their error, so that reasons can be given by the group.
        ordered = sorted(reasons.items(), key=lambda item: (item[1] if item[1].startswith(TODO) else "", item[0]))
        self.path.write_text(header + "".join(f"{test}  # {why}\n" for test, why in ordered), encoding="utf-8")

    def _reason(self, test: str, error: str) -> str:
        known = self.reason_for(test)
        # The separator of the list must not come up inside a reason.
        return known if known and not known.startswith(TODO) else f"{TODO}: {error}".replace("  # ", " ")[:200]


def compare(config: str, passing: list[str], args: argparse.Namespace) -> bool:
    """Run one configuration, print what became of it, and return whether all is as the list says."""
    started = time.monotonic()
    outcomes = run_tests(args.module, CONFIGS[config], args)
    uncollected = {line["id"]: line["error"] for line in outcomes.values() if line["outcome"] == "uncollected"}
    failed: dict[str, str] = {}
    for test in passing:
        line = outcomes.get(test)
        if line is None:
            why = uncollected.get(test.partition("::")[0])
            failed[test] = f"not collected: {why}" if why else "not collected under this id"
        elif line["outcome"] != "passed":
            failed[test] = re.sub(r"worker 'gw\d+' crashed.*", "crashed, or hung", line.get("error") or line["outcome"])
    print(f"\nconfiguration {config}: {time.monotonic() - started:.0f} s")
    print(f"{'folder':<22}{'NumPy':>8}{'ours':>8}{'':>9}")
    counts = collections.Counter(_folder(test) for test in passing)
    lost = collections.Counter(_folder(test) for test in failed)
    for folder, count in [*counts.items(), ("all", len(passing))]:
        good = count - (len(failed) if folder == "all" else lost[folder])
        print(f"{folder:<22}{count:>8}{good:>8}{100 * good / max(count, 1):>8.2f}%")
    if args.details:
        details = {test: outcomes.get(test, {"error": why}) for test, why in failed.items()}
        Path(args.details).with_suffix(f".{config}.json").write_text(json.dumps(details, indent=1), encoding="utf-8")
    known = KnownFailures(HERE / f"known_failures_{LIKE.get(config, config)}.txt")
    new = {test: why for test, why in failed.items() if known.line_for(test) is None}
    healed = [test for test in passing if test not in failed and known.line_for(test) is not None]
    if args.update:
        whole = args.share >= 1 and args.folder is None and args.only is None
        known.rewrite(passing, failed, whole)
        print(f"{known.path.name}: rewritten; {len(new)} tests came, {len(healed)} went")
        return True
    if new:
        print(f"\n{len(new)} tests fail that are not listed in {known.path.name}:")
        for test, why in new.items():
            print(f"  {test}\n      {why}")
    if healed:
        print(f"\n{len(healed)} tests pass that are listed in {known.path.name} (take them out, or --update):")
        for test in healed:
            print(f"  {test}")
    return not new and not healed


def _folder(test: str) -> str:
    return test.partition("/tests/")[0] + "/tests"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=[*CONFIGS, "all"], default="all", help="configuration to run")
    parser.add_argument("--share", type=float, default=1.0, help="fixed share of the tests, chosen by their ids")
    parser.add_argument("--update", action="store_true", help="rewrite the lists of known failures")
    parser.add_argument("--module", default="cunumeric", help="module in NumPy's place; numpy shows the baseline alone")
    parser.add_argument("--folder", choices=harness.FOLDERS, help="only this folder of tests")
    parser.add_argument("--only", help="regular expression: only tests whose id holds it")
    parser.add_argument("--processes", "-n", type=int, default=2, help="test processes at a time")
    parser.add_argument("--timeout", type=float, default=400.0, help="seconds one test may take")
    parser.add_argument("--details", help="write errors and frames of failures to this file (.json)")
    parser.add_argument("--cache", default=str(HERE / ".cache"), help="folder that keeps what NumPy itself passes")
    args = parser.parse_args()
    outcomes = baseline(args)
    passing = [test for test, how in sorted(outcomes.items()) if how == "passed"]
    counts = collections.Counter(outcomes.values())
    print(f"NumPy {numpy.__version__}: " + ", ".join(f"{count} {how}" for how, count in counts.most_common()))
    for test, how in outcomes.items():
        if how in ("failed", "uncollected"):
            print(f"  {how} with NumPy, not counted: {test}")
    if args.module == "numpy":
        return 0
    configs = list(CONFIGS) if args.config == "all" else [args.config]
    as_listed = [compare(config, passing, args) for config in configs]
    return 0 if all(as_listed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
