"""The rule by which settings are chosen, and the detection of chosen values at the edge of the search space."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twofold.errors import SettingError
from twofold.recipes.spaces import Values
from twofold.tuning.plan import Settings

MORE_SEEDS = 2
"""Number of further seeds with which the best settings are trained in the second round."""

RULE = (
    "The settings with the least error on the held-out images are chosen, by the main test, the first that a net has. "
    "All settings whose error is within one binomial standard error of the least, sqrt(p (1 - p) / n) for an error p "
    "on n images, are trained with two more seeds (where no image was wrong, it counts as one), and the least mean of "
    "the three is chosen; of equal ones the first that was planned. Settings that diverge with any seed are not chosen."
)


@dataclass(frozen=True)
class Tried:
    """A finished trial.

    Attributes:
        number: Number of the trial among the trials of the same recipe, from 0.
        settings: Tuned field -> value in this trial.
        seed: Random seed of the training run.
        error: Error of the main test on the held-out cases, as a fraction; ``None`` if training diverged.
        facts: ``errors`` (name of a test -> error) and ``seconds`` (training time). If training diverged, only
            ``diverged``, with the reason.
    """

    number: int
    settings: Settings
    seed: int
    error: float | None
    facts: Mapping[str, Any] = field(default_factory=dict)


def binomial_error(error: float, cases: int) -> float:
    """Return the binomial standard error √(p (1 - p) / n) of an error rate p = ``error`` measured on n = ``cases``."""
    return math.sqrt(error * (1 - error) / cases)


def close(tried: Sequence[Tried], cases: int) -> list[Settings]:
    """Return the settings of all trials whose error is within one standard error of the lowest error.

    If the lowest error is 0, it is replaced by the error rate of one wrong case, 1 / cases.

    Args:
        tried: Finished trials, in planned order.
        cases: Number of held-out cases.
    """
    errors = [trial.error for trial in tried if trial.error is not None]
    if not errors:
        return []
    lowest = max(min(errors), 1 / cases)
    limit = lowest + binomial_error(lowest, cases)
    return [trial.settings for trial in tried if trial.error is not None and trial.error <= limit]


def choose(name: str, planned: Sequence[Tried], tried: Sequence[Tried], cases: int) -> list[Tried]:
    """Choose the best settings by `RULE`, and return the trials with these settings, one per seed.

    Args:
        name: Name of the recipe.
        planned: Finished trials of the first round, with one seed.
        tried: Finished trials of both rounds. The second round repeats the best settings with more seeds.
        cases: Number of held-out cases.

    Raises:
        SettingError: All settings diverged with at least one seed.
    """
    best: list[Tried] = []
    for settings in close(planned, cases):
        repeats = [trial for trial in tried if trial.settings == settings]
        if (error := mean(repeats)) is not None and (not best or error < (mean(best) or 0.0)):
            best = repeats
    if not best:
        raise SettingError(f"all settings tried for {name} diverged with at least one seed: set a lower --rate")
    return best


def mean(tried: Iterable[Tried]) -> float | None:
    """Return the mean error of trials, or ``None`` if at least one of the trials diverged."""
    errors = [trial.error for trial in tried]
    finite = [error for error in errors if error is not None]
    return statistics.fmean(finite) if len(finite) == len(errors) else None


def edges(chosen: Settings, planned: Iterable[Tried], values: Values) -> dict[str, str]:
    """Return the fields whose chosen value is the lowest or highest value tried: field -> ``lowest`` or ``highest``.

    A chosen value of 0 is never reported as the lowest, since no smaller value is possible. Booleans and strings are
    never reported.

    Args:
        chosen: Chosen settings.
        planned: Trials of the first round.
        values: Tuned field -> values to try.
    """
    result = {}
    for name in values:
        value = chosen[name]
        tried = [trial.settings[name] for trial in planned]
        if isinstance(value, bool | str) or min(tried) == max(tried):
            continue
        if value == max(tried):
            result[name] = "highest"
        elif value == min(tried) and value != 0:
            result[name] = "lowest"
    return result
