"""MNIST, 6 x 500, with a black box after the second and the fourth layer.

Claim: an unknown transformation between layers does not slow Forward-Forward down (talk 36:43). docs/hardware.md
compares Forward-Forward with methods that backpropagate through a box.

For layers with the same number of units, deep nets need four times the temperature and five times the learning rate of
the recipe mnist. With lower values, the third and later layers hardly learn in this number of steps, with or without
boxes.

The input of a layer after a box is mostly noise. With ``floor=0``, all units of such a layer become inactive.

    twofold train black-box --box one_bit --box-drift 0.01
    twofold train black-box-twin --box one_bit --box-drift 0.01 --readout block
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist
from twofold.recipes.twin import as_twin

black_box = replace(
    mnist.mnist,
    widths=(500,) * 6,
    epochs=20,
    rate=0.1,
    temperature=100.0,
    floor=0.1,
    tolerance=0.0,
    revisit=1.0,
    box="random_relu",
)

twin = replace(as_twin(mnist.twin, black_box), epochs=black_box.epochs, rate=0.03)
