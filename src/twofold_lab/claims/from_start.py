"""Claim (talk 25:51): collecting gradients from the first iteration on works better than from the fourth.

The same recurrent net is trained with the gradients of iterations 1 to 8 and with those of 4 to 8, with three seeds
(smoke: a small net on digits; full: MNIST, half of the recipe's units, ten epochs, eight for the twin, the last 10,000
training images held out).

Rule: the mean slow error with all iterations is the smaller one.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from twofold_lab.lab import Finding, Lab, error, mean_and_std, mean_errors

SEEDS = [0, 1, 2]


def from_start(lab: Lab) -> Finding:
    """Measure the claim ``from-start``."""
    recipe, twin_recipe = lab.short_settling()
    start, later = (
        [lab.train(replace(recipe, learn_from=first, seed=seed), name) for seed in SEEDS]
        for name, first in (("settling", 1), ("settling-from-4", 4))
    )
    twins = [lab.train(replace(twin_recipe, seed=seed), "settling-twin") for seed in SEEDS]
    gains = [error(other) - error(one) for one, other in zip(start, later, strict=True)]
    return Finding(
        holds=fmean(gains) > 0,
        rule="the mean slow error with gradients from the first iteration on is smaller than from the fourth",
        talk="from the first works better than from the fourth",
        measured={
            "from the first": mean_errors(start),
            "from the fourth": mean_errors(later),
            "first better by (points, by seed)": mean_and_std(gains),
        },
        twin=mean_errors(twins),
        seeds=SEEDS,
    )
