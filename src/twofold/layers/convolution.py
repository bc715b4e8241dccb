"""Layers whose units see a square of the map below through weights that all grid points share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_weight

from twofold.checks import typed
from twofold.layers.connectivity import Connectivity
from twofold.layers.dense import WeightedLayer
from twofold.layers.fields import Fields
from twofold.learning import Rule


class Convolved(Connectivity):
    """Each unit sees its own field, through weights that it shares with the same channel at all grid points.

    Weights are stored as ``(channels, channels below, field, field)``; each channel has a bias. The gradient is the
    mean over grid points of what each would want of weights of its own.

    Args:
        fields: where the units lie and what they see; beyond the edges there is nothing.
    """

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields.units, fields.inputs)
        self.fields = fields
        self.biases = fields.channels
        self._points = fields.units // fields.channels
        self._shape = (fields.channels, fields.below[0], fields.field, fields.field)

    def fan_in(self) -> Tensor:
        return torch.full((self.units,), self.fields.below[0] * self.fields.field**2)

    def draw(self, scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(self._shape, generator=generator) * scale[:: self._points, None, None, None]

    def times(self, weight: Tensor, rows: Tensor, total: Tensor) -> Tensor:
        images = rows.to(weight.dtype).view(-1, *self.fields.below)
        bias = total if total.shape == (self.biases,) else None
        product = conv2d(images, weight, bias, self.fields.stride, self.fields.margin).flatten(1)
        return product if bias is not None else product + total

    def gather(self, gradient: Tensor, wanted: Tensor, seen: Tensor) -> None:
        maps, images = wanted.T.reshape(-1, *self.fields.above), seen.view(-1, *self.fields.below)
        stride, margin = self.fields.stride, self.fields.margin
        new = conv2d_weight(images, self._shape, maps / self._points, stride, margin)  # type: ignore[no-untyped-call]
        gradient.copy_(new)

    def bias_gradient(self, gradient: Tensor) -> Tensor:
        return gradient.view(-1, self._points).mean(1)

    def to_matrix(self, weight: Tensor) -> Tensor:
        impulses = torch.eye(self.inputs, dtype=weight.dtype, device=weight.device)
        return self.times(weight.detach(), impulses, weight.new_zeros(self.biases)).T.contiguous()


class Convolution(WeightedLayer):
    """y = relu(w ∗ x + b): a local layer in which grid points share their weights, with the update in closed form.

    Goodness is that of the whole map. The weight gradient is a mean over grid points, so that the rate of a local layer
    serves a convolution too. Weights start as N(0, 1) / √(inputs of a square) and biases at 0. The brain cannot share
    weights; the paper's nets do not (paper section 3.2).

    Args:
        fields: where the units lie and what they see; beyond the edges there is nothing.
        rule: how the layer learns.
        generator: draws the first weights.
    """

    @typed
    def __init__(self, fields: Fields, rule: Rule | None = None, generator: torch.Generator | None = None) -> None:
        connectivity = Convolved(fields)
        super().__init__(connectivity, connectivity.draw(connectivity.fan_in().rsqrt(), generator), rule or Rule())
        self.fields = fields
