"""Worker processes, each of one thread, that train one trial after the other.

They are spawned, since a fork after PyTorch has started its threads may hang; they end with the process that started
them, also if it is killed; and they leave Ctrl-C to it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from twofold import data
from twofold.errors import Diverged, Remark, RunError, TwofoldError
from twofold.methods import Recipe
from twofold.training.run_folder import RunFolder
from twofold.training.train import train


@dataclass(frozen=True)
class Place:
    """Where all trials train: as `data.load` and `train` take them."""

    dataset: str
    data_dir: Path | None
    device: str
    precision: str


@dataclass(frozen=True)
class Trial:
    """A training: the recipe's name, its settings, and its run folder."""

    name: str
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        error: test -> error on the held-out cases; ``None`` where the training diverged.
        facts: what else is kept: its errors, seconds, or why it diverged.
        remarks: what was said.
    """

    error: float | None
    facts: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


class Worker:
    """A process that trains."""

    def __init__(self, place: Place) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, place), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()

    def begin(self, trial: Trial) -> None:
        """Let it train; where it has ended, `outcome` says so."""
        with suppress(OSError):
            self.pipe.send(trial)

    def outcome(self) -> Outcome:
        """What came of it.

        Raises:
            TwofoldError: the trial could not be trained.
            RunError: the process has ended.
        """
        try:
            found = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            raise RunError(
                f"a worker ended by itself (exit code {self.process.exitcode}), as when memory is short: repeat the "
                "command to go on, with fewer --workers"
            ) from error
        if isinstance(found, TwofoldError):
            raise found
        answer: Outcome = found
        return answer

    def end(self) -> None:
        """End it; what it was training is saved up to the last epoch."""
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def ready(workers: list[Worker]) -> list[Worker]:
    """Wait until a worker has an answer; those that have one."""
    found = wait([each.pipe for each in workers])
    return [each for each in workers if each.pipe in found]


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """What is started in here ignores Ctrl-C from its first moment."""
    if threading.current_thread() is not threading.main_thread():  # no other thread can say so
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def work(pipe: Connection, place: Place) -> None:
    """Train what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Remark)  # the process that started this one has said it
        dataset = data.load(place.dataset, place.data_dir)
    while True:
        try:
            trial: Trial = pipe.recv()
        except EOFError:
            return
        pipe.send(_train(trial, dataset, place))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _train(trial: Trial, dataset: data.Data, place: Place) -> Outcome | TwofoldError:
    """Train, or go on from the last checkpoint; of the run folder the weights are removed."""
    home = RunFolder(trial.folder)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", Remark)
            result = train(
                trial.recipe,
                trial.folder,
                dataset,
                name=trial.name,
                device=place.device,
                precision=place.precision,
                resume=True,
            )
    except Diverged as error:
        home.checkpoint.unlink(missing_ok=True)
        return Outcome(None, {"diverged": str(error)})
    except TwofoldError as error:
        return error
    home.weights.unlink(missing_ok=True)
    errors = result.validation_error
    remarks = [str(each.message) for each in said if issubclass(each.category, Remark)]
    return Outcome(next(iter(errors.values())), {"errors": errors, "seconds": result.seconds}, remarks)
