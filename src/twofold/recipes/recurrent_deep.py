"""MNIST with a deep recurrent net: six hidden layers of 300 units.

The settings also work at other depths: ``twofold train recurrent-deep --widths 300 300 300 300 300 300 300 300``.

With the settings of the recipe `recurrent`, the states of nets with 6 to 10 layers depend on the label alone and not on
the image. This recipe differs as follows:

* Top-down weights start at 0. Random weights would add as much noise from above as there is signal from below.
* Every layer receives the label. If only the last layer received the label, the other layers would not learn until the
  effect of the label reached them, which takes long.
* There are four iterations, and the slow test averages over all of them. With more iterations, the states lose the
  information about the image.
* The learning rate is twice as high, since the layers are narrow.

docs/recurrent.md lists the settings that were tried on the last 10,000 training images.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist
from twofold.recipes.recurrent import recurrent

recurrent_deep = replace(
    recurrent,
    widths=(300,) * 6,
    epochs=10,
    rate=0.04,
    temperature=30.0,
    iterations=4,
    judge_from=1,
    judge_to=4,
    window=4,
    top_down_start=0.0,
    label_to="all",
)

twin = replace(mnist.twin, widths=recurrent_deep.widths, epochs=20, rate=0.05, decay=0.0002)
