"""Running the net with each label and choosing the one of highest goodness is slower, and better (talk 13:14).

Measured on the nets of the claim `mnist` (smoke: a small net on digits, two seeds; full: the recipe, three seeds).
"""

from __future__ import annotations

from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.claims.mnist import trained
from twofold_lab.contest import TWIN
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, at_most

SLOW, FAST, PASSES = "slow error %", "fast error %", "passes per image"
RULE = "the mean error of the slow test is at most that of the fast test"

CLAIM = Claim(
    "slow-test",
    time="13:14",
    says="Running the net with each label and choosing the one of highest goodness is slower, and better.",
    headline=Headline(SLOW, "better than the fast test"),
    clauses=(Clause("better", RULE, lambda figures: at_most(figures.of(SLOW), figures.of(FAST))),),
)


@CLAIM.measure
def slow_test(lab: Lab) -> Finding:
    contest = trained(lab)
    passes = {name: contest.runs[name][0].result.metrics["passes_per_image"] for name in ("mnist", TWIN)}
    ours, twin = ({**contest.errors(name), PASSES: passes[name]} for name in passes)
    return Finding(ours, twin, lab.seeds)
