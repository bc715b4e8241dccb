"""Goodness can be the sum of squared activities, or one of many other functions (talk 08:11).

Four functions are compared on the same net, trained for fewer epochs than in the recipe (smoke: digits; full: MNIST,
3 x 500, 8 epochs, the last 10,000 training images held out). Every image is seen in every epoch. With importance
sampling, rarely seen images have a weight of up to five; a sum of activities at twice the rate then diverges. Settings
are scaled with the function:

* The mean of squares is the sum divided by the number of units u. With rate · u, and temperature, decay and peer
  normalization / u, the weights change exactly as with the sum.
* The derivative of a sum of activities is ½ for every active unit; that of a sum of squares is about 1 for very active
  ones. A sum of activities varies about half as much between cases as a sum of squares. So the sum of activities gets
  twice the rate and half the temperature.
* Minus the sum of squares differs from the sum of squares in its sign only, and needs no other settings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twofold.methods import FeedForwardRecipe
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import limited

NAMES = ("sum_of_squares", "mean_of_squares", "sum_of_activities", "minus_sum_of_squares")


def settings(recipe: FeedForwardRecipe) -> dict[str, dict[str, Any]]:
    """Return goodness function -> changed settings, for a recipe with the sum of squares and layers of equal width."""
    units = recipe.widths[0]
    mean = {field: getattr(recipe, field) / units for field in ("temperature", "decay", "peer")}
    activities = {"rate": 2 * recipe.rate, "temperature": recipe.temperature / 2}
    changes: tuple[dict[str, float], ...] = ({}, {"rate": recipe.rate * units, **mean}, activities, {})
    return {name: {"goodness": name, **settings} for name, settings in zip(NAMES, changes, strict=True)}


CLAIM = Claim(
    "goodness",
    time="08:11",
    says="Goodness can be the sum of squared activities, or one of many other functions.",
    headline=Headline("slow error %", "many functions are possible", ours=("mean_of_squares", "slow error %")),
    clauses=tuple(limited(name.replace("_", " "), name, "slow error %", smoke=10, full=4) for name in NAMES),
)


@CLAIM.measure
def goodness(lab: Lab) -> Finding:
    recipe, twin = feedforward.short(lab)
    recipe = replace(recipe, tolerance=0.0, revisit=1.0)
    contest = lab.contest(settings(recipe), (recipe, twin), seeds=[0])
    return contest.finding({name: contest.errors(name) for name in NAMES})
