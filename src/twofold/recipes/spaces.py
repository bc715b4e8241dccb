"""What `twofold tune` tries of each recipe and of its backprop twin: the values of each field, in order.

Whatever is tuned here is tuned for both, by the same number of trainings. Fields that mean the same to both, such as
``epochs``, have the same values for both. A rate or a decay does not: the momentum of the twin makes its steps
1 / (1 - smoothing) times as long, ours averages; so each side has values of its own. Only ours has fields such as
``temperature``: the same number of its trainings has to do for more of them.

Values lie around those that earlier comparisons chose, with at least one on either side, two to four times as far from
each other: nearer ones differ by less than the binomial error of the held-out images. The epochs of ``mnist`` end at
its own 40, for both sides: longer trainings are another recipe's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Values = Mapping[str, tuple[Any, ...]]
"""Field of a recipe -> the values that are tried, in order."""


class Space(NamedTuple):
    """The search space of a recipe and its twin.

    Attributes:
        both: fields that have the same values on both sides.
        ours: fields of the recipe alone, or with values of its own.
        twin: the same of the twin.
    """

    both: Values
    ours: Values
    twin: Values


TWIN: Values = {"rate": (0.025, 0.05, 0.1, 0.2), "decay": (0.0, 0.0002, 0.0005, 0.001)}
"""On both sides of what the twin of each recipe has."""

OURS: Values = {"rate": (0.01, 0.02, 0.04, 0.08), "decay": (0.0005, 0.001, 0.002, 0.004)}
"""The same for Forward-Forward with labels."""

PAPER: Values = {"rate": (0.005, 0.01, 0.02), "decay": (0.0005, 0.001, 0.002)}
"""The author's method keeps all else as he has it."""

HYBRID: Values = {"rate": (0.005, 0.01, 0.02), "decay": (0.001, 0.003, 0.01)}
"""Nets without labels."""


def _temperatures(middle: float) -> Values:
    """The rates and decays of Forward-Forward with labels, at half, once, twice and four times a temperature.

    A first study of the digits ended at twice the temperature of the recipe and at its 40 epochs, then the highest that
    were tried; both ranges were widened by a step before any other study.
    """
    return {**OURS, "temperature": (middle / 2, middle, 2 * middle, 4 * middle)}


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
