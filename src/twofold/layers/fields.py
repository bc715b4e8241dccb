"""Local receptive fields: the place of each unit on a map, and the square of the map below that it sees."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from twofold.checks import check_fields, typed
from twofold.checks.bounds import counts
from twofold.errors import SettingError

Map = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True)
class Fields:
    """The local fields of a layer: each unit sees a square around its point of a grid, in all channels.

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
        check_fields(self)
        _, height, width = self.below
        counts(channels=self.channels, field=self.field, stride=self.stride, below=min(self.below))
        if not 0 <= self.margin < self.field:
            raise SettingError(
                f"margin is {self.margin}, expected 0 to {self.field - 1}: a square of {self.field} x {self.field} "
                "further out sees nothing"
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

    @typed
    def span(self, point: int, size: int) -> range:
        """The rows of a map with ``size`` rows that a row of grid points sees; the same for columns."""
        counts(size=size)
        first = point * self.stride - self.margin
        return range(max(first, 0), min(first + self.field, size))

    @property
    def weights(self) -> int:
        """Number of weights that exist."""
        _, height, width = self.below
        down, across = (
            sum(len(self.span(point, size)) for point in range(points))
            for points, size in zip(self.grid, (height, width), strict=True)
        )
        return self.channels * self.below[0] * down * across

    def mask(self) -> Tensor:
        """Whether each unit sees each input, ``(units, inputs)``, booleans."""
        channels, height, width = self.below
        found = torch.zeros(*self.grid, channels, height, width, dtype=torch.bool)
        for row, column in itertools.product(*map(range, self.grid)):
            down, across = self.span(row, height), self.span(column, width)
            found[row, column, :, down.start : down.stop, across.start : across.stop] = True
        return found.flatten(2).flatten(0, 1).repeat(self.channels, 1).view(self.units, self.inputs)


def fields_for(units: int, below: Map, field: int, stride: int = 1, margin: int = 0) -> Fields:
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
