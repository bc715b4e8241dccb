"""Two tests as one: scores in which the slow and the fast test weigh the same."""

from __future__ import annotations

from torch import Tensor

from twofold.normalize import EPS


def standardized(scores: Tensor) -> Tensor:
    """Scores ``(batch, classes)`` with mean 0 and standard deviation 1 over the classes."""
    return (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True).clamp(min=EPS)


def joint(slow: Tensor, fast: Tensor) -> Tensor:
    """Scores ``(batch, classes)`` in which two tests weigh the same: the sum of theirs, each standardized.

    Of two classes standardized scores say only which one is ahead, so that tests that disagree would leave nothing to
    choose by. The slow test then weighs half, so that the fast one decides.
    """
    weight = 0.5 if slow.shape[1] == 2 else 1.0
    return weight * standardized(slow) + standardized(fast)
