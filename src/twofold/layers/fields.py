"""Local receptive fields: the position of each unit on a map, and the square of the map below that it sees."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from twofold.checks import check_fields
from twofold.checks.bounds import counts
from twofold.errors import SettingError

Map = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True)
class Fields:
    """The local fields of a layer: each unit sees a square around its grid point, in all channels.

    Units and inputs are numbered as in an image: channel by channel, row by row.

    Attributes:
        below: shape of the map below.
        channels: units at each grid point, which all see the same square.
        field: side length of the square.
        stride: distance between neighboring grid points.
        margin: how far the outermost squares extend beyond the edge of the map, where they are cut off.

    Raises:
        SettingError: a number is not positive, the square is larger than the map, or a grid point sees nothing.
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
                f"margin is {self.margin}, expected 0 to {self.field - 1}: with a larger one, the outermost squares of "
                f"{self.field} x {self.field} are outside the map"
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
                    f"stride is {self.stride}, but then fields of {self.field} with a margin of {self.margin} miss "
                    f"{rest} of {size} pixels: choose a divisor of {size + 2 * self.margin - self.field}"
                )

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and of columns of grid points."""
        _, height, width = self.below
        rows, columns = ((size + 2 * self.margin - self.field) // self.stride + 1 for size in (height, width))
        return rows, columns

    @property
    def above(self) -> Map:
        """Shape of the map that the units form."""
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

    def span(self, point: int, size: int) -> range:
        """Return the rows of a map with ``size`` rows that a row of grid points sees; also used for columns."""
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
        """Return a boolean mask ``(units, inputs)`` that is True where a unit sees an input."""
        channels, height, width = self.below
        mask = torch.zeros(*self.grid, channels, height, width, dtype=torch.bool)
        for row, column in itertools.product(*map(range, self.grid)):
            down, across = self.span(row, height), self.span(column, width)
            mask[row, column, :, down.start : down.stop, across.start : across.stop] = True
        return mask.flatten(2).flatten(0, 1).repeat(self.channels, 1).view(self.units, self.inputs)


def fields_for(units: int, below: Map, field: int, stride: int = 1, margin: int = 0) -> Fields:
    """Create fields with ``units`` units in total, distributed evenly over the grid points.

    Raises:
        SettingError: the units do not divide evenly, or see `Fields`.
    """
    fields = Fields(below, 1, field, stride, margin)
    rows, columns = fields.grid
    if units % (rows * columns):
        raise SettingError(
            f"{units} units do not divide evenly over {rows} x {columns} grid points (fields of {field}, stride "
            f"{stride}, map of {below[1]} x {below[2]}): choose a multiple of {rows * columns}"
        )
    return replace(fields, channels=units // (rows * columns))
