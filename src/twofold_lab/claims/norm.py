"""Unless the norm of the activities is removed between layers, the next layer learns nothing new (talk 09:23).

The norm of a layer's activities alone would tell the next layer whether the data are positive. The same net is trained
with and without normalization between layers, with two seeds (smoke: digits; full: MNIST, 3 x 500, 8 epochs, the last
10,000 training images held out). Two figures are measured for each layer: the error by the goodness of this layer
alone; and, as ``shared with layer 1``, the squared correlation of the goodness of this layer with that of the first
layer, over the held-out images with every label.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

import torch

from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import Contest
from twofold_lab.lab import Lab
from twofold_lab.verdict import Estimate, Figures, Verdict, at_least, less

WITH, WITHOUT, ERROR = "normalized", "as it is", "layer error %"

CLAIM = Claim(
    "norm",
    time="09:23",
    says="Unless the length of the activities is normalized between layers, the next layer learns nothing new.",
    headline=Headline("slow error %", "layers above the first learn nothing new", ours=(WITHOUT, "slow error %")),
)


def _best_and_first(figures: Figures, net: str) -> tuple[Estimate, Estimate]:
    """Return the smallest error of a layer above the first, and the error of the first layer."""
    first, *above = (figures.of(net, ERROR, layer) for layer in range(3))
    return min(above), first


@CLAIM.clause("unnormalized: nothing new", "no layer above the first has a smaller mean error than the first")
def _nothing_new(figures: Figures) -> Verdict:
    return at_least(*_best_and_first(figures, WITHOUT))


@CLAIM.clause("normalized: something new", "a layer above the first has a smaller mean error than the first")
def _something_new(figures: Figures) -> Verdict:
    return less(*_best_and_first(figures, WITH))


@CLAIM.measure
def norm(lab: Lab) -> Finding:
    contest = lab.contest({WITH: {}, WITHOUT: {"normalize": "none"}}, feedforward.short(lab), seeds=[0, 1])
    return contest.finding({net: {**_by_layer(contest, net), **contest.errors(net)} for net in (WITH, WITHOUT)})


def _by_layer(contest: Contest, net: str) -> dict[str, Any]:
    flat = [goodness.flatten(0, 1).T.cpu().double() for goodness in contest.goodness(net)]
    shared = torch.stack([torch.corrcoef(layers)[0].square() for layers in flat]).mean(0)
    errors = zip(*(run.result.metrics["layer_error"] for run in contest.runs[net]), strict=True)
    alone = [round(100 * fmean(shares), 3) for shares in errors]
    return {ERROR: alone, "shared with layer 1": [round(share, 4) for share in shared.tolist()]}
