"""In a feedforward net, what later layers learn cannot influence what earlier layers learn (talk 17:24).

In the recurrent net, which has top-down weights, later layers can influence earlier layers. The feedforward net, the
recurrent net, and the backprop twin of the feedforward net have the same layers. Each net is trained twice, for two
epochs. The two runs differ only in the initial weights of the top hidden layer, which are drawn with different seeds.
The *change of the first layer* is the distance between the final bottom-up weights of this layer in the two runs,
relative to the distance of the weights from their initial values; 0 means bitwise equal. In the recipes, the choice of
data also carries information from later to earlier layers. So no image is left out in these runs (tolerance 0, revisit
1), and negatives are random (hard ones are drawn from a softmax that reads all layers).

To show whether top-down weights help, the error on held-out images is reported for the recurrent net with and without
them, and for the feedforward net. Without top-down weights the label reaches only the top layer, and the first layer
learns from images alone. No rule depends on these errors, since the claim does not say by how much top-down weights
help.

Smoke: digits, 2 x 100. Full: MNIST, 2 x 1000, ten epochs, eight for the twin, the last 10,000 training images held out;
the first layers are compared after two epochs of 10,000 images.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from twofold.methods import Recipe, build
from twofold.nets.net import Net
from twofold.training.trainer import Trainer
from twofold_lab import feedforward, recurrent
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import TWIN, Contender
from twofold_lab.lab import Lab
from twofold_lab.verdict import Figures, Verdict, exactly

CHANGE = "change of the first layer"
ALONE = "recurrent, no top-down"
OTHER_SEED = 1000


CLAIM = Claim(
    "no-later",
    time="17:24",
    says="In a feedforward net, what later layers learn cannot influence what earlier layers learn.",
    headline=Headline(CHANGE, "none", ours=("feedforward", CHANGE), twin=(CHANGE,)),
)


@CLAIM.clause(
    "no influence in the feedforward net",
    "with another top layer, the first layer of the feedforward net is bitwise the same",
)
def _unchanged(figures: Figures) -> Verdict:
    change = figures.measured["feedforward"][CHANGE]
    return exactly(change == 0, f"change {change:g}")


@CLAIM.clause(
    "influence in the recurrent net", "with another top layer, the first layer of the recurrent net is not the same"
)
def _changed(figures: Figures) -> Verdict:
    change = figures.measured["recurrent"][CHANGE]
    return exactly(change > 0, f"change {change:g}")


@CLAIM.measure
def no_later(lab: Lab) -> Finding:
    top_down, twin = recurrent.short(lab)
    plain, _ = feedforward.short(lab)
    temperature = plain.temperature * top_down.widths[0] / plain.widths[0]
    plain = replace(plain, widths=top_down.widths, epochs=top_down.epochs, temperature=temperature)
    nets: dict[str, Any] = {"feedforward": plain, "recurrent": top_down, ALONE: replace(top_down, top_down=False)}
    contenders = {name: Contender(recipe=recipe) for name, recipe in nets.items()}
    contest = lab.contest(contenders, (top_down, twin), seeds=[top_down.seed])
    changes = {name: change(lab, replace(recipe, negatives="random"), name) for name, recipe in nets.items()}
    changes["recurrent"] = round(changes["recurrent"], 4)
    measured = {name: {CHANGE: value, **contest.errors(name)} for name, value in changes.items()}
    gain = contest.difference(ALONE, "recurrent")["mean"]
    twins_change = round(change(lab, twin, TWIN), 4)
    return contest.finding({**measured, "top-down better by (points)": gain}, **{CHANGE: twins_change})


def change(lab: Lab, recipe: Recipe, name: str) -> float:
    """Measure how the first layer's final weights change with the initial weights of the top hidden layer.

    The change is ‖W other - W‖ / ‖W - W first‖, for final weights W, final weights W other with another top layer, and
    initial weights W first. It is 0 if and only if all bits are the same.
    """
    recipe = replace(recipe, tolerance=0.0, revisit=1.0, epochs=2, validation=0)
    dataset = lab.data(recipe.data).take(lab.pick(smoke=500, full=10_000))
    first = bottom_up(build(recipe, dataset.form))
    weights = []
    for other in (False, True):
        net = build(recipe, dataset.form)
        if other:
            redraw(net, len(recipe.widths) - 1)
        identity = {"method": recipe.method, **recipe.fields(), "other top layer": other}
        title = f"no-later-{name.replace(', ', '-').replace(' ', '-')}"
        net = lab.train_net(net, title, dataset, identity, lambda net: Trainer(net, recipe, dataset.train).run())
        weights.append(bottom_up(net))
    return float((weights[1] - weights[0]).norm() / (weights[0] - first).norm())


def redraw(net: Net, index: int) -> None:
    """Draw new initial weights for the layer ``index``, at the scale of the old weights."""
    generator = torch.Generator().manual_seed(OTHER_SEED)
    for parameter in net.layers[index].parameters():
        if parameter.dim() == 2:
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter.data.square().mean().sqrt()


def bottom_up(net: Net) -> Tensor:
    """Return the first layer's weights from the pixels, ``(units, inputs)``, in double precision."""
    weights: Tensor = net.stack[0].bottom_up.value.detach().cpu().double()
    return weights
