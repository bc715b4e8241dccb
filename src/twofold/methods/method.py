"""Learning with two forward passes: the loop, and beside it the same loop for the twin.

The whole algorithm is ``ForwardForward.step``. What surrounds it (folders, checkpoints, tests) is in ``run.py``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from twofold.checkpoint import module_tensors
from twofold.data.transforms import jitter, mirror
from twofold.errors import Diverged
from twofold.hybrids import hybrids
from twofold.layers.inputs import Below, Images
from twofold.layers.layer import Layer, Learner
from twofold.learning import Rule, half_constant_half_linear
from twofold.methods.recipe import (
    BackpropRecipe,
    FeedForwardRecipe,
    GoodnessRecipe,
    Recipe,
    UnsupervisedRecipe,
)
from twofold.negatives import NEGATIVES
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import ReadBySoftmax, TaughtByGoodness
from twofold.nets.feedforward import FeedForward
from twofold.nets.unsupervised import Unsupervised
from twofold.normalize import normalize
from twofold.objectives import OBJECTIVES

CHECK_EVERY = 50
"""Batches between two looks at whether the numbers are still finite."""


class Seen(NamedTuple):
    """What a step noticed about each image of its batch, ``(batch,)``.

    Attributes:
        mistaken: the softmax named it wrongly.
        need: how much it had to teach, from 0 to 1: the strongest signal that a layer took from it.
    """

    mistaken: Tensor
    need: Tensor


class Method(ABC):
    """A way of learning: one step for one batch, and what it measured on the way.

    Images that had little to teach at their last visit are visited less often and count more when they are, so that
    what is learned stays the same on average (importance sampling).

    Attributes:
        net: the network.
        recipe: the settings.
        generator: where order, jitter and negative labels come from; on the net's device.
        mistaken: whether the softmax named an image wrongly at its last visit, ``(cases,)``.
        need: how much an image had to teach at its last visit, ``(cases,)``.
        batches_seen: since the training began.
        rate: the learning rate of the newest step.
    """

    def __init__(self, net: nn.Module, recipe: Recipe, generator: torch.Generator, cases: int) -> None:
        self.net = net
        self.recipe = recipe
        self.generator = generator
        self.mistaken = torch.ones(cases, dtype=torch.bool, device=generator.device)
        self.need = torch.ones(cases, device=generator.device)
        self.batches_seen = 0
        self.rate = recipe.rate
        self._visited = 0

    @abstractmethod
    def step(self, images: Tensor, labels: Tensor, cases: Tensor, weight: Tensor, progress: float) -> Seen:
        """Learn from one batch.

        Args:
            images: ``(batch, channels, height, width)``.
            labels: ``(batch,)``.
            cases: which of the training images they are, ``(batch,)``.
            weight: how much each counts, ``(batch,)``; 1 on average over the training images.
            progress: share of the training done, in [0, 1]: the schedule's argument.
        """

    def chances(self) -> Tensor:
        """The probability of each image to be seen in the next epoch, ``(cases,)``: need / tolerance, at least
        ``revisit`` and at most 1."""
        if not self.recipe.tolerance:
            return torch.ones_like(self.need)
        return (self.need / self.recipe.tolerance).clamp(self.recipe.revisit, 1.0)

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that the method needs to go on later, by name, apart from the generator."""

    @abstractmethod
    def check(self) -> None:
        """Raise ``Diverged`` if the newest numbers are not finite."""

    def epoch(self, images: Tensor, labels: Tensor, epoch: int, tell: Callable[[float], None]) -> None:
        """See the images once, in a new order.

        Args:
            images: ``(cases, channels, height, width)``.
            labels: ``(cases,)``.
            epoch: counted from 0.
            tell: is told now and then how many epochs are done, with a fraction.
        """
        chances = self.chances()
        order = torch.randperm(len(chances), generator=self.generator, device=chances.device)
        order = order[torch.rand(len(order), generator=self.generator, device=order.device) < chances[order]]
        self._visited = len(order)
        if not self._visited:
            return
        for number, cases in enumerate(torch.split(order, self.recipe.batch)):
            progress = (epoch + number * self.recipe.batch / len(order)) / self.recipe.epochs
            images_seen = jitter(images[cases], self.recipe.jitter, self.generator)
            if self.recipe.mirror:
                images_seen = mirror(images_seen, self.generator)
            seen = self.step(images_seen, labels[cases], cases, 1 / chances[cases], progress)
            self.mistaken[cases], self.need[cases] = seen
            self.batches_seen += 1
            if self.batches_seen % CHECK_EVERY == 0:
                self.check()
                tell(epoch + (number + 1) * self.recipe.batch / len(order))
        self.check()

    def metrics(self) -> dict[str, Any]:
        """What the last epoch measured, and what the method adds to it: ``rate``, the newest; ``visits``, the share of
        the images that were seen; ``train_error``, the share that the softmax named wrongly at their last visit."""
        return {
            "rate": self.rate,
            "visits": self._visited / len(self.need),
            "train_error": self.mistaken.float().mean().item(),
        }


