"""MNIST with the method of Hinton's published code, unchanged: 3 x 1000, and 4 x 2000 as in the paper.

The label replaces the first pixels, with strength 1. Each layer learns with the logistic objective at temperature 1
from every image in every epoch. The threshold is the number of units of the layer. Wrong labels are drawn from the
softmax on layer 2 and above.

Claim: 1.36 % test error with 4 x 2000 after 60 epochs (paper section 3.3; talk 13:48).
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist

mnist_paper = replace(
    mnist.mnist,
    epochs=60,
    rate=0.01,
    decay=0.001,
    objective="logistic",
    temperature=1.0,
    tolerance=0.0,
    revisit=1.0,
)

wide = replace(mnist_paper, widths=(2000, 2000, 2000, 2000))
