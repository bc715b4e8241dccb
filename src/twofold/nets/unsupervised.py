"""The net whose layers learn without labels, and a softmax classifier on the activities (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import check_arguments
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
    """A feedforward net whose layers learn, without labels, to distinguish images from hybrids of two images.

    Images are positive data and hybrids (see `negatives.hybrids`) are negative data. A linear softmax classifier learns
    the labels from the normalized activities of the layers, and passes no gradient to the layers. Images are
    ``(batch, ...)`` with pixels in [0, 1]; they are flattened.

    Args:
        layers: Layers, from the input upwards. A `Fixed` or `BlackBox` object transforms the activity of the layer
            before it.
        classes: Number of classes.
        counted_from: First layer, counted from 1, whose activities the softmax classifier uses. In a net with a
            single layer, the classifier always uses this layer.
        softmax_decay: Weight decay of the softmax classifier.
        center: If True, subtract the mean of each image's pixels.

    Raises:
        SettingError: There are no layers, or none from ``counted_from`` upwards.
    """

    method = "unsupervised"

    @check_arguments
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

    def _prepare(self, images: Tensor) -> CachedInput:
        """Flatten and normalize images ``(batch, ...)``."""
        return CachedInput(self.prepare(images.flatten(1)))

    @check_arguments
    @torch.no_grad()
    def learn(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        rate: float,
        softmax_rate: float | None = None,
        blurs: int = defaults.BLURS,
        case_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Train the net on one batch: images are positive data, hybrids of two images are negative data.

        The softmax classifier learns from the activities that the images cause before the layers are updated.

        Args:
            images: ``(batch, channels, height, width)``.
            labels: True labels, ``(batch,)``, used only by the softmax classifier.
            rate: Learning rate of the layers.
            softmax_rate: Learning rate of the softmax classifier; by default ``rate`` times the ratio of the two
                default rates, `defaults.SOFTMAX_RATE` / `defaults.RATE`.
            blurs: Number of blurs of the masks of hybrids; see `negatives.masks`.
            case_weight: Weight of each case, ``(batch,)``; 1 by default.
            generator: Random generator of the masks, on the device of the images.

        Raises:
            DataError: Images or labels do not fit the net.
            SettingError: A rate or the number of blurs is negative.
        """
        not_negative(rate=rate, softmax_rate=softmax_rate, blurs=blurs)
        images, labels = self._enter_to_learn(images, labels, case_weight)
        if images.ndim != 4:
            raise DataError(
                f"images: the shape is {tuple(images.shape)}, expected (batch, channels, height, width): hybrids mix "
                "patches of two images"
            )
        generator = generator or torch.default_generator
        positive = self._prepare(images).rows
        negative = self._prepare(hybrids(images, blurs, generator)).rows
        goodness: list[tuple[Tensor, Tensor] | None] = []
        features, difficulty = [], torch.zeros(len(labels), device=labels.device)
        for index, layer in enumerate(self.stack):
            positive, negative, both, signal = layer.learn(positive, negative, rate, case_weight)
            goodness.append(both)
            difficulty = torch.maximum(difficulty, signal.to(difficulty.dtype))
            if index in self.read:
                features.append(normalize(positive).flatten(1))
        reading_rate = default_softmax_rate(softmax_rate, rate)
        logits = self.softmax.learn(to_features(features), labels, reading_rate, case_weight)
        return NetResult(logits, goodness, difficulty)

    @check_arguments
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Return the input of the softmax classifier, ``(batch, features)``, at least float32.

        The input consists of the normalized activities of the layers in ``read``.
        """
        return to_features(normalized_outputs(self.stack, self.images(images).rows, self.read))
