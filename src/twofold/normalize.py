"""Normalization of activity vectors to a fixed norm. A layer passes on only the direction of its activity vector,
because the norm determines the goodness of the layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twofold.goodness import accumulate_dtype

EPS = 1e-5
"""Number that `normalize` adds to the root mean square, to avoid a division by zero."""


def normalize(activity: Tensor) -> Tensor:
    """Scale the activity a of each case to root mean square 1: n(a) = a / (ε + √(mean over units of a²)).

    The mean is not subtracted.

    Args:
        activity: ``(batch, ...)``; all dimensions but the first form one vector.

    Returns:
        The normalized activity, in the shape and dtype of ``activity`` (talk 09:23; paper section 2.1).
    """
    flat = activity.flatten(1)
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True, dtype=accumulate_dtype(flat))
    scale = 1 / (EPS + length / math.sqrt(flat.shape[1]))
    return (flat * scale.to(activity.dtype)).view_as(activity)


def centered(images: Tensor) -> Tensor:
    """Subtract from each image the mean of its pixels and `normalize` the image, so that brightness has no effect.

    Args:
        images: ``(batch, ...)``; all dimensions but the first form one vector.

    Returns:
        The normalized images, in the shape of ``images``.
    """
    flat = images.flatten(1)
    return normalize(flat - flat.mean(1, keepdim=True)).view_as(images)


def identity(activity: Tensor) -> Tensor:
    """Return the activity unchanged. Replaces `normalize` in experiments without normalization."""
    return activity


NORMALIZE = {"length": normalize, "none": identity}
