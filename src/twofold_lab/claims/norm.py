"""Claim (talk 09:23): activity must be passed on with its length normalized; otherwise the length alone tells the next
layer whether the data are positive.

The same net is trained with and without length normalization between its layers, with two seeds (smoke: digits; full:
MNIST, 3 x 500, 8 epochs, the last 10,000 training images held out). Besides the error of each layer alone, ``shared``
is the part of a layer's goodness that was known before: the squared correlation of its goodness with the first layer's,
over the held-out images under every label.

Rule: without normalization no layer above the first errs less than the first does, and with it one does (means).
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import torch

from twofold.training.runs import Run
from twofold_lab.lab import Finding, Lab, mean_errors


def norm(lab: Lab) -> Finding:
    """Measure the claim ``norm``."""
    recipe, twin_recipe = lab.short()
    seeds = [0, 1]
    runs, free, twins = (
        [lab.train(replace(kind, seed=seed), name) for seed in seeds]
        for kind, name in (
            (recipe, "short"),
            (replace(recipe, normalize="none"), "short-none"),
            (twin_recipe, "short-twin"),
        )
    )
    measured = {"normalized": _describe(lab, runs), "as it is": _describe(lab, free)}
    gains = {name: found["layer error %"][0] - min(found["layer error %"][1:]) for name, found in measured.items()}
    return Finding(
        holds=gains["as it is"] <= 0 < gains["normalized"],
        rule="without normalization no layer above the first errs less than the first, with it one does",
        talk="without it, layers above the first learn nothing new",
        measured=measured,
        twin=mean_errors(twins),
        seeds=seeds,
    )


def _describe(lab: Lab, runs: list[Run]) -> dict[str, Any]:
    layers = [
        [
            round(100 * fmean(shares), 3)
            for shares in zip(*(run.result.metrics["layer_error"] for run in runs), strict=True)
        ],
        [round(fmean(shares), 4) for shares in zip(*(_shared(lab, run) for run in runs), strict=True)],
    ]
    return {"layer error %": layers[0], "shared with layer 1": layers[1], **mean_errors(runs)}


def _shared(lab: Lab, run: Run) -> list[float]:
    found = lab.test(run).goodness
    assert found is not None
    correlation = torch.corrcoef(found.flatten(0, 1).T.cpu().double())[0]
    return [float(value) for value in correlation.square()]
