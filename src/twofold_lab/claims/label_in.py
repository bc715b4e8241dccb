"""With a correct or a wrong label in the first pixels, learning is supervised (talk 10:57).

The strength of a label pixel is 5 in the talk and 1 in the author's code. The same net is trained with both and, as a
control, with strength 1 on training images whose labels were shuffled (smoke: digits, the label in front of the pixels,
since they have no margin; full: MNIST, 3 x 500, 8 epochs, the label over the first ten pixels, the last 10,000 training
images held out with their own labels). ``label's share of goodness`` is the fraction of the variance of the total
goodness that is between labels of the same image.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from twofold.data import Dataset
from twofold.training.runs import Run
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, at_least, limited

STRENGTHS = {"strength 1": {}, "strength 5": {"label_strength": 5.0}}
CONTROL, ERROR = "labels shuffled", "slow error %"
CHANCE = "the slow error is at least 70 % with shuffled labels"

CLAIM = Claim(
    "label-in",
    time="10:57",
    says="With a correct or a wrong label in the first pixels, learning is supervised.",
    headline=Headline(ERROR, "learning is supervised", ours=("strength 5", ERROR)),
    clauses=(
        *(limited(f"label of {name}", name, ERROR, smoke=10, full=3) for name in STRENGTHS),
        Clause("nothing is learned otherwise", CHANCE, lambda figures: at_least(figures.of(CONTROL, ERROR), 70)),
    ),
)


@CLAIM.measure
def label_in(lab: Lab) -> Finding:
    recipes = feedforward.short(lab)
    contest = lab.contest(STRENGTHS, recipes, seeds=[0])
    control = lab.contest({CONTROL: {}}, recipes, _shuffled(lab.data(recipes[0].data), recipes[0].validation), [0])
    share = "label's share of goodness"
    measured = {name: {**contest.errors(name), share: _share(lab, contest.runs[name][0])} for name in STRENGTHS}
    twin = {**contest.errors(), CONTROL: control.errors()}
    return Finding({**measured, CONTROL: control.errors(CONTROL)}, twin, [0])


def _shuffled(dataset: Dataset, held: int) -> Dataset:
    """Return the data set with the labels of all training images except the last ``held`` in random order."""
    labels, count = dataset.train_labels.clone(), len(dataset.train_labels) - held
    labels[:count] = labels[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    return replace(dataset, name=f"{dataset.name}-shuffled", train_labels=labels)


def _share(lab: Lab, run: Run) -> float:
    """Return the fraction of the variance of the total goodness that is between labels of the same image."""
    goodness = lab.test(run).goodness
    assert goodness is not None
    total = run.net.total(goodness)
    return round(float(total.var(1, correction=0).mean() / total.var(correction=0)), 3)
