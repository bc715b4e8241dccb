"""A generative model can predict from the hidden layers of its own greedy discriminator (talk 32:32).

Every layer of the discriminator is trained greedily, and the generative model shares the hidden layers of the
discriminator, so that the generative model needs no backprop. The experiment is not built yet.
"""

from __future__ import annotations

from twofold_lab.claim import Claim

CLAIM = Claim(
    "gan", time="32:32", says="A generative model can predict from the hidden layers of its own greedy discriminator."
)
