"""Calibration of predicted probabilities on held-out cases, by temperature scaling."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

from twofold import defaults
from twofold.errors import DataError
from twofold.estimators.settings import ClassifierSettings

MOST = 1000
"""Maximum number of cases held out for calibration; more would hardly improve it."""
FEWEST = 10
"""Minimum number of cases held out for calibration; with fewer, probabilities are not calibrated."""
SPREAD = 0.5
"""Standard deviation of the prior of the logarithm of the temperature."""


def held_out(labels: NDArray[np.int64], count: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Draw at most ``count`` cases to hold out, as a mask ``(cases,)``; a case of each class is not drawn."""
    order = random.permutation(len(labels))
    kept = np.unique(labels[order], return_index=True)[1]
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.delete(order, kept)[:count]] = True
    return chosen


def aside(settings: ClassifierSettings, labels: Tensor, random: np.random.RandomState) -> Tensor:
    """Return the mask ``(cases,)`` of the cases held out for early stopping or, without it, for calibration.

    Raises:
        DataError: There are no cases to hold out for early stopping.
    """
    if settings.early_stopping:
        count = max(1, int(settings.validation_fraction * len(labels)))
    else:
        most = min(int(defaults.TABLE_VALIDATION * len(labels)), MOST)
        count = most if most >= FEWEST and settings.epochs != 1 else 0
    mask = held_out(labels.numpy(), count, random)
    if settings.early_stopping and not mask.any():
        raise DataError("no class has two cases, so none can be held out: set early_stopping=False")
    return torch.from_numpy(mask)


def parts(labels: NDArray[np.int64], count: int, random: np.random.RandomState) -> list[NDArray[np.bool_]]:
    """Divide the cases at random; return ``count`` masks ``(cases,)``, which leave out one case of each class."""
    chosen = np.flatnonzero(held_out(labels, len(labels), random))
    return [np.isin(np.arange(len(labels)), part) for part in np.array_split(random.permutation(chosen), count)]


def temperature(logits: Tensor, labels: Tensor, weights: Tensor) -> float:
    """Return the temperature T with which softmax(logits / T) has the highest posterior on held-out cases.

    The prior of log T is N(0, `SPREAD`²). It keeps T near 1 if there are few cases.

    Args:
        logits: Logits of the held-out cases, ``(cases, classes)``.
        labels: True labels, ``(cases,)``.
        weights: Weight of each case, ``(cases,)``.
    """

    def cost(logarithm: float) -> float:
        losses = cross_entropy(logits.double() / math.exp(logarithm), labels, reduction="none")
        return (losses @ weights.double()).item() + (logarithm / SPREAD) ** 2 / 2

    return math.exp(minimize_scalar(cost, bounds=(-4, 4), method="bounded").x)
