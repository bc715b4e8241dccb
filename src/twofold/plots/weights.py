"""Plots of the weights of one unit: from pixels as an image, from labels as a strip of blocks."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from twofold.plots.canvas import Floats, frame
from twofold.plots.colors import BLANK, INK, NEGATIVE, POSITIVE

WEIGHTS = LinearSegmentedColormap.from_list(
    "weights", ["#A34700", NEGATIVE, "#FFFFFF", POSITIVE, "#005080"]
).with_extremes(bad=BLANK)
"""Color map of weights: orange inhibits, white is zero, blue excites; grey marks pixels without a weight."""


def weight_image(ax: Axes, weights: Floats, shape: tuple[int, int, int], blank: NDArray[np.bool_]) -> None:
    """Plot the weights of a unit from the pixels, on a color scale that is symmetric about zero.

    Args:
        ax: Subplot for the image.
        weights: Weights of the unit, ``(pixels,)``.
        shape: ``(channels, height, width)`` of the image. Three channels are shown as RGB, with mid-grey for zero.
        blank: True for pixels that are left blank, ``(height, width)``.
    """
    frame(ax)
    picture = weights.reshape(shape).transpose(1, 2, 0)
    scale = float(np.abs(picture[~blank]).max(initial=0)) or 1.0
    if shape[0] == 3:
        shown = 0.5 + 0.5 * picture / scale
        shown[blank] = 1
        ax.imshow(shown, interpolation="nearest")
    else:
        ax.imshow(np.ma.masked_array(picture[..., 0], blank), cmap=WEIGHTS, vmin=-scale, vmax=scale)


def label_strip(ax: Axes, weights: Floats) -> None:
    """Plot the weights of a unit from the labels, ``(classes,)``, as a strip of numbered blocks below ``ax``."""
    strip = ax.inset_axes((0.0, -0.23, 1.0, 0.19))
    frame(strip)
    scale = float(np.abs(weights).max()) or 1.0
    strip.imshow(weights[None], cmap=WEIGHTS, vmin=-scale, vmax=scale, aspect="auto")
    for label, value in enumerate(weights if len(weights) <= 12 else ()):
        color = "white" if abs(value) > 0.4 * scale else INK
        strip.text(label, 0, str(label), ha="center", va="center_baseline", fontsize=8.5, color=color)
