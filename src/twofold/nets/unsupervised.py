"""The net that learns what images look like, without labels, and a softmax that reads it (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from twofold.errors import SettingError
from twofold.layers.inputs import Constant
from twofold.layers.layer import Layer
from twofold.nets.classifier import ROWS, ReadBySoftmax, Softmax, side_by_side
from twofold.normalize import centered, normalize


class Unsupervised(ReadBySoftmax):
    """A stack of layers that tell images from what only looks like them nearby.

    No label gets into the layers. A linear softmax learns it from their normalized activities and teaches them nothing.

    Args:
        layers: the stack, from the input upwards.
        classes: number of labels.
        counted_from: the first layer, counted from 1, that the softmax reads. A net with fewer layers uses its last.
        softmax_decay: weight decay of the softmax.
        center: the mean of an image's pixels is taken off.

    Images are ``(batch, ...)`` with pixels in [0, 1]; they are flattened.

    Raises:
        SettingError: no layer.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        classes: int,
        *,
        counted_from: int = 2,
        softmax_decay: float = 0.003,
        center: bool = False,
    ) -> None:
        super().__init__(classes)
        layers = list(layers)
        if not layers:
            raise SettingError("a net needs at least one layer, got none: give at least one width")
        self.layers = nn.ModuleList(layers)
        self.prepare = centered if center else normalize
        self.counted = range(min(counted_from, len(layers)) - 1, len(layers))
        self.softmax = Softmax(sum(layers[index].units for index in self.counted), classes, softmax_decay)

    def images(self, images: Tensor | Constant) -> Constant:
        """Images ``(batch, ...)`` flat and at fixed length; what is ready stays as it is."""
        return images if isinstance(images, Constant) else Constant(self.prepare(images.flatten(1)))

    def features(self, images: Constant) -> Tensor:
        """Normalized activities of the counted layers side by side, ``(batch, features)``: what the softmax sees."""
        return side_by_side(self.layers, images.rows, self.counted)

    @torch.no_grad()
    def fast(self, images: Tensor | Constant) -> Tensor:
        """Logits ``(batch, classes)``: one forward pass, softmax."""
        if isinstance(images, Constant):
            logits: Tensor = self.softmax(self.features(images))
            return logits
        return torch.cat([self.fast(self.images(part)) for part in torch.split(images, ROWS)])
