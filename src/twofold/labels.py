"""Insert labels into images (talk 10:57).

A label is a vector with one number per class: a one-hot vector times a strength, or, for the neutral label, the same
small number for each class. Positive, negative and neutral inputs differ only in this vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from twofold.checks.bounds import shaped
from twofold.errors import DataError, SettingError


def one_hot(labels: Tensor, classes: int, strength: float) -> Tensor:
    """Return label vectors ``(batch, classes)`` for labels ``(batch,)``: ``strength`` at the label, 0 elsewhere."""
    vectors = torch.zeros(len(labels), classes, device=labels.device)
    return vectors.scatter_(1, labels[:, None], strength)


def neutral(count: int, classes: int, strength: float, device: torch.device) -> Tensor:
    """Return neutral label vectors, ``(count, classes)``: ``strength / classes`` everywhere (talk 13:02).

    A neutral label vector is the mean of all label vectors.
    """
    return torch.full((count, classes), strength / classes, device=device)


def overlay(images: Tensor, labels: Tensor) -> Tensor:
    """Replace the first pixels by the label vector; they must be an empty margin, as in MNIST.

    Args:
        images: ``(batch, pixels)``.
        labels: ``(batch, classes)`` label vectors.

    Returns:
        ``(batch, pixels)``.
    """
    return torch.cat([labels.to(images.dtype), images[:, labels.shape[1] :]], 1)


def has_margin(images: Tensor, classes: int) -> bool:
    """Return True if the label vector fits into the first pixels: they are 0 in all images, and other pixels follow.

    Args:
        images: ``(batch, pixels)``.
        classes: number of classes.
    """
    return images.shape[1] > classes and not images[:, :classes].any()


def prepend(images: Tensor, labels: Tensor) -> Tensor:
    """Insert the label vector before the pixels, for images without a margin.

    Args:
        images: ``(batch, pixels)``.
        labels: ``(batch, classes)`` label vectors.

    Returns:
        ``(batch, classes + pixels)``.
    """
    return torch.cat([labels.to(images.dtype), images], 1)


def planes(images: Tensor, labels: Tensor) -> Tensor:
    """Insert a constant plane for each class before the channels, so that the label is visible at every position.

    Args:
        images: ``(batch, channels, height, width)``.
        labels: ``(batch, classes)`` label vectors.

    Returns:
        ``(batch, classes + channels, height, width)``.
    """
    constant = labels.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([constant, images], 1)


FLAT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"overlay": overlay, "prepend": prepend}
"""Ways to insert a label into flat images, for layers that take one vector per case."""

LABEL_IN = FLAT | {"planes": planes}
"""All ways to insert a label; those that are not in `FLAT` are for layers that take maps."""


def shape_with_label(label_in: str, shape: tuple[int, int, int], classes: int) -> tuple[int, ...]:
    """Return the shape of an image (channels, height, width) together with its label.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in in FLAT:
        return (inputs_with_label(label_in, math.prod(shape), classes),)
    return shape[0] + classes, *shape[1:]


def inputs_with_label(label_in: str, pixels: int, classes: int) -> int:
    """Return the number of inputs of a flat image together with its label.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in == "overlay" and pixels <= classes:
        raise SettingError(
            f"--label-in is overlay, but an image has {pixels} pixels for {classes} labels: use --label-in prepend"
        )
    return pixels + classes if label_in == "prepend" else pixels


def checked_labels(
    name: str, labels: Tensor, classes: int, *shape: int | str, on: torch.device, wait: bool = False
) -> Tensor:
    """Convert labels of any integer type to int64 and check them.

    Args:
        name: name of the argument.
        labels: its value.
        classes: number of labels.
        shape: see `bounds.shaped`.
        on: the expected device.
        wait: also check the range of labels on a GPU, which means waiting for it; on the CPU it is always checked.

    Raises:
        DataError: wrong shape or device, not integers, or a label outside 0 to ``classes - 1``.
    """
    shaped(name, labels, *shape, on=on)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(f"{name}: the type is {labels.dtype}, expected whole numbers: use .long()")
    labels = labels.to(torch.int64)
    if labels.numel() and (wait or labels.device.type == "cpu"):
        low, high = (int(value) for value in labels.aminmax())
        if low < 0 or high >= classes:
            raise DataError(
                f"{name} range from {low} to {high}, expected 0 to {classes - 1}: number the classes from 0, or build "
                "the net for more classes"
            )
    return labels


LABEL_TO = {"top": "the last hidden layer", "all": "every hidden layer"}
"""The layers of a recurrent net that receive the label as top-down input."""
