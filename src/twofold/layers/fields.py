"""Local receptive fields: each unit of a layer is connected to a square of the input map around its own position."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from twofold.checks import check_fields
from twofold.checks.bounds import counts
from twofold.errors import SettingError

Map = tuple[int, int, int]
"""Shape of an image or of the activity of a layer: (channels, height, width)."""


@dataclass(frozen=True)
class Fields:
    """The receptive fields of a locally connected layer, with the geometry of a convolution.

    The units form a grid. Each unit is connected to a square of the input map, in all channels. Units and inputs are
    numbered channel by channel, row by row, as in a flattened image.

    Attributes:
        below: shape of the input map, (channels, height, width).
        channels: number of units at each grid point; all units of a grid point have the same receptive field.
        field: side length of a receptive field, like the kernel size of a convolution.
        stride: distance between neighboring grid points.
        margin: number of pixels by which the outermost fields extend beyond the edge of the map, like the padding of a
            convolution. The pixels outside the map do not exist: fields are cut off at the edge.

    Raises:
        SettingError: a number is out of range, a field is larger than the map, or the stride leaves pixels uncovered.
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
                f"margin is {self.margin}, expected 0 to {self.field - 1}: with a larger margin, the outermost fields "
                f"of {self.field} x {self.field} pixels are outside the map"
            )
        side = min(height, width) + 2 * self.margin
        if self.field > side:
            raise SettingError(
                f"fields of {self.field} x {self.field} do not fit into a map of {height} x {width} with a margin of "
                f"{self.margin}: choose smaller fields"
            )
        for size in (height, width):
            rest = (size + 2 * self.margin - self.field) % self.stride
            if rest:
                raise SettingError(
                    f"stride is {self.stride}, but then fields of {self.field} with a margin of {self.margin} do not "
                    f"cover {rest} of {size} pixels: choose a divisor of {size + 2 * self.margin - self.field}"
                )

    @property
    def grid(self) -> tuple[int, int]:
        """The number of rows and columns of the grid of units."""
        _, height, width = self.below
        rows, columns = ((size + 2 * self.margin - self.field) // self.stride + 1 for size in (height, width))
        return rows, columns

    @property
    def above(self) -> Map:
        """Shape of the layer's activity, (channels, rows, columns)."""
        return self.channels, *self.grid

    @property
    def inputs(self) -> int:
        """Number of inputs of the layer: channels · height · width of the map below."""
        channels, height, width = self.below
        return channels * height * width

    @property
    def units(self) -> int:
        """Number of units of the layer: ``channels`` · rows of the grid · columns of the grid."""
        rows, columns = self.grid
        return self.channels * rows * columns

    def span(self, point: int, size: int) -> range:
        """Return the rows (or columns) of the input map that the fields of a row (or column) of grid points cover.

        Args:
            point: number of the row (or column) of grid points.
            size: number of rows (or columns) of the input map.
        """
        first = point * self.stride - self.margin
        return range(max(first, 0), min(first + self.field, size))

    @property
    def weights(self) -> int:
        """Number of weights of the layer, one per connection."""
        _, height, width = self.below
        down, across = (
            sum(len(self.span(point, size)) for point in range(points))
            for points, size in zip(self.grid, (height, width), strict=True)
        )
        return self.channels * self.below[0] * down * across

    def mask(self) -> Tensor:
        """Return a boolean mask ``(units, inputs)`` that is True where an input is in the field of a unit."""
        channels, height, width = self.below
        mask = torch.zeros(*self.grid, channels, height, width, dtype=torch.bool)
        for row, column in itertools.product(*map(range, self.grid)):
            down, across = self.span(row, height), self.span(column, width)
            mask[row, column, :, down.start : down.stop, across.start : across.stop] = True
        return mask.flatten(2).flatten(0, 1).repeat(self.channels, 1).view(self.units, self.inputs)


def fields_for(units: int, below: Map, field: int, stride: int = 1, margin: int = 0) -> Fields:
    """Create `Fields` for a layer with ``units`` units in total, distributed evenly over the grid points.

    Args:
        units: number of units of the layer.
        below, field, stride, margin: see `Fields`.

    Raises:
        SettingError: the number of units is not a multiple of the number of grid points, or an argument is invalid for
            `Fields`.
    """
    fields = Fields(below, 1, field, stride, margin)
    rows, columns = fields.grid
    if units % (rows * columns):
        raise SettingError(
            f"{units} units do not divide evenly over {rows} x {columns} grid points (fields of {field}, stride "
            f"{stride}, map of {below[1]} x {below[2]}): choose a multiple of {rows * columns}"
        )
    return replace(fields, channels=units // (rows * columns))
