"""Positive and negative phases can be separated in time (section on sleep of the paper; claimed, then withdrawn).

The experiment is not built yet.
"""

from __future__ import annotations

from twofold_lab.claim import Claim

CLAIM = Claim(
    "sleep",
    time="paper, on sleep",
    says="Positive and negative phases can be separated in time (claimed, then withdrawn).",
)
