"""Nets that classify images, and the tests that all these nets have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from twofold import defaults
from twofold.checks import check_arguments
from twofold.checks.bounds import counts, floating, not_negative, shaped
from twofold.errors import DataError, unknown
from twofold.labels import checked_labels
from twofold.layers.black_box import BlackBox
from twofold.layers.fixed import Fixed
from twofold.layers.inputs import CachedInput
from twofold.layers.layer import FeedForwardLayer
from twofold.layers.readout import Softmax
from twofold.nets.entry import entering, on_device
from twofold.nets.net import Evaluation, Net
from twofold.nets.stack import counted, stacked


class NetResult(NamedTuple):
    """The result of training a net on one batch. All tensors were computed before the update.

    Attributes:
        logits: Logits of the softmax classifier, ``(batch, classes)``.
        goodness: For each layer, a pair: goodness of the positive cases and goodness of the negative cases, both
            ``(batch,)``. ``None`` for a layer that did not learn.
        difficulty: Largest learning signal of each case in any layer, ``(batch,)``.
    """

    logits: Tensor
    goodness: list[tuple[Tensor, Tensor] | None]
    difficulty: Tensor


def default_softmax_rate(softmax_rate: float | None, rate: float) -> float:
    """Return ``softmax_rate``, or if it is ``None``, ``rate`` times the ratio of the two default rates in `defaults`.

    Args:
        softmax_rate: Learning rate of the softmax classifier.
        rate: Learning rate of the layers.
    """
    return rate * defaults.SOFTMAX_RATE / defaults.RATE if softmax_rate is None else softmax_rate


class Classifier(Net):
    """Base class of nets that classify images.

    A test is a way to predict a label. A test returns a score for each label. A net has one or several tests, of which
    the first is the main test.

    Attributes:
        classes: Number of classes.
        at_once: Maximum number of images that a test processes in one batch, to limit memory.
    """

    at_once: ClassVar[int] = 2000
    classes: int

    @property
    def pixels(self) -> int | None:
        """Number of pixels of an image; ``None`` if unknown, because the first layer is a `CustomLayer`."""
        inputs: int | None = self.stack[0].inputs
        return inputs

    def _enter(self, images: Tensor, name: str = "images") -> Tensor:
        """Check ``images`` ``(batch, ...)`` and convert this tensor to the dtype of the net.

        Raises:
            DataError: The images do not fit the net, or are not finite floating-point numbers.
        """
        return entering(name, images, self.pixels, next(self.parameters()))

    def _enter_to_learn(self, images: Tensor, labels: Tensor, case_weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Check a training batch, and return the converted images and labels.

        Raises:
            DataError: The batch is empty or does not fit the net, or the numbers of images, labels and weights differ.
        """
        images = self._enter(images)
        return images, self._enter_labels(labels, case_weight, images)

    def _enter_labels(self, labels: Tensor, case_weight: Tensor | None, images: Tensor) -> Tensor:
        count, device = len(images), images.device
        if not count:
            raise DataError("images is empty, expected at least one image to learn from")
        if case_weight is not None:
            floating("case_weight", case_weight, count, on=device)
        return checked_labels("labels", labels, self.classes, count, on=device)

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the fast test, ``(batch, classes)``, from one forward pass."""

    def _parts(self, images: Tensor) -> tuple[Tensor, ...]:
        """Check ``images`` and split this tensor into batches of at most ``at_once`` images."""
        return torch.split(self._enter(images), self.at_once)

    @abstractmethod
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        """Return the scores of the labels in each test.

        Args:
            images: ``(images, ...)``.
            shortlist: Number of labels that the fast test passes on to the slow test, for nets with a shortlist test.

        Returns:
            Name of a test -> scores, ``(images, classes)``, the main test first.

        Raises:
            Diverged: The net has NaN or infinite values.
            DataError: The images do not fit the net, or a score is NaN or infinite.
        """

    def _checked(self, scores: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
        """Check that the net and ``scores`` ``(images, classes)`` are finite, and return the scores."""
        self.require_finite()
        for test, score in scores.items():
            if not score.amax(1).isfinite().all():  # labels that are not on the shortlist have a score of -∞
                low, high = (float(value) for value in images.aminmax())
                raise DataError(
                    f"the scores of the {test} test are not finite for images with values from {low:g} to {high:g}: "
                    "scale the pixels to [0, 1], or use another net"
                )
        return scores

    def passes(self, shortlist: int = defaults.SHORTLIST) -> dict[str, int]:
        """Return the number of forward passes per image that each test needs: name of the test -> number."""
        return {"fast": 1}

    def probabilities(self, scores: Mapping[str, Tensor]) -> Tensor:
        """Return the probability of each label in the main test, ``(images, classes)``, from the result of `scores`."""
        return next(iter(scores.values())).float().softmax(1)

    @check_arguments
    @torch.no_grad()
    def predict(self, images: Tensor, test: str | None = None) -> Tensor:
        """Return the predicted label of each image, ``(images,)``.

        Args:
            images: ``(images, ...)``.
            test: Name of the test that predicts the labels; the main test by default.

        Raises:
            SettingError: The net has no test of this name.
            DataError: The images do not fit the net.
        """
        scores = self.scores(images)
        if test is not None and test not in scores:
            raise unknown("test", test, scores)
        return scores[next(iter(scores)) if test is None else test].argmax(1)

    @check_arguments
    @torch.no_grad()
    def familiarity(self, images: Tensor) -> Tensor:
        """Return a score of each image's similarity to the training data, ``(images,)``, at most 0.

        The score is the largest log-probability of a label. In nets with a goodness for each label, the
        probabilities are the softmax over the labels of goodness / temperature, where both are summed over all layers.
        In other nets, the softmax classifier computes the probabilities. If an image is unlike all classes, no label
        has a high probability.

        Args:
            images: ``(images, ...)``, on the device of the net.

        Raises:
            DataError: The images do not fit the net.
        """
        return self.scores(images)["fast"].log_softmax(1).amax(1)

    @check_arguments
    @torch.no_grad()
    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        """Measure the error of each test on images with labels.

        Args:
            data: Two tensors: images ``(images, ...)`` and true labels ``(images,)``.
            shortlist: Number of labels that the fast test passes on to the slow test, for nets with a shortlist test.

        Raises:
            DataError: The data do not fit the net.
        """
        counts(shortlist=shortlist)
        images, labels = self._labeled(data)
        return self._evaluation(self.scores(images, shortlist), labels, shortlist)

    def _labeled(self, data: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Check test data, and return the images and labels."""
        if len(data) != 2:
            raise DataError(f"data: got {len(data)} tensors, expected two: images and their labels")
        images = self._enter(data[0], "data, the images")
        if not len(images):
            raise DataError("data: got no images, expected at least one")
        return images, checked_labels("data, the labels", data[1], self.classes, len(images), on=self.device, wait=True)

    @check_arguments
    def explain(self, case: Tensor) -> dict[str, Any]:
        """Return the results of all tests for one image ``(1, channels, height, width)``, as JSON-compatible values.

        Returns:
            ``label``: name of a test -> predicted label. ``probability``: probability of each label in the main test.
            ``softmax``: probability of each label in the fast test; ``None`` for nets without a softmax classifier.
            ``goodness``: total goodness of each label in the slow test; ``None`` for nets without goodness.
        """
        case = self._enter(on_device("case", case, self.device), "case")
        shaped("case", case, 1, "...")
        by_case = self.scores(case)
        scores = {test: score[0].float() for test, score in by_case.items()}
        return {
            "label": {test: int(score.argmax()) for test, score in scores.items()},
            "probability": self.probabilities(by_case)[0].tolist(),
            "softmax": scores["fast"].softmax(0).tolist() if "fast" in scores else None,
            "goodness": scores["slow"].tolist() if "slow" in scores else None,
        }

    def _evaluation(
        self, scores: Mapping[str, Tensor], labels: Tensor, shortlist: int, goodness: Tensor | None = None
    ) -> Evaluation:
        named = {test: score.argmax(1) for test, score in scores.items()}
        layers = range(0 if goodness is None else goodness.shape[2])
        return Evaluation(
            error={test: _share_wrong(label, labels) for test, label in named.items()},
            metrics={
                "passes_per_image": self.passes(shortlist),
                "layer_error": [_share_wrong(goodness[:, :, index].argmax(1), labels) for index in layers]
                if goodness is not None
                else [],
            },
            named=named,
            goodness=goodness,
        )


