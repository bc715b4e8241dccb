"""MNIST, two hidden layers of 2000 with the label at the top: the recurrent net of the talk.

Claim: 1.31 % error by the slow test after 60 epochs (talk 24:03; paper section 2.3).

docs/recurrent.md lists what was tried on the last 10,000 training images.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.methods import RecurrentRecipe
from twofold.recipes import mnist

recurrent = RecurrentRecipe(
    data="mnist",
    widths=(2000, 2000),
    epochs=60,
    batch=100,
    rate=0.02,
    smoothing=0.9,
    decay=0.002,
    jitter=0,
    mirror=False,
    validation=0,
    tolerance=0.3,
    revisit=0.2,
    seed=0,
    negatives="hard",
    label_strength=5.0,
    goodness="minus_sum_of_squares",
    objective="swish_symba",
    temperature=200.0,
    peer=0.03,
    floor=0.1,
    softmax_rate=0.1,
    softmax_decay=0.003,
    damping=0.3,
    iterations=8,
    learn_from=1,
    judge_from=3,
    judge_to=5,
    neutral_every=10,
    window=8,
    top_down=True,
    top_down_start=1.0,
    lateral=False,
    label_to="top",
    center=False,
    field_sizes=(),
    strides=(),
    margins=(),
)

twin = replace(mnist.twin, widths=recurrent.widths)
