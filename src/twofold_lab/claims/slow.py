"""Running the net with each label and choosing the one of highest goodness is slower, and better (talk 13:14).

Measured on the nets of the claim `mnist` (smoke: a small net on digits, two seeds; full: the recipe, three seeds).
"""

from __future__ import annotations

from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.claims.mnist import trained
from twofold_lab.contest import TWIN
from twofold_lab.lab import Lab
from twofold_lab.verdict import Clause, at_most

CLAIM = Claim(
    "slow-test",
    time="13:14",
    says="Running the net with each label and choosing the one of highest goodness is slower, and better.",
    headline=Headline("slow error %", "better than the fast test"),
    clauses=(
        Clause(
            "better than the fast test",
            "the mean error of the slow test is at most that of the fast test",
            lambda figures: at_most(figures.of("slow error %"), figures.of("fast error %")),
        ),
    ),
)


@CLAIM.measure
def slow_test(lab: Lab) -> Finding:
    contest = trained(lab)
    ours, twin = (
        {**contest.errors(name), "passes per image": contest.runs[name][0].result.metrics["passes_per_image"]}
        for name in ("mnist", TWIN)
    )
    return Finding(ours, twin, lab.seeds)
