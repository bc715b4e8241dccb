"""With a correct or a wrong label in the first pixels, learning is supervised (talk 10:57).

The value of a label pixel is 5 in the talk and 1 in the author's code. The same net is trained with both values and, as
a control, with the value 1 on training images whose labels were shuffled. Smoke: digits, with the label in front of the
pixels, since they have no margin. Full: MNIST, 3 x 500, 8 epochs, the label over the first ten pixels, the last 10,000
training images held out with their own labels. ``label's share of goodness`` is the fraction of the variance of the
total goodness that is between labels of the same image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import Figures, Verdict, at_least, limited

STRENGTHS: dict[str, Any] = {"strength 1": {}, "strength 5": {"label_strength": 5.0}}
CONTROL, ERROR = "labels shuffled", "slow error %"

CLAIM = Claim(
    "label-in",
    time="10:57",
    says="With a correct or a wrong label in the first pixels, learning is supervised.",
    headline=Headline(ERROR, "learning is supervised", ours=("strength 5", ERROR)),
    clauses=tuple(limited(f"label of {name}", name, ERROR, smoke=10, full=3) for name in STRENGTHS),
)


@CLAIM.clause("nothing is learned otherwise", "the slow error is at least 70 % with shuffled labels")
def _nothing_learned(figures: Figures) -> Verdict:
    return at_least(figures.of(CONTROL, ERROR), 70)


@CLAIM.measure
def label_in(lab: Lab) -> Finding:
    recipes = feedforward.short(lab)
    dataset = lab.data(recipes[0].data)
    learned, held = dataset.train_labels.tensor_split([-recipes[0].validation])
    labels = learned[torch.randperm(len(learned), generator=torch.Generator().manual_seed(0))]
    shuffled = replace(dataset, name=f"{dataset.name}-shuffled", train_labels=torch.cat([labels, held]))
    contest, control = lab.contest(STRENGTHS, recipes, seeds=[0]), lab.contest({CONTROL: {}}, recipes, shuffled, [0])
    measured = {CONTROL: control.errors(CONTROL)}
    for name in STRENGTHS:
        total = contest.runs[name][0].net.total(contest.goodness(name)[0])
        share = float(total.var(1, correction=0).mean() / total.var(correction=0))
        measured[name] = {**contest.errors(name), "label's share of goodness": round(share, 3)}
    return contest.finding(measured, **{CONTROL: control.errors()})
