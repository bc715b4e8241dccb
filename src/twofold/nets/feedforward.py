"""The feedforward net: a stack of layers, the ways of putting a label into its input, and how it learns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import convert, typed
from twofold.checks.bounds import counts, floating, not_negative, positive, sizes
from twofold.errors import SettingError, unknown
from twofold.labels import FLAT, LABEL_IN, checked_labels, inputs_with_label, neutral, one_hot
from twofold.layers.black_box import BlackBox
from twofold.layers.dense import WeightedLayer, dense
from twofold.layers.fixed import Fixed
from twofold.layers.inputs import CachedInput, Images, LabeledImages, LayerInput
from twofold.layers.layer import FeedForwardLayer
from twofold.learning import Rule
from twofold.negatives import Negatives, checked_wrong_labels, draw_wrong_labels, hard_wrong_labels
from twofold.nets.classifier import GoodnessClassifier, NetResult, default_softmax_rate
from twofold.nets.net import testing
from twofold.nets.stack import normalized_outputs, outputs, to_features


class FeedForward(GoodnessClassifier):
    """A feedforward net that learns from images with right and with wrong labels.

    The label is a part of the input: the right one makes positive data, a wrong one negative data. A test asks which
    label the layers like best (slow), or what the softmax reads from the hidden activities under a neutral label
    (fast), or lets the second choose a few for the first to decide between (shortlist).

    Args:
        layers: the stack, from the input upwards; a `Fixed` part or a `BlackBox` stands behind the layer whose
            activity it changes.
        classes: number of labels.
        label_in: ``overlay`` (the label replaces the first pixels), ``prepend`` (it comes in front of them), or, for a
            first layer that takes maps, ``planes`` (a constant plane for each class in front of the channels).
        label_strength: the number at the label's place in the input (5 in the talk, 1 in the author's code).
        counted_from: the first layer, counted from 1, whose goodness and activities the tests use. The author leaves
            the first one out. A single layer is used in any case.
        softmax_decay: weight decay of the softmax.

    Images are ``(batch, ...)`` with pixels in [0, 1]. They are flattened, but for planes, where they are
    ``(batch, channels, height, width)``.

    Raises:
        SettingError: there is no layer, none that is counted, or no such way of putting the label in.
    """

    method = "forward-forward"

    @typed
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
                f"layers: the first has {self.stack[0].inputs} inputs, expected more than the {classes} of the label, "
                "which is a part of the input"
            )
        self._expect_form()

    def _expect_form(self) -> None:
        """Refuse a label in a form that the first layer does not take."""
        taken = self._taken()
        if taken is None:
            return
        maps, wanted = len(taken) == 3, self.label_in not in FLAT
        if (maps and self.label_in == "prepend") or maps < wanted or (wanted and taken[0] <= self.classes):
            raise SettingError(
                f"label_in is {self.label_in}, but the first layer takes {taken}: use planes, with {self.classes} "
                "channels more than an image has, for a Convolution, and prepend for layers that take vectors"
            )

    def _taken(self) -> tuple[int, ...] | None:
        """The shape that the first layer takes; ``None`` where a module alone knows."""
        first = self.stack[0]
        return first.connectivity.shape_below if isinstance(first, WeightedLayer) else None

    @property
    def pixels(self) -> int | None:
        taken = self._taken()
        if taken is None:
            return None
        return math.prod(taken) if self.label_in == "overlay" else (taken[0] - self.classes) * math.prod(taken[1:])

    @classmethod
    @typed
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
        """A net of dense layers.

        Args:
            shape: of an image, such as (channels, height, width).
            widths: units of each layer; a number for a single one.
            classes: number of labels.
            rule: how the layers learn.
            label_in: as above.
            generator: draws the first weights.
        """
        sizes(shape=shape)
        inputs = inputs_with_label(label_in, math.prod(shape), classes)
        return cls(dense(inputs, widths, rule, generator), classes, label_in=label_in)

    # ---- input -------------------------------------------------------------------------------------------------

    @typed
    def images(self, images: Tensor | CachedInput) -> Images:
        """Images ``(batch, ...)`` made ready for any label; what is ready stays the same."""
        if isinstance(images, Images):
            return images
        images = self._enter(convert("images", images, Tensor))
        if self.label_in in FLAT:
            images = images.flatten(1)
        else:
            floating("images", images, "batch", "channels", "height", "width")
        no_label = torch.zeros(images.shape[0], self.classes, dtype=images.dtype, device=images.device)
        together = LABEL_IN[self.label_in](images, no_label)
        return Images(together.flatten(1), tuple(together.shape[1:]))

    @typed
    def with_label(self, images: Tensor | Images, labels: Tensor) -> LabeledImages:
        """Normalized input that states the labels ``(batch,)``."""
        ready = self.images(images)
        labels = checked_labels("labels", labels, self.classes, len(ready.rows), on=self.device)
        return self._with_label(ready, labels)

    def _with_label(self, ready: Images, labels: Tensor) -> LabeledImages:
        return LabeledImages(ready, one_hot(labels, self.classes, self.label_strength)[None])

    @typed
    def with_neutral_label(self, images: Tensor | Images) -> LabeledImages:
        """Normalized input that states no label: the same small number for each."""
        ready = self.images(images)
        count, device = ready.rows.shape[0], ready.rows.device
        return LabeledImages(ready, neutral(count, self.classes, self.label_strength, device)[None])

    # ---- learning ----------------------------------------------------------------------------------------------

    @typed
    @torch.no_grad()
    def learn(
        self,
        images: Tensor | Images,
        labels: Tensor,
        *,
        rate: float,
        softmax_rate: float | None = None,
        negatives: Negatives | Tensor = hard_wrong_labels,
        weight: Tensor | None = None,
        learning: range | None = None,
        generator: torch.Generator | None = None,
    ) -> NetResult:
        """Learn from one batch: the whole algorithm.

        A pass with the neutral label gives hidden activities, from which the softmax of the fast test learns; its
        logits say which wrong labels are hard. Each layer then raises its goodness for the images with their labels,
        lowers it for the same images with wrong ones, and passes normalized activity on. No derivative crosses a layer.

        Args:
            images: ``(batch, ...)``.
            labels: the true ones, ``(batch,)``.
            rate: learning rate of the layers.
            softmax_rate: that of the softmax; by default in the proportion of `defaults` to ``rate``.
            negatives: draws the wrong labels from the softmax's logits; or these labels, ``(batch,)``. Where they are
                given no pass through the whole net comes first: each layer learns as soon as it has its input.
            weight: how much each case counts, ``(batch,)``; all count 1 where it is not given.
            learning: the numbers, from 0, of the layers that learn; all by default. Those above them are not run.
            generator: draws the wrong labels, on the device of the images.

        Raises:
            DataError: images or labels that the net was not built for, or negatives that give the true label.
            SettingError: a rate below 0, or layers that are not there.
        """
        not_negative(rate=rate, softmax_rate=softmax_rate)
        ready, learning = self.images(images), self._to_learn(learning)
        labels = self._enter_labels(labels, weight, len(ready.rows))
        reading_rate, neutral = default_softmax_rate(softmax_rate, rate), self._neutral(ready)
        if isinstance(negatives, Tensor):
            wrong, features = checked_wrong_labels(negatives, labels, self.classes), list[Tensor | None]()
        else:
            features = list(neutral)
            logits = self.softmax.learn(to_features(features), labels, reading_rate, weight)
            wrong = draw_wrong_labels(negatives, labels, logits, generator)

        positive: LayerInput = self._with_label(ready, labels)
        negative: LayerInput = self._with_label(ready, wrong)
        goodness: list[tuple[Tensor, Tensor] | None] = [None] * len(self.layers)
        difficulty = torch.zeros(len(labels), device=labels.device)
        for index, layer in enumerate(self.stack[: learning.stop]):
            if len(features) == index:  # the layer has not yet been seen under the neutral label
                features.append(next(neutral))
            if index in learning:
                positive, negative, goodness[index], signal = layer.learn(positive, negative, rate, weight)
                difficulty = torch.maximum(difficulty, signal.to(difficulty.dtype))
            else:
                with testing(layer):
                    both = torch.cat([layer(positive), layer(negative)])
                    positive, negative = layer.hand_on(both).chunk(2)  # what is behind a layer meets both passes
        if isinstance(negatives, Tensor):
            logits = self.softmax.learn(to_features([*features, *neutral]), labels, reading_rate, weight)
        return NetResult(logits, goodness, difficulty)

    def _neutral(self, ready: Images) -> Iterator[Tensor | None]:
        """What the softmax reads of each layer under a neutral label; see `normalized_outputs`."""
        return normalized_outputs(self.stack, self.with_neutral_label(ready), self.read)

    def _to_learn(self, learning: range | None) -> range:
        """The layers that learn; all by default."""
        everyone = range(len(self.layers))
        if learning is None:
            return everyone
        if not (learning and learning.step == 1 and learning[0] in everyone and learning[-1] in everyone):
            raise SettingError(f"learning is {learning}, expected layers from 0 to {len(everyone) - 1}")
        return learning

    # ---- activity ----------------------------------------------------------------------------------------------

    @typed
    @torch.no_grad()
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Normalized activities of the layers that are read, under a neutral label, ``(batch, features)``, float32."""
        return to_features(self._neutral(self.images(images)))

    # ---- tests -------------------------------------------------------------------------------------------------

    @typed
    @torch.no_grad()
    def goodness(self, images: Tensor | CachedInput, labels: Tensor) -> Tensor:
        """Goodness of every layer for every candidate label, ``(batch, candidates, layers)``.

        Args:
            images: ``(batch, ...)``.
            labels: candidates of each image, ``(batch, candidates)``. Each costs one forward pass, apart from the
                product with the image, which they share.
        """
        if isinstance(images, Images):
            labels = self._candidates(labels, len(images.rows))
            with testing(self):
                stated = (self._with_label(images, column) for column in labels.T)
                columns = [[layer.goodness(a) for layer, a, _ in outputs(self.stack, one)] for one in stated]
            return torch.stack([torch.stack(column, 1) for column in columns], 1)
        given = self._parts(convert("images", images, Tensor))
        labels = self._candidates(labels, sum(map(len, given)))
        parts = zip(given, torch.split(labels, self.at_once), strict=True)
        return torch.cat([self.goodness(self.images(part), candidates) for part, candidates in parts])

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        """All labels of all images are the rows of one batch."""
        ready = self.images(images)
        every = self.label_strength * torch.eye(self.classes, device=images.device)
        stated = LabeledImages(ready, every[:, None].expand(-1, ready.rows.shape[0], -1))
        each = [layer.goodness(activity) for layer, activity, _ in outputs(self.stack, stated)]
        return self._answers(self.readings(ready), each)

    @typed
    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        counts(shortlist=shortlist)
        several = {"shortlist": 1 + min(shortlist, self.classes), "both": 1 + self.classes}
        return {"slow": self.classes, "fast": 1, **several}
