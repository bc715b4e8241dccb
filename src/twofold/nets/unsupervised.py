"""The net that learns what images look like, without labels, and a softmax that reads it (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import typed
from twofold.checks.bounds import not_negative
from twofold.errors import DataError
from twofold.layers.black_box import BlackBox
from twofold.layers.fixed import Fixed
from twofold.layers.inputs import CachedInput
from twofold.layers.layer import FeedForwardLayer
from twofold.negatives import hybrids
from twofold.nets.classifier import NetResult, SoftmaxClassifier, default_softmax_rate
from twofold.nets.stack import normalized_outputs, to_features
from twofold.normalize import centered, normalize


class Unsupervised(SoftmaxClassifier):
    """A stack of layers that tell images from hybrids, which only look like images within a small patch.

    No label gets into the layers. A linear softmax learns it from their normalized activities and teaches them nothing.

    Args:
        layers: the stack, from the input upwards.
        classes: number of labels.
        counted_from: the first layer, counted from 1, that the softmax reads. A single layer is read in any case.
        softmax_decay: weight decay of the softmax.
        center: whether the mean of an image's pixels is subtracted.

    Images are ``(batch, ...)`` with pixels in [0, 1]; they are flattened.

    Raises:
        SettingError: no layer, or none that is read.
    """

    method = "unsupervised"

    @typed
    def __init__(
        self,
        layers: Iterable[FeedForwardLayer | Fixed | BlackBox],
        classes: int,
        *,
        counted_from: int = defaults.READ_FROM,
        softmax_decay: float = defaults.SOFTMAX_DECAY,
        center: bool = False,
    ) -> None:
        super().__init__(classes)
        self.prepare = centered if center else normalize
        self._read_stack(layers, counted_from, softmax_decay)

    @typed
    def images(self, images: Tensor | CachedInput) -> CachedInput:
        """Images ``(batch, ...)`` flat and at fixed length; what is ready stays the same."""
        return images if isinstance(images, CachedInput) else CachedInput(self.prepare(self._enter(images).flatten(1)))

    @typed
    @torch.no_grad()
    def learn(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        rate: float,
        softmax_rate: float | None = None,
        blurs: int = defaults.BLURS,
        weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Learn from one batch: images are positive data, hybrids of two of them negative data.

        The softmax learns labels from the activities of the images, as they are before the layers' update.

        Args:
            images: ``(batch, channels, height, width)``.
            labels: the true ones, ``(batch,)``; only the softmax sees them.
            rate: learning rate of the layers.
            softmax_rate: that of the softmax; by default in the proportion of `defaults` to ``rate``.
            blurs: of the masks of hybrids, see `negatives.masks`.
            weight: how much each case counts, ``(batch,)``; all count 1 where it is not given.
            generator: draws the masks, on the device of the images.

        Raises:
            DataError: images or labels that the net was not built for.
            SettingError: a rate or a number of blurs below 0.
        """
        not_negative(rate=rate, softmax_rate=softmax_rate, blurs=blurs)
        images, labels = self._enter_to_learn(images, labels, weight)
        if images.ndim != 4:
            raise DataError(
                f"images: the shape is {tuple(images.shape)}, expected (batch, channels, height, width), where patches "
                "can be mixed"
            )
        generator = generator or torch.default_generator
        positive = self.images(images).rows
        negative = self.images(hybrids(images, blurs, generator)).rows
        goodness: list[tuple[Tensor, Tensor] | None] = []
        features, difficulty = [], torch.zeros(len(labels), device=labels.device)
        for index, layer in enumerate(self.stack):
            positive, negative, both, signal = layer.learn(positive, negative, rate, weight)
            goodness.append(both)
            difficulty = torch.maximum(difficulty, signal.to(difficulty.dtype))
            if index in self.read:
                features.append(normalize(positive).flatten(1))
        reading_rate = default_softmax_rate(softmax_rate, rate)
        logits = self.softmax.learn(to_features(features), labels, reading_rate, weight)
        return NetResult(logits, goodness, difficulty)

    @typed
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Normalized activities of the layers that are read, ``(batch, features)``, float32: what the softmax sees."""
        return to_features(normalized_outputs(self.stack, self.images(images).rows, self.read))
