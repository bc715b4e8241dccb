"""The picture of local fields, for all families that can have some."""

from __future__ import annotations

from pathlib import Path

from twofold.layers.fields import Fields, Map
from twofold.layers.weights import Weights


def draw_local_fields(weights: Weights, shape: Map, folder: Path) -> list[Path]:
    """Draw what some units of a first layer see, where they have fields, of images that can be drawn.

    Args:
        weights: of the first layer, to the image.
        shape: channels, height and width of an image.
        folder: where ``fields.png`` goes.
    """
    from twofold.plots.local_fields import local_fields

    fields: Fields | None = getattr(weights.connectivity, "fields", None)
    if fields is None or shape[0] not in (1, 3):
        return []
    path = folder / "fields.png"
    return [local_fields(weights.to_matrix(), fields.mask(), shape, fields.channels, path)]
