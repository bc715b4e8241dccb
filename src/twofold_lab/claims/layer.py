"""Claim (talk 07:12): each layer of a feedforward net is trained on its own, high goodness for positive data, low for
negative data; its units are rectifiers or others.

smoke: a small net on digits. full: MNIST, the recipe's net of seed 0. For both:

* the error by each layer's goodness alone, and its mean for positive and for negative data, in units of the threshold;
* the net is trained for two epochs, and then again, from the same initial weights, cut off above each layer. The
  remaining layers must get bitwise the same weights if no information comes down from the layers above. In the full
  recipe the choice of data does carry information down, so here it is the same for all nets: random negatives, and no
  image left out (revisit 1). The twin is cut in the same way;
* the error of nets of each kind of unit, with the settings of the rectifier, on held-out images (full: 3 x 500, 8
  epochs, the last 10,000 training images). Where several tests are there, it is the best one's.

Rule: every layer but the last is bitwise the same without the layers above it, every layer gives positive data a higher
goodness than negative data, and nets of every kind of unit err at most in 10 % (smoke) or 4 % (full) of all cases.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from twofold.activations import ACTIVATIONS
from twofold.methods import Recipe
from twofold.training.runs import Run
from twofold_lab.lab import Finding, Lab, error, errors, percent


def layer(lab: Lab) -> Finding:
    """Measure the claim ``layer``."""
    name, recipe, twin_name, twin_recipe = lab.recipe()
    run, twin = lab.train(recipe, name), lab.train(twin_recipe, twin_name)
    learned = run.history[-1]["layers"]

    short, short_twin = lab.short()
    changes = _changes(lab, replace(short, negatives="random", revisit=1.0, epochs=2), "layer")
    twin_changes = _changes(lab, replace(short_twin, epochs=2), "layer-twin")
    separated = all(found["positive"] > found["negative"] for found in learned)
    units = {unit: errors(lab.train(replace(short, unit=unit), _named(unit))) for unit in ACTIVATIONS}
    limit = lab.pick(smoke=10.0, full=4.0)
    return Finding(
        holds=not any(changes) and separated and all(min(found.values()) <= limit for found in units.values()),
        rule="layers are bitwise the same without those above, goodness is higher for positive data in each, and nets "
        f"of every kind of unit err at most in {limit:g} %",
        talk="each layer is trained by itself",
        measured={
            "layer error %": [percent(share) for share in run.result.metrics["layer_error"]],
            "goodness of positive data": [round(found["positive"], 3) for found in learned],
            "goodness of negative data": [round(found["negative"], 3) for found in learned],
            "change without the layers above": changes,
            "slow error %": error(run),
            "units": units,
        },
        twin={"change without the layers above": twin_changes, "fast error %": error(twin)},
        seeds=[recipe.seed],
    )


def _named(unit: str) -> str:
    return "short" if unit == "relu" else f"short-{unit}"


def _changes(lab: Lab, recipe: Recipe, name: str) -> list[float]:
    """Measure how much each layer but the last changes, relative to its weights, when the layers above are left out."""
    whole = lab.train(recipe, name)
    changes = []
    for count in range(1, len(recipe.widths)):
        cut = lab.train(replace(recipe, widths=recipe.widths[:count]), f"{name}-{count}")
        before, after = (_weight(net, count - 1) for net in (whole, cut))
        changes.append(((after - before).norm() / before.norm()).item())
    return changes


def _weight(run: Run, index: int) -> Tensor:
    weight: Tensor = run.net.stack[index].weight.detach()
    return weight
