"""Connectivity of local receptive fields, computed as a batched matrix product over blocks of neighboring units."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from twofold.layers.connectivity import Connectivity, Masked
from twofold.layers.fields import Fields

MIN_UNITS = 96
"""Minimum number of units in a tile, since matrix products with fewer units are slow."""
MAX_STORED = 2.0
"""Maximum number of stored weights per connection. Zeros for missing connections count as stored weights."""


@dataclass(frozen=True)
class Block:
    """Tiles with the same number of units, the same number of inputs and the same connections between units and inputs.

    A tile is a rectangle of neighboring units.

    Attributes:
        units: numbers of the units of each tile, ``(tiles, units)``.
        inputs: numbers of the inputs to which at least one unit of a tile is connected, ``(tiles, inputs)``.
        mask: boolean matrix ``(units, inputs)``, True where a unit of a tile is connected to an input of the tile.
    """

    units: Tensor
    inputs: Tensor
    mask: Tensor


def tile_of(fields: Fields) -> tuple[int, int]:
    """Choose the size of the tiles of a layer: the number of rows and columns of grid points.

    Only tiles that store at most `MAX_STORED` weights per connection are considered. The result is the smallest tile
    with at least `MIN_UNITS` units, or the largest tile if all tiles have fewer units.
    """
    _, height, width = fields.below
    candidates = []
    for rows, columns in itertools.product(*(range(1, size + 1) for size in fields.grid)):
        down = sum(len(_union(fields, points, height)) * len(points) for points in _ranges(fields.grid[0], rows))
        across = sum(len(_union(fields, points, width)) * len(points) for points in _ranges(fields.grid[1], columns))
        if down * across * fields.channels * fields.below[0] <= MAX_STORED * fields.weights:
            candidates.append((rows, columns, down * across))
    enough = [tile for tile in candidates if tile[0] * tile[1] * fields.channels >= MIN_UNITS]
    if not enough:
        return max(candidates, key=lambda tile: tile[0] * tile[1])[:2]
    return min(enough, key=lambda tile: (tile[0] * tile[1], tile[2], tile[1]))[:2]


def blocks_of(fields: Fields, tile: tuple[int, int]) -> list[Block]:
    """Split a layer into tiles of ``tile`` = (rows, columns) grid points, and group tiles with the same connections."""
    channels, height, width = fields.below
    rows, columns = fields.grid
    by_shape: dict[tuple[tuple[int, ...], ...], list[tuple[Tensor, Tensor, Tensor]]] = {}
    for down, across in itertools.product(_ranges(rows, tile[0]), _ranges(columns, tile[1])):
        rows_seen, columns_seen = _union(fields, down, height), _union(fields, across, width)
        units = _numbers(fields.channels, down, across, rows, columns)
        inputs = _numbers(channels, rows_seen, columns_seen, height, width)
        visible = [
            [[place in fields.span(point, size) for place in seen] for point in points]
            for points, seen, size in ((down, rows_seen, height), (across, columns_seen, width))
        ]
        shape = (*(tuple(itertools.chain.from_iterable(side)) for side in visible), (len(down), len(across)))
        near = torch.einsum("ik,jl->ijkl", *(torch.tensor(side, dtype=torch.uint8) for side in visible)).bool()
        near = near.flatten(2).flatten(0, 1)  # (grid points, pixels)
        mask = near.repeat(fields.channels, channels)
        by_shape.setdefault(shape, []).append((units, inputs, mask))
    return [
        Block(torch.stack([tile[0] for tile in tiles]), torch.stack([tile[1] for tile in tiles]), tiles[0][2])
        for tiles in by_shape.values()
    ]


def _ranges(points: int, most: int) -> list[range]:
    """Split the numbers from 0 to ``points - 1`` into ranges of length ``most``; the last range may be shorter."""
    return [range(first, min(first + most, points)) for first in range(0, points, most)]


def _union(fields: Fields, points: range, size: int) -> range:
    """Return the rows (or columns) of the input map that the fields of neighboring rows (or columns) of units cover.

    Args:
        fields: receptive fields of the layer.
        points: numbers of the rows (or columns) of grid points.
        size: number of rows (or columns) of the input map.
    """
    return range(fields.span(points[0], size).start, fields.span(points[-1], size).stop)


def _numbers(channels: int, down: range, across: range, height: int, width: int) -> Tensor:
    """Return the numbers of the elements of a rectangle of a map, in all channels.

    Args:
        channels, height, width: shape of the map.
        down, across: rows and columns of the rectangle.
    """
    channel, row, column = torch.arange(channels), torch.tensor(list(down)), torch.tensor(list(across))
    return ((channel[:, None, None] * height + row[:, None]) * width + column).flatten()


class Tiled(Connectivity):
    """Connections of each unit to its local receptive field.

    Neighboring grid points form a tile. A dense matrix connects the units of a tile with all inputs to which at least
    one unit of the tile is connected; weights of missing connections are zero. The matrices of equal shape are
    multiplied in one batched product. All weights are stored in one row, ``(1, stored weights)``.

    Args:
        fields: receptive fields of the units.
        tile: number of rows and columns of grid points in a tile; chosen by `tile_of` if omitted.
    """

    _units: Tensor
    _places: Tensor
    _inputs: Tensor
    _mask: Tensor

    def __init__(self, fields: Fields, tile: tuple[int, int] | None = None) -> None:
        super().__init__(fields.units, fields.inputs)
        self.fields = fields
        blocks = blocks_of(fields, tile or tile_of(fields))
        self.shapes = [(len(block.units), *block.mask.shape) for block in blocks]
        units, inputs = (torch.cat([getattr(block, key).flatten() for block in blocks]) for key in ("units", "inputs"))
        masks = [block.mask.expand(shape).flatten() for block, shape in zip(blocks, self.shapes, strict=True)]
        self.register_buffer("_units", units, persistent=False)
        self.register_buffer("_places", units.argsort(), persistent=False)
        self.register_buffer("_inputs", inputs, persistent=False)
        self.register_buffer("_mask", torch.cat(masks)[None], persistent=False)

    def fan_in(self) -> Tensor:
        counts = torch.cat([mask.sum(2).flatten() for mask in self._blocks(self._mask)])
        return counts[self._places]

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        scales = self._tiles(scale[self._units, None], 1)
        masks = self._blocks(self._mask)
        initial = [
            torch.randn(mask.shape, generator=generator) * mask * scale
            for mask, scale in zip(masks, scales, strict=True)
        ]
        return torch.cat([block.flatten() for block in initial])[None]

    def _blocks(self, weight: Tensor) -> Iterator[Tensor]:
        """Yield the weights of each block, ``(tiles, units, inputs)``, as views of ``weight``."""
        sizes = [tiles * units * inputs for tiles, units, inputs in self.shapes]
        parts = torch.split(weight.view(-1), sizes)
        return (part.view(shape) for part, shape in zip(parts, self.shapes, strict=True))

    def _tiles(self, rows: Tensor, side: int) -> Iterator[Tensor]:
        """Yield a tensor ``(tiles, units or inputs, columns)`` for each block: the rows that belong to its tiles.

        Args:
            rows: one row per unit or input of each tile, ``(rows, columns)``.
            side: 1 if the rows belong to units, 2 if they belong to inputs.
        """
        parts = torch.split(rows, [shape[0] * shape[side] for shape in self.shapes])
        return (part.view(shape[0], shape[side], -1) for part, shape in zip(parts, self.shapes, strict=True))

    def matmul(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        seen = rows.to(weight.dtype).T.contiguous().index_select(0, self._inputs)
        pairs = zip(self._blocks(weight), self._tiles(seen, 2), strict=True)
        products = torch.cat([torch.bmm(block, inputs).flatten(0, 1) for block, inputs in pairs])
        return total + products.index_select(0, self._places).T

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        by_tile, transposed = wanted.index_select(0, self._units), seen.T.contiguous()
        tiles = itertools.chain.from_iterable(self._blocks(gradient))
        sides = self._tiles(by_tile, 1), self._tiles(self._inputs[:, None], 2)
        triples = zip(tiles, *(itertools.chain.from_iterable(side) for side in sides), strict=True)
        for tile, units, inputs in triples:  # not batched, so that the inputs of a tile fit into the cache
            tile_inputs = transposed.index_select(0, inputs[:, 0])
            torch.addmm(tile, units, tile_inputs.T, beta=0, out=tile)

    def reduce_inputs(self, rows: Tensor) -> Tensor:
        fields = self.fields
        together = pad(rows.view(-1, *fields.below).sum(1, keepdim=True), [fields.margin] * 4)
        sums = avg_pool2d(together, fields.field, fields.stride, divisor_override=1)
        return sums.expand(-1, fields.channels, -1, -1).flatten(1)

    def mask(self, gradient: Tensor) -> Tensor:
        return gradient.mul_(self._mask)

    def to_matrix(self, weight: Tensor) -> Tensor:
        matrix = weight.new_zeros(self.units, self.inputs)
        sides = self._tiles(self._units[:, None], 1), self._tiles(self._inputs[:, None], 2)
        for block, units, inputs in zip(self._blocks(weight.detach()), *sides, strict=True):
            matrix[units, inputs.transpose(1, 2)] = block
        return matrix


def top_down(above: Fields) -> Connectivity:
    """Return the connectivity of the top-down weights of a layer.

    A unit u of the layer is connected to the units of the layer above whose receptive fields contain u.

    Args:
        above: receptive fields of the layer above.
    """
    if above.stride > 1:
        return Masked(above.mask().T.contiguous())
    return Tiled(Fields(above.above, above.below[0], above.field, 1, above.field - 1 - above.margin))
