"""Layers whose units see a square of the map below, each with its own weights (talk 26:55; paper sections 3.2, 3.4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from twofold.errors import SettingError
from twofold.layers.connectivity import Connectivity, Masked
from twofold.layers.layer import Connected, Layer
from twofold.learning import Rule

WIDE = 96
"""Units that the blocks of a local layer should have at least: narrower products are slow."""
SPARE = 2.0
"""How many times as many weights may be stored as there are."""

Map = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True)
class Fields:
    """Where the units of a layer lie, and what they see: a square around each point of a grid, in all channels.

    Units and inputs are numbered as in an image: channel by channel, row by row.

    Attributes:
        below: the map below.
        channels: units at each grid point, which all see the same square.
        field: side of the square.
        stride: distance of neighboring grid points.
        margin: how far the squares of the outermost grid points reach beyond the edge, where they are cut off.

    Raises:
        SettingError: a number that is not positive, a square larger than the map, a grid point that sees nothing.
    """

    below: Map
    channels: int
    field: int
    stride: int = 1
    margin: int = 0

    def __post_init__(self) -> None:
        _, height, width = self.below
        least = {"channels": self.channels, "field": self.field, "stride": self.stride, "map": min(self.below)}
        for name, number in least.items():
            if number < 1:
                raise SettingError(f"a local layer has {name} {number}, expected at least 1")
        if not 0 <= self.margin < self.field:
            raise SettingError(
                f"fields of {self.field} x {self.field} reach {self.margin} beyond the edge, expected 0 to "
                f"{self.field - 1}: further out they see nothing"
            )
        side = min(height, width) + 2 * self.margin
        if self.field > side:
            raise SettingError(
                f"fields of {self.field} x {self.field} do not fit into a map of {height} x {width} with a margin of "
                f"{self.margin}: make them smaller"
            )
        for size in (height, width):
            rest = (size + 2 * self.margin - self.field) % self.stride
            if rest:
                raise SettingError(
                    f"a stride of {self.stride} leaves {rest} of {size} pixels unseen by fields of {self.field} with a "
                    f"margin of {self.margin}: choose one that divides {size + 2 * self.margin - self.field}"
                )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of grid points."""
        _, height, width = self.below
        rows, columns = ((size + 2 * self.margin - self.field) // self.stride + 1 for size in (height, width))
        return rows, columns

    @property
    def above(self) -> Map:
        """The map that the units make."""
        return self.channels, *self.grid

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        channels, height, width = self.below
        return channels * height * width

    @property
    def units(self) -> int:
        """Number of units."""
        rows, columns = self.grid
        return self.channels * rows * columns

    def seen(self, point: int, size: int) -> range:
        """The rows that a row of grid points sees of a map with ``size`` rows; the same for columns."""
        first = point * self.stride - self.margin
        return range(max(first, 0), min(first + self.field, size))

    @property
    def weights(self) -> int:
        """Number of weights that exist."""
        _, height, width = self.below
        down, across = (
            sum(len(self.seen(point, size)) for point in range(points))
            for points, size in zip(self.grid, (height, width), strict=True)
        )
        return self.channels * self.below[0] * down * across

    def mask(self) -> Tensor:
        """What each unit sees, ``(units, inputs)``, booleans."""
        channels, height, width = self.below
        found = torch.zeros(*self.grid, channels, height, width, dtype=torch.bool)
        for row, column in itertools.product(*map(range, self.grid)):
            down, across = self.seen(row, height), self.seen(column, width)
            found[row, column, :, down.start : down.stop, across.start : across.stop] = True
        return found.flatten(2).flatten(0, 1).repeat(self.channels, 1).view(self.units, self.inputs)


def of_units(units: int, below: Map, field: int, stride: int = 1, margin: int = 0) -> Fields:
    """Fields with as many units in all, evenly shared out to the grid points.

    Raises:
        SettingError: they cannot be, or see `Fields`.
    """
    fields = Fields(below, 1, field, stride, margin)
    rows, columns = fields.grid
    if units % (rows * columns):
        raise SettingError(
            f"{units} units do not divide by the {rows} x {columns} grid points that fields of {field} with a stride "
            f"of {stride} make of a map of {below[1]} x {below[2]}: choose a multiple of {rows * columns}"
        )
    return replace(fields, channels=units // (rows * columns))


@dataclass(frozen=True)
class Block:
    """Tiles of equal shape: in each the same number of units sees, among others, the same number of inputs.

    Attributes:
        units: their numbers, ``(tiles, units)``.
        inputs: the numbers of all that any of them sees, ``(tiles, inputs)``.
        mask: which of the inputs each unit sees, ``(units, inputs)``, the same in all tiles.
    """

    units: Tensor
    inputs: Tensor
    mask: Tensor


def tile_of(fields: Fields) -> tuple[int, int]:
    """Rows and columns of the grid points that make a tile.

    Of the tiles with which no more than `SPARE` times the weights are stored that exist, the smallest that has at
    least `WIDE` units, or the largest where all are narrower.
    """
    _, height, width = fields.below
    fitting = []
    for rows, columns in itertools.product(*(range(1, points + 1) for points in fields.grid)):
        down = sum(len(_union(fields, part, height)) * len(part) for part in _parts(fields.grid[0], rows))
        across = sum(len(_union(fields, part, width)) * len(part) for part in _parts(fields.grid[1], columns))
        if down * across * fields.channels * fields.below[0] <= SPARE * fields.weights:
            fitting.append((rows, columns, down * across))
    wide = [tile for tile in fitting if tile[0] * tile[1] * fields.channels >= WIDE]
    if not wide:
        return max(fitting, key=lambda tile: tile[0] * tile[1])[:2]
    return min(wide, key=lambda tile: (tile[0] * tile[1], tile[2], tile[1]))[:2]


def blocks_of(fields: Fields, tile: tuple[int, int]) -> list[Block]:
    """The tiles of a layer, those of equal shape together."""
    channels, height, width = fields.below
    rows, columns = fields.grid
    found: dict[tuple[tuple[int, ...], ...], list[tuple[Tensor, Tensor, Tensor]]] = {}
    for down, across in itertools.product(_parts(rows, tile[0]), _parts(columns, tile[1])):
        seen_down, seen_across = _union(fields, down, height), _union(fields, across, width)
        units = _numbers(fields.channels, down, across, rows, columns)
        inputs = _numbers(channels, seen_down, seen_across, height, width)
        part = [
            [[place in fields.seen(point, size) for place in seen] for point in points]
            for points, seen, size in ((down, seen_down, height), (across, seen_across, width))
        ]
        shape = (*(tuple(itertools.chain.from_iterable(one)) for one in part), (len(down), len(across)))
        near = torch.einsum("ik,jl->ijkl", *(torch.tensor(one, dtype=torch.uint8) for one in part)).bool()
        near = near.flatten(2).flatten(0, 1)  # (grid points, pixels)
        mask = near.repeat(fields.channels, channels)
        found.setdefault(shape, []).append((units, inputs, mask))
    return [
        Block(torch.stack([each[0] for each in tiles]), torch.stack([each[1] for each in tiles]), tiles[0][2])
        for tiles in found.values()
    ]


def _parts(points: int, most: int) -> list[range]:
    """So many grid points in a row, in parts of equal length apart from the last."""
    return [range(first, min(first + most, points)) for first in range(0, points, most)]


def _union(fields: Fields, points: range, size: int) -> range:
    """What any of some neighboring grid points sees in one direction."""
    return range(fields.seen(points[0], size).start, fields.seen(points[-1], size).stop)


def _numbers(channels: int, down: range, across: range, height: int, width: int) -> Tensor:
    """The numbers of a rectangle of a map, channel by channel, row by row."""
    channel, row, column = torch.arange(channels), torch.tensor(list(down)), torch.tensor(list(across))
    return ((channel[:, None, None] * height + row[:, None]) * width + column).flatten()


class Tiled(Connectivity):
    """Each unit sees its own field alone.

    Neighboring grid points make a tile; the units of a tile and all that any of them sees are a block of a batched
    matrix product, in which the weights that do not exist are zero. Activities are turned over for it, so that what a
    block needs of them are whole rows. Weights are stored block after block, ``(1, stored)``.

    Args:
        fields: where the units lie and what they see.
        tile: rows and columns of the grid points of a tile; chosen by shape where it is not given.
    """

    _units: Tensor
    _places: Tensor
    _inputs: Tensor
    _mask: Tensor

    def __init__(self, fields: Fields, tile: tuple[int, int] | None = None) -> None:
        super().__init__(fields.units, fields.inputs)
        self.fields = fields
        made = blocks_of(fields, tile or tile_of(fields))
        self.shapes = [(len(block.units), *block.mask.shape) for block in made]
        units, inputs = (torch.cat([getattr(block, name).flatten() for block in made]) for name in ("units", "inputs"))
        masks = [block.mask.expand(shape).flatten() for block, shape in zip(made, self.shapes, strict=True)]
        self.register_buffer("_units", units, persistent=False)
        self.register_buffer("_places", units.argsort(), persistent=False)
        self.register_buffer("_inputs", inputs, persistent=False)
        self.register_buffer("_mask", torch.cat(masks)[None], persistent=False)

    def seen(self) -> Tensor:
        each = torch.cat([mask.sum(2).flatten() for mask in self._blocks(self._mask)])
        return each[self._places]

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        scales = self._tiles(scale[self._units, None], 1)
        masks = self._blocks(self._mask)
        first = [
            torch.randn(mask.shape, generator=generator) * mask * scale
            for mask, scale in zip(masks, scales, strict=True)
        ]
        return torch.cat([each.flatten() for each in first])[None]

    def _blocks(self, weight: Tensor) -> Iterator[Tensor]:
        """Of all that is stored what belongs to each block, ``(tiles, units, inputs)``."""
        sizes = [tiles * units * inputs for tiles, units, inputs in self.shapes]
        parts = torch.split(weight.view(-1), sizes)
        return (part.view(shape) for part, shape in zip(parts, self.shapes, strict=True))

    def _tiles(self, rows: Tensor, side: int) -> Iterator[Tensor]:
        """Of all rows, tile after tile, those of each block, ``(tiles, units or inputs, batch)``; side 1 or 2."""
        parts = torch.split(rows, [shape[0] * shape[side] for shape in self.shapes])
        return (part.view(shape[0], shape[side], -1) for part, shape in zip(parts, self.shapes, strict=True))

    def times(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        seen = rows.to(weight.dtype).T.contiguous().index_select(0, self._inputs)
        pairs = zip(self._blocks(weight), self._tiles(seen, 2), strict=True)
        made = torch.cat([torch.bmm(block, inputs).flatten(0, 1) for block, inputs in pairs])
        return total + made.index_select(0, self._places).T

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor, share: float) -> None:
        asked, shown = wanted.index_select(0, self._units), seen.T.contiguous()
        tiles = itertools.chain.from_iterable(self._blocks(gradient))
        sides = self._tiles(asked, 1), self._tiles(self._inputs[:, None], 2)
        each = zip(tiles, *(itertools.chain.from_iterable(side) for side in sides), strict=True)
        for tile, units, inputs in each:  # one after the other, so that what a tile sees fits into a cache
            given = shown.index_select(0, inputs[:, 0])
            torch.addmm(tile, units, given.T, beta=1 - share, alpha=share, out=tile)

    def mask(self, gradient: Tensor) -> Tensor:
        return gradient.mul_(self._mask)

    def written_out(self, weight: Tensor) -> Tensor:
        whole = weight.new_zeros(self.units, self.inputs)
        sides = self._tiles(self._units[:, None], 1), self._tiles(self._inputs[:, None], 2)
        for block, units, inputs in zip(self._blocks(weight.detach()), *sides, strict=True):
            whole[units, inputs.transpose(1, 2)] = block
        return whole


def seen_from(above: Fields) -> Connectivity:
    """Top-down: what each unit of a map sees of the layer above it, namely those units that see it."""
    if above.stride > 1:
        return Masked(above.mask().T.contiguous())
    return Tiled(Fields(above.above, above.below[0], above.field, 1, above.field - 1 - above.margin))


class Local(Connected):
    """y = relu(x Wᵀ + b), where each unit has weights to its own field alone, with the update in closed form.

    Args:
        fields: where the units lie and what they see.
        rule: how the layer learns.
        generator: draws the first weights.
        tile: rows and columns of the grid points of a tile; chosen by shape where it is not given.
    """

    seen: Tiled

    def __init__(
        self,
        fields: Fields,
        rule: Rule,
        generator: torch.Generator | None = None,
        tile: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(Tiled(fields, tile), rule, generator)
        self.fields = fields


def local(maps: Sequence[Fields], rule: Rule, generator: torch.Generator | None = None) -> Iterator[Layer]:
    """A stack of `Local` layers, made one after the other.

    Raises:
        SettingError: a layer does not see the map that the one below makes.
    """
    for below, fields in zip((None, *maps[:-1]), maps, strict=True):
        if below is not None and below.above != fields.below:
            raise SettingError(f"a local layer sees a map {fields.below}, but the one below it makes {below.above}")
        yield Local(fields, rule, generator)
