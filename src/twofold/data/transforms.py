"""Random transformations of images during training."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from twofold.errors import SettingError


def jitter(images: Tensor, reach: int, generator: Generator) -> Tensor:
    """Shift each image by random whole numbers of pixels, filling in zeros at the borders.

    Both offsets of an image are uniform over -reach ... reach, so all (2 reach + 1)² positions are equally likely; all
    channels of an image get the same shift.

    Args:
        images: ``(batch, channels, height, width)``.
        reach: largest shift in pixels; 0 returns ``images`` unchanged and draws no random numbers.
        generator: random generator on the device of ``images``.

    Raises:
        SettingError: ``reach`` is negative.
    """
    if reach < 0:
        raise SettingError(f"jitter reach is {reach} pixels, expected 0 or more: 0 switches jitter off")
    if reach == 0:
        return images
    batch, _, height, width = images.shape
    high, wide = min(reach, height), min(reach, width)  # shifting further leaves the image just as empty
    padded = functional.pad(images, [wide, wide, high, high])
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (batch, channels, down, right, height, width), a view
    drawn = torch.randint(2 * reach + 1, (2, batch), generator=generator, device=images.device) - reach
    down, right = drawn[0].clamp(-high, high) + high, drawn[1].clamp(-wide, wide) + wide
    return windows[torch.arange(batch, device=images.device), :, down, right]


def mirror(images: Tensor, generator: Generator) -> Tensor:
    """Flip each image horizontally with probability 1/2.

    Args:
        images: ``(batch, channels, height, width)``.
        generator: random generator on the device of ``images``.
    """
    flipped = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(flipped[:, None, None, None], images.flip(3), images)
