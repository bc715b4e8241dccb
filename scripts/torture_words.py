"""Run the program with random run files and command lines of tests/support/fuzz.py: it works or prints one line."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from torture_processes import Command, Tally

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from support import fuzz  # noqa: E402 (of the tests)


def fuzz_all(cases: int, forked: int, executed: int, number: int) -> Tally:
    """Try ``cases`` cases in this process, ``forked`` in forks of it and ``executed`` in new interpreters."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder, _in(Path(folder)) as runs:
        of_files, words = fuzz.files(runs), fuzz.commands()
        any_case = st.one_of(of_files, of_files, words, words, fuzz.records(runs / "results"))
        with fuzz.one_batch_only():
            _each(any_case, cases, number, lambda case: _in_this_process(case, runs, tally))
        left = iter([True] * executed + [False] * forked)
        _each(
            st.one_of(of_files, fuzz.records(runs / "results")),
            executed + forked,
            number + 1000,
            lambda case: _as_a_process(case, runs, next(left), tally),
        )
    return tally


@contextmanager
def _in(folder: Path) -> Iterator[Path]:
    """Change to a new folder with a picture, and yield the folder of the runs whose files will be changed."""
    before, runs = Path.cwd(), folder / "runs-to-change"
    runs.mkdir()
    make_runs(runs)
    (folder / "here").mkdir()
    os.chdir(folder / "here")
    Image.new("L", (8, 8)).save("own.png")
    shutil.copytree(ROOT / "results" / "claims", runs / "results" / "claims")
    try:
        yield runs
    finally:
        os.chdir(before)


def make_runs(runs: Path) -> None:
    """Make a complete run and a stopped one."""
    Command(["train", *fuzz.TRAIN, "--run", "complete"], runs).end()
    while not (runs / "stopped" / "checkpoint.safetensors").exists():
        shutil.rmtree(runs / "stopped", ignore_errors=True)
        command = Command(["train", *fuzz.TRAIN, "--run", "stopped"], runs)
        while not command.ended and not (runs / "stopped" / "metrics.jsonl").exists():
            time.sleep(0.0005)
        command.send(signal.SIGKILL)
        command.end()


def _each(strategy: st.SearchStrategy[fuzz.Case], number: int, start: int, work: Callable[[fuzz.Case], None]) -> None:
    """Draw ``number`` random cases and call ``work`` with each."""

    @seed(start)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check(case: fuzz.Case) -> None:
        work(case)

    check()


def _in_this_process(case: fuzz.Case, runs: Path, tally: Tally) -> None:
    words = fuzz.placed(case, runs, Path("run"))
    tally.tried["cases in one process"] += 1
    try:
        code, _, err = fuzz.call(words)
        kind = fuzz.fault(case, code, err)
    except fuzz.Hung:
        kind, err = "hangs", ""
    except Exception as error:
        kind, err = "tracebacks", f"{type(error).__name__}: {error}"
    if kind:
        tally.blame(kind, f"{err[-300:]!r} {fuzz.summary(case)}")


def _as_a_process(case: fuzz.Case, runs: Path, real: bool, tally: Tally) -> None:
    ended = Command(fuzz.placed(case, runs, Path("run")), Path.cwd(), real=real).end()
    tally.tried["cases as processes"] += 1
    if kind := fuzz.fault(case, ended.code, ended.err):
        tally.blame(kind, f"{ended.err[-300:]!r} {fuzz.summary(case)}")
