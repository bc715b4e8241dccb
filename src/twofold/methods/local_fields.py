"""The picture of local fields, shared by all methods that support them."""

from __future__ import annotations

from pathlib import Path

from twofold.layers.fields import Map
from twofold.layers.tiles import Tiled
from twofold.layers.weights import Weights


def draw_local_fields(weights: Weights, shape: Map, folder: Path) -> list[Path]:
    """Draw the local fields of some units of a first layer, and return the files drawn.

    Draw nothing if the layer has no local fields, or if images do not have 1 or 3 channels.

    Args:
        weights: weights of the first layer.
        shape: channels, height and width of an image.
        folder: folder for ``fields.png``.
    """
    from twofold.plots.local_fields import local_fields

    tiled = weights.connectivity
    if not isinstance(tiled, Tiled) or shape[0] not in (1, 3):
        return []
    path = folder / "fields.png"
    return [local_fields(weights.to_matrix(), tiled.fields.mask(), shape, tiled.fields.channels, path)]
