"""A recurrent net with the label at the top and pixels at the bottom errs on 1.31 % of MNIST (talk 24:03, 26:24).

The talk's net has two hidden layers and 8 iterations, and trains for 60 epochs with a rate that falls to zero. The
recipe ``recurrent`` (full: 2 x 2000) and its twin are tested on the test set; the figure is the error of the slow test.
At smoke size, a small net learns digits. One seed.
"""

from __future__ import annotations

from typing import Any

from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.figures import errors, percent
from twofold_lab.lab import Lab
from twofold_lab.recurrent import pair
from twofold_lab.verdict import limited

CLAIM = Claim(
    "recurrent",
    time="24:03",
    says="A recurrent net with the label at the top and pixels at the bottom reaches 1.31 %.",
    headline=Headline("slow error %", "1.31"),
    clauses=(limited("the slow test errs on about 1.31 %", "slow error %", smoke=6, full=1.4),),
)


@CLAIM.measure
def recurrent(lab: Lab) -> Finding:
    recipe, twin_recipe = pair(lab)
    run, twin = lab.train(recipe, "recurrent"), lab.train(twin_recipe, "recurrent-twin")
    measured: dict[str, Any] = {
        **errors(run),
        "layer error %": [percent(share) for share in run.result.metrics["layer_error"]],
        "epochs": run.result.epochs,
        "visits": round(sum(metrics["visits"] for metrics in run.history), 1),
        "seconds": round(run.result.seconds, 1),
    }
    times = {"epochs": twin.result.epochs, "seconds": round(twin.result.seconds, 1)}
    return Finding(measured, {**errors(twin), **times}, [recipe.seed])
