"""MNIST, 3 x 1000, each image shifted at random by up to two pixels each way at every visit: 25 positions.

Claim: an error of about 0.64 % after 500 epochs (talk 15:26; paper section 3.3).

No case is left out: what an image had to teach says less of it once it is shifted, and sampling made this net err more
often (docs/speed.md).
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist

mnist_jitter = replace(mnist.mnist, jitter=2, epochs=100, tolerance=0.0, revisit=1.0)

twin = replace(mnist.twin, jitter=2, epochs=30)
