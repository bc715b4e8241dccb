"""Claim (talk 25:09): low activity for positive data works better than high activity, as in predictive coding, where
top-down input cancels bottom-up input.

The same recurrent net is trained with either goodness, -Σ y² and Σ y², with three seeds (smoke: a small net on digits;
full: MNIST, half of the recipe's units, ten epochs, eight for the twin, the last 10,000 training images held out).

Rule: the mean slow error with low activity is the smaller one.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from twofold.claims.lab import Finding, Lab, error, mean_and_std, mean_errors

SEEDS = [0, 1, 2]


def low_activity(lab: Lab) -> Finding:
    """Measure the claim ``low-activity``."""
    recipe, twin_recipe = lab.short_settling()
    low, high = (
        [lab.train(replace(recipe, goodness=goodness, seed=seed), name) for seed in SEEDS]
        for name, goodness in (("settling", "minus_sum_of_squares"), ("settling-high", "sum_of_squares"))
    )
    twins = [lab.train(replace(twin_recipe, seed=seed), "settling-twin") for seed in SEEDS]
    gains = [error(loud) - error(quiet) for quiet, loud in zip(low, high, strict=True)]
    return Finding(
        holds=fmean(gains) > 0,
        rule="the mean slow error with low activity is smaller than with high activity",
        talk="low activity works better",
        measured={
            "low activity": mean_errors(low),
            "high activity": mean_errors(high),
            "low better by (points, by seed)": mean_and_std(gains),
        },
        twin=mean_errors(twins),
        seeds=SEEDS,
    )
