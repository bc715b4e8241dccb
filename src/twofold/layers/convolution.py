"""Layers whose units see a patch of the map below through weights that all places share."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.nn.grad import conv2d_weight

from twofold.checks import typed
from twofold.checks.bounds import counts, not_negative
from twofold.errors import SettingError, unknown
from twofold.layers.connectivity import Connectivity
from twofold.layers.dense import WeightedLayer
from twofold.layers.fields import Map
from twofold.learning import Rule

Pair = int | tuple[int, int]
"""A number for rows and one for columns, or one for both."""

Edges = tuple[int, int]
"""A number before and one behind."""

PADDING = ("valid", "same")


def pair(value: Pair) -> tuple[int, int]:
    """The number for rows and that for columns."""
    return (value, value) if isinstance(value, int) else value


def zeros_around(padding: Pair | str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Edges, Edges]:
    """How many zeros stand before and behind the rows, and before and behind the columns."""
    if padding == "valid":
        padding = 0
    if not isinstance(padding, str):
        up, left = pair(padding)
        return (up, up), (left, left)
    if padding not in PADDING:
        raise unknown("padding", padding, PADDING)
    if pair(stride) != (1, 1):
        raise SettingError(f"padding is same, which leaves the map its size, and stride {stride}: expected stride 1")
    whole = [gap * (size - 1) for gap, size in zip(pair(dilation), pair(kernel), strict=True)]
    rows, columns = ((each // 2, each - each // 2) for each in whole)  # what is odd is behind, as in PyTorch
    return rows, columns


class Convolved(Connectivity):
    """Each unit sees its own patch, through weights that it shares with its channel's units at all other places.

    Weights and arguments are those of ``torch.nn.Conv2d``; each channel has a bias. The gradient is the mean over
    places of what each would want of weights of its own.

    Args:
        shape_below: the map below.
        channels: units at each place.
        kernel_size, stride, padding, dilation, groups: as in PyTorch.

    Raises:
        SettingError: a number outside its range, a kernel larger than the map, groups that do not divide channels, the
            padding ``same`` with a stride.
    """

    def __init__(
        self,
        shape_below: Map,
        channels: int,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair | str,
        dilation: Pair,
        groups: int,
    ) -> None:
        below, height, width = shape_below
        kernel, step, gap = (pair(each) for each in (kernel_size, stride, dilation))
        counts(shape_below=min(shape_below), channels=channels, kernel_size=min(kernel))
        counts(stride=min(step), dilation=min(gap), groups=groups)
        edge = zeros_around(padding, kernel, step, gap)
        not_negative(padding=min(map(min, edge)))
        if below % groups or channels % groups:
            raise SettingError(f"groups is {groups}, expected a divisor of {below} channels below and {channels} here")
        rows, columns = (
            (size + sum(p) - d * (k - 1) - 1) // s + 1
            for size, k, s, p, d in zip((height, width), kernel, step, edge, gap, strict=True)
        )
        if min(rows, columns) < 1:
            raise SettingError(
                f"kernel_size is {kernel_size}, which does not fit into a map of {height} x {width} with padding "
                f"{padding} and dilation {dilation}: make it smaller"
            )
        super().__init__(channels * rows * columns, math.prod(shape_below))
        self.shape_above = (channels, rows, columns)
        self.biases = channels
        self.shape_below = shape_below
        self._places = rows * columns
        self._kernel = (channels, below // groups, *kernel)
        even = all(before == behind for before, behind in edge)  # then the product pads by itself
        self._edge = () if even else (*edge[1], *edge[0])
        self._how = step, tuple(before for before, _ in edge) if even else (0, 0), gap, groups

    def fan_in(self) -> Tensor:
        return torch.full((self.units,), math.prod(self._kernel[1:]))

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(self._kernel, generator=generator) * scale[:: self._places, None, None, None]

    def times(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        bias = total if total.shape == (self.biases,) else None
        product = conv2d(self._maps(rows.to(weight.dtype)), weight, bias, *self._how).flatten(1)
        return product if bias is not None else product + total

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        maps = wanted.T.reshape(-1, *self.shape_above)
        new = conv2d_weight(self._maps(seen), self._kernel, maps, *self._how)  # type: ignore[no-untyped-call]
        torch.div(new, self._places, out=gradient)

    def sum_seen(self, rows: Tensor) -> Tensor:
        step, edge, gap, groups = self._how
        maps = self._maps(rows)
        maps = maps.view(len(rows), groups, -1, *maps.shape[2:]).sum(2)
        sums = conv2d(maps, rows.new_ones(groups, 1, *self._kernel[2:]), None, step, edge, gap, groups)
        return sums.repeat_interleave(self.shape_above[0] // groups, 1).flatten(1)

    def _maps(self, rows: Tensor) -> Tensor:
        """Rows as maps, with an edge of zeros where the product cannot add it."""
        maps = rows.view(-1, *self.shape_below)
        return pad(maps, self._edge) if self._edge else maps

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        return gradient.view(-1, self._places).mean(1)

    def to_matrix(self, weight: Tensor) -> Tensor:
        impulses = torch.eye(self.inputs, dtype=weight.dtype, device=weight.device)
        return self.times(weight.detach(), impulses, weight.new_zeros(self.biases)).T.contiguous()


class Convolution(WeightedLayer):
    """y = unit(w ∗ x + b): ``torch.nn.Conv2d`` and a rectifier as a layer, with the update in closed form.

    Activities are ``(batch, channels, rows, columns)``. Weight and bias gradients are means over places, so that the
    rate does not depend on the size of the map. Weights start as N(0, 1) / √(inputs of a patch) and biases at 0.
    The brain cannot share weights, and the paper's nets do not (paper section 3.2); local fields with weights of their
    own are `Local`.

    Args:
        shape_below: channels, height and width of what the layer sees. For the first layer of `FeedForward` this is
            the picture with its label, `labels.shape_with_label`.
        channels: units at each place.
        kernel_size, stride, padding, dilation, groups: as in PyTorch.
        rule: how the layer learns.
        generator: draws the first weights.

    Raises:
        SettingError: see `Convolved`.
    """

    connectivity: Convolved

    @typed
    def __init__(
        self,
        shape_below: tuple[int, int, int],
        channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        *,
        rule: Rule | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        connectivity = Convolved(shape_below, channels, kernel_size, stride, padding, dilation, groups)
        super().__init__(connectivity, connectivity.draw(connectivity.fan_in().rsqrt(), generator), rule or Rule())
