"""Contests: several ways to learn and the backprop twin, on the same data, from the same seeds, tuned by the same rule.

A rate is the value of a grid with the smallest error on held-out cases. A training that diverges is repeated at a third
of its rate. The record states every grid, choice and retry.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from twofold.data import Dataset
from twofold.errors import Diverged
from twofold.methods import Recipe
from twofold.nets.net import Net
from twofold.training.runs import Run
from twofold.training.trainer import Trainer
from twofold_lab.claim import Finding
from twofold_lab.figures import error, errors, mean_and_std, mean_errors, reached

if TYPE_CHECKING:
    from twofold_lab.lab import Lab

TWIN = "twin"
RETRIES = 5
"""Number of learning rates tried for a training that diverges, each a third of the one before."""

N = TypeVar("N", bound=Net)
T = TypeVar("T")
Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True)
class Contender:
    """A way to learn in a contest.

    Attributes:
        changes: fields of the recipe that differ.
        recipe: the recipe; by default the one of the contest.
        rates: grid of learning rates, in ascending order; empty for the rate of the recipe.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    rates: Sequence[float] = ()


@dataclass(frozen=True)
class Contest:
    """Trainings of several contenders and of the twin. Each is done when its figures are first asked for.

    Attributes:
        lab: the laboratory.
        contenders: name -> way to learn, without the twin.
        of: the recipe and its twin.
        dataset: data that all learn from; ``None`` for that of the recipes.
        seeds: seeds of the trainings.
        held: number of training cases that are held out to choose rates.
    """

    lab: Lab
    contenders: Mapping[str, Contender]
    of: tuple[Recipe, Recipe]
    dataset: Dataset | None
    seeds: list[int]
    held: int

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """The runs of every contender and of the twin, one for each seed."""
        ways = {TWIN: Contender(recipe=self.of[1])} if TWIN not in self.contenders else {}
        return {name: self._train(name, way) for name, way in {**self.contenders, **ways}.items()}

    def attempts(self, name: str) -> list[Run | None]:
        """Return the run of each seed at the rate of its recipe or, if it diverges, at a lower rate.

        See `at_lower_rates`; ``None`` if all rates diverge.
        """
        way = self.contenders[name]
        recipes = [replace(way.recipe or self.of[0], **way.changes, seed=seed) for seed in self.seeds]
        return [self._attempt(name, recipe) for recipe in recipes]

    def _attempt(self, name: str, recipe: Recipe) -> Run | None:
        def learn(rate: float) -> Run:
            return self.lab.train(replace(recipe, rate=rate), name, self.dataset)

        return at_lower_rates(self.lab, f"{name}, seed {recipe.seed}", recipe.rate, learn)

    def _train(self, name: str, way: Contender) -> list[Run]:
        recipe = replace(way.recipe or self.of[0], **way.changes)
        title = name.lower().replace(" ", "-")

        def held_out_error(rate: float) -> float:
            tried = replace(recipe, rate=rate, validation=self.held, seed=self.seeds[0])
            return error(self.lab.train(tried, f"{title}-tuning", self.dataset))

        def learn(rate: float) -> list[Run]:
            return [self.lab.train(replace(recipe, rate=rate, seed=seed), title, self.dataset) for seed in self.seeds]

        if not way.rates:
            return learn(recipe.rate)
        runs = at_lower_rates(self.lab, name, tune(self.lab, name, way.rates, held_out_error), learn)
        if runs is None:
            raise Diverged(f"{name}: diverges at {RETRIES} rates: extend its grid of rates downwards")
        return runs

    def errors(self, name: str = TWIN) -> dict[str, Any]:
        """Return the error of every test in percent: mean and standard deviation, or single figures for one seed."""
        runs = self.runs[name]
        return errors(runs[0]) if len(runs) == 1 else mean_errors(runs)

    def difference(self, worse: str, better: str) -> dict[str, float]:
        """Return by how much one contender errs more than another in the main test, paired by seed, in points."""
        pairs = zip(self.runs[worse], self.runs[better], strict=True)
        return mean_and_std(error(other) - error(run) for other, run in pairs)

    def goodness(self, name: str) -> list[Any]:
        """Return the goodness of the test cases under every label, ``(cases, labels, layers)``, of every run."""
        return [self.lab.test(run).goodness for run in self.runs[name]]

    def reached(self, name: str, target: float) -> dict[str, float | int | None]:
        """Return the epochs, visits and seconds of the first seed to an error; see `twofold_lab.figures.reached`."""
        return reached(self.runs[name][0], target)

    def finding(self, measured: dict[str, Any], **twin: Any) -> Finding:
        """Return a finding with the twin's errors, further figures of the ``twin``, and the seeds."""
        return Finding(measured, {**twin, **self.errors(TWIN)}, self.seeds)


