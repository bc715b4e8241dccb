"""The feedforward net: a stack of layers, the ways of putting a label into its input, and its three tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from twofold.errors import SettingError, unknown
from twofold.labels import LABEL_IN, neutral, one_of_n
from twofold.layers.inputs import Below, Constant, Images, Stated
from twofold.layers.layer import Layer
from twofold.nets.classifier import ROWS, Softmax, TaughtByGoodness, activities, side_by_side


class FeedForward(TaughtByGoodness):
    """A feedforward net that is taught by goodness.

    The label is a part of the input: the right one makes positive data, a wrong one negative data. A test asks which
    label the layers like best (slow), or what the softmax reads from the hidden activities under a neutral label
    (fast), or lets the second choose a few for the first to decide between (shortlist).

    Args:
        layers: the stack, from the input upwards.
        classes: number of labels.
        label_in: ``overlay`` (the label replaces the first pixels) or ``prepend`` (it comes in front of them).
        label_strength: the number at the label's place in the input (5 in the talk, 1 in the author's code).
        counted_from: the first layer, counted from 1, whose goodness and activities the tests use. The author leaves
            the first one out. A net with fewer layers uses its last one.
        softmax_decay: weight decay of the softmax.

    Images are ``(batch, ...)`` with pixels in [0, 1]; they are flattened.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        classes: int,
        *,
        label_in: str = "overlay",
        label_strength: float = 1.0,
        counted_from: int = 2,
        softmax_decay: float = 0.003,
    ) -> None:
        super().__init__(classes)
        layers = list(layers)
        if not layers:
            raise SettingError("a net needs at least one layer, got none: give at least one width")
        if label_in not in LABEL_IN:
            raise unknown("way of putting the label in", label_in, LABEL_IN)
        self.layers = nn.ModuleList(layers)
        self.label_in = label_in
        self.label_strength = label_strength
        self.counted = range(min(counted_from, len(layers)) - 1, len(layers))
        self.softmax = Softmax(sum(layers[index].units for index in self.counted), classes, softmax_decay)

    # ---- input -------------------------------------------------------------------------------------------------

    def images(self, images: Tensor | Constant) -> Images:
        """Images ``(batch, ...)`` made ready for any label; what is ready stays as it is."""
        if isinstance(images, Images):
            return images
        assert isinstance(images, Tensor)
        no_label = torch.zeros(len(images), self.classes, dtype=images.dtype, device=images.device)
        return Images(LABEL_IN[self.label_in](images.flatten(1), no_label))

    def with_label(self, images: Tensor | Images, labels: Tensor) -> Stated:
        """Normalized input that states the labels ``(batch,)``."""
        return Stated(self.images(images), one_of_n(labels, self.classes, self.label_strength)[None])

    def with_neutral_label(self, images: Tensor | Images, count: int | None = None) -> Stated:
        """Normalized input of the first ``count`` images that states no label: the same small number for each."""
        ready = self.images(images)
        count = len(ready.rows) if count is None else count
        return Stated(ready, neutral(count, self.classes, self.label_strength, ready.rows.device)[None])

    # ---- activity ----------------------------------------------------------------------------------------------

    def activities(self, below: Below) -> Iterator[tuple[Layer, Tensor]]:
        """Each layer with its raw activity ``(batch, ...)`` for a normalized input, from the first upwards."""
        return activities(self.layers, below)

    def features(self, below: Below) -> Tensor:
        """Normalized activities of the counted layers side by side, ``(batch, features)``: what the softmax sees."""
        return side_by_side(self.layers, below, self.counted)

    # ---- tests -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fast(self, images: Tensor | Constant) -> Tensor:
        """Logits ``(batch, classes)`` of the fast test: neutral label, one forward pass, softmax."""
        if isinstance(images, Images):
            logits: Tensor = self.softmax(self.features(self.with_neutral_label(images)))
            return logits
        assert isinstance(images, Tensor)
        return torch.cat([self.fast(self.images(part)) for part in torch.split(images, ROWS)])

    @torch.no_grad()
    def goodness(self, images: Tensor | Constant, labels: Tensor) -> Tensor:
        """Goodness of every layer for every candidate label, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: candidates of each image, ``(batch, candidates)``. Each costs one forward pass, apart from the
                product with the image, which they share.
        """
        if isinstance(images, Images):
            columns = [
                torch.stack([layer.goodness(a) for layer, a in self.activities(self.with_label(images, column))], 1)
                for column in labels.T
            ]
            return torch.stack(columns, 1)
        assert isinstance(images, Tensor)
        parts = zip(torch.split(images, ROWS), torch.split(labels, ROWS), strict=True)
        return torch.cat([self.goodness(self.images(part), candidates) for part, candidates in parts])

    def passes(self, shortlist: int) -> dict[str, int]:
        """Test -> forward passes that it takes for an image."""
        several = {"shortlist": 1 + min(shortlist, self.classes), "both": 1 + self.classes}
        return {"slow": self.classes, "fast": 1, **several}
