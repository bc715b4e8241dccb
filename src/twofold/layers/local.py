"""Layers whose units see a square of the map below, without weight sharing (talk 26:55; paper sections 3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from twofold.checks import check_arguments
from twofold.checks.bounds import counts
from twofold.errors import SettingError
from twofold.layers.dense import SparseLayer
from twofold.layers.fields import Fields
from twofold.layers.tiles import Tiled
from twofold.learning import Rule


class LocallyConnected(SparseLayer):
    """y = unit(x Wᵀ + b), where each unit has weights only to its own field, with the update in closed form.

    Args:
        fields: positions of the units and what they see.
        rule: the learning rule.
        generator: draws the initial weights.
        tile: rows and columns of grid points per tile; chosen from the shape if omitted.
    """

    connectivity: Tiled

    @check_arguments
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
) -> Iterator[LocallyConnected]:
    """Yield a stack of `LocallyConnected` layers, one for each element of ``maps``.

    Raises:
        SettingError: a layer's input map differs from the map that the layer below forms.
    """
    for below, fields in zip((None, *maps[:-1]), maps, strict=True):
        if below is not None and below.above != fields.below:
            raise SettingError(f"a local layer expects a map {fields.below}, but the layer below has {below.above}")
        yield LocallyConnected(fields, rule, generator)
