"""MNIST without labels, with local receptive fields without weight sharing, and hybrid images as negative data.

Claim: 1.16 % test error after 60 epochs, with peer normalization (paper section 3.2). Layer 1 is a grid of 4 x 4 points
with 128 units each, whose receptive fields are 10 x 10 pixels. Layer 2 is a grid of 3 x 3 points with 220 units each,
and layer 3 is a grid of 2 x 2 points with 512 units each. A unit of layer 2 or 3 is connected to all units of four
neighboring points in the layer below.

Peer normalization is off, because it increased the error on the last 10,000 training images, in training runs of twelve
epochs.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist
from twofold.recipes.mnist_hybrid import mnist_hybrid
from twofold.recipes.twin import as_twin

mnist_hybrid_local = replace(
    mnist_hybrid,
    widths=(4 * 4 * 128, 3 * 3 * 220, 2 * 2 * 512),
    field_sizes=(10, 2, 2),
    strides=(6, 1, 1),
    margins=(0, 0, 0),
    peer=0.0,
)

twin = as_twin(mnist.twin, mnist_hybrid_local)
