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

from twofold.training.runs import Run
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import Contest
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, Estimate, Figures, at_least, less

WITH, WITHOUT, ERROR = "normalized", "as it is", "layer error %"


def _first(figures: Figures, net: str) -> Estimate:
    return figures.of(net, ERROR, 0)


def _best_above(figures: Figures, net: str) -> Estimate:
    return min(figures.of(net, ERROR, layer) for layer in range(1, len(figures.measured[net][ERROR])))


CLAIM = Claim(
    "norm",
    time="09:23",
    says="Unless the length of the activities is normalized between layers, the next layer learns nothing new.",
    headline=Headline("slow error %", "layers above the first learn nothing new", ours=(WITHOUT, "slow error %")),
    clauses=(
        Clause(
            "without normalization, higher layers learn nothing",
            "no layer above the first has a smaller mean error than the first",
            lambda figures: at_least(_best_above(figures, WITHOUT), _first(figures, WITHOUT)),
        ),
        Clause(
            "with normalization, they learn",
            "a layer above the first has a smaller mean error than the first",
            lambda figures: less(_best_above(figures, WITH), _first(figures, WITH)),
        ),
    ),
)


@CLAIM.measure
def norm(lab: Lab) -> Finding:
    contest = lab.contest({WITH: {}, WITHOUT: {"normalize": "none"}}, feedforward.short(lab), seeds=[0, 1])
    return contest.finding({net: _describe(lab, contest, net) for net in (WITH, WITHOUT)})


def _describe(lab: Lab, contest: Contest, net: str) -> dict[str, Any]:
    runs = contest.runs[net]
    alone = zip(*(run.result.metrics["layer_error"] for run in runs), strict=True)
    shared = zip(*(_shared(lab, run) for run in runs), strict=True)
    return {
        ERROR: [round(100 * fmean(shares), 3) for shares in alone],
        "shared with layer 1": [round(fmean(shares), 4) for shares in shared],
        **contest.errors(net),
    }


def _shared(lab: Lab, run: Run) -> list[float]:
    goodness = lab.test(run).goodness
    assert goodness is not None
    correlations: torch.Tensor = torch.corrcoef(goodness.flatten(0, 1).T.cpu().double())[0]
    return [float(value) for value in correlations.square()]
