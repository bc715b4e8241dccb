"""Worker processes with one thread each, which train one trial at a time.

Workers are spawned and not forked, since a fork may hang after PyTorch has started threads. A worker ends when its
parent process ends, even if the parent is killed. Workers ignore Ctrl-C, which the parent process handles.
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
    """Data, device and precision of all trials, as arguments of `data.load` and `train`."""

    dataset: str
    data_dir: Path | None
    device: str
    precision: str


@dataclass(frozen=True)
class Trial:
    """A trial to train: the name of the recipe, the recipe with the settings of the trial, and the run folder."""

    name: str
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """Result of a trial.

    Attributes:
        error: Error of the main test on the held-out cases, as a fraction; ``None`` if training diverged.
        facts: ``errors`` (name of a test -> error) and ``seconds`` (training time). If training diverged, only
            ``diverged``, with the reason.
        remarks: Messages of the remarks (warnings) issued during training.
    """

    error: float | None
    facts: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


class Worker:
    """A process that trains one trial after another.

    Args:
        place: Data, device and precision of the trials.
    """

    def __init__(self, place: Place) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, place), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()

    def begin(self, trial: Trial) -> None:
        """Start to train a trial, and return at once. If the process has ended, the next call of `outcome` raises."""
        with suppress(OSError):
            self.pipe.send(trial)

    def outcome(self) -> Outcome:
        """Wait until the trial is finished, and return its result.

        Raises:
            TwofoldError: The trial could not be trained.
            RunError: The process has ended without a result.
        """
        try:
            result = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            raise RunError(
                f"a worker ended unexpectedly (exit code {self.process.exitcode}), possibly out of memory: repeat "
                "the command to continue, with fewer --workers"
            ) from error
        if isinstance(result, TwofoldError):
            raise result
        outcome: Outcome = result
        return outcome

    def end(self) -> None:
        """Terminate the process. The checkpoint of an unfinished trial is kept."""
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def ready(workers: list[Worker]) -> list[Worker]:
    """Wait until at least one worker has a result or has ended, and return all such workers."""
    pipes = wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in pipes]


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Make the processes that are started within this context ignore Ctrl-C.

    Outside the main thread, which alone can set signal handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread can set signal handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def work(pipe: Connection, place: Place) -> None:
    """Receive trials through the pipe, train them and send their outcomes, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Remark)  # already reported by the parent process
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
    """Train a trial, or resume it from its checkpoint, and return its outcome or the error that stopped it.

    The weights of the trained net are deleted.
    """
    home = RunFolder(trial.folder)
    try:
        with warnings.catch_warnings(record=True) as caught:
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
    remarks = [str(warning.message) for warning in caught if issubclass(warning.category, Remark)]
    return Outcome(next(iter(errors.values())), {"errors": errors, "seconds": result.seconds}, remarks)
