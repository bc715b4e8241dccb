"""Convolutional layers, trained with the local learning rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.nn.grad import conv2d_weight

from twofold.checks import check_arguments
from twofold.checks.bounds import counts, not_negative
from twofold.errors import SettingError, unknown
from twofold.layers.connectivity import Connectivity
from twofold.layers.dense import WeightedLayer
from twofold.layers.fields import Map
from twofold.learning import Rule

Pair = int | tuple[int, int]
"""Two numbers, for rows and columns, or one number for both."""

Edges = tuple[int, int]
"""Number of padding zeros before and after the map, in one dimension."""

PADDING = ("valid", "same")


def pair(value: Pair) -> tuple[int, int]:
    """Return ``value`` as two numbers, for rows and for columns. A single number is repeated."""
    return (value, value) if isinstance(value, int) else value


def zeros_around(padding: Pair | str, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Edges, Edges]:
    """Return the numbers of padding zeros (above, below) and (left, right) for these arguments of ``nn.Conv2d``."""
    if padding == "valid":
        padding = 0
    if not isinstance(padding, str):
        up, left = pair(padding)
        return (up, up), (left, left)
    if padding not in PADDING:
        raise unknown("padding", padding, PADDING)
    if pair(stride) != (1, 1):
        raise SettingError(f"stride is {stride}, expected 1 with padding 'same': use stride 1 or padding 'valid'")
    totals = [gap * (size - 1) for gap, size in zip(pair(dilation), pair(kernel), strict=True)]
    rows, columns = ((total // 2, total - total // 2) for total in totals)  # the extra zero is last, as in PyTorch
    return rows, columns


class Convolved(Connectivity):
    """Connectivity of a convolution. The weights have the same shape as in ``torch.nn.Conv2d``.

    There is one bias per channel. Gradients are means over the positions of the map, not sums as in PyTorch.

    Args:
        shape_below: shape of the input, (channels, height, width).
        channels: number of output channels.
        kernel_size, stride, padding, dilation, groups: as in ``torch.nn.Conv2d``.

    Raises:
        SettingError: a number is outside its range, the kernel is larger than the map, the groups do not divide the
            channels, or the padding is ``same`` with a stride.
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
        kernel, step, gap = (pair(value) for value in (kernel_size, stride, dilation))
        counts(shape_below=min(shape_below), channels=channels, kernel_size=min(kernel))
        counts(stride=min(step), dilation=min(gap), groups=groups)
        edge = zeros_around(padding, kernel, step, gap)
        not_negative(padding=min(map(min, edge)))
        if below % groups or channels % groups:
            raise SettingError(
                f"groups is {groups}, expected a divisor of the {below} input and {channels} output channels"
            )
        rows, columns = (
            (size + sum(p) - d * (k - 1) - 1) // s + 1
            for size, k, s, p, d in zip((height, width), kernel, step, edge, gap, strict=True)
        )
        if min(rows, columns) < 1:
            raise SettingError(
                f"kernel_size is {kernel_size}, which does not fit into an input of {height} x {width} with padding "
                f"{padding} and dilation {dilation}: choose a smaller kernel"
            )
        super().__init__(channels * rows * columns, math.prod(shape_below))
        self.shape_above = (channels, rows, columns)
        self.biases = channels
        self.shape_below = shape_below
        self._places = rows * columns
        self._kernel = (channels, below // groups, *kernel)
        even = all(before == behind for before, behind in edge)  # conv2d itself supports symmetric padding
        self._edge = () if even else (*edge[1], *edge[0])
        self._how = step, tuple(before for before, _ in edge) if even else (0, 0), gap, groups

    def fan_in(self) -> Tensor:
        return torch.full((self.units,), math.prod(self._kernel[1:]))

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(self._kernel, generator=generator) * scale[:: self._places, None, None, None]

    def matmul(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        bias = total if total.shape == (self.biases,) else None
        product = conv2d(self._maps(rows.to(weight.dtype)), weight, bias, *self._how).flatten(1)
        return product if bias is not None else product + total

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        maps = wanted.T.reshape(-1, *self.shape_above)
        new = conv2d_weight(self._maps(seen), self._kernel, maps, *self._how)  # type: ignore[no-untyped-call]
        torch.div(new, self._places, out=gradient)

    def reduce_inputs(self, rows: Tensor) -> Tensor:
        step, edge, gap, groups = self._how
        maps = self._maps(rows)
        maps = maps.view(len(rows), groups, -1, *maps.shape[2:]).sum(2)
        sums = conv2d(maps, rows.new_ones(groups, 1, *self._kernel[2:]), None, step, edge, gap, groups)
        return sums.repeat_interleave(self.shape_above[0] // groups, 1).flatten(1)

    def _maps(self, rows: Tensor) -> Tensor:
        """Reshape rows to maps ``(rows, channels, height, width)``, with padding that ``conv2d`` does not support."""
        maps = rows.view(-1, *self.shape_below)
        return pad(maps, self._edge) if self._edge else maps

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        return gradient.view(-1, self._places).mean(1)

    def to_matrix(self, weight: Tensor) -> Tensor:
        impulses = torch.eye(self.inputs, dtype=weight.dtype, device=weight.device)
        return self.matmul(weight.detach(), impulses, weight.new_zeros(self.biases)).T.contiguous()


class Convolution(WeightedLayer):
    """Convolutional layer y = f(w ∗ x + b), where f is the activation function of the learning rule.

    The forward pass is the same as in ``torch.nn.Conv2d``, with activities ``(batch, channels, rows, columns)``. The
    update is computed without autograd. Weight and bias gradients are means over positions, so that the learning rate
    does not depend on the size of the map. Weights start as N(0, 1) / √(inputs of a unit) and biases at 0. The paper
    does not use weight sharing, because the brain cannot share weights (paper section 3.2); `LocallyConnected` has
    local receptive fields without weight sharing.

    Args:
        shape_below: shape of the layer's input, (channels, height, width). For the first layer of `FeedForward` this
            includes the label; see `labels.shape_with_label`.
        channels: number of output channels.
        kernel_size, stride, padding, dilation, groups: as in ``torch.nn.Conv2d``.
        rule: learning rule.
        generator: random generator of the initial weights.

    Raises:
        SettingError: see `Convolved`.
    """

    connectivity: Convolved

    @check_arguments
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
