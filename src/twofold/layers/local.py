"""Layers with local receptive fields, without weight sharing (talk 26:55; paper sections 3.2, 3.4)."""

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
    """Layer y = f(x Wᵀ + b) whose units have local receptive fields, where f is the activation of the learning rule.

    Unlike a convolution, units do not share weights. Weights start as N(0, 1) / √(inputs of the unit), biases at 0.

    Args:
        fields: receptive fields of the units.
        rule: learning rule.
        generator: random generator of the initial weights.
        tile: number of rows and of columns of units in a tile of the matrix product; see `Tiled`. The size of a tile
            affects only the speed. By default it is chosen automatically.
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
    """Yield a stack of `LocallyConnected` layers.

    Args:
        maps: receptive fields of each layer, from the input upwards.
        rule: learning rule of all layers.
        generator: random generator of the initial weights.

    Raises:
        SettingError: the input shape of a layer differs from the output shape of the layer below.
    """
    for below, fields in zip((None, *maps[:-1]), maps, strict=True):
        if below is not None and below.above != fields.below:
            raise SettingError(f"fields: a layer expects the map {fields.below}, but the layer below has {below.above}")
        yield LocallyConnected(fields, rule, generator)
