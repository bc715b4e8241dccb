"""Recipes of feedforward nets for experiments: small ones at smoke size, and a shorter version of ``mnist``."""

from __future__ import annotations

from dataclasses import replace

from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes.digits import digits
from twofold.recipes.digits import twin as digits_twin
from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold_lab.lab import Lab

Pair = tuple[FeedForwardRecipe, BackpropRecipe]

SMALL = replace(digits, widths=(100, 100, 100), epochs=15, rate=0.03, temperature=5.0)
SMALL_TWIN = replace(digits_twin, widths=SMALL.widths, epochs=10)


def pair(lab: Lab, recipe: FeedForwardRecipe, twin: BackpropRecipe) -> Pair:
    """Return ``recipe`` and ``twin`` at full size, or recipes of small nets on the embedded digits at smoke size."""
    return lab.pick(smoke=(SMALL, SMALL_TWIN), full=(recipe, twin))


def short(lab: Lab) -> Pair:
    """Return a recipe and its twin for comparisons: smaller nets, fewer epochs, tested on held-out training images.

    The goodness of a layer is proportional to its number of units, so the temperature is scaled in proportion.
    """
    if lab.size == "smoke":
        return replace(SMALL, validation=300), replace(SMALL_TWIN, validation=300)
    narrow = replace(mnist, widths=(500, 500, 500), temperature=mnist.temperature / 2, epochs=8, validation=10_000)
    return narrow, replace(mnist_twin, widths=narrow.widths, epochs=8, validation=10_000)
