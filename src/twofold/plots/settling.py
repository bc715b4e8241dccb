"""Plot of the activity of a recurrent net while it settles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator

from twofold.errors import DataError
from twofold.plots.canvas import label_axes, legend, subplots, suptitle, write
from twofold.plots.colors import INK, NEGATIVE, POSITIVE


def settling(right: torch.Tensor, wrong: torch.Tensor, judged: tuple[int, int], path: Path) -> Path:
    """Plot the activity of each layer over the iterations, with right and with wrong labels (talk 24:03, 25:09).

    The panel of a layer shows the mean squared activity of its units: the median over images, and a band from the first
    to the third quartile. A grey bar marks the iterations over which the slow test averages the goodness.

    Args:
        right: Mean squared activity with the right label, ``(images, iterations, layers)``.
        wrong: Mean squared activity with a wrong label, of the same shape.
        judged: First and last iteration that the slow test uses, counted from 1.
        path: Path of the PNG to write.

    Returns:
        The path of the PNG.

    Raises:
        DataError: The shapes differ, or the activities are empty.
    """
    if right.shape != wrong.shape or right.dim() != 3 or not right.numel():
        raise DataError(
            f"activity of shape {tuple(right.shape)} with right and {tuple(wrong.shape)} with wrong labels: expected "
            "the same (images, iterations, layers) for both"
        )
    layers = right.shape[2]
    figure, [row] = subplots(1, layers, 4.6, 3.9, 0.12)
    across = np.arange(1, right.shape[1] + 1)
    for layer, ax in enumerate(row):
        for activity, color, name in ((wrong, NEGATIVE, "wrong label"), (right, POSITIVE, "right label")):
            levels = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
            low, median, high = activity[:, :, layer].cpu().double().quantile(levels, dim=0).numpy()
            ax.fill_between(across, low, high, color=color, alpha=0.2, linewidth=0)
            ax.plot(across, median, color=color, marker="o", ms=4, lw=2, label=name)
        ax.axvspan(judged[0] - 0.4, judged[1] + 0.4, color="#EEEEEE", zorder=0, label="slow test")
        label_axes(ax, f"Layer {layer + 1}", "iteration", "mean squared activity" if not layer else "")
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.tick_params(colors=INK)
        legend(ax, 3)
    suptitle(
        figure,
        "Settling of the layers for a still image",
        "median over images; band: first to third quartile; wrong label: the one with the highest goodness",
    )
    return write(figure, path)
