"""Tune a recipe and its twin: two rounds of trials for each, spread over worker processes, kept so that a kill costs
nothing but what was trained since the last epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from twofold import data, machine
from twofold.defaults import LEARNING_VERSION
from twofold.errors import Interrupted, SettingError, remark
from twofold.methods import Recipe, build
from twofold.recipes import find
from twofold.tuning.choice import MORE_SEEDS, RULE, Tried, close
from twofold.tuning.plan import Side, sides
from twofold.tuning.record import Record, described
from twofold.tuning.store import Store, claimed
from twofold.tuning.workers import Outcome, Place, Trial, Worker, ready

__all__ = ["RULE", "STUDIES", "TRIALS", "tune"]

STUDIES = Path("runs/tune")
"""Where studies lie for which no folder was named."""

TRIALS = 16
"""Settings that are tried of each side in the first round, where no number was named."""


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
    """Tune a recipe and its twin by `RULE` on training images that are held out; the test images are not looked at.

    A study that was stopped, in whatever way, goes on when it is called for again: the same trials have the same errors
    in the end, however often it was stopped and however many workers there are.

    Args:
        name: of the recipe.
        recipe: its settings, where some are stated; by default as it stands.
        stated: the fields that are not tuned because they were stated.
        twin: whether to tune the twin, too.
        trials: how many settings of each are tried in the first round.
        workers: processes that train, each of one thread; by default as many as this process may use processors.
        folder: of the study; by default ``runs/tune/NAME``.
        data_dir: folder with data sets, looked in first.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        report: called with a line of text for each trial.

    Returns:
        The record, in values that JSON can hold: see `twofold.tuning.record.described`.

    Raises:
        SettingError: the search space does not go with what is asked for.
        RunError: the folder is in use or holds another study, or the disk is full.
        Interrupted: Ctrl-C, or a signal that does the same; the message says how to go on.
    """
    for option, number in (("trials", trials), ("workers", workers)):
        if number is not None and number < 1:
            raise SettingError(f"--{option} is {number}, expected at least 1")
    recipe = recipe or find(name)
    folder = folder or STUDIES / name
    where = machine.choose_device(device)
    precision = machine.choose_precision(precision, where)
    dataset = data.load(recipe.data, data_dir)
    cases = len(dataset.train[0])
    both = sides(name, recipe, stated, twin, cases, trials)
    for side in both:
        _expect_trainable(side, dataset)
    identity = {
        "trials": trials,
        "data": dataset.fingerprint,
        "device": where.type,
        "precision": precision,
        "learning version": LEARNING_VERSION,
        **{f"{field} of {side.name}": value for side in both for field, value in _identity(side).items()},
    }
    place = Place(recipe.data, data_dir, where.type, precision)
    with claimed(folder, identity):
        store = Store(folder, both)
        study = Study(store, both, recipe.seed, place, report or (lambda line: None))
        try:
            study.run(workers or machine.limits.processors())
        except KeyboardInterrupt as stop:
            done = sum(len(study.tried(side)) for side in both)
            raise Interrupted(
                f"interrupted; {done} trials are done and saved in {folder}, others up to their last epoch: to go on, "
                "repeat the command"
            ) from stop
        facts = {
            "dataset": dataset.name,
            "official_data": dataset.official,
            "fingerprint": dataset.fingerprint,
            "device": where.type,
            "precision": precision,
            "learning_version": LEARNING_VERSION,
            "environment": {**machine.describe(where), "threads": 1},  # of each worker
        }
        return described(name, trials, cases, [(side, study.tried(side)) for side in both], facts)


def _expect_trainable(side: Side, dataset: data.Data) -> None:
    """Raise, before anything is written, where a training of a side would refuse its settings."""
    cases = len(dataset.hold_out(side.recipe.validation).train[0])
    if side.recipe.batch > cases:
        raise SettingError(f"--batch is {side.recipe.batch}, more than the {cases} training cases: lower it")
    for settings in side.plan:
        side.with_settings(settings, side.recipe.seed + MORE_SEEDS)
    build(side.recipe, dataset.form)


def _identity(side: Side) -> Mapping[str, Any]:
    """The fields of a side, and the values of those that are tuned, as JSON holds them."""
    return {**side.recipe.fields(), **{f"values of {field}": list(each) for field, each in side.values.items()}}


@dataclass(frozen=True)
class Study:
    """The trials of both sides, some of them done.

    Attributes:
        store: where they are kept.
        sides: the recipe and its twin.
        seed: of the first round.
        place: where they train.
        report: called with a line for each.
    """

    store: Store
    sides: list[Side]
    seed: int
    place: Place
    report: Callable[[str], None]

    def tried(self, side: Side) -> list[Tried]:
        """The trials that are done, by number."""
        return [
            Tried(each.number, each.params, each.user_attrs["seed"], each.value, each.user_attrs["facts"])
            for each in self.store.trials(side)
            if each.state.is_finished()
        ]

    def run(self, count: int) -> None:
        """Train all trials that are not done, in so many processes."""
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
        """A trial that nobody works at: first those that a killed process has left, then the next that is planned."""
        for side in self.sides:
            self._plan(side)
            states = {each.number: each.state for each in self.store.trials(side)}
            for number, state in states.items():
                if state == TrialState.RUNNING and (side.name, number) not in busy:
                    return side, number
            if TrialState.WAITING in states.values():
                return side, self.store.begin(side)
        return None

    def _plan(self, side: Side) -> None:
        """Plan what is not planned yet: the first round, and the second when the first is done."""
        wanted = [(settings, self.seed) for settings in side.plan]
        if len(first := self.first_round(side)) == len(side.plan):
            again = close(first, side.recipe.validation)
            wanted += [(each, self.seed + 1 + more) for each in again for more in range(MORE_SEEDS)]
        for settings, seed in wanted[len(self.store.trials(side)) :]:
            self.store.add(side, settings, seed)

    def first_round(self, side: Side) -> list[Tried]:
        """The trials of the first round that are done."""
        return [each for each in self.tried(side) if each.number < len(side.plan)]

    def _trial(self, side: Side, number: int) -> Trial:
        planned = self.store.trials(side)[number]
        recipe = side.with_settings(planned.params, planned.user_attrs["seed"])
        return Trial(side.name, recipe, self.store.folder / "trials" / f"{side.name}-{number:03}")

    def _end(self, side: Side, number: int, outcome: Outcome) -> None:
        self.store.end(side, number, outcome.error, outcome.facts)
        for text in outcome.remarks:
            remark(text)
        trials = self.store.trials(side)
        planned = trials[number].params | {"seed": trials[number].user_attrs["seed"]}
        settings = ", ".join(f"{field} {value}" for field, value in planned.items())
        error = "diverged" if outcome.error is None else f"{100 * outcome.error:.2f} %"
        self.report(f"{side.name} {len(self.tried(side))}/{len(trials)}: {error} ({settings})")