class GoodnessMethod(Method):
    """Every layer raises its goodness for positive data and lowers it for negative data."""

    net: ReadBySoftmax
    recipe: GoodnessRecipe

    def __init__(self, net: ReadBySoftmax, recipe: GoodnessRecipe, generator: torch.Generator, cases: int) -> None:
        super().__init__(net, recipe, generator, cases)
        self._goodness: list[list[tuple[Tensor, Tensor]]] = [[] for _ in net.layers]

    def tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.net)

    def check(self) -> None:
        for number, kept in enumerate(self._goodness, 1):
            if kept and not all(part.isfinite().all() for part in kept[-1]):
                raise Diverged(
                    f"layer {number}'s goodness is not a finite number any more after {self.batches_seen} batches: "
                    f"lower --rate (it is {self.recipe.rate:g}), or raise --decay or --temperature"
                )

    def metrics(self) -> dict[str, Any]:
        layers: list[dict[str, float] | None] = []
        for number, (layer, kept) in enumerate(zip(self.net.layers, self._goodness, strict=True), 1):
            if not kept:
                layers.append(None)
                continue
            assert isinstance(layer, Learner)
            positive, negative = (torch.cat(side) for side in zip(*kept, strict=True))
            scale, temperature = layer.threshold, self.recipe.temperature
            summary = {
                "positive": (positive.mean() / scale).item(),
                "negative": (negative.mean() / scale).item(),
                "p_positive": torch.sigmoid((positive - scale) / temperature).mean().item(),
                "p_negative": torch.sigmoid((negative - scale) / temperature).mean().item(),
            }
            kept.clear()
            self._raise_if_collapsed(number, summary)
            layers.append(summary)
        return {**super().metrics(), "layers": layers}

    def _raise_if_collapsed(self, number: int, summary: dict[str, float]) -> None:
        """A layer that has had time to learn and is silent, or says the same of everything, will not recover."""
        if self.batches_seen < 500:
            return
        where = f"layer {number} has collapsed after {self.batches_seen} batches"
        if max(abs(summary["positive"]), abs(summary["negative"])) < 1e-4:
            raise Diverged(
                f"{where}: all its activity is near zero; lower --rate (it is {self.recipe.rate:g}), or raise "
                "--peer, which revives silent units, or --floor, below which it pulls up a whole layer"
            )
        low, high = sorted((summary["p_positive"], summary["p_negative"]))
        if not OBJECTIVES[self.recipe.objective].paired and (high < 1e-3 or low > 1 - 1e-3):
            raise Diverged(
                f"{where}: it takes all data for {'negative' if high < 1e-3 else 'positive'} "
                f"(p = {summary['p_positive']:.4f} and {summary['p_negative']:.4f}); change --rate (it is "
                f"{self.recipe.rate:g}), lower --decay, or raise --temperature or --label-strength"
            )


class LabelMethod(GoodnessMethod):
    """Positive data: images with their labels. Negative data: the same images with wrong labels.

    Attributes:
        logits: of each image, the newest that a softmax read from its hidden activities, ``(cases, classes)``: hard
            negative labels are drawn from them.
    """

    net: TaughtByGoodness

    def __init__(self, net: TaughtByGoodness, recipe: GoodnessRecipe, generator: torch.Generator, cases: int) -> None:
        super().__init__(net, recipe, generator, cases)
        self.logits = torch.zeros(cases, net.classes, device=generator.device)

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "logits": self.logits}