@dataclass(frozen=True)
class CustomTraining(Generic[N]):
    """A training of a net that its recipe does not describe completely, such as a net on devices or with noise.

    Attributes:
        lab: the laboratory.
        title: beginning of the file's name.
        build: makes the untrained net for a recipe.
        recipe: settings of the training.
        dataset: data that the net learns from.
        settings: everything else that determines what the net learns, as values that JSON can hold.
        method: makes the method; by default that of the recipe.
    """

    lab: Lab
    title: str
    build: Callable[[Any], N]
    recipe: Recipe
    dataset: Dataset
    settings: Mapping[str, Any]
    method: Callable[..., Any] | None = None

    def train(self, rate: float | None = None) -> N:
        """Return the net, trained at a rate, by default that of the recipe."""
        recipe = self.recipe if rate is None else replace(self.recipe, rate=rate)

        def learn(net: N) -> None:
            Trainer(net, recipe, self.dataset.train, method=self.method).run()

        settings = {**recipe.fields(), **self.settings}
        return self.lab.train_net(self.build(recipe), self.title, self.dataset, settings, learn)

    def train_or_lower(self, name: str) -> N:
        """Return the net, trained at the rate of the recipe or at a lower one, see `at_lower_rates`; untrained if all
        diverge."""
        net = at_lower_rates(self.lab, name, self.recipe.rate, self.train)
        return self.build(self.recipe) if net is None else net


def tune(lab: Lab, name: str, values: Iterable[Value], held_out_error: Callable[[Value], float]) -> Value:
    """Return the value with the smallest error on held-out cases; a value whose training diverges is not chosen.

    The record gets the errors of all values, the choice, and whether it is the first or the last value of the grid, so
    that a better one may lie beyond.

    Args:
        lab: the laboratory.
        name: name of the choice in the record.
        values: the grid, in ascending order.
        held_out_error: trains with a value and returns its error.

    Raises:
        Diverged: all trainings diverge.
    """
    grid, measured = list(values), dict[Value, float]()
    divergence = Diverged(f"{name}: the grid is empty")
    for value in grid:
        try:
            measured[value] = held_out_error(value)
        except Diverged as exception:
            divergence = exception
    if not measured:
        raise divergence
    best = min(measured, key=lambda value: measured[value])
    lab.tunings[name] = {
        "held-out errors": {str(value): measured.get(value, "diverged") for value in grid},
        "chosen": best,
        "on the edge": best in (grid[0], grid[-1]),
    }
    return best


def at_lower_rates(lab: Lab, name: str, rate: float, learn: Callable[[float], T]) -> T | None:
    """Train at a rate or, if that diverges, at a third of it, and so on; the record states which.

    Args:
        lab: the laboratory.
        name: name of the training in the record.
        rate: the first rate.
        learn: trains at a rate.

    Returns:
        The result at the first rate that does not diverge; ``None`` if `RETRIES` rates diverge.
    """
    for number in range(RETRIES):
        with suppress(Diverged):
            result = learn(rate / 3**number)
            if number:
                lab.tunings[f"{name}, retried"] = {"diverged at": rate, "chosen": rate / 3**number}
            return result
    return None
