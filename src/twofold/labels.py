"""Put a label into an image (talk 10:57).

A label is a vector with one number per class: one-hot times a strength for one of the classes, the same small
number everywhere for the neutral label. Positive, negative and neutral inputs differ in this vector alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from twofold.errors import SettingError


def one_hot(labels: Tensor, classes: int, strength: float) -> Tensor:
    """Turn labels ``(batch,)`` into label vectors ``(batch, classes)``: ``strength`` at the label, 0 elsewhere."""
    vectors = torch.zeros(len(labels), classes, device=labels.device)
    return vectors.scatter_(1, labels[:, None], strength)


def neutral(count: int, classes: int, strength: float, device: torch.device) -> Tensor:
    """Give ``count`` neutral label vectors: ``strength / classes`` everywhere, the mean of all labels (talk 13:02)."""
    return torch.full((count, classes), strength / classes, device=device)


def overlay(images: Tensor, labels: Tensor) -> Tensor:
    """Replace the first pixels by the label vector; they must be a margin without content, as in MNIST.

    Args:
        images: ``(batch, pixels)``.
        labels: ``(batch, classes)`` label vectors.

    Returns:
        ``(batch, pixels)``.
    """
    return torch.cat([labels.to(images.dtype), images[:, labels.shape[1] :]], 1)


def prepend(images: Tensor, labels: Tensor) -> Tensor:
    """Put the label vector in front of the pixels, for images that have no margin.

    Args:
        images: ``(batch, pixels)``.
        labels: ``(batch, classes)`` label vectors.

    Returns:
        ``(batch, classes + pixels)``.
    """
    return torch.cat([labels.to(images.dtype), images], 1)


LABEL_IN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"overlay": overlay, "prepend": prepend}


def inputs_with_label(label_in: str, pixels: int, classes: int) -> int:
    """Return the number of inputs that an image has together with its label.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in == "overlay" and pixels <= classes:
        raise SettingError(
            f"--label-in is overlay, but an image has {pixels} pixels for {classes} labels: use --label-in prepend"
        )
    return pixels + classes if label_in == "prepend" else pixels


LABEL_TO = {"top": "the last hidden layer", "all": "every hidden layer"}
"""The layers of a recurrent net that get the label as top-down input."""
