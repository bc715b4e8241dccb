"""Digital computers can share a model: each learns from a subset of the data, and weights are averaged (talk 41:55).

The experiment is not built yet.
"""

from __future__ import annotations

from twofold_lab.claim import Claim

CLAIM = Claim(
    "digital",
    time="41:55",
    says="Digital computers can share a model: each learns from a part of the data, and weights are averaged.",
)
