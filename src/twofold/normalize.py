"""Length normalization: only the direction of an activity vector is passed on, since its length determines the
goodness."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twofold.goodness import accumulate_dtype

EPS = 1e-5
"""Added to the length, so that a vector of zeros stays a vector of zeros."""


def normalize(activity: Tensor) -> Tensor:
    """Return n(a) = a / (ε + √(mean over units of a²)): root mean square 1, no mean subtraction.

    Args:
        activity: ``(batch, ...)``; all dimensions but the first form one vector.

    Returns:
        The same shape and dtype. Scaling the input has no effect (talk 09:23; paper section 2.1).
    """
    flat = activity.flatten(1)
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True, dtype=accumulate_dtype(flat))
    scale = 1 / (EPS + length / math.sqrt(flat.shape[1]))
    return (flat * scale.to(activity.dtype)).view_as(activity)


def centered(images: Tensor) -> Tensor:
    """Subtract from each image the mean of all its numbers and normalize it, so that brightness does not matter.

    Args:
        images: ``(batch, ...)``; all dimensions but the first form one vector.
    """
    flat = images.flatten(1)
    return normalize(flat - flat.mean(1, keepdim=True)).view_as(images)


def identity(activity: Tensor) -> Tensor:
    """Return the activity unchanged, with its length: the ablation of normalization."""
    return activity


NORMALIZE = {"length": normalize, "none": identity}
