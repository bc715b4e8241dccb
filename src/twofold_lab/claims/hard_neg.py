"""Claim (talk 14:05): random wrong labels teach much more slowly than those drawn from the softmax's own mistakes,
which get to an error at about half the speed of backprop.

The same net with hard and with random negatives, and the twin, are tested after every epoch on training images that are
held out, to see when they reach a given error (smoke: 5 % on digits; full: 2 % with the recipe mnist and its twin, 12
epochs, 10,000 images held out).

Rule: with hard negatives the slow error gets there, and in fewer epochs than with random ones.
"""

from __future__ import annotations

import math
from dataclasses import replace

from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold_lab.lab import Finding, Lab, errors, reached


def hard_neg(lab: Lab) -> Finding:
    """Measure the claim ``hard-neg``."""
    recipe, twin_recipe = lab.pick(
        smoke=lab.short(),
        full=(replace(mnist, epochs=12, validation=10_000), replace(mnist_twin, epochs=12, validation=10_000)),
    )
    target = lab.pick(smoke=0.05, full=0.02)
    hard = lab.train(recipe, "short")
    random = lab.train(replace(recipe, negatives="random"), "short-random")
    twin = lab.train(twin_recipe, "short-twin")

    first, second = (reached(run, target)["epochs"] for run in (hard, random))
    return Finding(
        holds=first is not None and first < (second or math.inf),
        rule=f"to a slow error of {100 * target:g} %, hard negatives take fewer epochs than random ones",
        talk={"hard": "about half the speed of backprop", "random": "much slower"},
        measured={name: {**reached(run, target), **errors(run)} for name, run in (("hard", hard), ("random", random))},
        twin={**reached(twin, target), **errors(twin)},
        seeds=[recipe.seed],
    )
