"""Wrong labels drawn from the net's own mistakes teach faster than random ones (talk 14:05).

According to the talk, the net with such hard negatives learns at about half the speed of backprop. The same net with
hard and with random negatives, and the twin, are tested after every epoch on held-out training images, to find how many
epochs they need to reach an error (smoke: 5 % on digits; full: 2 % with the recipe mnist and its twin, 12 epochs,
10,000 images held out).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twofold.recipes import mnist
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import TWIN
from twofold_lab.lab import Lab
from twofold_lab.tables import figures as cell
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import Figures, Verdict, exactly, one_seed

CLAIM = Claim(
    "hard-neg",
    time="14:05",
    says="Wrong labels drawn from the net's own mistakes teach faster than random ones.",
    headline=Headline("epochs", "about half the speed of backprop", ours=("hard", "epochs"), twin=("epochs",)),
)


@CLAIM.clause("hard negatives reach the error", "the slow error reaches 2 % (smoke: 5 %)")
def _reached(figures: Figures) -> Verdict:
    epochs = figures.measured["hard"]["epochs"]
    return one_seed(exactly(epochs is not None, f"after {epochs} epochs" if epochs else "not reached"))


@CLAIM.clause("faster than random negatives", "hard negatives reach it in fewer epochs than random ones")
def _faster(figures: Figures) -> Verdict:
    hard, random = (figures.measured[name]["epochs"] for name in ("hard", "random"))
    faster = (hard or math.inf) < (random or math.inf)
    return one_seed(exactly(faster, f"epochs: {hard or 'never'} against {random or 'never'}"))


@CLAIM.measure
def hard_neg(lab: Lab) -> Finding:
    longer = replace(mnist.mnist, epochs=12, validation=10_000), replace(mnist.twin, epochs=12, validation=10_000)
    recipes, target = lab.pick(smoke=(feedforward.short(lab), 0.05), full=(longer, 0.02))
    contest = lab.contest({"hard": {}, "random": {"negatives": "random"}}, recipes, seeds=[0])
    nets = {name: {**contest.reached(name, target), **contest.errors(name)} for name in ("hard", "random", TWIN)}
    return Finding({name: nets[name] for name in ("hard", "random")}, nets[TWIN], [0])


@table("hard-neg", "claims/hard-neg.json")
def to_an_error(record: Mapping[str, Any]) -> str:
    """Return a table: the time at which each net reaches the target error, and its final error."""
    names = ("epochs", "visits", "seconds", "slow error %", "fast error %")
    nets = {**record["measured"], "backprop twin": record["twin"]}
    rows = [
        [net, *("-" if figures.get(name) is None else cell(figures[name]) for name in names)]
        for net, figures in nets.items()
    ]
    return markdown(["", *(f"{name} to 2 %" for name in names[:3]), *names[3:]], rows)
