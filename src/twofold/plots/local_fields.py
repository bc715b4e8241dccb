"""Plot of the weights of first-layer units with local receptive fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from twofold.errors import DataError
from twofold.plots.canvas import subplots, suptitle, write
from twofold.plots.weights import weight_image

POINTS, UNITS = 8, 4
"""Maximum number of grid points in the plot, and of units shown for each grid point."""


def local_fields(weight: torch.Tensor, mask: torch.Tensor, shape: tuple[int, int, int], units: int, path: Path) -> Path:
    """Plot the weights of first-layer units at evenly spaced grid points, blank outside their receptive fields.

    The units of a local layer are arranged on a grid. All units of a grid point see the same pixels.

    Args:
        weight: Weight matrix of the first layer, ``(units, pixels)``; units are ordered by channel, then grid point.
        mask: True where a pixel is in the receptive field of a unit, ``(units, pixels)``.
        shape: ``(channels, height, width)`` of an image, with 1 or 3 channels.
        units: Number of units at each grid point.
        path: Path of the PNG to write.

    Returns:
        The path of the PNG.

    Raises:
        DataError: The shapes are inconsistent.
    """
    pixels = int(np.prod(shape))
    if weight.shape != mask.shape or weight.shape[1:] != (pixels,) or len(weight) % units or shape[0] not in (1, 3):
        raise DataError(
            f"weight of shape {tuple(weight.shape)}, mask of shape {tuple(mask.shape)}, {units} units per grid point, "
            f"images of shape {shape}: expected (units, {pixels}) twice, a multiple of {units} units, 1 or 3 channels"
        )
    points = len(weight) // units
    drawn = [round(point) for point in np.linspace(0, points - 1, min(POINTS, points))]
    figure, axes = subplots(min(UNITS, units), len(drawn), 1.1, 1.15)
    for unit, row in enumerate(axes):
        for point, ax in zip(drawn, row, strict=True):
            number = unit * points + point
            blank = ~mask[number].view(shape)[0].cpu().numpy()
            weight_image(ax, weight[number].cpu().double().numpy(), shape, blank)
    suptitle(
        figure,
        "Local fields of the first layer: units do not share weights",
        "each column is a grid point, each row another unit there; blank: pixels outside the field of the unit",
    )
    return write(figure, path)
