"""The twin: the same net, trained by backpropagation. Every comparison uses it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from twofold.errors import SettingError
from twofold.layers.connectivity import Connectivity, Full
from twofold.learning import Narrow, Update, smooth_and_step
from twofold.normalize import centered, normalize


class Affine(nn.Module):
    """Weights and biases of a layer, as its connectivity stores them."""

    def __init__(self, seen: Connectivity, scale: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.seen = seen
        self.weight = nn.Parameter(seen.draw(scale * seen.seen().rsqrt(), generator))
        self.bias = nn.Parameter(torch.zeros(seen.units))

    def forward(self, activity: Tensor) -> Tensor:
        """Total inputs ``(batch, units)`` for activity ``(batch, inputs)`` of the layer below."""
        return self.seen.times(self.weight, activity, self.bias)


class Backprop(nn.Module):
    """Rectified layers of the given widths and a linear softmax on top, for a normalized image.

    Weights start as N(0, 2 / inputs of the unit), the softmax at 0, biases at 0.

    Args:
        pixels: number of pixels of an image.
        widths: units of the hidden layers.
        classes: number of labels.
        generator: draws the first weights.
        seen: which units of each hidden layer see what below; all see all where it is not given.
        center: the mean of an image's pixels is taken off.
    """

    def __init__(
        self,
        pixels: int,
        widths: tuple[int, ...],
        classes: int,
        generator: torch.Generator | None = None,
        *,
        seen: Sequence[Connectivity] = (),
        center: bool = False,
    ) -> None:
        super().__init__()
        if not widths:
            raise SettingError("a net needs at least one layer, got none: give at least one width")
        sizes = (pixels, *widths)
        hidden = seen or [Full(above, below) for below, above in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList(Affine(each, math.sqrt(2), generator) for each in hidden)
        self.layers.append(Affine(Full(classes, widths[-1]), 0.0))
        self.classes = classes
        self.prepare = centered if center else normalize
        self.compute: torch.dtype | None = None
        self.update: Update = smooth_and_step
        self._narrow = {name: Narrow() for name, _ in self.named_parameters()}

    @property
    def stack(self) -> list[Affine]:
        """The layers, from the lowest upwards; the softmax is the last."""
        return [layer for layer in self.layers if isinstance(layer, Affine)]

    def in_use(self, name: str, parameter: Tensor) -> Tensor:
        """The parameter in the type of the products: a leaf of the graph, which gets the gradient."""
        return self._narrow[name].of(parameter, self.compute).requires_grad_()

    def learned(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """After a backward pass: the name of each parameter, itself, and the leaf that holds its gradient. Whoever
        takes one has to change both."""
        for name, parameter in self.named_parameters():
            leaf = self.in_use(name, parameter)
            if name.endswith("weight"):
                assert leaf.grad is not None
                self.stack[int(name.split(".")[1])].seen.mask(leaf.grad)
            yield name, parameter, leaf
            self._narrow[name].is_of(parameter)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` for images ``(batch, ...)`` with pixels in [0, 1]."""
        activity = self.prepare(images.flatten(1))
        for index, layer in enumerate(self.stack):
            weight, bias = (self.in_use(f"layers.{index}.{kind}", getattr(layer, kind)) for kind in ("weight", "bias"))
            total = layer.seen.times(weight, activity, bias)
            activity = total.relu()
        return total.to(images.dtype)

    @torch.no_grad()
    def fast(self, images: Tensor) -> Tensor:
        """Logits of all images, in parts that fit any memory."""
        return torch.cat([self(part) for part in torch.split(images, 2000)])
