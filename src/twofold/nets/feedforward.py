"""The supervised feedforward net, whose layers learn from images with true and with wrong labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import check_arguments, convert
from twofold.checks.bounds import floating, not_negative, positive, sizes
from twofold.errors import SettingError, unknown
from twofold.labels import FLAT, LABEL_IN, checked_labels, inputs_with_label, neutral, one_hot
from twofold.layers.black_box import BlackBox
from twofold.layers.dense import WeightedLayer, dense
from twofold.layers.fixed import Fixed
from twofold.layers.inputs import CachedInput, Images, LabeledImages, LayerInput
from twofold.layers.layer import FeedForwardLayer
from twofold.learning import Rule
from twofold.negatives import Negatives, checked_wrong_labels, draw_wrong_labels, hard_wrong_labels
from twofold.nets.classifier import NetResult, default_softmax_rate
from twofold.nets.goodness_classifier import GoodnessClassifier
from twofold.nets.net import testing
from twofold.nets.stack import normalized_outputs, outputs, to_features


class FeedForward(GoodnessClassifier):
    """A feedforward net that learns from images with true and with wrong labels.

    The label is part of the input. An image with its true label is positive data, an image with a wrong label is
    negative data. The slow test predicts the label with the highest total goodness. In the fast test, a softmax
    classifier predicts the label from the hidden activities for an image with the neutral label. The shortlist test
    runs the slow test on the best labels of the fast test.

    Images are ``(batch, ...)`` with pixels in [0, 1]. With ``label_in="planes"``, images are ``(batch, channels,
    height, width)``; otherwise images are flattened.

    Args:
        layers: Layers, from the input upwards. A `Fixed` or `BlackBox` object transforms the activity of the layer
            before it.
        classes: Number of classes.
        label_in: ``overlay`` (the label replaces the first pixels), ``prepend`` (the label precedes the pixels) or, for
            convolutions, ``planes`` (one constant channel per class precedes the channels).
        label_strength: Value of the nonzero entry of the one-hot label (5 in the talk, 1 in the author's code).
        counted_from: First layer, counted from 1, whose goodness and activities the tests use (2 in the author's
            code). In a net with a single layer, the tests always use this layer.
        softmax_decay: Weight decay of the softmax classifier.

    Raises:
        SettingError: There are no layers, or none from ``counted_from`` upwards; or ``label_in`` is unknown or does not
            fit the first layer.
    """

    method = "forward-forward"

    @check_arguments
    def __init__(
        self,
        layers: Iterable[FeedForwardLayer | Fixed | BlackBox],
        classes: int,
        *,
        label_in: str = defaults.LABEL_IN,
        label_strength: float = defaults.LABEL_STRENGTH,
        counted_from: int = defaults.READ_FROM,
        softmax_decay: float = defaults.SOFTMAX_DECAY,
    ) -> None:
        super().__init__(classes)
        if label_in not in LABEL_IN:
            raise unknown("label_in", label_in, LABEL_IN)
        positive(label_strength=label_strength)
        self.label_in = label_in
        self.label_strength = label_strength
        self._read_stack(layers, counted_from, softmax_decay)
        if self.stack[0].inputs is not None and self.stack[0].inputs <= classes:
            raise SettingError(
                f"layers: the first layer has {self.stack[0].inputs} inputs, expected more than {classes}: its input "
                f"consists of an image and {classes} numbers for the label"
            )
        self._expect_form()

    def _expect_form(self) -> None:
        """Check that ``label_in`` fits the input shape of the first layer.

        Raises:
            SettingError: ``label_in`` does not fit the first layer.
        """
        taken = self._taken()
        if taken is None:
            return
        maps, wanted = len(taken) == 3, self.label_in not in FLAT
        if (maps and self.label_in == "prepend") or maps < wanted or (wanted and taken[0] <= self.classes):
            raise SettingError(
                f"label_in is {self.label_in}, which does not fit the input shape {taken} of the first layer: use "
                f"prepend for vectors, or planes for a Convolution with {self.classes} additional input channels"
            )

    def _taken(self) -> tuple[int, ...] | None:
        """Return the input shape of the first layer; ``None`` if the shape is unknown, as for a `CustomLayer`."""
        first = self.stack[0]
        return first.connectivity.shape_below if isinstance(first, WeightedLayer) else None

    @property
    def pixels(self) -> int | None:
        taken = self._taken()
        if taken is None:
            return None
        return math.prod(taken) if self.label_in == "overlay" else (taken[0] - self.classes) * math.prod(taken[1:])

    @classmethod
    @check_arguments
    def dense(
        cls,
        shape: Sequence[int],
        widths: int | Sequence[int],
        classes: int,
        rule: Rule | None = None,
        *,
        label_in: str = defaults.LABEL_IN,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Create a net of fully connected layers (`Dense`).

        Args:
            shape: Shape of an image, such as (channels, height, width).
            widths: Number of units of each layer; an integer for a single layer.
            classes: Number of classes.
            rule: Learning rule of the layers.
            label_in: Position of the label in the input: ``overlay`` or ``prepend``; see `FeedForward`.
            generator: Random generator of the initial weights.
        """
        sizes(shape=shape)
        inputs = inputs_with_label(label_in, math.prod(shape), classes)
        return cls(dense(inputs, widths, rule, generator), classes, label_in=label_in)

    # ---- input -------------------------------------------------------------------------------------------------

    def images(self, images: Tensor | CachedInput) -> Images:
        """Check ``images`` ``(batch, ...)`` and convert this tensor to an input of the net with an empty label.

        The result can be combined with different labels. `Images`, the result of an earlier call, are returned
        unchanged.
        """
        return images if isinstance(images, Images) else self._prepare(self._enter(convert("images", images, Tensor)))

    def _prepare(self, images: Tensor) -> Images:
        if self.label_in in FLAT:
            images = images.flatten(1)
        else:
            floating("images", images, "batch", "channels", "height", "width")
        no_label = torch.zeros(images.shape[0], self.classes, dtype=images.dtype, device=images.device)
        together = LABEL_IN[self.label_in](images, no_label)
        return Images(together.flatten(1), tuple(together.shape[1:]))

    @check_arguments
    def with_label(self, images: Tensor | Images, labels: Tensor) -> LabeledImages:
        """Return the normalized input of the net: images ``(batch, ...)`` with labels ``(batch,)``."""
        ready = self.images(images)
        labels = checked_labels("labels", labels, self.classes, len(ready.rows), on=self.device)
        return self._with_label(ready, labels)

    def _with_label(self, ready: Images, labels: Tensor) -> LabeledImages:
        return LabeledImages(ready, one_hot(labels, self.classes, self.label_strength)[None])

    def with_neutral_label(self, images: Tensor | Images) -> LabeledImages:
        """Return the normalized input of the net: images ``(batch, ...)`` with the neutral label.

        The neutral label has the same small value for every class.
        """
        ready = self.images(images)
        count, device = ready.rows.shape[0], ready.rows.device
        return LabeledImages(ready, neutral(count, self.classes, self.label_strength, device)[None])

    # ---- learning ----------------------------------------------------------------------------------------------

    @check_arguments
    @torch.no_grad()
    def learn(
        self,
        images: Tensor | Images,
        labels: Tensor,
        *,
        rate: float,
        softmax_rate: float | None = None,
        negatives: Negatives | Tensor = hard_wrong_labels,
        case_weight: Tensor | None = None,
        learning: range | None = None,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Train the net on one batch. This is the complete learning algorithm.

        First, the hidden activities for the images with the neutral label are computed, and the softmax classifier
        learns from these activities. Wrong labels are drawn from the logits of the classifier. Then each layer, from
        the input upwards, increases its goodness for the images with true labels, decreases it for the images with
        wrong labels, and passes on its normalized activity. No gradient is passed from layer to layer.

        Args:
            images: ``(batch, ...)``.
            labels: True labels, ``(batch,)``.
            rate: Learning rate of the layers.
            softmax_rate: Learning rate of the softmax classifier; by default ``rate`` times the ratio of the two
                default rates, `defaults.SOFTMAX_RATE` / `defaults.RATE`.
            negatives: Function that draws wrong labels from the logits of the classifier, or a tensor of wrong labels,
                ``(batch,)``. With a tensor, which does not depend on the logits, each layer learns before the layers
                above have processed the batch.
            case_weight: Weight of each case, ``(batch,)``; 1 by default.
            learning: Numbers, counted from 0, of the layers that learn; all by default. Layers below the learning
                layers only pass on activity.
            generator: Random generator of the wrong labels, on the device of the images.

        Raises:
            DataError: Images or labels do not fit the net or, on the CPU, a wrong label is the true label.
            SettingError: A rate is negative, or a layer in ``learning`` does not exist.
        """
        not_negative(rate=rate, softmax_rate=softmax_rate)
        ready, learning = self.images(images), self._to_learn(learning)
        labels = self._enter_labels(labels, case_weight, ready.rows)
        reading_rate, neutral = default_softmax_rate(softmax_rate, rate), self._neutral(ready)
        if isinstance(negatives, Tensor):
            wrong, features = checked_wrong_labels("negatives", negatives, labels, self.classes), list[Tensor | None]()
        else:
            features = list(neutral)
            logits = self.softmax.learn(to_features(features), labels, reading_rate, case_weight)
            wrong = draw_wrong_labels(negatives, labels, logits, generator)

        positive: LayerInput = self._with_label(ready, labels)
        negative: LayerInput = self._with_label(ready, wrong)
        goodness: list[tuple[Tensor, Tensor] | None] = [None] * len(self.layers)
        difficulty = torch.zeros(len(labels), device=labels.device)
        for index, layer in enumerate(self.stack[: learning.stop]):
            if len(features) == index:  # the pass with the neutral label has not yet reached this layer
                features.append(next(neutral))
            if index in learning:
                positive, negative, goodness[index], signal = layer.learn(positive, negative, rate, case_weight)
                difficulty = torch.maximum(difficulty, signal.to(difficulty.dtype))
            else:
                with testing(layer):
                    both = torch.cat([layer(positive), layer(negative)])
                    positive, negative = layer.output(both).chunk(2)  # one call of a `Fixed` module for both phases
        if isinstance(negatives, Tensor):
            logits = self.softmax.learn(to_features([*features, *neutral]), labels, reading_rate, case_weight)
        return NetResult(logits, goodness, difficulty)

    def _neutral(self, ready: Images) -> Iterator[Tensor | None]:
        """Yield the normalized activity of each layer for images with the neutral label; see `normalized_outputs`."""
        return normalized_outputs(self.stack, self.with_neutral_label(ready), self.read)

    def _to_learn(self, learning: range | None) -> range:
        """Check and return ``learning``, the numbers of the layers that learn; by default those of all layers."""
        layers = range(len(self.layers))
        if learning is None:
            return layers
        if not (learning and learning.step == 1 and learning[0] in layers and learning[-1] in layers):
            raise SettingError(f"learning is {learning}, expected a range of layers from 0 to {len(layers) - 1}")
        return learning

    # ---- activity ----------------------------------------------------------------------------------------------

    @check_arguments
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Return the input of the softmax classifier, ``(batch, features)``, at least float32.

        The input consists of the normalized activities of the layers in ``read`` for images with the neutral label.
        """
        return to_features(self._neutral(self.images(images)))

    # ---- tests -------------------------------------------------------------------------------------------------

    @check_arguments
    @torch.no_grad()
    def goodness(self, images: Tensor | CachedInput, labels: Tensor) -> Tensor:
        """Return the goodness of every layer for every candidate label, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: Candidate labels of each image, ``(batch, candidates)``. Each candidate needs one forward pass. The
                product of the first layer's weights with the image is computed only once.
        """
        if isinstance(images, Images):
            labels = self._candidates(labels, len(images.rows))
            with testing(self):
                inputs = (self._with_label(images, column) for column in labels.T)
                columns = [[layer.goodness(a) for layer, a, _ in outputs(self.stack, below)] for below in inputs]
            return torch.stack([torch.stack(column, 1) for column in columns], 1)
        batches = self._parts(convert("images", images, Tensor))
        labels = self._candidates(labels, sum(map(len, batches)))
        pairs = zip(batches, torch.split(labels, self.at_once), strict=True)
        return torch.cat([self.goodness(self._prepare(batch), candidates) for batch, candidates in pairs])

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """Run all tests, with every combination of an image and a label as a row of one batch; see `Net._traced`."""
        ready = self._prepare(images)
        label_vectors = self.label_strength * torch.eye(self.classes, device=images.device)
        labeled = LabeledImages(ready, label_vectors[:, None].expand(-1, ready.rows.shape[0], -1))
        goodness = [layer.goodness(activity) for layer, activity, _ in outputs(self.stack, labeled)]
        return self._answers(self.readings(ready), goodness)

    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        several = {"shortlist": 1 + min(shortlist, self.classes), "both": 1 + self.classes}
        return {"slow": self.classes, "fast": 1, **several}
