"""Pictures of local layers: the fields of single first-layer units, and their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from twofold.errors import DataError
from twofold.plots.canvas import subplots, suptitle, write
from twofold.plots.weights import weight_image

POINTS, UNITS = 8, 4
"""Number of grid points that are drawn, and of units at each of them."""


def local_fields(weight: torch.Tensor, mask: torch.Tensor, shape: tuple[int, int, int], units: int, path: Path) -> Path:
    """Draw the weights of units at grid points between two opposite corners of the map, blank outside their fields.

    Args:
        weight: weights of the first layer as a matrix, ``(units, pixels)``; units are numbered as in an image.
        mask: whether a unit sees a pixel, ``(units, pixels)``, booleans.
        shape: channels, height and width of an image; 1 or 3 channels.
        units: number of units at each grid point.
        path: the PNG to write.

    Raises:
        DataError: the shapes do not fit together.
    """
    pixels = int(np.prod(shape))
    if weight.shape != mask.shape or weight.shape[1:] != (pixels,) or len(weight) % units or shape[0] not in (1, 3):
        raise DataError(
            f"weights of shape {tuple(weight.shape)} with fields of shape {tuple(mask.shape)}, {units} units a point, "
            f"for images of shape {shape}: expected (units, {pixels}) twice, whole points, and 1 or 3 channels"
        )
    points = len(weight) // units
    drawn = [round(point) for point in np.linspace(0, points - 1, min(POINTS, points))]
    figure, axes = subplots(min(UNITS, units), len(drawn), 1.1, 1.15)
    for unit, line in enumerate(axes):
        for point, ax in zip(drawn, line, strict=True):
            number = unit * points + point
            blank = ~mask[number].view(shape)[0].cpu().numpy()
            weight_image(ax, weight[number].cpu().double().numpy(), shape, blank)
    suptitle(
        figure,
        "Local fields of the first layer, no two units with the same weights",
        "each column is a grid point, each row another unit there; blank is what the unit does not see",
    )
    return write(figure, path)
