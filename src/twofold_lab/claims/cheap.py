"""Basic research of this kind needs little computing (talk 48:34).

The experiment measures how long this machine takes to train a net from scratch on the embedded digits to a small error
on 300 held-out training images (smoke: a small net, to 5 %; full: the recipe digits, to 3 %). Every claim can be
measured at smoke size, which takes little longer than this experiment.
"""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from twofold.recipes import digits
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.contest import TWIN
from twofold_lab.lab import Lab
from twofold_lab.verdict import Estimate, Figures, Verdict, at_most, exactly, one_seed

CLAIM = Claim(
    "cheap",
    time="48:34",
    says="Basic research of this kind needs little computing.",
    headline=Headline("seconds", "little computing", twin=("seconds",)),
)


@CLAIM.clause("trained in minutes", "training to a slow error of 3 % (smoke: 5 %) takes at most 300 s (smoke: 60 s)")
def _quick(figures: Figures) -> Verdict:
    seconds = figures.measured["seconds"]
    if seconds is None:
        return one_seed(exactly(False, "the error was not reached"))
    return one_seed(at_most(Estimate(seconds), figures.pick(smoke=60, full=300)))


@CLAIM.measure
def cheap(lab: Lab) -> Finding:
    held_out = replace(digits.digits, validation=300), replace(digits.twin, validation=300)
    recipes, target = lab.pick(smoke=(feedforward.short(lab), 0.05), full=(held_out, 0.03))
    contest = lab.contest({"digits": {}}, recipes, seeds=[0])
    ours, twin = ({**contest.reached(name, target), **contest.errors(name)} for name in ("digits", TWIN))
    return Finding({**ours, "cores": os.cpu_count(), "threads": torch.get_num_threads()}, twin, [0])
