"""A softmax on the hidden activities under a neutral label classifies in one pass (talk 13:02).

Measured on the nets of the claim `mnist` (smoke: a small net on digits, two seeds; full: the recipe, three seeds).
"""

from __future__ import annotations

from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.claims.mnist import trained
from twofold_lab.lab import Lab
from twofold_lab.verdict import Figures, Verdict, exactly, limited

ERROR, PASSES = "fast error %", "passes per image"

CLAIM = Claim(
    "fast-test",
    time="13:02",
    says="A softmax on the hidden activities under a neutral label classifies in one pass.",
    headline=Headline(ERROR, "one forward pass, fast"),
    clauses=(limited("small error", ERROR, smoke=5, full=1.6),),
)


@CLAIM.clause("one pass", "the fast test takes one forward pass an image")
def _one_pass(figures: Figures) -> Verdict:
    return exactly(figures.measured[PASSES] == 1, f"{figures.measured[PASSES]} an image")


@CLAIM.measure
def fast_test(lab: Lab) -> Finding:
    contest = trained(lab)
    passes = contest.runs["mnist"][0].result.metrics["passes_per_image"]["fast"]
    measured = {ERROR: contest.errors("mnist")[ERROR], PASSES: passes}
    return Finding(measured, {**contest.errors(), PASSES: 1}, lab.seeds)
