"""Search spaces of `twofold tune`: the values to try for each field of a recipe and of its backprop twin.

A recipe and its twin are tuned with the same number of trials. Fields with the same meaning in both, such as
``epochs``, have the same values. Rate and decay have different values: the twin uses momentum, which makes its steps
1 / (1 - smoothing) times as large, whereas Forward-Forward averages gradients. Fields such as ``temperature`` exist
only in Forward-Forward recipes, so more fields are tuned for Forward-Forward than for the twin, in the same number of
trials.

For each field, the search space contains the value chosen in earlier comparisons, and at least one lower and one higher
value. Neighboring values differ by factors of two to four, since the effect of smaller differences is less than the
binomial error on the held-out images. For ``mnist``, the largest number of epochs is the 40 of the recipe, since other
recipes have longer training runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Values = Mapping[str, tuple[Any, ...]]
"""Recipe field -> values to try, in increasing order."""


class Space(NamedTuple):
    """The search space of a recipe and its twin.

    Attributes:
        shared: fields that are tuned for both recipe and twin, with the same values.
        forward_forward: further fields of the recipe.
        twin: further fields of the twin.
    """

    shared: Values
    forward_forward: Values
    twin: Values


TWIN: Values = {"rate": (0.025, 0.05, 0.1, 0.2), "decay": (0.0, 0.0002, 0.0005, 0.001)}
"""Values for the twins of most recipes."""

FORWARD_FORWARD: Values = {"rate": (0.01, 0.02, 0.04, 0.08), "decay": (0.0005, 0.001, 0.002, 0.004)}
"""Values for most Forward-Forward recipes that train with labels."""

PAPER: Values = {"rate": (0.005, 0.01, 0.02), "decay": (0.0005, 0.001, 0.002)}
"""Values for the method of Hinton's published code, whose other settings are fixed."""

HYBRID: Values = {"rate": (0.005, 0.01, 0.02), "decay": (0.001, 0.003, 0.01)}
"""Values for Forward-Forward recipes that train without labels."""


def _temperatures(middle: float) -> Values:
    """Return `FORWARD_FORWARD` with temperatures of half, one, two and four times ``middle``.

    The first study of the recipe digits chose twice the temperature of the recipe and 40 epochs, which were the highest
    values at the time. The ranges of temperature and epochs were then extended by one value, before all other studies.
    """
    return {**FORWARD_FORWARD, "temperature": (middle / 2, middle, 2 * middle, 4 * middle)}


SPACES: dict[str, Space] = {
    "digits": Space({"epochs": (10, 20, 40, 80)}, _temperatures(25.0), TWIN),
    "mnist": Space({"epochs": (12, 20, 40)}, _temperatures(50.0), TWIN),
    "mnist-random-negatives": Space({"epochs": (12, 20, 40, 80)}, _temperatures(50.0), TWIN),
    "mnist-paper": Space({"epochs": (30, 60, 120)}, PAPER, TWIN),
    "mnist-paper-wide": Space({"epochs": (30, 60, 120)}, PAPER, TWIN),
    "mnist-wide": Space({"epochs": (12, 30, 60)}, _temperatures(100.0), TWIN),
    "mnist-jitter": Space({"epochs": (30, 100, 200)}, _temperatures(50.0), TWIN),
    "mnist-hybrid": Space({"epochs": (12, 30, 60)}, {**HYBRID, "blurs": (2, 4, 8)}, TWIN),
    "mnist-hybrid-local": Space({"epochs": (12, 30, 60)}, {**HYBRID, "blurs": (2, 4, 8)}, TWIN),
    "recurrent": Space({"epochs": (12, 30, 60)}, _temperatures(200.0), TWIN),
    "recurrent-deep": Space({"epochs": (5, 10, 20)}, _temperatures(30.0), TWIN),
    "black-box": Space(
        {"epochs": (5, 10, 20)},
        {**_temperatures(50.0), "rate": (0.025, 0.05, 0.1, 0.2)},
        {**TWIN, "rate": (0.0125, 0.025, 0.05, 0.1)},
    ),
    "cifar-local": Space(
        {"epochs": (10, 20, 40)},
        {"rate": (0.01, 0.02, 0.04), "decay": (0.005, 0.01, 0.02), "temperature": (150.0, 300.0, 600.0)},
        {"rate": (0.0125, 0.025, 0.05, 0.1), "decay": (0.0, 0.0005, 0.001, 0.002)},
    ),
}
