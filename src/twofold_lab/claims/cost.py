"""Claim (talk 26:12): the recurrent net trains three to five times as long as backprop, and each time runs several
iterations.

The recurrent net and its twin, a feedforward net with the same hidden layers, each tested after every epoch on training
images that are held out (smoke: a small net on digits, to 6 %; full: MNIST, half of the recipe's units, ten epochs, to
2.5 %). Visits are the number of images seen divided by the number of training images, since an epoch of the recurrent
net leaves out images that would teach it nothing.

Rule: it gets there, with at most five times the twin's visits.
"""

from __future__ import annotations

from twofold_lab.lab import Finding, Lab, errors, reached


def cost(lab: Lab) -> Finding:
    """Measure the claim ``cost``."""
    recipe, twin_recipe = lab.short_settling()
    target = lab.pick(smoke=0.06, full=0.025)
    run, twin = lab.train(recipe, "settling"), lab.train(twin_recipe, "settling-twin")
    here, there = reached(run, target), reached(twin, target)
    pairs = {key: (here[key], there[key]) for key in ("epochs", "visits", "seconds")}
    times = {f"{key} / twin's": round(one / other, 2) for key, (one, other) in pairs.items() if one and other}
    return Finding(
        holds=times.get("visits / twin's", 6) <= 5,
        rule=f"to a slow error of {100 * target:g} % it takes at most five times the twin's visits",
        talk={"epochs / twin's": "3 to 5", "seconds / twin's": "more: several iterations"},
        measured={**here, **times, **errors(run), "iterations": recipe.iterations},
        twin={**there, **errors(twin)},
        seeds=[recipe.seed],
    )
