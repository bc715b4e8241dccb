"""MNIST, 3 x 1000, with random shifts of the images by up to two pixels in x and y, which gives 25 positions.

Claim: an error of about 0.64 % after 500 epochs (talk 15:26; paper section 3.3).

Importance sampling is off, because it increased the error of this net (docs/speed.md). The difficulty of an image at
one shift predicts little about the difficulty of the same image at the next shift.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist

mnist_jitter = replace(mnist.mnist, jitter=2, epochs=100, tolerance=0.0, revisit=1.0)

twin = replace(mnist.twin, jitter=2, epochs=30)
