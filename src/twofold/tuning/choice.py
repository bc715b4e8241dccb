"""The rule by which settings are chosen, and where the choice stands in its search space."""

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

RULE = (
    "The settings with the least error on the held-out images are chosen, by the main test, the first that a net has. "
    "All settings whose error is within one binomial standard error of the least, sqrt(p (1 - p) / n) for an error p "
    "on n images, are trained with two more seeds (where no image was wrong, it counts as one), and the least mean of "
    "the three is chosen; of equal ones the first that was planned. Settings that diverge with any seed are not chosen."
)


@dataclass(frozen=True)
class Tried:
    """A trial that is done.

    Attributes:
        number: of the trial on its side.
        settings: of the fields that are tuned.
        seed: of the training.
        error: share of the held-out cases that the main test got wrong; ``None``: the training diverged.
        facts: ``errors`` of all tests and ``seconds``, or why it ``diverged``.
    """

    number: int
    settings: Settings
    seed: int
    error: float | None
    facts: Mapping[str, Any] = field(default_factory=dict)


def binomial_error(error: float, cases: int) -> float:
    """The standard error of a share that was found on so many cases."""
    return math.sqrt(error * (1 - error) / cases)


def close(tried: Sequence[Tried], cases: int) -> list[Settings]:
    """The settings of the trials whose error cannot be told from the least, in the order of their plan.

    Where the least has no case wrong, it counts as if it had one.
    """
    found = [each for each in tried if each.error is not None]
    if not found:
        return []
    least = max(min(each.error for each in found if each.error is not None), 1 / cases)
    most = least + binomial_error(least, cases)
    return [each.settings for each in found if each.error is not None and each.error <= most]


def choose(name: str, planned: Sequence[Tried], tried: Sequence[Tried], cases: int) -> list[Tried]:
    """The trials, one for each seed, of the settings that are chosen.

    Args:
        name: of the recipe.
        planned: the trials of the first round.
        tried: the trials of both rounds.
        cases: that were held out.

    Raises:
        SettingError: no settings train with all of their seeds.
    """
    best: list[Tried] = []
    for settings in close(planned, cases):
        same = [each for each in tried if each.settings == settings]
        if (error := mean(same)) is not None and (not best or error < (mean(best) or 0.0)):
            best = same
    if not best:
        raise SettingError(f"no settings of {name} that were tried train with all of their seeds: state a lower --rate")
    return best


def mean(tried: Iterable[Tried]) -> float | None:
    """The mean error of trials; ``None`` where one diverged."""
    errors = [each.error for each in tried]
    found = [each for each in errors if each is not None]
    return statistics.fmean(found) if len(found) == len(errors) else None


def edges(chosen: Settings, planned: Iterable[Tried], values: Values) -> dict[str, str]:
    """The fields whose chosen value is the ``lowest`` or the ``highest`` that was tried.

    A value of zero is no edge: nothing lies below it. Nor are words edges, which have no order.
    """
    found = {}
    for name in values:
        value = chosen[name]
        tried = [each.settings[name] for each in planned]
        if isinstance(value, bool | str) or min(tried) == max(tried):
            continue
        if value == max(tried):
            found[name] = "highest"
        elif value == min(tried) and value != 0:
            found[name] = "lowest"
    return found
