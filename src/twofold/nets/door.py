"""What enters a net from outside: images, made fit for it or refused in one line."""

from __future__ import annotations

import torch
from torch import Tensor

from twofold.checks import looking
from twofold.checks.bounds import floating
from twofold.errors import DataError


def entering(name: str, images: Tensor, pixels: int | None, like: Tensor) -> Tensor:
    """Return images ``(batch, ...)`` in the type in which a net computes.

    Args:
        name: the argument.
        images: floating-point numbers, finite; bytes are not divided by 255 by anyone else.
        pixels: how many numbers an image has, or ``None`` where the net's first layer alone knows.
        like: a parameter of the net, whose type and device count.

    Raises:
        DataError: they are not as described.
    """
    if not looking():
        return images
    if images.numel() == pixels and images.shape[:1] != (1,):
        raise DataError(
            f"{name}: the shape is {tuple(images.shape)}, one image of {pixels} numbers, expected a batch, "
            "(batch, ...): give image[None]"
        )
    floating(name, images, "batch", "...", on=like.device)
    if pixels is not None and images.shape[1:].numel() != pixels:
        raise DataError(
            f"{name}: the shape is {tuple(images.shape)}, {images.shape[1:].numel()} numbers each, expected {pixels}: "
            "give images of the size that the net was built for"
        )
    if not images.sum().isfinite():  # a sum is quick, and finite where all its numbers are, but for huge ones
        bad = ~images.flatten(1).isfinite().all(1)
        if bad.any():
            raise DataError(
                f"{name}: NaN or infinite numbers in {int(bad.sum())} of {len(bad)} images, first in image "
                f"{int(bad.nonzero()[0])}: remove or repair them"
            )
    return images.to(like.dtype)


def on_device(name: str, part: Tensor, device: torch.device) -> Tensor:
    """A part of a user's data on the device of the net.

    Raises:
        DataError: it lies on the device meta, which keeps no numbers.
    """
    if part.is_meta:
        raise DataError(f"{name} is on the device meta, which keeps no numbers: make it on cpu or cuda")
    return part.to(device)
