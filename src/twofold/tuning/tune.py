"""Tuning of a recipe and its twin in two rounds of trials, with worker processes.

Interrupted studies can be resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twofold import data, machine
from twofold.defaults import LEARNING_VERSION
from twofold.errors import Interrupted, SettingError, remark
from twofold.methods import Recipe, build
from twofold.recipes import find
from twofold.tuning.choice import MORE_SEEDS, RULE, Tried, close
from twofold.tuning.plan import Settings, Side, sides
from twofold.tuning.record import Record, described
from twofold.tuning.store import Store, claimed
from twofold.tuning.workers import Outcome, Place, Trial, Worker, ready

__all__ = ["RULE", "STUDIES", "TRIALS", "tune"]

STUDIES = Path("runs/tune")
"""Default parent folder of studies."""

TRIALS = 16
"""Default number of settings to try for each recipe in the first round."""


def tune(
    name: str,
    recipe: Recipe | None = None,
    *,
    stated: frozenset[str] = frozenset(),
    twin: bool = True,
    trials: int = TRIALS,
    workers: int | None = None,
    folder: Path | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    report: Callable[[str], None] | None = None,
) -> Record:
    """Tune a recipe and its twin by `RULE` on held-out training images. Test images are not used.

    To resume a study that was interrupted or killed, call `tune` again with the same arguments. The errors of the
    trials do not depend on interruptions or on the number of workers.

    Args:
        name: Name of the recipe.
        recipe: The recipe called ``name``, possibly with changed fields; by default without changes.
        stated: Names of fields that are not tuned, but keep the value that they have in ``recipe``.
        twin: If True, also tune the twin.
        trials: Number of settings to try for each recipe in the first round.
        workers: Number of training processes, with one thread each; by default the number of available processors.
        folder: Study folder; by default ``runs/tune/NAME``.
        data_dir: Folder that is searched first for data sets.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        precision: ``"auto"``, ``"fp32"`` or ``"bf16"``.
        report: Called with a line of text for each finished trial.

    Returns:
        The record, with values that can be written as JSON; see `twofold.tuning.record.described`.

    Raises:
        SettingError: A setting is invalid, or ``trials`` exceeds the number of settings in the search space.
        RunError: The folder is in use or contains another study, or the disk is full.
        Interrupted: The study was stopped by Ctrl-C or another signal. The message explains how to resume.
    """
    for option, number in (("trials", trials), ("workers", workers)):
        if number is not None and number < 1:
            raise SettingError(f"--{option} is {number}, expected at least 1")
    recipe = recipe or find(name)
    folder = folder or STUDIES / name
    chosen = machine.choose_device(device)
    precision = machine.choose_precision(precision, chosen)
    dataset = data.load(recipe.data, data_dir)
    cases = len(dataset.train[0])
    planned = sides(name, recipe, stated, twin, cases, trials)
    for side in planned:
        _expect_trainable(side, dataset)
    identity = {
        "trials": trials,
        "data": dataset.fingerprint,
        "device": chosen.type,
        "precision": precision,
        "learning version": LEARNING_VERSION,
        **{f"{field} of {side.name}": value for side in planned for field, value in _identity(side).items()},
    }
    place = Place(recipe.data, data_dir, chosen.type, precision)
    with claimed(folder, identity):
        store = Store(folder, planned)
        study = Study(store, planned, recipe.seed, place, report or (lambda line: None))
        try:
            study.run(workers or machine.limits.processors())
        except KeyboardInterrupt as stop:
            done = sum(len(store.tried(side)) for side in planned)
            raise Interrupted(
                f"interrupted; {done} finished trials are saved in {folder}, others up to their last epoch: repeat the "
                "command to continue"
            ) from stop
        facts = {
            "dataset": dataset.name,
            "official_data": dataset.official,
            "fingerprint": dataset.fingerprint,
            "device": chosen.type,
            "precision": precision,
            "learning_version": LEARNING_VERSION,
            "environment": {**machine.describe(chosen), "threads": 1},  # of each worker
        }
        return described(name, trials, cases, [(side, store.tried(side)) for side in planned], facts)


def _expect_trainable(side: Side, dataset: data.Data) -> None:
    """Raise an error if some planned settings of a recipe cannot be trained. Called before files are written."""
    cases = len(dataset.hold_out(side.recipe.validation).train[0])
    if side.recipe.batch > cases:
        raise SettingError(f"--batch is {side.recipe.batch}, more than the {cases} training cases: lower it")
    for settings in side.plan:
        side.with_settings(settings, side.recipe.seed + MORE_SEEDS)
    build(side.recipe, dataset.form)


def _identity(side: Side) -> Mapping[str, Any]:
    """Return all fields of a recipe and, for each tuned field, the values to try, as JSON-compatible values."""
    return {**side.recipe.fields(), **{f"values of {field}": list(values) for field, values in side.values.items()}}


@dataclass(frozen=True)
class Study:
    """A study in progress, which assigns the unfinished trials to worker processes.

    Attributes:
        store: Storage of the finished trials.
        sides: The recipe and its twin.
        seed: Random seed of the first round.
        place: Data, device and precision of all trials.
        report: Called with a line of text for each finished trial.
    """

    store: Store
    sides: list[Side]
    seed: int
    place: Place
    report: Callable[[str], None]

    def run(self, count: int) -> None:
        """Train all unfinished trials of both rounds, in at most ``count`` processes at a time."""
        idle: list[Worker] = []
        busy: dict[Worker, tuple[Side, int]] = {}
        try:
            while True:
                while len(busy) < count and (
                    job := self._next({(side.name, number) for side, number in busy.values()})
                ):
                    worker = idle.pop() if idle else Worker(self.place)
                    busy[worker] = job
                    worker.begin(self._trial(*job))
                if not busy:
                    return
                for worker in ready(list(busy)):
                    outcome = worker.outcome()
                    self._end(*busy.pop(worker), outcome)
                    idle.append(worker)
        finally:
            for worker in (*idle, *busy):
                worker.end()

    def _next(self, busy: set[tuple[str, int]]) -> tuple[Side, int] | None:
        """Return the recipe and number of the first trial that is neither finished nor in progress.

        Args:
            busy: (name of the recipe, number of the trial) of each trial in progress.
        """
        for side in self.sides:
            started = {trial.number for trial in self.store.tried(side)}
            started |= {number for name, number in busy if name == side.name}
            for number in range(len(self._planned(side))):
                if number not in started:
                    return side, number
        return None

    def _planned(self, side: Side) -> list[tuple[Settings, int]]:
        """Return the settings and seed of each trial of a recipe.

        Trials of the second round are included once the first round is finished.
        """
        planned = [(settings, self.seed) for settings in side.plan]
        first = [trial for trial in self.store.tried(side) if trial.number < len(side.plan)]
        if len(first) == len(side.plan):
            again = close(first, side.recipe.validation)
            planned += [(settings, self.seed + 1 + more) for settings in again for more in range(MORE_SEEDS)]
        return planned

    def _trial(self, side: Side, number: int) -> Trial:
        recipe = side.with_settings(*self._planned(side)[number])
        return Trial(side.name, recipe, self.store.run_folder(side, number))

    def _end(self, side: Side, number: int, outcome: Outcome) -> None:
        planned = self._planned(side)
        settings, seed = planned[number]
        self.store.add(side, Tried(number, settings, seed, outcome.error, outcome.facts))
        for text in outcome.remarks:
            remark(text)
        words = ", ".join(f"{field} {value}" for field, value in (settings | {"seed": seed}).items())
        error = "diverged" if outcome.error is None else f"{100 * outcome.error:.2f} %"
        self.report(f"{side.name} {len(self.store.tried(side))}/{len(planned)}: {error} ({words})")
