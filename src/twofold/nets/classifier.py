"""What nets have in common whose layers learn by themselves: the softmax that reads them, and the tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from twofold.layers.inputs import Below, Constant
from twofold.layers.layer import Layer
from twofold.learning import Rule, Update, smooth_and_step
from twofold.normalize import TINY, normalize

ROWS = 2000
"""Cases that go through the net at once in a test: large enough to be fast, small enough for any memory."""


def activities(layers: Iterable[nn.Module], below: Below) -> Iterator[tuple[Layer, Tensor]]:
    """Each layer with its raw activity ``(batch, ...)`` for a normalized input, from the first upwards."""
    for layer in layers:
        assert isinstance(layer, Layer)
        activity = layer(below)
        yield layer, activity
        below = layer.rule.normalize(activity)


def side_by_side(layers: Iterable[nn.Module], below: Below, counted: range) -> Tensor:
    """Normalized activities of the counted layers, ``(batch, features)``: what a softmax sees."""
    numbered = enumerate(activities(layers, below))
    return torch.cat([normalize(activity).flatten(1) for n, (_, activity) in numbered if n in counted], 1)


def standard(scores: Tensor) -> Tensor:
    """Scores ``(batch, classes)`` at mean 0 and deviation 1 over the classes."""
    return (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True).clamp(min=TINY)


def joint(slow: Tensor, fast: Tensor) -> Tensor:
    """Scores ``(batch, classes)`` in which two tests have the same say: the sum of theirs, each standardized."""
    return standard(slow) + standard(fast)


class Softmax(nn.Module):
    """A linear softmax on normalized hidden activities, learned with the net but teaching it nothing (talk 13:02).

    Logits = features · Wᵀ; W starts at 0, without bias. The gradient in closed form is (one-of-N - softmax)ᵀ features.
    """

    weight: nn.Parameter
    weight_velocity: Tensor

    def __init__(self, features: int, classes: int, decay: float = 0.003) -> None:
        super().__init__()
        self.rule = Rule(decay=decay)
        self.update: Update = smooth_and_step
        self.weight = nn.Parameter(torch.zeros(classes, features), requires_grad=False)
        self.register_buffer("weight_velocity", torch.zeros(classes, features), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` for features ``(batch, features)``."""
        return linear(features.to(self.weight.dtype), self.weight)

    def learn(self, features: Tensor, labels: Tensor, rate: float, weight: Tensor | None = None) -> Tensor:
        """One step towards the true labels ``(batch,)``, of which each counts ``weight`` ``(batch,)``, or 1; the logits
        are those from before the step."""
        logits: Tensor = self(features)
        wanted = -logits.softmax(1)
        wanted[torch.arange(len(labels), device=labels.device), labels] += 1
        wanted *= 1 / len(labels) if weight is None else weight[:, None].to(wanted.dtype) / len(labels)
        self.update(self.weight, self.weight_velocity, wanted.T @ features.to(wanted.dtype), rate, self.rule, None)
        return logits


class ReadBySoftmax(nn.Module, ABC):
    """A net whose layers learn by themselves, and whose hidden activities a softmax reads.

    Attributes:
        layers: from the input upwards.
        classes: number of labels.
        counted: numbers, from 0, of the layers that the tests use.
        softmax: reads the label from the hidden activities.

    Images are ``(batch, ...)`` with pixels in [0, 1]; they are flattened.
    """

    layers: nn.ModuleList
    counted: range
    softmax: Softmax

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    @abstractmethod
    def images(self, images: Tensor) -> Constant:
        """Images made ready, which all tests take as well, and share the work on them."""

    @abstractmethod
    def fast(self, images: Tensor | Constant) -> Tensor:
        """Logits ``(batch, classes)`` of one forward pass that knows no label."""

    def readings(self, images: Tensor) -> dict[str, Tensor]:
        """Logits ``(batch, classes)`` of every test that reads them from hidden activities, the fast one first."""
        return {"fast": self.fast(images)}


class TaughtByGoodness(ReadBySoftmax):
    """A net whose layers say how much they like an image with a label."""

    @abstractmethod
    def passes(self, shortlist: int) -> dict[str, int]:
        """Test -> passes that it takes for an image."""

    @abstractmethod
    def goodness(self, images: Tensor | Constant, labels: Tensor) -> Tensor:
        """Goodness ``(batch, candidates, layers)`` for each of the labels ``(batch, candidates)``."""

    def slow(self, images: Tensor) -> Tensor:
        """Total goodness ``(batch, classes)`` of the counted layers for each label: one forward pass a label."""
        return self.total(self.goodness(images, self.every_label(images)))

    def shortlist(self, images: Tensor, size: int) -> Tensor:
        """Labels ``(batch,)``: the fast test's best ``size``, among which the slow test decides."""
        named = []
        for part in torch.split(images, ROWS):
            ready = self.images(part)
            candidates = self.fast(ready).topk(min(size, self.classes), dim=1).indices
            best = self.total(self.goodness(ready, candidates)).argmax(1, keepdim=True)
            named.append(candidates.gather(1, best)[:, 0])
        return torch.cat(named)

    def both(self, images: Tensor) -> Tensor:
        """Scores ``(batch, classes)`` in which the slow and the fast test have the same say."""
        return joint(self.slow(images), self.fast(images))

    def total(self, goodness: Tensor) -> Tensor:
        """Sum over the counted layers: ``(batch, candidates, layers)`` -> ``(batch, candidates)``."""
        return goodness[:, :, self.counted.start :].sum(2)

    def every_label(self, images: Tensor) -> Tensor:
        """All labels as candidates of each image, ``(batch, classes)``."""
        return torch.arange(self.classes, device=images.device).expand(len(images), -1)
