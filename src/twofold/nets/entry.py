"""Checks of the images and data that a user passes to a net."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twofold.checks.bounds import floating
from twofold.errors import DataError


def entering(name: str, images: Tensor, pixels: int | None, like: Tensor) -> Tensor:
    """Check images ``(batch, ...)`` and convert them to the dtype of the net.

    Args:
        name: The argument, for the error message.
        images: Floating-point numbers on the device of the net. They must be finite, which is checked on the CPU only:
            reading them on a GPU would mean waiting for it, and tests check the scores that they lead to.
        pixels: The number of pixels per image; ``None`` if only the net's first layer knows it.
        like: A parameter of the net, which has its dtype and device.

    Raises:
        DataError: The images do not meet these conditions.
    """
    if pixels is not None and (numbers := images.shape[1:].numel()) != pixels:
        raise DataError(
            f"{name}: the shape is {tuple(images.shape)}, "
            + (
                f"one image of {pixels} numbers, expected a batch, (batch, ...): give image[None]"
                if images.numel() == pixels
                else f"{numbers} numbers each, expected {pixels}: give images of the size that the net was built for"
            )
        )
    floating(name, images, "batch", "...", on=like.device)
    # The sum is a fast check: if it is too large, finite numbers are looked at one by one.
    if images.device.type == "cpu" and not math.isfinite(images.sum().item()):
        bad = ~images.flatten(1).isfinite().all(1)
        if bad.any():
            raise DataError(
                f"{name}: NaN or infinite numbers in {int(bad.sum())} of {len(bad)} images, first in image "
                f"{int(bad.nonzero()[0])}: remove or repair them"
            )
    return images.to(like.dtype)


def on_device(name: str, part: Tensor, device: torch.device) -> Tensor:
    """Move a tensor of a user's data to the device of the net.

    Raises:
        DataError: The tensor is on the device meta, which stores no values.
    """
    if part.is_meta:
        raise DataError(f"{name} is on the device meta, which stores no values: create it on cpu or cuda")
    return part.to(device)
