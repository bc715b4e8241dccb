"""Layers whose units see a square of the map below through weights that all grid points share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_weight

from twofold.layers.inputs import Below, written_out
from twofold.layers.layer import Weighted
from twofold.layers.local import Fields
from twofold.learning import Rule


class Convolution(Weighted):
    """y = relu(w ∗ x + b): a local layer in which grid points share their weights, with the update in closed form.

    Goodness is that of the whole map. The weight gradient is the mean over grid points of what each would want of
    weights of its own, so that the rate of a local layer serves a convolution too. Weights start as N(0, 1) / √(inputs
    of a square) and biases at 0. The brain cannot share weights; the paper's nets do not (paper section 3.2).

    Args:
        fields: where the units lie and what they see; beyond the edges there is nothing.
        rule: how the layer learns.
        generator: draws the first weights.
    """

    def __init__(self, fields: Fields, rule: Rule, generator: torch.Generator | None = None) -> None:
        shape = (fields.channels, fields.below[0], fields.field, fields.field)
        weight = torch.randn(shape, generator=generator) / (fields.below[0] * fields.field**2) ** 0.5
        super().__init__(weight, fields.channels, fields.units, rule)
        self.fields = fields

    def forward(self, below: Below) -> Tensor:
        """Activity ``(batch, units)`` for normalized input ``(batch, inputs)``, in the type of the products."""
        weight, bias = self.in_use()
        images = written_out(below).to(weight.dtype).view(-1, *self.fields.below)
        return conv2d(images, weight, bias, self.fields.stride, self.fields.margin).relu_().flatten(1)

    def climb(self, below: Below, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        asked, shown, bias_gradient = self.factors(written_out(below), activity, signal, pull)
        asked, images = asked.view(-1, *self.fields.above), shown.view(-1, *self.fields.below)
        points = self.fields.units // self.fields.channels
        shape, stride, margin = self.weight.shape, self.fields.stride, self.fields.margin
        gradient = conv2d_weight(images, shape, asked / points, stride, margin)  # type: ignore[no-untyped-call]
        self.step(gradient, bias_gradient.view(-1, points).mean(1), rate)
