"""MNIST, 3 x 1000, each image shifted at random by up to two pixels each way at every visit: 25 positions.

Claim: an error of about 0.64 % after 500 epochs (talk 15:26; paper section 3.3).
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist

mnist_jitter = replace(mnist.mnist, jitter=2, epochs=100)

twin = replace(mnist.twin, jitter=2, epochs=30)
