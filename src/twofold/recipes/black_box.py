"""MNIST, 6 x 500, with a black box behind the second and the fourth layer.

Claim: an unknown transformation between layers does not slow Forward-Forward down (talk 36:43). docs/hardware.md has
what it and the ways to backpropagate through a box reach.

    twofold train black-box --box one_bit --box-drift 0.01
    twofold train black-box-twin --box one_bit --box-drift 0.01 --gradient local
"""

from __future__ import annotations

from dataclasses import fields, replace

from twofold.methods import BoxedBackpropRecipe
from twofold.recipes import mnist

black_box = replace(
    mnist.mnist, widths=(500,) * 6, epochs=20, temperature=25.0, tolerance=0.0, revisit=1.0, box="random_relu"
)

twin = BoxedBackpropRecipe(
    **{each.name: getattr(mnist.twin, each.name) for each in fields(mnist.twin)} | {"widths": black_box.widths},
    box=black_box.box,
    box_drift=black_box.box_drift,
    gradient="straight_through",
)
