"""The receptive fields of the first layer come to agree with its label weights (talk 16:07).

The first layer is that of the recipe's net with seed 0 (smoke: a small net on digits; full: MNIST). A unit's receptive
field agrees with its label weights if the unit is excited by images whose label also excites it. The measure for each
unit is a correlation over classes: that of the unit's label weight for the class with the unit's mean input from the
pixels of the test images of the class. The correlation is measured before learning as well. The twin has no label
weights, so only its error is reported.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twofold.methods import ForwardForward
from twofold.nets.feedforward import FeedForward
from twofold.recipes import mnist
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.figures import error, errors
from twofold_lab.lab import Lab
from twofold_lab.verdict import Estimate, Figures, Verdict, at_least, at_most, one_seed

MEDIAN, BEFORE = "median correlation", "median correlation before learning"


CLAIM = Claim(
    "fields",
    time="16:07",
    says="The receptive fields of the first layer come to agree with its label weights.",
    headline=Headline(MEDIAN, "fields agree with the label weights", twin=()),
)


@CLAIM.clause("fields agree with label weights", "the median correlation of all units is at least 0.3")
def _agree(figures: Figures) -> Verdict:
    return one_seed(at_least(figures.of(MEDIAN), 0.3))


@CLAIM.clause("not before learning", "before learning, the median correlation is at most 0.1 from zero (smoke: 0.2)")
def _unrelated_before(figures: Figures) -> Verdict:
    return one_seed(at_most(Estimate(abs(figures.measured[BEFORE])), figures.pick(smoke=0.2, full=0.1)))


@CLAIM.measure
def fields(lab: Lab) -> Finding:
    recipe, twin = feedforward.pair(lab, mnist.mnist, mnist.twin)
    run = lab.train(recipe, "mnist")
    images, labels = lab.test_set(run)
    untrained = ForwardForward.build(recipe, run.form).to(images.device)
    learned, before = (agreement(net, images, labels) for net in (run.net, untrained))
    measured = {
        MEDIAN: round(learned.median().item(), 3),
        "share of units above zero": round((learned > 0).float().mean().item(), 3),
        BEFORE: round(before.median().item(), 3),
        "slow error %": error(run),
    }
    return Finding(measured, errors(lab.train(twin, "mnist-twin")), [recipe.seed])


def agreement(net: FeedForward, images: Tensor, labels: Tensor) -> Tensor:
    """Correlate each first-layer unit's label weights with its mean input from the pixels, over classes: ``(units,)``.

    Args:
        net: a net with a dense first layer.
        images: ``(images, ...)``, with some images of each class.
        labels: ``(images,)``.
    """
    weight = net.stack[0].weight
    pixels = net.with_neutral_label(images).to_tensor()
    pixels[:, : net.classes] = 0
    means = torch.stack([pixels[labels == label].mean(0) for label in range(net.classes)])
    field, label = weight @ means.T, weight[:, : net.classes]
    field, label = (rows - rows.mean(1, keepdim=True) for rows in (field, label))
    return torch.cosine_similarity(field, label, dim=1)
