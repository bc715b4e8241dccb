"""Each layer learns by itself to give positive data a high goodness and negative data a low one (talk 07:12).

Three things are measured (smoke: nets on digits; full: nets on MNIST):

* The error by the goodness of each layer alone, and the mean goodness of the layer for positive and for negative data,
  divided by the threshold, for the recipe's net of seed 0.
* The relative change of the weights of each layer if the layers above are left out. The nets learn for two epochs from
  the same initial weights. If no information comes down from the layers above, the weights are bitwise the same. In
  the recipe the choice of data does carry information down, so these nets learn from random negatives and from every
  image in every epoch. Layers of the twin are left out in the same way.
* The error of nets with each type of unit, with the settings of the rectifier (full: 3 x 500, 8 epochs, the last 10,000
  training images held out). The error of a net is that of the best of its tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from twofold.activations import ACTIVATIONS
from twofold.methods import Recipe
from twofold.recipes import mnist
from twofold.training.runs import Run
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.figures import error, errors, percent
from twofold_lab.lab import Lab
from twofold_lab.tables import figures as cell
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import Estimate, Figures, Verdict, at_most, every, exactly, less, one_seed

CHANGE = "change without the layers above"
GOODNESS = "goodness of positive data", "goodness of negative data"


CLAIM = Claim(
    "layer",
    time="07:12",
    says="Each layer learns by itself to give positive data a high goodness and negative data a low one.",
    headline=Headline("slow error %", "each layer is trained by itself"),
)


@CLAIM.clause("layers are independent", "layers are bitwise the same without the layers above them")
def _independent(figures: Figures) -> Verdict:
    changes = figures.measured[CHANGE]
    return exactly(not any(changes), f"relative changes {', '.join(f'{change:g}' for change in changes)}")


@CLAIM.clause("goodness separates", "the mean goodness of positive data is higher in every layer")
def _separated(figures: Figures) -> Verdict:
    layers = zip(*(figures.measured[name] for name in GOODNESS), strict=True)
    return one_seed(every([less(Estimate(negative), Estimate(positive)) for positive, negative in layers]))


def _learns(unit: str, figures: Figures) -> Verdict:
    best = min(figures.of("units", unit, test) for test in figures.measured["units"][unit])
    return at_most(best, figures.pick(smoke=10.0, full=4.0))


for _unit in ACTIVATIONS:
    CLAIM.clause(f"{_unit} units", "the best test of a net of these units errs at most 4 % (smoke: 10 %)")(
        partial(_learns, _unit)
    )


@CLAIM.measure
def layer(lab: Lab) -> Finding:
    run, twin = (lab.train(recipe, "layer") for recipe in feedforward.pair(lab, mnist.mnist, mnist.twin))
    layers = run.history[-1]["layers"]
    short, short_twin = feedforward.short(lab)
    alone = replace(short, negatives="random", revisit=1.0, epochs=2)
    measured = {
        "layer error %": [percent(share) for share in run.result.metrics["layer_error"]],
        **{name: [round(means[name.split()[2]], 3) for means in layers] for name in GOODNESS},
        CHANGE: _changes(lab, alone),
        "slow error %": error(run),
        "units": {unit: errors(lab.train(replace(short, unit=unit), f"short-{unit}")) for unit in ACTIVATIONS},
    }
    twin_changes = _changes(lab, replace(short_twin, epochs=2))
    return Finding(measured, {CHANGE: twin_changes, "fast error %": error(twin)}, [run.recipe.seed])


def _changes(lab: Lab, recipe: Recipe) -> list[float]:
    """Return, for each layer but the last, the relative change of the weights if the layers above are left out."""
    complete, changes = lab.train(recipe, "layer-complete"), []
    for count in range(1, len(recipe.widths)):
        cut = lab.train(replace(recipe, widths=recipe.widths[:count]), f"layer-{count}")
        before, after = (_weight(run, count - 1) for run in (complete, cut))
        changes.append(((after - before).norm() / before.norm()).item())
    return changes


def _weight(run: Run, index: int) -> Tensor:
    weight: Tensor = run.net.stack[index].weight.detach()
    return weight


@table("units", "claims/layer.json")
def units(record: Mapping[str, Any]) -> str:
    tests = ("slow", "fast", "both")
    nets = record["measured"]["units"].items()
    rows = [[f"`{unit}`", *(cell(errors[f"{test} error %"]) for test in tests)] for unit, errors in nets]
    return markdown(["unit", *(f"{test}, %" for test in tests)], rows)
