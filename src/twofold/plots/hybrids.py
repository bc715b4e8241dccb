"""Plot of hybrid images, the negative data of nets that are trained without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from twofold.errors import DataError
from twofold.plots.canvas import frame, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE


def hybrids_shown(
    images: torch.Tensor, others: torch.Tensor, masks: torch.Tensor, hybrids: torch.Tensor, path: Path
) -> Path:
    """Plot pairs of images, their masks and the resulting hybrids, one pair per column (paper section 3.1).

    Args:
        images: Images that the hybrids show where their masks are 1, ``(cases, channels, height, width)``, with pixels
            from 0 to 1 and with 1 or 3 channels.
        others: Images that the hybrids show where their masks are 0, of the same shape.
        masks: Masks, ``(cases, 1, height, width)``.
        hybrids: Hybrids, of the same shape as the images.
        path: Path of the PNG to write.

    Returns:
        The path of the PNG.

    Raises:
        DataError: There are no images, or the shapes differ.
    """
    shapes = {tuple(pictures.shape) for pictures in (images, others, hybrids)}
    if len(shapes) > 1 or not images.numel() or masks.shape != (len(images), 1, *images.shape[2:]):
        raise DataError(
            f"images, others and hybrids of shape {sorted(shapes)} with masks of shape {tuple(masks.shape)}: expected "
            "the same (cases, channels, height, width) for all three, and one channel for the masks"
        )
    rows: Sequence[tuple[str, str, torch.Tensor]] = (
        ("image", POSITIVE, images),
        ("mask", INK, masks),
        ("another", POSITIVE, others),
        ("hybrid", NEGATIVE, hybrids),
    )
    figure, axes = subplots(len(rows), len(images), 1.1, 1.15)
    for (name, color, pictures), row in zip(rows, axes, strict=True):
        for column, (ax, picture) in enumerate(zip(row, pictures, strict=True)):
            frame(ax, color, 1.6)
            shown = np.moveaxis(picture.cpu().numpy(), 0, -1).squeeze()
            ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
            if not column:
                ax.set_ylabel(name, fontsize=12, color=color, weight="bold")
    suptitle(
        figure,
        "Hybrid images: negative data without labels",
        "a hybrid is the image where the mask is white and the other one where it is black",
    )
    return write(figure, path)
