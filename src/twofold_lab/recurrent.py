"""Recipes of recurrent nets for experiments: small ones at smoke size, and a smaller version of ``recurrent``."""

from __future__ import annotations

from dataclasses import replace

from twofold.methods import BackpropRecipe, RecurrentRecipe
from twofold.recipes.digits import twin as digits_twin
from twofold.recipes.recurrent import recurrent
from twofold.recipes.recurrent import twin as recurrent_twin
from twofold_lab.lab import Lab

Pair = tuple[RecurrentRecipe, BackpropRecipe]

SMALL = replace(
    recurrent, data="digits", widths=(100, 100), epochs=8, batch=40, rate=0.06, temperature=20.0, tolerance=0.0
)
SMALL_TWIN = replace(digits_twin, widths=SMALL.widths, epochs=10)


def pair(lab: Lab) -> Pair:
    """Return the recipe ``recurrent`` and its twin at full size, or recipes of small nets on digits at smoke size."""
    return lab.pick(smoke=(SMALL, SMALL_TWIN), full=(recurrent, recurrent_twin))


def short(lab: Lab) -> Pair:
    """Return a recipe and its twin for comparisons: half the units, fewer epochs, tested on held-out images."""
    if lab.size == "smoke":
        return replace(SMALL, validation=300), replace(SMALL_TWIN, validation=300)
    widths = tuple(units // 2 for units in recurrent.widths)
    halved = replace(recurrent, widths=widths, temperature=recurrent.temperature / 2, epochs=10, validation=10_000)
    return halved, replace(recurrent_twin, widths=widths, epochs=8, validation=10_000)
