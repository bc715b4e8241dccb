"""The twin: the same net, trained by backpropagation. Every comparison uses it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from twofold.errors import SettingError
from twofold.learning import Narrow, Update, smooth_and_step
from twofold.normalize import normalize


class Backprop(nn.Module):
    """Rectified layers of the given widths and a linear softmax on top, for a normalized image.

    Weights start as N(0, 2 / inputs), the softmax at 0, biases at 0.

    Args:
        pixels: number of pixels of an image.
        widths: units of the hidden layers.
        classes: number of labels.
        generator: draws the first weights.
    """

    def __init__(
        self, pixels: int, widths: tuple[int, ...], classes: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not widths:
            raise SettingError("a net needs at least one layer, got none: give at least one width")
        sizes = (pixels, *widths, classes)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.classes = classes
        self.compute: torch.dtype | None = None
        self.update: Update = smooth_and_step
        self._narrow = {name: Narrow() for name, _ in self.named_parameters()}
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            scale = math.sqrt(2 / layer.in_features) if layer is not self.layers[-1] else 0.0
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator) * scale
            nn.init.zeros_(layer.bias)

    def in_use(self, name: str, parameter: Tensor) -> Tensor:
        """The parameter in the type of the products: a leaf of the graph, which gets the gradient."""
        return self._narrow[name].of(parameter, self.compute).requires_grad_()

    def learned(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """After a backward pass: the name of each parameter, itself, and the leaf that holds its gradient. Whoever
        takes one has to change both."""
        for name, parameter in self.named_parameters():
            yield name, parameter, self.in_use(name, parameter)
            self._narrow[name].is_of(parameter)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` for images ``(batch, ...)`` with pixels in [0, 1]."""
        activity = normalize(images.flatten(1))
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            weight, bias = (self.in_use(f"layers.{index}.{kind}", getattr(layer, kind)) for kind in ("weight", "bias"))
            total = linear(activity.to(weight.dtype), weight, bias)
            activity = total.relu()
        return total.to(images.dtype)

    @torch.no_grad()
    def fast(self, images: Tensor) -> Tensor:
        """Logits of all images, in parts that fit any memory."""
        return torch.cat([self(part) for part in torch.split(images, 2000)])
