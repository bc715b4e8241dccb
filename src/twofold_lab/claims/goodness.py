"""Claim (talk 08:11): goodness is the sum of squared activities, but other functions do as well.

Four goodness functions are compared on the same net, with fewer epochs than in the recipe (smoke: digits; full: MNIST,
3 x 500, 8 epochs, the last 10,000 training images held out). No image is left out: of those that are seldom seen each
would count up to five times, and at twice the rate a sum of activities does not bear that.

* A mean of squares is a sum divided by the number of units u. With rate · u, and temperature, decay and peer
  normalization / u, the weights move exactly as with the sum.
* The slope of a sum of activities is ½ for every active unit, that of a sum of squares about 1 for very active ones;
  and a sum of activities varies about half as much between cases. So it gets twice the rate and half the temperature.
* Minus the sum of squares differs only in its sign, and needs no other settings.

Rule: each of the four has a slow error of at most 10 % (smoke) or 4 % (full).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twofold.methods import FeedForwardRecipe
from twofold_lab.lab import Finding, Lab, error, errors


def goodness(lab: Lab) -> Finding:
    """Measure the claim ``goodness``."""
    recipe, twin_recipe = lab.short()
    recipe = replace(recipe, tolerance=0.0, revisit=1.0)
    runs = {
        name: lab.train(replace(recipe, **changes), f"goodness-{name}") for name, changes in settings(recipe).items()
    }
    limit = lab.pick(smoke=10.0, full=4.0)
    return Finding(
        holds=all(error(run) <= limit for run in runs.values()),
        rule=f"the slow error is at most {limit:g} % with each goodness",
        talk="many functions are possible",
        measured={name: errors(run) for name, run in runs.items()},
        twin=errors(lab.train(twin_recipe, "short-twin")),
        seeds=[recipe.seed],
    )


def settings(recipe: FeedForwardRecipe) -> dict[str, dict[str, Any]]:
    """Return the changes that each goodness needs in a recipe for the sum of squares with layers of equal width."""
    units = recipe.widths[0]
    divided = {name: getattr(recipe, name) / units for name in ("temperature", "decay", "peer")}
    return {
        "sum_of_squares": {},
        "mean_of_squares": {"goodness": "mean_of_squares", "rate": recipe.rate * units, **divided},
        "sum_of_activities": {
            "goodness": "sum_of_activities",
            "rate": 2 * recipe.rate,
            "temperature": recipe.temperature / 2,
        },
        "minus_sum_of_squares": {"goodness": "minus_sum_of_squares"},
    }
