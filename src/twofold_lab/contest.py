"""Contests: comparisons of several learning methods and the backprop twin, with the same data, seeds and tuning.

A learning rate is chosen from a grid by the smallest error on held-out cases. A training run that diverges is repeated
at a third of the learning rate. The record states every grid, choice and repetition.
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
"""Maximum number of learning rates to try for a training run that diverges, each a third of the previous rate."""

N = TypeVar("N", bound=Net)
T = TypeVar("T")
Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True)
class Contender:
    """A learning method in a contest.

    Attributes:
        changes: values of the fields in which the contender differs from ``recipe``.
        recipe: the recipe; by default that of the contest.
        rates: grid of learning rates, in ascending order; if empty, the rate of the recipe is used.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    rates: Sequence[float] = ()


@dataclass(frozen=True)
class Contest:
    """Training runs of several contenders and of the twin. All nets are trained when `runs` is first used.

    Attributes:
        lab: the laboratory.
        contenders: name -> contender. The twin is added if it is missing.
        of: the recipe of the contenders, and that of the twin.
        dataset: training and test data of all contenders; ``None`` for the data sets that the recipes name.
        seeds: seeds of the training runs.
        held: number of training cases that are held out to choose learning rates.
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
        """Return the run of a contender for each seed, at a lower rate if the rate of its recipe diverges.

        An entry is ``None`` if all rates diverge; see `at_lower_rates`.
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
        """Return test -> error of a contender in percent: mean and deviation over seeds, or a number for one seed."""
        runs = self.runs[name]
        return errors(runs[0]) if len(runs) == 1 else mean_errors(runs)

    def difference(self, worse: str, better: str) -> dict[str, float]:
        """Return the error of ``worse`` minus the error of ``better`` in the main test, paired by seed, in points.

        The result has the ``mean`` and ``std`` over seeds.
        """
        pairs = zip(self.runs[worse], self.runs[better], strict=True)
        return mean_and_std(error(other) - error(run) for other, run in pairs)

    def goodness(self, name: str) -> list[Any]:
        """Return the goodness of the test cases under every label, ``(cases, labels, layers)``, of every run."""
        return [self.lab.test(run).goodness for run in self.runs[name]]

    def reached(self, name: str, target: float) -> dict[str, float | int | None]:
        """Return the epochs, visits and seconds that the run with the first of the seeds takes to reach an error.

        See `figures.reached`.
        """
        return reached(self.runs[name][0], target)

    def finding(self, measured: dict[str, Any], **twin: Any) -> Finding:
        """Return a finding with the ``measured`` figures, the errors of the twin and its other figures ``twin``."""
        return Finding(measured, {**twin, **self.errors(TWIN)}, self.seeds)


@dataclass(frozen=True)
class CustomTraining(Generic[N]):
    """The training of a net that its recipe does not describe completely, such as a net on devices or with noise.

    Attributes:
        lab: the laboratory.
        title: beginning of the name of the weights file.
        build: function that makes the untrained net for a recipe.
        recipe: settings of the training.
        dataset: training data.
        settings: everything else that determines the trained weights, as JSON values.
        method: factory of the training method, see `Trainer`; by default the method of the recipe.
    """

    lab: Lab
    title: str
    build: Callable[[Any], N]
    recipe: Recipe
    dataset: Dataset
    settings: Mapping[str, Any]
    method: Callable[..., Any] | None = None

    def train(self, rate: float | None = None) -> N:
        """Return the net trained at the learning rate ``rate``, by default the rate of the recipe."""
        recipe = self.recipe if rate is None else replace(self.recipe, rate=rate)

        def learn(net: N) -> None:
            Trainer(net, recipe, self.dataset.train, method=self.method).run()

        settings = {**recipe.fields(), **self.settings}
        return self.lab.train_net(self.build(recipe), self.title, self.dataset, settings, learn)

    def train_or_lower(self, name: str) -> N:
        """Return the net trained at the rate of the recipe, or a lower rate if training diverges; see `at_lower_rates`.

        If all rates diverge, the result is the untrained net.
        """
        net = at_lower_rates(self.lab, name, self.recipe.rate, self.train)
        return self.build(self.recipe) if net is None else net


def tune(lab: Lab, name: str, values: Iterable[Value], held_out_error: Callable[[Value], float]) -> Value:
    """Return the value with the smallest error on held-out cases; values with which training diverges are excluded.

    The record states the errors of all values, the choice, and whether the choice is at an end of the grid. In that
    case a larger grid might contain a better value.

    Args:
        lab: the laboratory.
        name: name of the choice in the record.
        values: the grid, in ascending order.
        held_out_error: function that trains with a value and returns the error on held-out cases.

    Raises:
        Diverged: the training diverges with all values.
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
        "on the edge": _on_edge(best, grid),
    }
    return best


def _on_edge(best: Any, grid: Sequence[Any]) -> bool:
    """Return True if a value is at an end of its grid or, for tuples, at an end of any coordinate of the grid."""
    if isinstance(best, tuple):
        return any(_on_edge(value, sorted(set(values))) for value, *values in zip(best, *grid, strict=True))
    return best in (grid[0], grid[-1])


def at_lower_rates(lab: Lab, name: str, rate: float, learn: Callable[[float], T]) -> T | None:
    """Train at a learning rate; if the training diverges, repeat it at a third of the rate, up to `RETRIES` rates.

    The record states a rate that was lowered.

    Args:
        lab: the laboratory.
        name: name of the training run in the record.
        rate: the first rate.
        learn: function that trains at a rate and returns the result.

    Returns:
        The result at the first rate that does not diverge; ``None`` if the training diverges at all rates.
    """
    for number in range(RETRIES):
        with suppress(Diverged):
            result = learn(rate / 3**number)
            if number:
                lab.tunings[f"{name}, retried"] = {"diverged at": rate, "chosen": rate / 3**number}
            return result
    return None
