"""Sharing the hidden layers removes the contest of two nets, and mode collapse (talk 34:18).

The disadvantage of sharing is a weaker generative model. The experiment is not built yet; it would compare the mode
coverage of this generative model with that of a generative adversarial net.
"""

from __future__ import annotations

from twofold_lab.claim import Claim

CLAIM = Claim(
    "no-collapse", time="34:18", says="Sharing the hidden layers removes the contest of two nets, and mode collapse."
)