def _share_wrong(named: Tensor, labels: Tensor) -> float:
    return (named != labels).float().mean().item()


class SoftmaxClassifier(Classifier):
    """Base class of nets with locally trained layers and a softmax classifier on the activities of these layers.

    Images are ``(batch, ...)`` with pixels in [0, 1]; they are flattened.

    Attributes:
        layers: Layers, from the input upwards.
        classes: Number of classes.
        read: Numbers, from 0, of the layers whose activities and goodness the tests use.
        softmax: Linear softmax classifier on the hidden activities.
    """

    read: range
    softmax: Softmax

    def __init__(self, classes: int) -> None:
        super().__init__()
        counts(2, classes=classes)
        self.classes = classes

    def _read_stack(
        self, layers: Iterable[FeedForwardLayer | Fixed | BlackBox], counted_from: int, softmax_decay: float
    ) -> None:
        """Set the layers of the net and create the softmax classifier.

        Args:
            layers: Layers, from the input upwards.
            counted_from: First layer, counted from 1, that the tests use. In a net with a single layer, the tests
                always use this layer.
            softmax_decay: Weight decay of the softmax classifier.

        Raises:
            SettingError: There are no layers, or none from ``counted_from`` upwards; or the number of inputs of a layer
                is not the number of outputs of the layer below.
        """
        not_negative(softmax_decay=softmax_decay)
        stack, handed_on = stacked(layers)
        self.layers = nn.ModuleList(stack)
        self.read = counted(counted_from, len(stack))
        self.softmax = Softmax(sum(handed_on[index] for index in self.read), self.classes, softmax_decay)

    @check_arguments
    def images(self, images: Tensor | CachedInput) -> CachedInput:
        """Check ``images`` ``(batch, ...)`` and convert this tensor to an input that several tests can share.

        A `CachedInput`, the result of an earlier call, is returned unchanged.
        """
        return images if isinstance(images, CachedInput) else self._prepare(self._enter(images))

    @abstractmethod
    def _prepare(self, images: Tensor) -> CachedInput:
        """Convert images ``(batch, ...)`` to an input of the net, without checks."""

    @abstractmethod
    def features(self, images: Tensor | CachedInput) -> Tensor:
        """Return the input of the softmax classifier, ``(batch, features)``.

        The input consists of the normalized activities of the layers in ``read``, in a forward pass without a true
        label.
        """

    @check_arguments
    @torch.no_grad()
    def fast(self, images: Tensor | CachedInput) -> Tensor:
        """Return the logits ``(batch, classes)`` of the fast test: one forward pass, then the softmax classifier."""
        if isinstance(images, Tensor):
            return torch.cat([self.fast(self._prepare(batch)) for batch in self._parts(images)])
        logits: Tensor = self.softmax(self.features(images))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.fast(images)

    def readings(self, images: Tensor | CachedInput) -> dict[str, Tensor]:
        """Return the logits of the tests that use a softmax classifier.

        Returns:
            Name of a test -> logits, ``(batch, classes)``, the fast test first.
        """
        return {"fast": self.fast(images)}

    @check_arguments
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        counts(shortlist=shortlist)
        return self._checked(self.readings(images), images)

    def _traced(self, images: Tensor) -> dict[str, Tensor]:
        return self.readings(self._prepare(images))
