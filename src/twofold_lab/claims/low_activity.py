"""Low activity for positive data works better than high activity (talk 25:09).

With low activity, top-down input cancels bottom-up input, as in predictive coding. The same recurrent net is trained
with goodness -Σ y² (low) and Σ y² (high), with three seeds (smoke: a small net on digits; full: MNIST, half of the
recipe's units, ten epochs, eight for the twin, the last 10,000 training images held out).
"""

from __future__ import annotations

from twofold_lab import recurrent
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, above_zero

GAIN = "low better by (points, by seed)"
GOODNESS = {"low activity": "minus_sum_of_squares", "high activity": "sum_of_squares"}
RULE = "the mean slow error with low activity is smaller than with high activity, paired by seed"

CLAIM = Claim(
    "low-activity",
    time="25:09",
    says="Low activity for positive data works better than high activity.",
    headline=Headline("slow error %", "low is better", ours=("low activity", "slow error %")),
    clauses=(Clause("low activity is better", RULE, lambda figures: above_zero(figures.of(GAIN))),),
)


@CLAIM.measure
def low_activity(lab: Lab) -> Finding:
    ways = {name: {"goodness": goodness} for name, goodness in GOODNESS.items()}
    contest = lab.contest(ways, recurrent.short(lab), seeds=[0, 1, 2])
    gain = contest.difference("high activity", "low activity")
    return contest.finding({**{name: contest.errors(name) for name in ways}, GAIN: gain})
