"""Claim (talk 16:07): the first layer learns receptive fields, with weights to the label pixels that agree with them.

The first layer is that of the recipe's net with seed 0 (smoke: a small net on digits; full: MNIST). A unit's field
agrees with its label weights if images excite it whose label also excites it. The measure for each unit is the
correlation, over classes, of its label weight with its mean input from the pixels of the test images of the class. The
same is measured before learning, for comparison. The twin has no label weights, so only its error is reported.

Rule: the median correlation of all units is at least 0.3, and was at most 0.1 from zero before learning (smoke: 0.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from twofold.methods import ForwardForward
from twofold.nets.feedforward import FeedForward
from twofold_lab.lab import Finding, Lab, error, errors


def fields(lab: Lab) -> Finding:
    """Measure the claim ``fields``."""
    name, recipe, twin_name, twin = lab.recipe()
    run = lab.train(recipe, name)
    images, labels = lab.test_set(run)
    untrained = ForwardForward.build(recipe, run.form).to(images.device)
    learned, before = agreement(run.net, images, labels), agreement(untrained, images, labels)

    near = lab.pick(smoke=0.2, full=0.1)
    return Finding(
        holds=learned.median().item() >= 0.3 and before.median().abs().item() <= near,
        rule=f"the median correlation is at least 0.3, and within {near:g} of zero before learning",
        talk="fields are meaningful and agree with the label weights",
        measured={
            "median correlation": round(learned.median().item(), 3),
            "share of units above zero": round((learned > 0).float().mean().item(), 3),
            "median correlation before learning": round(before.median().item(), 3),
            "slow error %": error(run),
        },
        twin=errors(lab.train(twin, twin_name)),
        seeds=[recipe.seed],
    )


def agreement(net: FeedForward, images: Tensor, labels: Tensor) -> Tensor:
    """Correlate each first-layer unit's label weights with its mean input from the pixels, over classes: ``(units,)``.

    Args:
        net: a net with a dense first layer.
        images: ``(images, ...)``, some of each class.
        labels: ``(images,)``.
    """
    weight = net.stack[0].weight
    pixels = net.with_neutral_label(images).to_tensor()
    pixels[:, : net.classes] = 0
    per_class = torch.stack([pixels[labels == label].mean(0) for label in range(net.classes)])
    field, label = weight @ per_class.T, weight[:, : net.classes]
    field, label = (part - part.mean(1, keepdim=True) for part in (field, label))
    return torch.cosine_similarity(field, label, dim=1)
