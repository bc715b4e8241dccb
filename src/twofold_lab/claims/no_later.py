"""Claim (talk 17:24): in a plain feedforward net what later layers learn cannot influence what earlier ones learn; in
the recurrent net, which has top-down weights, it does.

Both nets, and the backprop twin of the first, have the same layers. Each is trained twice, for two epochs; the two
trainings differ only in the initial weights of the top hidden layer, which are drawn with different seeds. The change
of the first layer is the distance between its two final matrices of bottom-up weights, relative to the distance that
they moved in learning; 0 means bitwise equal. In the recipes the choice of data also carries information down, so here
no image is left out (tolerance 0, revisit 1) and negatives are random (hard ones are drawn from a softmax that reads
all layers).

To show whether top-down weights help, the error on held-out images is reported for the recurrent net with and without
them (without them the label reaches only the top layer, and the first layer learns from images alone), and for the
feedforward net. It is not part of the rule, since the claim does not say by how much they help.

smoke: digits, 2 x 100. full: MNIST, 2 x 1000, ten epochs, eight for the twin, the last 10,000 training images held out;
the first layers are compared after two epochs of 10,000 images.

Rule: the first layer of the feedforward net is bitwise the same whatever the layer above starts from, that of the
recurrent net is not.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from twofold.methods import Recipe, build
from twofold.nets.net import Net
from twofold.training.trainer import Trainer
from twofold_lab.lab import Finding, Lab, error, errors

OTHER_SEED = 1000


def no_later(lab: Lab) -> Finding:
    """Measure the claim ``no-later``."""
    recurrent, twin = lab.short_settling()
    plain, _ = lab.short()
    temperature = plain.temperature * recurrent.widths[0] / plain.widths[0]
    plain = replace(plain, widths=recurrent.widths, epochs=recurrent.epochs, temperature=temperature)
    alone = replace(recurrent, top_down=False)
    changes = {
        name: change(lab, recipe, name)
        for name, recipe in (
            ("feedforward", replace(plain, negatives="random")),
            ("recurrent", replace(recurrent, negatives="random")),
            ("alone", replace(alone, negatives="random")),
            ("twin", twin),
        )
    }
    both, images_only = lab.train(recurrent, "settling"), lab.train(alone, "settling-alone")
    beside, backprop = lab.train(plain, "no-later-plain"), lab.train(twin, "settling-twin")
    name = "change of the first layer"
    return Finding(
        holds=changes["feedforward"] == 0 < changes["recurrent"],
        rule="with another top layer the first is bitwise the same in the feedforward net, not in the recurrent one",
        talk="what later layers learn does not influence earlier ones, without top-down weights",
        measured={
            "feedforward": {name: changes["feedforward"], **errors(beside)},
            "recurrent": {name: round(changes["recurrent"], 4), **errors(both)},
            "recurrent, no top-down": {name: changes["alone"], **errors(images_only)},
            "top-down better by (points)": round(error(images_only) - error(both), 3),
        },
        twin={name: round(changes["twin"], 4), **errors(backprop)},
        seeds=[recurrent.seed],
    )


def change(lab: Lab, recipe: Recipe, name: str) -> float:
    """Measure how the first layer's final weights change with the initial weights of the top hidden layer.

    The change is relative to the distance that they moved in learning, ‖W other - W‖ / ‖W - W first‖; it is 0 if and
    only if all bits are the same.
    """
    recipe = replace(recipe, tolerance=0.0, revisit=1.0, epochs=2, validation=0)
    whole = lab.data(recipe.data)
    count = lab.pick(smoke=500, full=10_000)
    part = replace(whole, train_images=whole.train_images[:count], train_labels=whole.train_labels[:count])
    first = bottom_up(build(recipe, part.form))
    weights = []
    for other in (False, True):
        net = build(recipe, part.form)
        if other:
            redraw(net, len(recipe.widths) - 1)
        settings = {"method": recipe.method, **recipe.fields(), "other top layer": other}
        taught = lab.train_net(
            net, f"no-later-{name}", part, settings, lambda net: Trainer(net, recipe, part.train).run()
        )
        weights.append(bottom_up(taught))
    return float((weights[1] - weights[0]).norm() / (weights[0] - first).norm())


def redraw(net: Net, index: int) -> None:
    """Draw a layer's initial weights anew, at the same scale."""
    generator = torch.Generator().manual_seed(OTHER_SEED)
    for parameter in net.layers[index].parameters():
        if parameter.dim() == 2:
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter.data.square().mean().sqrt()


def bottom_up(net: Net) -> Tensor:
    """Return the first layer's weights from the pixels, ``(units, inputs)``, in double precision."""
    weights: Tensor = net.stack[0].bottom_up.value.detach().cpu().double()
    return weights
