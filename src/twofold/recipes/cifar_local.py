"""CIFAR-10 with the recurrent net of the talk: two hidden layers of 3072 units with local receptive fields.

The last hidden layer receives the label.

Claim: 41 % error with the slow test, compared with 37 % for backprop in a net with the same bottom-up receptive fields
(talk 26:55; paper section 3.4). Both layers have three units at each of the 32 x 32 positions. The receptive field of a
unit covers 11 x 11 positions, both in the layer below and in the layer above.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist
from twofold.recipes.recurrent import recurrent
from twofold.recipes.twin import as_twin

cifar_local = replace(
    recurrent,
    data="cifar10",
    widths=(3072, 3072),
    field_sizes=(11, 11),
    strides=(1, 1),
    margins=(5, 5),
    center=True,
    epochs=28,
    decay=0.01,
    temperature=300.0,
    iterations=10,
    judge_from=4,
    judge_to=6,
    window=10,
)

twin = replace(as_twin(mnist.twin, cifar_local), epochs=10, rate=0.05, decay=0.001)
