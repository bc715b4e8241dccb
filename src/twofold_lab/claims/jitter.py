"""Trained long on images shifted by up to two pixels each way, the error on MNIST falls to 0.64 % (talk 15:26).

smoke: a net of 2 x 200 on digits, shifted by one pixel. full: the recipe mnist-jitter and its twin.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist_jitter
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import limited

CLAIM = Claim(
    "jitter",
    time="15:26",
    says="On images shifted by up to two pixels, the error on MNIST falls to 0.64 %.",
    headline=Headline("slow error %", "about 0.64"),
    clauses=(limited("error of about 0.64 %", "slow error %", smoke=12, full=0.75),),
)


@CLAIM.measure
def jitter(lab: Lab) -> Finding:
    recipe, twin = feedforward.pair(lab, mnist_jitter.mnist_jitter, mnist_jitter.twin)
    if lab.size == "smoke":
        recipe = replace(recipe, jitter=1, widths=(200, 200), epochs=20)
        twin = replace(twin, jitter=1, widths=recipe.widths, epochs=20)
    contest = lab.contest({"mnist-jitter": {}}, (recipe, twin), seeds=[0])
    return contest.finding(contest.errors("mnist-jitter"))
