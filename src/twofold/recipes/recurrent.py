"""MNIST with the recurrent net of the talk: two hidden layers of 2000 units. The last hidden layer receives the label.

Claim: 1.31 % error with the slow test after 60 epochs (talk 24:03; paper section 2.3).

docs/recurrent.md lists the settings that were tried on the last 10,000 training images.
"""

from __future__ import annotations

from dataclasses import replace

from twofold import defaults
from twofold.methods import RecurrentRecipe
from twofold.recipes import mnist

recurrent = RecurrentRecipe(
    data="mnist",
    widths=(2000, 2000),
    epochs=60,
    batch=100,
    tolerance=0.3,
    revisit=0.2,
    label_strength=defaults.TOP_STRENGTH,
    goodness="minus_sum_of_squares",
    temperature=200.0,
    floor=0.1,
)

twin = replace(mnist.twin, widths=recurrent.widths)
