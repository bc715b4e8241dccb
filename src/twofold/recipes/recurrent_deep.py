"""MNIST, six hidden layers of 300 that settle: a recurrent net that is deep and does not lose sight of the image.

Settings scale to other depths: ``twofold train recurrent-deep --widths 300 300 300 300 300 300 300 300``.

With the settings of the recipe `recurrent`, nets of 6 to 10 layers follow the label and not the image. What differs:

* top-down weights start at 0. Random ones give every layer as much noise from above as there is image from below, in
  each layer anew. Learned from nothing, they say something from the first;
* every layer sees the label. From the top alone it comes down slowly, and layers that it has not reached learn nothing;
* there are four iterations, all of them judged. The longer layers settle, the less of the image is left in them;
* the rate is twice as high, since the layers are narrow.

docs/recurrent.md lists what was tried on the last 10,000 training images.
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
