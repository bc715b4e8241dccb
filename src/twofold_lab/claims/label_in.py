"""Claim (talk 10:57): the label goes into the first pixels, right in positive and wrong in negative data, and so
learning is supervised. The talk's strength of a label pixel is 5, that of the author's code 1.

The same net is trained with label strength 1 and 5 and, as a control, with strength 1 on training images whose labels
were shuffled (smoke: digits, the label in front of the pixels since they have no margin; full: MNIST, 3 x 500, 8
epochs, label over the first ten pixels, the last 10,000 training images held out, their labels left as they are).
``label's share`` is the fraction of the variance of the total goodness that lies between labels of the same image.

Rule: with strength 1 and 5 the slow error is at most 10 % (smoke) or 3 % (full), and at least 70 % in the control.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from twofold.data import Dataset
from twofold.training.runs import Run
from twofold_lab.lab import Finding, Lab, error, errors


def label_in(lab: Lab) -> Finding:
    """Measure the claim ``label-in``."""
    recipe, twin_recipe = lab.short()
    control = _shuffled(lab.data(recipe.data), recipe.validation)
    runs = {
        "strength 1": lab.train(recipe, "short"),
        "strength 5": lab.train(replace(recipe, label_strength=5.0), "short-strength-5"),
    }
    chance = lab.train(recipe, "short-shuffled", control)
    limit = lab.pick(smoke=10.0, full=3.0)
    return Finding(
        holds=all(error(run) <= limit for run in runs.values()) and error(chance) >= 70,
        rule=f"the slow error is at most {limit:g} % with both strengths, and at least 70 % with shuffled labels",
        talk="the label in the first 10 pixels, strength 5, makes learning supervised",
        measured={
            **{name: _describe(lab, run) for name, run in runs.items()},
            "labels shuffled": errors(chance),
        },
        twin={
            **errors(lab.train(twin_recipe, "short-twin")),
            "labels shuffled": errors(lab.train(twin_recipe, "short-twin-shuffled", control)),
        },
        seeds=[recipe.seed],
    )


def _shuffled(dataset: Dataset, held_out: int) -> Dataset:
    """Return the data set with the labels of all training images except the last ``held_out`` in random order."""
    labels = dataset.train_labels.clone()
    taught = len(labels) - held_out
    labels[:taught] = labels[torch.randperm(taught, generator=torch.Generator().manual_seed(0))]
    return replace(dataset, name=f"{dataset.name}-shuffled", train_labels=labels)


def _describe(lab: Lab, run: Run) -> dict[str, Any]:
    found = lab.test(run).goodness
    assert found is not None
    total = run.net.total(found)
    share = total.var(1, correction=0).mean() / total.var(correction=0)
    return {**errors(run), "label's share of goodness": round(share.item(), 3)}
