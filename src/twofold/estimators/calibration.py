"""What a few held-out cases are good for: they say how far probabilities are to be trusted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

MOST = 1000
"""Cases that are held out where nobody asks for a share: more would say little more."""
FEWEST = 10
"""With fewer of them nothing is held out: they would say too little."""
SPREAD = 0.5
"""Standard deviation of the logarithm of the temperature, before anything was seen."""


def held_out(labels: NDArray[np.int64], count: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Draw cases to hold out, ``(cases,)``: ``count`` of them, or fewer where a class would be left without a case."""
    order = random.permutation(len(labels))
    kept = np.unique(labels[order], return_index=True)[1]
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.delete(order, kept)[:count]] = True
    return chosen


def temperature(logits: Tensor, labels: Tensor) -> float:
    """The number T for which softmax(logits / T) is the likeliest, for cases that were held out.

    log T is taken to be N(0, `SPREAD`²) before, so that few cases do not say too much.

    Args:
        logits: ``(cases, classes)``.
        labels: the true ones, ``(cases,)``.
    """

    def cost(logarithm: float) -> float:
        loss = cross_entropy(logits.double() / math.exp(logarithm), labels, reduction="sum").item()
        return loss + (logarithm / SPREAD) ** 2 / 2

    return math.exp(minimize_scalar(cost, bounds=(-4, 4), method="bounded").x)
