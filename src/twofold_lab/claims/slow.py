"""Claim (talk 13:14): running the net once for each label and taking that of highest goodness is better, but slower.

Measured on the nets of the claim `mnist` (smoke: two seeds of a small net on digits; full: three seeds of the recipe).

Rule: the mean error of the slow test is at most that of the fast test.
"""

from __future__ import annotations

from twofold_lab.claims.mnist import trained
from twofold_lab.lab import Finding, Lab, mean_errors


def slow_test(lab: Lab) -> Finding:
    """Measure the claim ``slow-test``."""
    runs, twins = trained(lab)
    measured = mean_errors(runs)
    return Finding(
        holds=measured["slow error %"]["mean"] <= measured["fast error %"]["mean"],
        rule="the mean error of the slow test is at most that of the fast test",
        talk="better than the fast test, one pass for each label",
        measured={**measured, "passes per image": runs[0].result.metrics["passes_per_image"]},
        twin={**mean_errors(twins), "passes per image": twins[0].result.metrics["passes_per_image"]},
        seeds=lab.seeds,
    )
