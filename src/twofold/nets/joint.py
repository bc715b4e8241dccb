"""The test ``both``, which adds the standardized scores of the slow and the fast test."""

from __future__ import annotations

from torch import Tensor

from twofold.normalize import EPS


def standardized(scores: Tensor) -> Tensor:
    """Shift and scale scores ``(batch, classes)`` to mean 0 and standard deviation 1 over the classes of each case."""
    return (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True).clamp(min=EPS)


def joint(slow: Tensor, fast: Tensor) -> Tensor:
    """Return the sum of the standardized scores of the slow and the fast test, ``(batch, classes)``.

    With two classes, standardized scores have only two possible values, so that the sum would be a tie if the tests
    disagree. The scores of the slow test are therefore halved, so that the fast test decides.

    Args:
        slow: scores of the slow test, ``(batch, classes)``.
        fast: logits of the fast test, ``(batch, classes)``.
    """
    weight = 0.5 if slow.shape[1] == 2 else 1.0
    return weight * standardized(slow) + standardized(fast)
