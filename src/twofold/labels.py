"""Put a label into an image (talk 10:57).

A label is a vector with one number per class: one-hot times a strength for one of the classes, the same small
number everywhere for the neutral label. Positive, negative and neutral inputs differ in this vector alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from twofold.checks import looking
from twofold.checks.bounds import shaped
from twofold.errors import DataError, SettingError


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


def planes(images: Tensor, labels: Tensor) -> Tensor:
    """Put a constant plane for each class in front of the channels, so that a label is seen at every place.

    Args:
        images: ``(batch, channels, height, width)``.
        labels: ``(batch, classes)`` label vectors.

    Returns:
        ``(batch, classes + channels, height, width)``.
    """
    constant = labels.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([constant, images], 1)


FLAT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"overlay": overlay, "prepend": prepend}
"""Ways of putting a label into flat images, for layers that take one vector for each case."""

LABEL_IN = FLAT | {"planes": planes}
"""All ways of putting a label in; those that are not in `FLAT` are for layers that take maps."""


def shape_with_label(label_in: str, shape: tuple[int, int, int], classes: int) -> tuple[int, ...]:
    """Return the shape that an image (channels, height, width) has together with its label.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in in FLAT:
        return (inputs_with_label(label_in, math.prod(shape), classes),)
    return shape[0] + classes, *shape[1:]


def inputs_with_label(label_in: str, pixels: int, classes: int) -> int:
    """Return the number of inputs that a flat image has together with its label.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in == "overlay" and pixels <= classes:
        raise SettingError(
            f"--label-in is overlay, but an image has {pixels} pixels for {classes} labels: use --label-in prepend"
        )
    return pixels + classes if label_in == "prepend" else pixels


def checked_labels(name: str, labels: Tensor, classes: int, *shape: int | str, on: torch.device) -> Tensor:
    """Return labels of any whole type as they are used, int64.

    Args:
        name: the argument.
        labels: its value.
        classes: number of labels.
        shape: see `bounds.shaped`.
        on: the device on which they have to lie.

    Raises:
        DataError: another shape or device, no whole numbers, or one outside 0 to ``classes - 1``.
    """
    if not looking():
        return labels
    shaped(name, labels, *shape, on=on)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(f"{name}: the type is {labels.dtype}, expected whole numbers: use .long()")
    labels = labels.to(torch.int64)
    if labels.numel():
        low, high = (int(each) for each in labels.aminmax())
        if low < 0 or high >= classes:
            raise DataError(
                f"{name} go from {low} to {high}, expected 0 to {classes - 1}: number the classes from 0, or build the "
                "net for more of them"
            )
    return labels


LABEL_TO = {"top": "the last hidden layer", "all": "every hidden layer"}
"""The layers of a recurrent net that get the label as top-down input."""
