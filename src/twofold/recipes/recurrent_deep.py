"""MNIST, six hidden layers of 300 that settle: a deep recurrent net that keeps following the image.

The settings also work at other depths: ``twofold train recurrent-deep --widths 300 300 300 300 300 300 300 300``.

With the settings of the recipe `recurrent`, nets of 6 to 10 layers follow the label and ignore the image. The
differences are:

* top-down weights start at 0. Random weights add as much noise from above as there is signal from below;
* every layer receives the label. From the top alone it spreads slowly, and layers that it has not reached do not learn;
* there are four iterations, and the slow test averages all of them. Layers that settle for longer lose the image;
* the rate is twice as high, since the layers are narrow.

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
