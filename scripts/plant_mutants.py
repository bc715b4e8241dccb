"""Measure the share of small random mistakes (mutants) that the tests detect, one at a time, in a copy of the source.

    python scripts/plant_mutants.py src/twofold/learning.py src/twofold/layers [--count 60] [--seed 0]

First the tests that are not slow run with unchanged code, and the functions that each test calls are recorded. Then a
random sample of all mutants is drawn. For each mutant, the tests that call the changed function run until one fails.
Tests that call the fewest other functions run first, up to a limit of seconds. A mutant that makes them much slower
also counts as caught. The script prints a line for each mutant, the share that is caught, and the survivors.

mutmut 3.8 and cosmic-ray 8.7 do not fit. mutmut skips functions with decorators, a quarter of all functions, and
wraps the others, which fails tests that read signatures or source. cosmic-ray changes files in place, draws no sample,
and imports PyTorch in a new process for each mutant, with the same tests for all of them. It removes no statements,
and a fifth of its mutants change annotations, which are never evaluated.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from find_defects import ROOT, SOURCE
from mutants import Mutant, mutants
from plant_defects import run

Function = tuple[str, int]
"""A file, relative to src, and the first line of a function in it."""


class Recorder:
    """A pytest plugin that records the functions that each test and its fixtures call, and the duration of the test."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known: dict[CodeType, Function | None] = {}
        self.calls: set[Function] = set()
        self.by_fixture: dict[str, set[Function]] = defaultdict(set)
        self.by_test: dict[str, set[Function]] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def _trace(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if code not in self.known:
            path = Path(code.co_filename)
            self.known[code] = (
                (str(path.relative_to(SOURCE)), code.co_firstlineno) if path.is_relative_to(SOURCE) else None
            )
        if function := self.known[code]:
            self.calls.add(function)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        before, self.calls = self.calls, set()
        try:
            return (yield)
        finally:
            self.by_fixture[fixturedef.argname] |= self.calls
            self.calls = before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.calls = set()
        sys.settrace(self._trace)  # type: ignore[arg-type]
        threading.settrace(self._trace)  # type: ignore[arg-type]
        try:
            return (yield)
        finally:
            sys.settrace(None)
            fixtures = (self.by_fixture[name] for name in getattr(item, "fixturenames", ()))
            self.by_test[item.nodeid] = self.calls.union(*fixtures)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        passed = [test for test in self.by_test if test not in self.failed]
        record = {test: (sorted(self.by_test[test]), self.seconds[test]) for test in passed}
        self.file.write_text(json.dumps(record), encoding="utf-8")


class Selection:
    """A pytest plugin that runs only the given tests, in the given order."""

    def __init__(self, tests: list[str]) -> None:
        self.tests = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.tests), key=lambda item: self.tests[item.nodeid]
        )


def tests_of(mutant: Mutant, record: dict[str, tuple[set[Function], float]], seconds: float) -> list[str]:
    """Return the tests that call the changed function, those that call the fewest other functions first.

    If the change is not in a function, these are all tests that call a function of the module. The list ends when the
    tests together take ``seconds``.
    """
    path, tests = str(mutant.path.relative_to(SOURCE)), []
    for test in sorted(record, key=lambda test: (len(record[test][0]), test)):
        calls, duration = record[test]
        if (path, mutant.function) in calls if mutant.function else any(name == path for name, _ in calls):
            tests.append(test)
            if (seconds := seconds - duration) < 0:
                break
    return tests


def main() -> None:
    """Draw a sample of mutants, run the tests of each, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=Path, help="files and folders of the package to change")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="files and folders of tests to run")
    parser.add_argument("--count", type=int, default=60, help="number of mutants in the sample")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the sample")
    parser.add_argument("--seconds", type=float, default=15, help="seconds of tests to run for each mutant")
    parser.add_argument("--record", type=Path, help="file to save the recorded calls to, or to load them from")
    given = parser.parse_args()
    paths = [path.resolve() for path in given.modules]
    files = sorted({file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])})
    population = [mutant for file in files for mutant in mutants(file)]
    sample = random.Random(given.seed).sample(population, min(given.count, len(population)))
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        file = (given.record or Path(folder) / "record").resolve()
        if not file.exists():
            code, *_ = run(SOURCE, ["-m", "not slow", *given.tests], [Recorder(file)])
            if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                file.unlink(missing_ok=True)
                sys.exit(f"pytest ended with exit code {int(code)}: give --tests that exist")
        content = json.loads(file.read_text(encoding="utf-8"))
        record = {test: ({(path, line) for path, line in calls}, seconds) for test, (calls, seconds) in content.items()}
    print(f"{len(record)} tests; {len(sample)} of {len(population)} mutants, seed {given.seed}", flush=True)
    survivors = []
    for mutant in sorted(sample):
        started, tests = time.monotonic(), tests_of(mutant, record, given.seconds)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            shutil.copytree(SOURCE, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            (copy / mutant.path.relative_to(SOURCE)).write_text(mutant.text, encoding="utf-8")
            files_of_tests = dict.fromkeys(test.split("::")[0] for test in tests)
            plugins = [Selection(tests)]
            code = run(copy, ["-x", *files_of_tests], plugins, 30 + 3 * given.seconds)[0] if tests else 0
        change = f"{mutant.path.relative_to(ROOT)}:{mutant.line}: {mutant.before!r} -> {mutant.after!r}"
        outcome = "SURVIVED" if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else "caught"
        if outcome == "SURVIVED":
            survivors.append(change)
        print(f"{outcome:8}  {change}  ({len(tests)} tests, {time.monotonic() - started:.0f} s)", flush=True)
    print("\nSurvivors:", *survivors, sep="\n    ")
    caught = len(sample) - len(survivors)
    print(f"{caught} of {len(sample)} mutants caught ({caught / len(sample):.0%}), seed {given.seed}")


if __name__ == "__main__":
    main()
