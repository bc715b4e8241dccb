"""Claim (talk 13:02): with a neutral label and one forward pass, a linear softmax on the hidden activities classifies.

Measured on the nets of the claim `mnist` (smoke: two seeds of a small net on digits; full: three seeds of the recipe).

Rule: the mean error of the fast test is at most 5 % (smoke) or 1.6 % (full), at one forward pass an image.
"""

from __future__ import annotations

from twofold_lab.claims.mnist import trained
from twofold_lab.lab import Finding, Lab, mean_errors


def fast_test(lab: Lab) -> Finding:
    """Measure the claim ``fast-test``."""
    runs, twins = trained(lab)
    measured, passes = mean_errors(runs)["fast error %"], runs[0].result.metrics["passes_per_image"]["fast"]
    limit = lab.pick(smoke=5.0, full=1.6)
    return Finding(
        holds=measured["mean"] <= limit and passes == 1,
        rule=f"the mean error of the fast test is at most {limit:g} %, at one pass an image",
        talk="one forward pass, fast",
        measured={"fast error %": measured, "passes per image": passes},
        twin={**mean_errors(twins), "passes per image": 1},
        seeds=lab.seeds,
    )
