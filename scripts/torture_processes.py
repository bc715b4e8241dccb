"""What every kind of torture needs: commands in processes of their own, trainings, and what was found."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import twofold
from twofold.cli import main

HANG = 120.0
"""Seconds after which a command of less than a second is taken to hang."""

REAL = [sys.executable, "-c", "import sys; from twofold.cli import main; sys.exit(main())"]
"""The program, as its script in bin/ starts it."""

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Signals that end a training in order, and the exit code after each."""

NOT_BEGUN = 98
"""Exit code of a fork that a signal has met outside of the program."""

SMALL = ["--data", "digits", "--batch", "50", "--device", "cpu", "--precision", "fp32", "--no-pictures"]


class Training(NamedTuple):
    """Words after `twofold train`, and whether the layers may lie on disk."""

    words: str
    offloads: bool


TRAININGS = {
    "forward-forward": Training("digits --widths 60 50 40 --epochs 5", True),
    "forward-forward, jitter, held out": Training("digits --widths 60 50 --epochs 5 --jitter 1 --validation 200", True),
    "forward-forward, layer by layer": Training("digits --widths 50 40 --epochs 5 --layer-by-layer", True),
    "forward-forward and its twin": Training("digits --widths 40 30 --epochs 3 --with-twin", False),
    "recurrent": Training("recurrent --widths 60 50 --temperature 9 --epochs 3", False),
    "unsupervised": Training("mnist-hybrid --widths 60 50 --blurs 2 --epochs 5", True),
    "backprop twin": Training("digits-twin --widths 60 50 40 --epochs 6", False),
}
"""One or more of each family; each takes a second."""

RIVALS = {f"rate {rate}": Training(f"digits --widths 30 20 --epochs 4 --rate {rate}", True) for rate in (0.01, 0.02)}
"""Two trainings that want one folder."""

DOCUMENTED = {
    *("config.json", "metrics.jsonl", "checkpoint.safetensors", "weights.safetensors", "result.json"),
    *("pictures", "twin", ".lock"),
}
"""What may lie in a run folder while nobody trains in it."""

CLOCK = {"seconds", "seconds_per_epoch", "run", "environment", "digest"}
"""What differs between two results of the same training."""


@dataclass
class Tally:
    """What was tried, how often, and what was found to be wrong."""

    tried: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def blame(self, kind: str, story: str) -> None:
        """Note a fault."""
        self.faults.append((kind, story))

    def kinds(self) -> Counter[str]:
        """How many faults there are of each kind."""
        return Counter(kind for kind, _ in self.faults)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.tried + other.tried, self.faults + other.faults)


class Ended(NamedTuple):
    """A command that has ended. ``code`` is ``-n`` where signal n ended it at once, and ``None`` where it hung."""

    code: int | None
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """The lines on stderr that the program says in its own name, apart from notes."""
        lines = [line for line in self.err.splitlines() if line.startswith("twofold: ")]
        return [line for line in lines if not line.startswith("twofold: note: ")]

    def judge(self, codes: Iterable[int], tally: Tally, story: str) -> None:
        """Blame what no command may ever do: a traceback, a hang, another exit code, an error of no line or several."""
        tail = " ".join(self.err.split())[-300:]
        if "Traceback (most recent call last)" in self.out + self.err:
            tally.blame("tracebacks", f"{story}: {tail}")
        elif self.code is None:
            tally.blame("hangs", story)
        elif self.code not in codes:
            tally.blame("exit codes", f"{story}: {self.code}, {tail}")
        elif len(self.said) != (self.code > 0):
            tally.blame("not one line", f"{story}: {self.code}, {tail}")