class ForwardForward(LabelMethod):
    """Layer after layer, from the bottom up.

    Each layer raises its goodness for the first, lowers it for the second, and passes normalized activity on. No
    derivative crosses a layer. A share of each batch makes a third pass, with a neutral label: from it the softmax of
    the fast test learns, and the logits are renewed from which an image's hard negative labels are drawn.
    """

    net: FeedForward
    recipe: FeedForwardRecipe

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor, cases: Tensor, weight: Tensor, progress: float) -> Seen:
        net, recipe = self.net, self.recipe
        learners, progress = self._learners(progress)
        factor = half_constant_half_linear(progress)
        self.rate = recipe.rate * factor

        ready = net.images(images)
        logits = self._neutral_pass(ready, labels, cases, weight, recipe.softmax_rate * factor)
        wrong = NEGATIVES[recipe.negatives](labels, logits, self.generator)

        positive: Below = net.with_label(ready, labels)
        negative: Below = net.with_label(ready, wrong)
        need = torch.zeros_like(weight)
        for index, layer in enumerate(net.layers[: learners.stop]):
            assert isinstance(layer, Layer)
            if index in learners:
                positive, negative, goodness, taught = layer.learn(positive, negative, self.rate, weight)
                self._goodness[index].append(goodness)
                need = torch.maximum(need, taught.to(need.dtype))
            else:
                positive, negative = (layer.rule.normalize(layer(below)) for below in (positive, negative))
        return Seen(logits.argmax(1) != labels, need)

    def _neutral_pass(self, images: Images, labels: Tensor, cases: Tensor, weight: Tensor, rate: float) -> Tensor:
        """The newest logits of the images: a share of them makes the pass, from which the softmax learns."""
        asked = math.ceil(self.recipe.neutral_share * len(labels))
        features = self.net.features(self.net.with_neutral_label(images, asked))
        renewed = self.net.softmax.learn(features, labels[:asked], rate, weight[:asked])
        self.logits[cases[:asked]] = renewed.to(self.logits.dtype)
        return self.logits[cases]

    def chances(self) -> Tensor:
        """Where layers learn one after the other all images are seen: what taught one layer nothing may teach the
        next."""
        return torch.ones_like(self.need) if self.recipe.layer_by_layer else super().chances()

    def _learners(self, progress: float) -> tuple[range, float]:
        """The layers that learn now, and the progress of their training."""
        count = len(self.net.layers)
        if not self.recipe.layer_by_layer:
            return range(count), progress
        turn = min(int(progress * count), count - 1)
        return range(turn, turn + 1), progress * count - turn


class Hybrids(GoodnessMethod):
    """Positive data: images. Negative data: hybrids of two of them (paper section 3.1).

    No label teaches a layer. A softmax learns labels from what the layers make of the images, as they are before their
    update.
    """

    net: Unsupervised
    recipe: UnsupervisedRecipe

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor, cases: Tensor, weight: Tensor, progress: float) -> Seen:
        net, recipe = self.net, self.recipe
        factor = half_constant_half_linear(progress)
        self.rate = recipe.rate * factor

        positive: Below = net.images(images).rows
        negative: Below = net.images(hybrids(images, recipe.blurs, self.generator)).rows
        need, features = torch.zeros_like(weight), []
        for index, layer in enumerate(net.layers):
            assert isinstance(layer, Layer)
            positive, negative, goodness, taught = layer.learn(positive, negative, self.rate, weight)
            self._goodness[index].append(goodness)
            need = torch.maximum(need, taught.to(need.dtype))
            if index in net.counted:
                features.append(normalize(positive))
        logits = net.softmax.learn(torch.cat(features, 1), labels, recipe.softmax_rate * factor, weight)
        return Seen(logits.argmax(1) != labels, need)


class Backpropagation(Method):
    """The twin: cross-entropy, stochastic gradient descent with momentum."""

    net: Backprop
    recipe: BackpropRecipe

    def __init__(self, net: Backprop, recipe: BackpropRecipe, generator: torch.Generator, cases: int) -> None:
        super().__init__(net, recipe, generator, cases)
        self._losses: list[Tensor] = []
        self._rule = Rule(smoothing=recipe.smoothing, decay=recipe.decay)
        self.velocity = {name: torch.zeros_like(parameter) for name, parameter in net.named_parameters()}

    def step(self, images: Tensor, labels: Tensor, cases: Tensor, weight: Tensor, progress: float) -> Seen:
        self.rate = self.recipe.rate * half_constant_half_linear(progress)
        logits = self.net(images)
        losses = cross_entropy(logits, labels, reduction="none")
        need = 1 - (-losses.detach()).exp()
        bounded = torch.minimum(weight, 1 / need)  # as in a layer, none counts more than one that is plainly wrong
        (-(bounded * losses).mean()).backward()  # type: ignore[no-untyped-call]
        self._climb(self.rate / (1 - self.recipe.smoothing))
        self._losses.append(losses.detach().mean())
        return Seen(logits.argmax(1) != labels, need)

    @torch.no_grad()
    def _climb(self, rate: float) -> None:
        for name, parameter, in_use in self.net.learned():
            assert in_use.grad is not None
            self.net.update(parameter, self.velocity[name], in_use.grad, rate, self._rule, in_use)
            in_use.grad = None

    def tensors(self) -> dict[str, Tensor]:
        return {**module_tensors(self.net), **{f"velocity.{name}": tensor for name, tensor in self.velocity.items()}}

    def check(self) -> None:
        if self._losses and not self._losses[-1].isfinite():
            raise Diverged(
                f"the loss is not a finite number any more after {self.batches_seen} batches: "
                f"lower --rate (it is {self.recipe.rate:g})"
            )

    def metrics(self) -> dict[str, Any]:
        loss = torch.stack(self._losses).mean().item() if self._losses else None
        self._losses.clear()
        return {**super().metrics(), "loss": loss}
