"""Functions shared by the torture scripts: commands in separate processes, training runs, and tallies of faults."""

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
"""Seconds after which a command that normally takes less than a second counts as hanging."""

REAL = [sys.executable, "-c", "import sys; from twofold.cli import main; sys.exit(main())"]
"""Command that starts the program in a new interpreter."""

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Signals that end a training run in an orderly way -> exit code."""

NOT_BEGUN = 98
"""Exit code of a fork that received a signal before or after it ran the program."""

SMALL = ["--data", "digits", "--batch", "50", "--device", "cpu", "--precision", "fp32", "--no-pictures"]


class Training(NamedTuple):
    """Words after `twofold train`, and True if the layers of the net can be offloaded to disk."""

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
"""One or more training runs of each family of nets, of about a second each."""

RIVALS = {f"rate {rate}": Training(f"digits --widths 30 20 --epochs 4 --rate {rate}", True) for rate in (0.01, 0.02)}
"""Two training runs that compete for one folder."""

DOCUMENTED = {
    *("config.json", "metrics.jsonl", "checkpoint.safetensors", "weights.safetensors", "result.json"),
    *("pictures", "twin", ".lock"),
}
"""Names that are allowed in a run folder when no process trains in it."""

CLOCK = {"seconds", "seconds_per_epoch", "run", "environment", "digest"}
"""Keys whose values differ between two results of the same training run."""


@dataclass
class Tally:
    """Numbers of trials, and the faults that were found."""

    tried: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def blame(self, kind: str, story: str) -> None:
        """Record a fault."""
        self.faults.append((kind, story))

    def kinds(self) -> Counter[str]:
        """Return the number of faults of each kind."""
        return Counter(kind for kind, _ in self.faults)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.tried + other.tried, self.faults + other.faults)


class Ended(NamedTuple):
    """A command that has ended. ``code`` is the exit code: ``-n`` if signal n killed it, ``None`` if it hung."""

    code: int | None
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """The lines that the program printed to stderr, without notes."""
        lines = [line for line in self.err.splitlines() if line.startswith("twofold: ")]
        return [line for line in lines if not line.startswith("twofold: note: ")]

    def judge(self, codes: Iterable[int], tally: Tally, story: str) -> None:
        """Record a fault: a traceback, a hang, an exit code that is not in ``codes``, or an error of several lines."""
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
    """A running command of twofold in a separate process.

    Args:
        words: words of the command.
        folder: working directory.
        real: start a new interpreter; otherwise fork this one, which has already imported torch.
        file_size: maximum size of a file that the command writes, in bytes.
    """

    def __init__(self, words: Sequence[str], folder: Path, *, real: bool = False, file_size: int | None = None) -> None:
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed at the end)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the child process handles them
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
        """Send a signal to the command. It has no effect if the command has ended."""
        os.kill(self.pid, number)

    @property
    def ended(self) -> bool:
        """True if the command has ended; `end` has to be called, too."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self, limit: float = HANG) -> Ended:
        """Wait for the end of the command; kill it after ``limit`` seconds."""
        hung, until = False, time.monotonic() + limit
        while not self.ended:
            if hung := time.monotonic() > until:
                self.send(signal.SIGKILL)
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return Ended(None if hung else code, _all_of(self.out), _all_of(self.err))


def _not_begun(*rest: object) -> None:
    """Handle a signal in a fork that does not yet, or no longer, run the program."""
    os._exit(NOT_BEGUN)


def _all_of(file: BinaryIO) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")


def train(training: Training, folder: Path, *words: str, run: str | None = "run", **options: Any) -> Command:
    """Start a training run in ``folder/run``, or in a folder that the program chooses if ``run`` is ``None``."""
    named = ["--run", run] if run else []
    return Command(["train", *training.words.split(), *SMALL, *named, *words], folder, **options)


def train_and_kill(training: Training, folder: Path, epochs: int, run: str = "run") -> None:
    """Train in ``folder/run`` and kill the process after a number of epochs. Repeat this if it was complete before."""
    metrics, code = folder / run / "metrics.jsonl", 0
    while code == 0:
        shutil.rmtree(folder / run, ignore_errors=True)
        command = train(training, folder, run=run)
        while not command.ended and not (metrics.exists() and metrics.read_text().count("\n") >= epochs):
            time.sleep(0.001)
        command.send(signal.SIGKILL)
        code = command.end().code or 0


# Outcomes of undisturbed training runs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """Outcome of an undisturbed training run.

    Attributes:
        seconds: Duration of the run.
        homes: Folder within the run (``.``, ``twin``) -> weights, figures and metrics in it; see `outcome`.
        most: Maximum size of the run on disk, in bytes.
    """

    seconds: float
    homes: dict[str, tuple[bytes, Any, Any]]
    most: int


def reference(training: Training, folder: Path) -> Reference:
    """Train without disturbance in ``folder/run``, and return the outcome."""
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
    """Return the size of a file in bytes, in whole pages; 0 if it does not exist."""
    try:
        return -(-path.stat().st_size // 4096) * 4096
    except OSError:
        return 0


def outcome(home: Path) -> tuple[bytes, Any, Any]:
    """Return the weights of a complete run, as bytes, and its figures and metrics without times."""
    result = json.loads((home / "result.json").read_text())
    figures = {name: value for name, value in result.items() if name not in CLOCK}
    metrics = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    lines = [{name: value for name, value in line.items() if name not in CLOCK} for line in metrics]
    return (home / "weights.safetensors").read_bytes(), figures, lines


def finished_epochs(run: Path) -> dict[str, list[str]]:
    """Return the lines of metrics.jsonl of a run (``.``) and of its twin (``twin``)."""
    found = {home: run / home / "metrics.jsonl" for home in (".", "twin")}
    return {home: path.read_text().splitlines() for home, path in found.items() if path.exists()}


def lost(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """Return the epochs whose lines of metrics.jsonl are missing or different in ``after``."""
    return [
        f"{home} epoch {number}"
        for home, lines in before.items()
        for number, line in enumerate(lines, 1)
        if after.get(home, [])[number - 1 : number] != [line]
    ]


def left_over(run: Path, complete: bool) -> list[str]:
    """Return undocumented names in a run folder and in its twin's, with the checkpoint if the run is complete."""
    known = DOCUMENTED - ({"checkpoint.safetensors"} if complete else set())
    homes = [home for home in (run, run / "twin") if home.is_dir()]
    return [str(path.relative_to(run)) for home in homes for path in home.iterdir() if path.name not in known]


def check_complete(run: Path, expected: Reference, tally: Tally, story: str, kind: str = "weights that differ") -> None:
    """Record a fault if a complete run differs from an undisturbed one or has more files."""
    try:
        same = expected.homes.keys() == {home for home in (".", "twin") if (run / home).exists()} and all(
            outcome(run / home) == content for home, content in expected.homes.items()
        )
    except (OSError, ValueError, KeyError) as error:
        tally.blame(kind, f"{story}: {error}")
        return
    if not same:
        tally.blame(kind, story)
    if left := left_over(run, complete=True):
        tally.blame("left over", f"{story}: {', '.join(left)}")
