"""Verdicts on the clauses of a claim, each with the statistic that decides it.

A clause *holds* or *does not hold* if the measured figure differs from its limit by at least two standard errors.
Otherwise it is *undecided*. Statements without randomness are never undecided. The verdict *estimate* marks a figure
that was calculated from published constants and not measured.
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
"""A difference of fewer standard errors than this is undecided."""


class Verdict(NamedTuple):
    """A verdict and the statistic that decides it.

    Attributes:
        verdict: one of `VERDICTS`.
        statistic: the figures that decide the verdict, in words.
    """

    verdict: str
    statistic: str


class Estimate(NamedTuple):
    """A measured figure with its standard error.

    Attributes:
        value: the figure, usually a mean.
        error: standard error of the figure; 0 for a figure without randomness.
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
        seeds: seeds of the training runs.
        cases: number of test cases.
    """

    measured: Mapping[str, Any]
    twin: Mapping[str, Any]
    size: str
    seeds: Sequence[int]
    cases: int

    def pick(self, *, smoke: T, full: T) -> T:
        """Return the argument that belongs to the size of the record."""
        return smoke if self.size == "smoke" else full

    def of(self, *keys: str | int, seeds: int | None = None) -> Estimate:
        """Return a figure of Forward-Forward with its standard error.

        The standard error of a mean is that over the seeds. The standard error of the error rate of a single net is the
        binomial one over the test cases. Other figures of a single net have the standard error 0.

        Args:
            keys: path to the figure: names, and positions in lists.
            seeds: number of training runs behind the figure; by default the number of seeds of the record.
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
    """A part of the statement of a claim, with the rule that judges it.

    Attributes:
        says: the statement, in a few words.
        rule: condition under which the statement holds, in words, written before the measurement.
        judge: function that applies the rule to the figures of a record.
    """

    says: str
    rule: str
    judge: Callable[[Figures], Verdict]


def mean_of(values: Sequence[float]) -> Estimate:
    """Return the mean of ``values`` with its standard error, which is 0 for a single value."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Estimate(statistics.fmean(values), spread / math.sqrt(len(values)))


def difference(value: Estimate, limit: Estimate | float) -> Estimate:
    """Return ``limit - value`` with its standard error, for independent figures."""
    other = limit if isinstance(limit, Estimate) else Estimate(limit)
    return Estimate(other.value - value.value, math.hypot(value.error, other.error))


def positive(margin: Estimate, statistic: str) -> Verdict:
    """Judge the statement that a figure is at least 0; undecided within two standard errors of 0."""
    if abs(margin.value) < STANDARD_ERRORS * margin.error:
        return Verdict(UNDECIDED, statistic)
    return Verdict(HOLDS if margin.value > 0 or margin == (0.0, 0.0) else FAILS, statistic)


def at_most(value: Estimate, limit: Estimate | float) -> Verdict:
    """Judge the statement that a figure is at most a limit or another figure."""
    return positive(difference(value, limit), f"{value} against {_text(limit)} or less")


def limited(says: str, *keys: str | int, smoke: float, full: float) -> Clause:
    """Return the clause "a figure of Forward-Forward is at most a limit", with a limit for each size of experiment.

    Args:
        says: the statement.
        keys: path to the figure; see `Figures.of`.
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
    """Judge the statement that a figure is at least a limit or another figure."""
    margin = difference(value, limit)
    return positive(Estimate(-margin.value, margin.error), f"{value} against {_text(limit)} or more")


def less(value: Estimate, other: Estimate) -> Verdict:
    """Judge the statement that a figure is smaller than another, independent figure."""
    return above_zero(difference(value, other), f"{value} against {other}")


def above_zero(margin: Estimate, statistic: str = "") -> Verdict:
    """Judge the statement that a difference is above 0. A difference of exactly 0 without error does not hold."""
    verdict = positive(margin, statistic or f"difference {margin}")
    return Verdict(FAILS, verdict.statistic) if margin.value == 0 and not margin.error else verdict


def exactly(holds: bool, statistic: str) -> Verdict:
    """Return the verdict on a statement without randomness, which is known to hold or not."""
    return Verdict(HOLDS if holds else FAILS, statistic)


def every(verdicts: Sequence[Verdict]) -> Verdict:
    """Combine verdicts: *does not hold* if any verdict is that, else *undecided* if any is, else *holds*."""
    names = [verdict.verdict for verdict in verdicts]
    worst = next((name for name in (FAILS, UNDECIDED) if name in names), HOLDS)
    return Verdict(worst, "; ".join(verdict.statistic for verdict in verdicts))


def one_seed(verdict: Verdict) -> Verdict:
    """Add the note ``(one seed)`` to the statistic of a verdict: a single training run has no standard error."""
    return verdict._replace(statistic=f"{verdict.statistic} (one seed)")


def _text(limit: Estimate | float) -> str:
    return str(limit) if isinstance(limit, Estimate) else f"{limit:g}"
