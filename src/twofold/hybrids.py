"""Negative data without labels: hybrids of two images (paper section 3.1).

A hybrid has the short-range structure of both images and the long-range structure of neither: large patches of one and
of the other, divided by a mask of random bits that were blurred and then made bits again.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from twofold.errors import SettingError


def masks(count: int, height: int, width: int, blurs: int, generator: torch.Generator) -> Tensor:
    """Patches of zeros and ones, ``(count, 1, height, width)``, on the generator's device.

    Random bits are blurred ``blurs`` times with [¼, ½, ¼] in both directions, their edges being mirrors, and are then 1
    where the blurred value is above ½. All blurs in one direction are one matrix, so a batch takes two small products.

    Args:
        count: how many.
        height, width: of each.
        blurs: the more, the larger the patches; 0 leaves single pixels.
        generator: draws the bits.

    Raises:
        SettingError: a negative number of blurs.
    """
    if blurs < 0:
        raise SettingError(f"blurs is {blurs}, expected 0 or more")
    device = generator.device
    bits = torch.randint(2, (count, 1, height, width), generator=generator, device=device).float()
    blurred = _blur(height, blurs, device) @ bits @ _blur(width, blurs, device).T
    return (blurred > 0.5).float()


@functools.cache
def _blur(size: int, times: int, device: torch.device) -> Tensor:
    """So many blurs in one direction, ``(size, size)``."""
    once = 0.5 * torch.eye(size, dtype=torch.float64)
    for offset in (-1, 1):
        for row in range(size):
            once[row, min(max(row + offset, 0), size - 1)] += 0.25
    power: Tensor = torch.linalg.matrix_power(once, times)
    return power.float().to(device)


def hybrids(images: Tensor, blurs: int, generator: torch.Generator) -> Tensor:
    """Each image mixed with its neighbor in the batch: image · mask + other · (1 - mask). One alone stays as it is.

    Args:
        images: ``(batch, channels, height, width)``, in random order.
        blurs: of the masks.
        generator: draws the masks; on the device of the images.
    """
    height, width = images.shape[-2:]
    mask = masks(len(images), height, width, blurs, generator).to(images.dtype)
    return torch.lerp(images.roll(1, 0), images, mask)
