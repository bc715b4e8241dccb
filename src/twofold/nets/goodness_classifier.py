"""Nets that classify by the goodness of labels, and the tests of these nets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import check_arguments
from twofold.checks.bounds import counts
from twofold.labels import checked_labels
from twofold.layers.inputs import CachedInput
from twofold.nets.classifier import Classifier, SoftmaxClassifier
from twofold.nets.joint import joint
from twofold.nets.net import Evaluation


class GoodnessNet(Classifier):
    """Base class of nets whose layers have a goodness for each image and label.

    The slow test predicts the label with the highest total goodness.

    Attributes:
        read: Numbers, from 0, of the layers whose goodness the slow test adds.
    """

    read: range

    @abstractmethod
    def goodness(self, images: Tensor | CachedInput, labels: Tensor) -> Tensor:
        """Return the goodness of every layer for several candidate labels of each image.

        Args:
            images: ``(batch, ...)``.
            labels: Candidate labels of each image, ``(batch, candidates)``.

        Returns:
            Goodness, ``(batch, candidates, layers)``.
        """

    def _candidates(self, labels: Tensor, count: int) -> Tensor:
        """Check candidate ``labels`` ``(count, candidates)`` and convert this tensor to int64."""
        return checked_labels("labels", labels, self.classes, count, "candidates", on=self.device, wait=True)

    @check_arguments
    def slow(self, images: Tensor) -> Tensor:
        """Return the scores of the slow test: the goodness of each label, summed over the layers in ``read``.

        Args:
            images: ``(batch, ...)``.

        Returns:
            Total goodness, ``(batch, classes)``.
        """
        return self.total(self.goodness(images, self.every_label(images)))

    @check_arguments
    @torch.no_grad()
    def familiarity(self, images: Tensor) -> Tensor:
        goodness = self.goodness(images, self.every_label(images)).sum(2)
        return (goodness / self._temperature(self.stack)).log_softmax(1).amax(1)

    def probabilities(self, scores: Mapping[str, Tensor]) -> Tensor:
        """Return the probability of each label in the main test, ``(images, classes)``, from the result of `scores`.

        The probabilities are the softmax over labels of the goodness in the slow test, in units of the temperature.
        """
        return (scores["slow"].float() / self._temperature(self.stack[self.read.start :])).softmax(1)

    @torch.no_grad()
    def evidence(self, images: Tensor) -> Tensor:
        """Return the scores of the slow test divided by the total temperature of the layers in ``read``.

        The softmax of the result ``(images, classes)`` is an estimate of the probabilities of the labels.
        """
        return self.slow(images) / self._temperature(self.stack[self.read.start :])

    @staticmethod
    def _temperature(layers: Iterable[Any]) -> float:
        return sum(float(layer.temperature) for layer in layers)

    def total(self, goodness: Tensor) -> Tensor:
        """Sum goodness ``(batch, candidates, layers)`` over the tested layers; return ``(batch, candidates)``."""
        return goodness[:, :, self.read.start :].sum(2)

    def every_label(self, images: Tensor) -> Tensor:
        """Return the candidate labels 0 to ``classes - 1`` for each image, ``(batch, classes)``, for `goodness`."""
        images = self._enter(images)
        return torch.arange(self.classes, device=images.device).expand(len(images), -1)


class GoodnessClassifier(GoodnessNet, SoftmaxClassifier):
    """Base class of nets whose layers have a goodness for each image and label, with a softmax classifier.

    The fast test predicts labels with the softmax classifier. The shortlist test runs the slow test on the best labels
    of the fast test. The test ``both`` adds the scores of the slow and the fast test.
    """

    @check_arguments
    @torch.no_grad()
    def predict(self, images: Tensor, test: str | None = None) -> Tensor:
        test = "slow" if test is None else test
        scores = {"slow": self.slow, "fast": self.fast}.get(test)
        if scores is None:
            return super().predict(images, test)
        return self._checked({test: scores(images)}, images)[test].argmax(1)

    @check_arguments
    def shortlist(self, images: Tensor, size: int = defaults.SHORTLIST) -> Tensor:
        """Return the label with the best slow-test score among the ``size`` best fast-test labels, ``(batch,)``."""
        counts(size=size)
        named = []
        for batch in self._parts(images):
            ready = self._prepare(batch)
            candidates = self.fast(ready).topk(min(size, self.classes), dim=1).indices
            best = self.total(self.goodness(ready, candidates)).argmax(1, keepdim=True)
            named.append(candidates.gather(1, best)[:, 0])
        return torch.cat(named)

    def both(self, images: Tensor) -> Tensor:
        """Return the sum of the standardized scores of the slow and fast test, ``(batch, classes)``; see `joint`."""
        return joint(self.slow(images), self.fast(images))

    @check_arguments
    def scores(self, images: Tensor, shortlist: int = defaults.SHORTLIST) -> dict[str, Tensor]:
        counts(shortlist=shortlist)
        return self._checked(self._with_slow(self.readings(images), self.slow(images), shortlist), images)

    @check_arguments
    @torch.no_grad()
    def evaluate(self, *data: Tensor, shortlist: int = defaults.SHORTLIST) -> Evaluation:
        counts(shortlist=shortlist)
        images, labels = self._labeled(data)
        goodness = self.goodness(images, self.every_label(images))
        scores = self._checked(self._with_slow(self.readings(images), self.total(goodness), shortlist), images)
        return self._evaluation(scores, labels, shortlist, goodness)

    def _answers(self, read: dict[str, Tensor], goodness: list[Tensor]) -> dict[str, Tensor]:
        """Return the result of `_traced`: the scores of all tests, and the goodness.

        Args:
            read: Name of a test with a softmax classifier -> logits, ``(batch, classes)``.
            goodness: For each layer, the goodness of all images with the first label, then with the second label, and
                so on, ``(classes · batch,)``.
        """
        by_label = torch.stack(goodness, 1).view(self.classes, -1, len(goodness)).transpose(0, 1)
        return {**self._with_slow(read, self.total(by_label), defaults.SHORTLIST), "goodness": by_label}

    def _with_slow(self, read: dict[str, Tensor], slow: Tensor, shortlist: int) -> dict[str, Tensor]:
        """Return the scores of all tests, ``(batch, classes)``.

        Args:
            read: Name of a test with a softmax classifier -> logits, ``(batch, classes)``.
            slow: Scores of the slow test, ``(batch, classes)``.
            shortlist: Number of labels that the fast test passes on to the slow test.
        """
        candidates = read["fast"].topk(min(shortlist, self.classes), dim=1).indices
        listed = torch.full_like(slow, -torch.inf).scatter(1, candidates, slow.gather(1, candidates))
        return {"slow": slow, **read, "shortlist": listed, "both": joint(slow, read["fast"])}
