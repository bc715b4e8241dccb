"""Claim (talk 14:05): random wrong labels teach much more slowly than those drawn from the softmax's own mistakes,
which get to an error at about half the speed of backprop.

The same net with hard and with random negatives, and the twin, each tested after every epoch on training images that
are held out (smoke: digits, to 5 %; full: the recipe mnist and its twin with 12 epochs, 10,000 held out, to 2 %).

Rule: with hard negatives the slow error gets there, and in fewer epochs than with random ones.
"""

from __future__ import annotations

import math
from dataclasses import replace

from twofold.claims.lab import Finding, Lab, errors
from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold.training.run import Run

Reached = dict[str, float | int | None]


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


def reached(run: Run, target: float) -> Reached:
    """When the error on held-out images was first at most ``target``: after how many epochs, visits and seconds.

    The error, a share, is the slow test's, the twin's its only one's. Visits are images seen, divided by their number:
    an epoch leaves out some that teach nothing. All are ``None`` where it never was.
    """
    seconds = visits = 0.0
    for metrics in run.history:
        seconds += metrics["seconds"]
        visits += metrics["visits"]
        if next(iter(metrics["validation_error"].values())) <= target:
            return {"epochs": metrics["epoch"], "visits": round(visits, 3), "seconds": round(seconds, 3)}
    return {"epochs": None, "visits": None, "seconds": None}
