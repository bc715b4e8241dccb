"""Learning from the first iteration on works better than from the fourth (talk 25:51).

The same recurrent net is trained with the gradients of iterations 1 to 8 and with those of 4 to 8, with three seeds
(smoke: a small net on digits; full: MNIST, half of the recipe's units, ten epochs, eight for the twin, the last 10,000
training images held out).
"""

from __future__ import annotations

from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, above_zero

GAIN = "first better by (points, by seed)"
RULE = "the mean slow error with gradients from the first iteration on is smaller than from the fourth, paired by seed"

CLAIM = Claim(
    "from-start",
    time="25:51",
    says="Learning from the first iteration on works better than from the fourth.",
    headline=Headline("slow error %", "the first is better", ours=("from the first", "slow error %")),
    clauses=(Clause("the first is better", RULE, lambda figures: above_zero(figures.of(GAIN))),),
)


@CLAIM.measure
def from_start(lab: Lab) -> Finding:
    ways = {"from the first": {"learn_from": 1}, "from the fourth": {"learn_from": 4}}
    contest = lab.contest(ways, recurrent.short(lab), seeds=[0, 1, 2])
    gain = contest.difference("from the fourth", "from the first")
    return contest.finding({**{name: contest.errors(name) for name in ways}, GAIN: gain})
