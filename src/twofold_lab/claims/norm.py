"""Unless the length of the activities is normalized between layers, the next layer learns nothing new (talk 09:23).

The length alone would tell the next layer whether the data are positive. The same net is trained with and without
normalization, with two seeds (smoke: digits; full: MNIST, 3 x 500, 8 epochs, the last 10,000 training images held out).
Measured are the error of each layer alone and, as ``shared with layer 1``, the squared correlation of its goodness with
that of the first layer, over the held-out images with every label.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

import torch

from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import Contest
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, Estimate, Figures, at_least, less

WITH, WITHOUT, ERROR = "normalized", "as it is", "layer error %"
NOTHING = "no layer above the first has a smaller mean error than the first"
SOMETHING = "a layer above the first has a smaller mean error than the first"


def _best_and_first(figures: Figures, net: str) -> tuple[Estimate, Estimate]:
    """Return the smallest error of a layer above the first, and that of the first."""
    first, *above = (figures.of(net, ERROR, layer) for layer in range(3))
    return min(above), first


CLAIM = Claim(
    "norm",
    time="09:23",
    says="Unless the length of the activities is normalized between layers, the next layer learns nothing new.",
    headline=Headline("slow error %", "layers above the first learn nothing new", ours=(WITHOUT, "slow error %")),
    clauses=(
        Clause("unnormalized: nothing new", NOTHING, lambda figures: at_least(*_best_and_first(figures, WITHOUT))),
        Clause("normalized: something new", SOMETHING, lambda figures: less(*_best_and_first(figures, WITH))),
    ),
)


@CLAIM.measure
def norm(lab: Lab) -> Finding:
    contest = lab.contest({WITH: {}, WITHOUT: {"normalize": "none"}}, feedforward.short(lab), seeds=[0, 1])
    return contest.finding({net: _describe(lab, contest, net) for net in (WITH, WITHOUT)})


def _describe(lab: Lab, contest: Contest, net: str) -> dict[str, Any]:
    alone, shared = [], []
    for run in contest.runs[net]:
        goodness = lab.test(run).goodness
        assert goodness is not None
        alone.append(run.result.metrics["layer_error"])
        shared.append(torch.corrcoef(goodness.flatten(0, 1).T.cpu().double())[0].square().tolist())
    return {
        ERROR: [round(100 * fmean(shares), 3) for shares in zip(*alone, strict=True)],
        "shared with layer 1": [round(fmean(shares), 4) for shares in zip(*shared, strict=True)],
        **contest.errors(net),
    }
