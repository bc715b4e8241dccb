"""Checks of the images and data that a user passes to a net."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twofold.checks.bounds import floating
from twofold.errors import DataError


def entering(name: str, images: Tensor, pixels: int | None, like: Tensor) -> Tensor:
    """Check ``images`` ``(batch, ...)`` and convert this tensor to the dtype of the net.

    Args:
        name: Name of the argument, for error messages.
        images: Finite floating-point numbers on the device of the net. On a GPU, images are not checked for NaN and
            infinite values, because the check would synchronize with the GPU. The tests of a net check the resulting
            scores instead.
        pixels: Expected number of pixels per image; ``None`` if unknown.
        like: Any parameter of the net, whose dtype and device are the dtype and device of the net.

    Raises:
        DataError: The images have another shape, type or device, or are not finite.
    """
    if pixels is not None and (numbers := images.shape[1:].numel()) != pixels:
        raise DataError(
            f"{name}: the shape is {tuple(images.shape)}, "
            + (
                "which is a single image, expected a batch (batch, ...): add a dimension, as in image[None]"
                if images.numel() == pixels
                else f"{numbers} numbers per image, expected {pixels}: give images of the size that the net expects"
            )
        )
    floating(name, images, "batch", "...", on=like.device)
    # The sum is a fast check. Since the sum of finite numbers may overflow, numbers are then checked one by one.
    if images.device.type == "cpu" and not math.isfinite(images.sum().item()):
        bad = ~images.flatten(1).isfinite().all(1)
        if bad.any():
            raise DataError(
                f"{name}: NaN or infinite values in {int(bad.sum())} of {len(bad)} images, first in image "
                f"{int(bad.nonzero()[0])}, expected finite numbers: remove or repair these images"
            )
    return images.to(like.dtype)


def on_device(name: str, part: Tensor, device: torch.device) -> Tensor:
    """Move a tensor ``part`` of the user's data to the device of the net.

    Args:
        name: Name of the argument, for error messages.
        part: The tensor.
        device: Device of the net.

    Raises:
        DataError: The tensor is on the meta device, which stores no values.
    """
    if part.is_meta:
        raise DataError(f"{name} is on the meta device, which stores no values: create it on cpu or cuda")
    return part.to(device)