class Command:
    """A command of twofold at work in a process of its own.

    Args:
        words: its words.
        folder: in which it runs.
        real: whether a new interpreter is started; else it is a fork of this one, which has torch imported already.
        file_size: the largest file in bytes that it may write.
    """

    def __init__(self, words: Sequence[str], folder: Path, *, real: bool = False, file_size: int | None = None) -> None:
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the child knows what to do with them
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                os.chdir(folder)
                os.dup2(self.out.fileno(), 1)
                os.dup2(self.err.fileno(), 2)
                for number in SIGNALS:
                    signal.signal(number, signal.SIG_DFL if real else _not_begun)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
                if file_size is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
                if real:
                    os.environ["PYTHONPATH"] = str(Path(twofold.__file__).parents[1])
                    os.execv(REAL[0], [*REAL, *words])
                code = main(list(words))
                sys.stdout.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                with suppress(OSError, ValueError):
                    sys.stderr.flush()
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def send(self, number: int) -> None:
        """Send a signal; one that has ended stays as it is."""
        os.kill(self.pid, number)

    @property
    def ended(self) -> bool:
        """Whether it has ended; it is not yet reaped."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self, limit: float = HANG) -> Ended:
        """Wait until it ends; after ``limit`` seconds it is killed."""
        hung, until = False, time.monotonic() + limit
        while not self.ended:
            if hung := time.monotonic() > until:
                self.send(signal.SIGKILL)
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return Ended(None if hung else code, _all_of(self.out), _all_of(self.err))


def _not_begun(*rest: object) -> None:
    """What a signal does while a fork is not yet, or no longer, in the program."""
    os._exit(NOT_BEGUN)


def _all_of(file: BinaryIO) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


def train(training: Training, folder: Path, *words: str, run: str | None = "run", **options: Any) -> Command:
    """A training at work in ``folder/run``, or where the program puts it."""
    named = ["--run", run] if run else []
    return Command(["train", *training.words.split(), *SMALL, *named, *words], folder, **options)


def train_and_kill(training: Training, folder: Path, epochs: int, run: str = "run") -> None:
    """Kill a training in ``folder/run`` after a number of epochs; start it again if it was complete before."""
    metrics, code = folder / run / "metrics.jsonl", 0
    while code == 0:
        shutil.rmtree(folder / run, ignore_errors=True)
        command = train(training, folder, run=run)
        while not command.ended and not (metrics.exists() and metrics.read_text().count("\n") >= epochs):
            time.sleep(0.001)
        command.send(signal.SIGKILL)
        code = command.end().code or 0


# What a training that nobody disturbed has left -----------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """A training that nobody disturbed.

    Attributes:
        seconds: that it took.
        homes: folder within the run (``.``, ``twin``) -> weights, figures and metrics in it.
        most: bytes that it needs on disk at most.
    """

    seconds: float
    homes: dict[str, tuple[bytes, Any, Any]]
    most: int


def reference(training: Training, folder: Path) -> Reference:
    """Train without any disturbance; the run stays in ``folder/run``."""
    begun, command, most = time.monotonic(), train(training, folder), 0
    while not command.ended:
        most = max(most, sum(size_of(path) for path in folder.rglob("*")))
        time.sleep(0.005)
    ended, tally = command.end(), Tally()
    ended.judge({0}, tally, training.words)
    if tally.faults:
        sys.exit(f"an undisturbed training fails: {tally.faults}")
    run = folder / "run"
    homes = {home: outcome(run / home) for home in (".", "twin") if (run / home).exists()}
    return Reference(time.monotonic() - begun, homes, most)


def size_of(path: Path) -> int:
    """Bytes of a file, in whole pages; 0 where it is gone."""
    try:
        return -(-path.stat().st_size // 4096) * 4096
    except OSError:
        return 0


def outcome(home: Path) -> tuple[bytes, Any, Any]:
    """The weights of a complete run to the last byte, and its figures and metrics without what the clock says."""
    result = json.loads((home / "result.json").read_text())
    figures = {name: value for name, value in result.items() if name not in CLOCK}
    metrics = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    lines = [{name: value for name, value in line.items() if name not in CLOCK} for line in metrics]
    return (home / "weights.safetensors").read_bytes(), figures, lines


def finished_epochs(run: Path) -> dict[str, list[str]]:
    """The lines of metrics.jsonl in a run and in its twin's."""
    found = {home: run / home / "metrics.jsonl" for home in (".", "twin")}
    return {home: path.read_text().splitlines() for home, path in found.items() if path.exists()}


def lost(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """The epochs that stood in metrics.jsonl before and do not, word for word, afterwards."""
    return [
        f"{home} epoch {number}"
        for home, lines in before.items()
        for number, line in enumerate(lines, 1)
        if after.get(home, [])[number - 1 : number] != [line]
    ]


def left_over(run: Path, complete: bool) -> list[str]:
    """Names in a run folder and in its twin's that are not documented, or not of a complete run."""
    known = DOCUMENTED - ({"checkpoint.safetensors"} if complete else set())
    homes = [home for home in (run, run / "twin") if home.is_dir()]
    return [str(path.relative_to(run)) for home in homes for path in home.iterdir() if path.name not in known]


def check_complete(run: Path, expected: Reference, tally: Tally, story: str, kind: str = "weights that differ") -> None:
    """Blame a complete run that is not what an undisturbed training has left, or holds more than that."""
    try:
        same = expected.homes.keys() == {home for home in (".", "twin") if (run / home).exists()} and all(
            outcome(run / home) == wanted for home, wanted in expected.homes.items()
        )
    except (OSError, ValueError, KeyError) as error:
        tally.blame(kind, f"{story}: {error}")
        return
    if not same:
        tally.blame(kind, story)
    if left := left_over(run, complete=True):
        tally.blame("left over", f"{story}: {', '.join(left)}")
