"""Insert labels into images (talk 10:57).

A label is encoded as a vector with one number per class. This label vector is a one-hot vector times a strength. The
neutral label has the same small number for each class. Positive, negative and neutral inputs differ only in this
vector.
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
    """Replace the first pixels of each image by the label vector.

    The replaced pixels should be 0 in all images, as in the margin of MNIST images.

    Args:
        images: flattened images, ``(batch, pixels)``.
        labels: label vectors, ``(batch, classes)``.

    Returns:
        Images with labels, ``(batch, pixels)``.
    """
    return torch.cat([labels.to(images.dtype), images[:, labels.shape[1] :]], 1)


def has_margin(images: Tensor, classes: int) -> bool:
    """Return True if the first ``classes`` pixels are 0 in all images, so that `overlay` loses no information.

    Images must have more than ``classes`` pixels.

    Args:
        images: flattened images, ``(batch, pixels)``.
        classes: number of classes.
    """
    return images.shape[1] > classes and not images[:, :classes].any()


def prepend(images: Tensor, labels: Tensor) -> Tensor:
    """Insert the label vector before the pixels of each image.

    Args:
        images: flattened images, ``(batch, pixels)``.
        labels: label vectors, ``(batch, classes)``.

    Returns:
        Images with labels, ``(batch, classes + pixels)``.
    """
    return torch.cat([labels.to(images.dtype), images], 1)


def planes(images: Tensor, labels: Tensor) -> Tensor:
    """Insert one channel per class before the channels of each image, so that a convolution can use the label anywhere.

    The inserted channel of a class is constant: all pixels have the value of this class in the label vector.

    Args:
        images: ``(batch, channels, height, width)``.
        labels: label vectors, ``(batch, classes)``.

    Returns:
        Images with labels, ``(batch, classes + channels, height, width)``.
    """
    constant = labels.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([constant, images], 1)


FLAT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"overlay": overlay, "prepend": prepend}
"""Functions that insert a label into flattened images, for layers whose input is one vector per case."""

LABEL_IN = FLAT | {"planes": planes}
"""All functions that insert a label. ``planes`` is for layers whose input has the shape (channels, height, width)."""


def shape_with_label(label_in: str, shape: tuple[int, int, int], classes: int) -> tuple[int, ...]:
    """Return the input shape of the first layer, for images of the shape (channels, height, width) with a label.

    Args:
        label_in: ``overlay``, ``prepend`` or ``planes``; see `LABEL_IN`.
        shape: shape of an image without label, (channels, height, width).
        classes: number of classes.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in in FLAT:
        return (inputs_with_label(label_in, math.prod(shape), classes),)
    return shape[0] + classes, *shape[1:]


def inputs_with_label(label_in: str, pixels: int, classes: int) -> int:
    """Return the number of inputs of the first layer: ``pixels``, plus ``classes`` if ``label_in`` is ``prepend``.

    Raises:
        SettingError: the label would cover the whole image.
    """
    if label_in == "overlay" and pixels <= classes:
        raise SettingError(
            f"--label-in overlay needs more pixels than classes, got {pixels} pixels and {classes} classes: use "
            "--label-in prepend"
        )
    return pixels + classes if label_in == "prepend" else pixels


def checked_labels(
    name: str, labels: Tensor, classes: int, *shape: int | str, on: torch.device, wait: bool = False
) -> Tensor:
    """Convert labels of any integer type to int64 and check them.

    Args:
        name: name of the argument, for error messages.
        labels: labels to check.
        classes: number of classes.
        shape: expected shape of ``labels``; see `bounds.shaped`.
        on: expected device.
        wait: if True, also check the range of labels on a GPU, which synchronizes with the GPU. On the CPU, the range
            is always checked.

    Returns:
        The labels as int64, from 0 to ``classes - 1``.

    Raises:
        DataError: wrong shape or device, not integers, or a label outside 0 to ``classes - 1``.
    """
    shaped(name, labels, *shape, on=on)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(f"{name}: the type is {labels.dtype}, expected integers: use .long()")
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
"""Values of the option ``label_to`` of a recurrent net -> the layers that receive the label as input."""
