"""MNIST, 6 x 500, with a black box behind the second and the fourth layer.

Claim: an unknown transformation between layers does not slow Forward-Forward down (talk 36:43). docs/hardware.md has
what it and the ways to backpropagate through a box reach.

Deep nets need a temperature four times that of the recipe mnist, for as many units, and a rate five times as high: with
less, layers from the third on hardly learn in so few steps, with boxes or without. A floor below the activity of each
layer keeps one alive that stands behind a box and hears little but noise; without it such a layer falls silent.

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
