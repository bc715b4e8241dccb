"""Verdicts on the clauses of a claim, each with the statistic that decides it.

A clause *holds* or *does not hold* if the measured figure differs from its limit by at least two standard errors, and
is *undecided* otherwise. Statements without randomness hold or do not hold. An *estimate* is not a measurement.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

HOLDS, UNDECIDED, FAILS, ESTIMATE = "holds", "undecided", "does not hold", "estimate"
VERDICTS = (HOLDS, UNDECIDED, FAILS, ESTIMATE)
STANDARD_ERRORS = 2.0
"""Number of standard errors that separates a difference from no difference."""


class Verdict(NamedTuple):
    """A verdict and the statistic that decides it.

    Attributes:
        verdict: one of `VERDICTS`.
        statistic: the figures that decide it, in words.
    """

    verdict: str
    statistic: str


class Estimate(NamedTuple):
    """A measured figure.

    Attributes:
        value: the mean.
        error: its standard error; 0 for a figure without randomness.
    """

    value: float
    error: float = 0.0

    def __str__(self) -> str:
        return f"{self.value:.3g} ± {self.error:.2g}" if self.error else f"{self.value:.3g}"

    def plus(self, number: float) -> Estimate:
        """Return the figure plus an exact number."""
        return Estimate(self.value + number, self.error)

    def times(self, factor: float) -> Estimate:
        """Return the figure times an exact, positive factor."""
        return Estimate(factor * self.value, factor * self.error)


@dataclass(frozen=True)
class Figures:
    """The figures of a record, which the clauses of its claim judge.

    Attributes:
        measured: figures of Forward-Forward.
        twin: figures of the backprop twin.
        size: smoke or full.
        seeds: seeds of the trainings.
        cases: number of test cases.
    """

    measured: Mapping[str, Any]
    twin: Mapping[str, Any]
    size: str
    seeds: Sequence[int]
    cases: int

    def pick(self, *, smoke: T, full: T) -> T:
        """Return the value for the size of the record."""
        return smoke if self.size == "smoke" else full

    def of(self, *keys: str | int, seeds: int | None = None) -> Estimate:
        """Return a figure of Forward-Forward with its standard error.

        The standard error of a mean over several seeds is that over the seeds. For an error rate of a single training,
        it is the binomial one of its test cases. Other single figures have none.

        Args:
            keys: path to the figure: names, and positions in lists.
            seeds: number of trainings behind it; by default the number of seeds of the record.
        """
        return self._of(self.measured, keys, seeds)

    def of_twin(self, *keys: str | int, seeds: int | None = None) -> Estimate:
        """Return a figure of the twin with its standard error; see `of`."""
        return self._of(self.twin, keys, seeds)

    def _of(self, figures: Any, keys: Sequence[str | int], seeds: int | None) -> Estimate:
        for key in keys:
            figures = figures[key]
        count = seeds or len(self.seeds)
        mean, std = (figures["mean"], figures["std"]) if isinstance(figures, Mapping) else (float(figures), 0.0)
        if isinstance(figures, Mapping) and count > 1:
            return Estimate(mean, std / math.sqrt(count))
        if any("%" in str(key) for key in keys):
            share = min(max(mean / 100, 0.0), 1.0)
            return Estimate(mean, 100 * math.sqrt(share * (1 - share) / self.cases))
        return Estimate(mean)


@dataclass(frozen=True)
class Clause:
    """One statement of a claim, with its rule.

    Attributes:
        says: the statement, in a few words.
        rule: condition under which it holds, in words, written before the measurement.
        judge: applies the rule to the figures of a record.
    """

    says: str
    rule: str
    judge: Callable[[Figures], Verdict]


def mean_of(values: Sequence[float]) -> Estimate:
    """Return the mean of figures, one for each seed or device, with its standard error; 0 for a single figure."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Estimate(statistics.fmean(values), spread / math.sqrt(len(values)))


def difference(value: Estimate, limit: Estimate | float) -> Estimate:
    """Return ``limit - value``, with the standard errors combined as those of independent figures."""
    other = limit if isinstance(limit, Estimate) else Estimate(limit)
    return Estimate(other.value - value.value, math.hypot(value.error, other.error))


def positive(margin: Estimate, statistic: str) -> Verdict:
    """Judge whether a figure is above 0: undecided if it is closer to 0 than two standard errors."""
    if abs(margin.value) < STANDARD_ERRORS * margin.error:
        return Verdict(UNDECIDED, statistic)
    return Verdict(HOLDS if margin.value > 0 or margin == (0.0, 0.0) else FAILS, statistic)


def at_most(value: Estimate, limit: Estimate | float) -> Verdict:
    """Judge whether a figure is at most a limit or another figure."""
    return positive(difference(value, limit), f"{value} against {_text(limit)} or less")


def limited(says: str, *keys: str | int, smoke: float, full: float) -> Clause:
    """Return the clause that a figure of Forward-Forward is at most a limit, which depends on the size.

    Args:
        says: the statement.
        keys: path to the figure, see `Figures.of`.
        smoke: the limit at smoke size.
        full: the limit at full size.
    """
    name = str(keys[-1]).removesuffix(" %")
    unit = " %" if str(keys[-1]).endswith(" %") else ""
    return Clause(
        says,
        f"the {name} is at most {full:g}{unit} (smoke: {smoke:g}{unit})",
        lambda figures: at_most(figures.of(*keys), figures.pick(smoke=smoke, full=full)),
    )


def at_least(value: Estimate, limit: Estimate | float) -> Verdict:
    """Judge whether a figure is at least a limit or another figure."""
    margin = difference(value, limit)
    return positive(Estimate(-margin.value, margin.error), f"{value} against {_text(limit)} or more")


def less(value: Estimate, other: Estimate) -> Verdict:
    """Judge whether a figure is smaller than another, independent one."""
    return above_zero(difference(value, other), f"{value} against {other}")


def above_zero(margin: Estimate, statistic: str = "") -> Verdict:
    """Judge whether a difference, for instance one paired by seed, is above 0; exactly 0 does not hold."""
    verdict = positive(margin, statistic or f"difference {margin}")
    return Verdict(FAILS, verdict.statistic) if margin.value == 0 and not margin.error else verdict


def exactly(holds: bool, statistic: str) -> Verdict:
    """Return the verdict on a statement without randomness."""
    return Verdict(HOLDS if holds else FAILS, statistic)


def every(verdicts: Sequence[Verdict]) -> Verdict:
    """Combine verdicts into one that holds only if all of them hold."""
    names = [verdict.verdict for verdict in verdicts]
    worst = next((name for name in (FAILS, UNDECIDED) if name in names), HOLDS)
    return Verdict(worst, "; ".join(verdict.statistic for verdict in verdicts))


def one_seed(verdict: Verdict) -> Verdict:
    """Add to the statistic that the figures have no standard error, since they come from a single training."""
    return verdict._replace(statistic=f"{verdict.statistic} (one seed)")


def _text(limit: Estimate | float) -> str:
    return str(limit) if isinstance(limit, Estimate) else f"{limit:g}"
