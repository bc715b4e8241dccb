"""The joint test: scores in which the slow and the fast test have equal weight."""

from __future__ import annotations

from torch import Tensor

from twofold.normalize import EPS


def standardized(scores: Tensor) -> Tensor:
    """Return scores ``(batch, classes)`` with mean 0 and standard deviation 1 over the classes."""
    return (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True).clamp(min=EPS)


def joint(slow: Tensor, fast: Tensor) -> Tensor:
    """Return the sum of the standardized scores of two tests, ``(batch, classes)``.

    With two classes, standardized scores are 1 and -1, so that tests that disagree would tie. The slow test then has
    half the weight, and the fast test decides.
    """
    weight = 0.5 if slow.shape[1] == 2 else 1.0
    return weight * standardized(slow) + standardized(fast)
