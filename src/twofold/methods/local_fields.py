"""The plot of local receptive fields, for all methods that support them."""

from __future__ import annotations

from pathlib import Path

from twofold.layers.fields import Map
from twofold.layers.tiles import Tiled
from twofold.layers.weights import Weights


def draw_local_fields(weights: Weights, shape: Map, folder: Path) -> list[Path]:
    """Plot the receptive fields of some units of the first layer, and return the paths of the image files.

    Nothing is plotted if the layer is fully connected, or if images do not have 1 or 3 channels.

    Args:
        weights: weights of the first layer.
        shape: channels, height and width of an image.
        folder: folder for the file ``fields.png``.
    """
    from twofold.plots.local_fields import local_fields

    tiled = weights.connectivity
    if not isinstance(tiled, Tiled) or shape[0] not in (1, 3):
        return []
    path = folder / "fields.png"
    return [local_fields(weights.to_matrix(), tiled.fields.mask(), shape, tiled.fields.channels, path)]
