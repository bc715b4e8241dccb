"""MNIST without labels, 4 x 2000: hybrid images as negative data, a softmax on all layers.

Claim: 1.37 % test error after 100 epochs, by a softmax on the last three layers (paper section 3.2).

The number of blurs, the weight decay and the layers that the softmax reads were chosen on the last 10,000 training
images. The rate of the twin is half that of the 3 x 1000 twin, at which a net of this size may diverge.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.methods import UnsupervisedRecipe
from twofold.recipes import mnist

mnist_hybrid = UnsupervisedRecipe(
    data="mnist",
    widths=(2000, 2000, 2000, 2000),
    epochs=60,
    batch=100,
    rate=0.01,
    smoothing=0.9,
    decay=0.003,
    jitter=0,
    mirror=False,
    validation=0,
    tolerance=0.03,
    revisit=1.0,
    seed=0,
    goodness="sum_of_squares",
    objective="logistic",
    temperature=1.0,
    peer=0.03,
    floor=0.0,
    softmax_rate=0.1,
    softmax_decay=0.003,
    blurs=4,
    counted_from=1,
    center=False,
    field_sizes=(),
    strides=(),
    margins=(),
    unit="relu",
)

twin = replace(mnist.twin, widths=mnist_hybrid.widths, rate=0.05)
