"""Search spaces of `twofold tune` for each recipe and its backprop twin: the values of each field, in order.

Recipe and twin are tuned with the same number of trials. Fields with the same meaning for both, such as ``epochs``,
have the same values. Rate and decay have different values for each, since the momentum of the twin makes its steps
1 / (1 - smoothing) times as large, whereas Forward-Forward averages gradients. Fields such as ``temperature`` exist for
Forward-Forward alone, which has to tune more fields in the same number of trials.

The values surround the ones that earlier comparisons chose, with at least one on either side, and differ by factors of
two to four: closer values differ by less than the binomial error of the held-out images. The epochs of ``mnist`` end at
its own 40, for both recipe and twin, since longer trainings belong to other recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Values = Mapping[str, tuple[Any, ...]]
"""Values to try for each recipe field, in order."""


class Space(NamedTuple):
    """The search space of a recipe and its twin.

    Attributes:
        shared: values for recipe and twin.
        forward_forward: further values for the recipe.
        twin: further values for the twin.
    """

    shared: Values
    forward_forward: Values
    twin: Values


TWIN: Values = {"rate": (0.025, 0.05, 0.1, 0.2), "decay": (0.0, 0.0002, 0.0005, 0.001)}
"""Values around those of the twin of each recipe."""

FORWARD_FORWARD: Values = {"rate": (0.01, 0.02, 0.04, 0.08), "decay": (0.0005, 0.001, 0.002, 0.004)}
"""Values for Forward-Forward with labels."""

PAPER: Values = {"rate": (0.005, 0.01, 0.02), "decay": (0.0005, 0.001, 0.002)}
"""Values for the author's method, whose other settings are fixed."""

HYBRID: Values = {"rate": (0.005, 0.01, 0.02), "decay": (0.001, 0.003, 0.01)}
"""Values for nets without labels."""


def _temperatures(middle: float) -> Values:
    """Return `FORWARD_FORWARD` with half, once, twice and four times a temperature.

    A first study of the digits selected twice the temperature of the recipe and 40 epochs, the highest values at the
    time; both ranges were extended by a step before all other studies.
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
