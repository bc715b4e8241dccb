"""Layers whose units see a square of the map below, each with its own weights (talk 26:55; paper sections 3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from twofold.checks import typed
from twofold.checks.bounds import counts
from twofold.errors import SettingError
from twofold.layers.dense import SparseLayer
from twofold.layers.fields import Fields
from twofold.layers.tiles import Tiled
from twofold.learning import Rule


class Local(SparseLayer):
    """y = unit(x Wᵀ + b), where each unit has weights to its own field alone, with the update in closed form.

    Args:
        fields: where the units lie and what they see.
        rule: how the layer learns.
        generator: draws the first weights.
        tile: rows and columns of the grid points of a tile; chosen by shape where it is not given.
    """

    connectivity: Tiled

    @typed
    def __init__(
        self,
        fields: Fields,
        rule: Rule | None = None,
        generator: torch.Generator | None = None,
        tile: tuple[int, int] | None = None,
    ) -> None:
        counts(tile=min(tile) if tile else None)
        super().__init__(Tiled(fields, tile), rule, generator)
        self.fields = fields


def local(
    maps: Sequence[Fields], rule: Rule | None = None, generator: torch.Generator | None = None
) -> Iterator[Local]:
    """A stack of `Local` layers, made one after the other.

    Raises:
        SettingError: a layer does not see the map that the one below makes.
    """
    for below, fields in zip((None, *maps[:-1]), maps, strict=True):
        if below is not None and below.above != fields.below:
            raise SettingError(f"a local layer sees a map {fields.below}, but the one below it makes {below.above}")
        yield Local(fields, rule, generator)
