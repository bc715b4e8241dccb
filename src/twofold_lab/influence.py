"""Measures of how far the label, which is clamped at the top of a recurrent net, influences the layers below.

The influence is also measured after repeated training on one image. The page of the claim ``relax`` explains the
measures.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from twofold.methods import RecurrentRecipe, RecurrentTraining
from twofold.methods.cases import Cases
from twofold.methods.method import Batch
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State, VideoResult
from twofold.normalize import normalize
from twofold.training.trainer import Trainer

THRESHOLD = 0.01
"""Smallest influence with which a layer counts as reached, relative to the L2 norm of its state."""

BRIEF = 3
"""Number of iterations for which `brief` presents an image."""


@dataclass(frozen=True)
class Depth:
    """Measurements on the nets of one depth, with layers from the lowest upwards.

    Attributes:
        influence: influence of the label on each layer of the trained net at each iteration, ``(layers, iterations)``.
        untrained: the influence in the untrained net, ``(layers, iterations)``.
        gradient: `sensitivity` of the twin by hidden layer.
        errors: errors of the trained net and of its twin by test, in percent.
    """

    influence: Tensor
    untrained: Tensor
    gradient: list[float]
    errors: tuple[dict[str, float], dict[str, float]]


@dataclass(frozen=True)
class Study:
    """All measurements for the claim and its plot.

    Attributes:
        depths: measurements by number of hidden layers.
        presented: numbers of presentations of an image to the deepest net.
        influence: influence at the last iteration after each number of presentations, ``(numbers, layers)``.
        trace: result of `brief` for the same numbers of presentations, ``(numbers, layers)``.
    """

    depths: dict[int, Depth]
    presented: list[int]
    influence: Tensor
    trace: Tensor


class Decay(NamedTuple):
    """A line fitted to the logarithm of the influence on each layer at the last iteration.

    Attributes:
        ratio: influence on a layer divided by the influence on the layer above it.
        fit: R² of the line; always 1 for two layers.
        hundredth: extrapolated influence on the hundredth layer below the label.
    """

    ratio: float
    fit: float
    hundredth: float


def watched(depth: int) -> int:
    """Return the number of iterations both before and after the label is changed, for a net of ``depth`` layers."""
    return 3 * depth + 10


@torch.no_grad()
def influence(net: Recurrent, images: Tensor, labels: Tensor, wrong: Tensor, iterations: int) -> Tensor:
    """Measure how much each layer's state changes if the label at the top changes from ``labels`` to ``wrong``.

    The net first settles with ``labels``. It then continues twice: with the same labels (state s) and with the wrong
    ones (state s'). The influence at an iteration is ‖n(s') - n(s)‖ / ‖n(s)‖, mean over images, where n normalizes the
    state of a layer.

    Args:
        net: the net.
        images: ``(batch, ...)``.
        labels: true labels, ``(batch,)``.
        wrong: other labels, ``(batch,)``.
        iterations: number of iterations to settle; the number of iterations after the change is the same.

    Returns:
        The influence on each layer at each iteration after the change, ``(layers, iterations)``.
    """
    frame = net.images(images)
    *_, state = net.look(frame, net.top(labels), iterations)
    kept = net.watch(repeat(frame, iterations), net.top(labels), state)
    changed = net.watch(repeat(frame, iterations), net.top(wrong), state)
    return torch.stack([_distance(before, after) for before, after in zip(kept, changed, strict=True)], 1)


def _distance(first: State, second: State) -> Tensor:
    """Return the relative L2 distance between the outputs of each layer in two states, mean over cases, ``(layers,)``.

    Distances are divided by √units, which is the L2 norm of a layer's output unless all its units are inactive.
    """
    both = zip(first, second, strict=True)
    return torch.stack([(b.output - a.output).norm(dim=1).mean() / math.sqrt(a.output.shape[1]) for a, b in both])


def reached(settled: Tensor) -> int:
    """Count the layers that the label reaches, from the top down to the first layer that the label does not reach.

    Args:
        settled: influence on each layer at the last iteration, from the lowest layer upwards, ``(layers,)``.
    """
    return int((settled.flip(0) >= THRESHOLD).long().cumprod(0).sum())


def first_reached(presented: Sequence[int], settled: Tensor) -> list[int | None]:
    """Return, for each layer, the number of presentations after which the label first reaches it, or ``None``.

    Args:
        presented: numbers of presentations, ascending.
        settled: influence at the last iteration, after each number of presentations, ``(numbers, layers)``.
    """
    columns = (settled >= THRESHOLD).T.tolist()
    return [next((count for count, hit in zip(presented, column, strict=True) if hit), None) for column in columns]


def decay(settled: Tensor) -> Decay:
    """Fit log(influence on a layer) = a + b · (number of layers between the layer and the label) by least squares.

    Args:
        settled: influence on each layer at the last iteration, from the lowest layer upwards, ``(layers,)``. Layers
            without influence are omitted.

    Returns:
        The fit; its ratio is e^b.
    """
    below = np.arange(len(settled))[::-1]
    influenced = settled.numpy() > 0
    if influenced.sum() < 2:
        return Decay(0.0, 0.0, 0.0)
    slope, start, fit = _line(below[influenced], np.log(settled.numpy()[influenced]))
    return Decay(math.exp(slope), fit, math.exp(start + 99 * slope))


def front(influence: Tensor) -> tuple[list[int], float, float]:
    """Find the iteration at which each layer has half of its final influence, and the speed from layer to layer.

    Args:
        influence: influence on each layer at each iteration, ``(layers, iterations)``.

    Returns:
        Three values: the iteration of each layer, counted from 1; the speed in layers per iteration, which is 1 / slope
        of the line fitted to iteration against number of layers from the top (infinite for slope 0); R² of the line.
    """
    arrived = (influence >= 0.5 * influence[:, -1:]).long().argmax(1) + 1
    below = np.arange(len(arrived))[::-1]
    slope, _, fit = _line(below, arrived.double().numpy())
    return arrived.tolist(), 1 / slope if slope else math.inf, fit


def _line(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Return slope, intercept and R² of the least-squares line; R² is 1 if y does not vary."""
    slope, start = np.polyfit(x, y, 1)
    residual, total = ((y - start - slope * x) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return float(slope), float(start), float(1 - residual / total) if total else 1.0


# ---- the twin ------------------------------------------------------------------------------------------------------


def sensitivity(twin: Backprop, images: Tensor, labels: Tensor) -> list[float]:
    """Return ‖∂loss/∂a‖ ‖a‖ for the activity a of each hidden layer, mean over images, relative to the top layer.

    Args:
        twin: the net.
        images: ``(batch, ...)``.
        labels: true labels, ``(batch,)``.

    Returns:
        A number for each hidden layer, from the lowest upwards.
    """
    weights = [(layer.weight.detach().cpu().double(), layer.bias.detach().cpu().double()) for layer in twin.stack]
    activities = [normalize(images.double().flatten(1))]
    for weight, bias in weights[:-1]:
        activities.append(linear(activities[-1], weight, bias).relu().requires_grad_())
    loss = cross_entropy(linear(activities[-1], *weights[-1]), labels, reduction="sum")
    gradients = torch.autograd.grad(loss, activities[1:])
    pairs = zip(gradients, activities[1:], strict=True)
    sizes = [(gradient.norm(dim=1) * activity.detach().norm(dim=1)).mean() for gradient, activity in pairs]
    return [float(size / sizes[-1]) for size in sizes]


# ---- presentations -------------------------------------------------------------------------------------------------


@torch.no_grad()
def presentations(
    net: Recurrent, recipe: RecurrentRecipe, image: Tensor, label: Tensor, presented: Sequence[int]
) -> Tensor:
    """Return the influence of the label on each layer for one image, after repeated training on that image.

    The influence is that at the last iteration; see `influence`. The wrong label is the next class, in training
    (negative case) and in the measurement of the influence.

    Args:
        net: the net; a copy of it is trained.
        recipe: provides the learning rate and the number of iterations.
        image: ``(1, ...)``.
        label: true label, ``(1,)``.
        presented: numbers of presentations (training steps) after which to measure, ascending.

    Returns:
        ``(numbers, layers)``.
    """
    net, wrong = _learner(net), (label + 1) % net.classes
    rows, done = [], 0
    for count in presented:
        _present(net, recipe, image, label, wrong, count - done)
        done = count
        rows.append(influence(net, image, label, wrong, watched(len(net.layers)))[:, -1])
    return torch.stack(rows)


@torch.no_grad()
def brief(net: Recurrent, recipe: RecurrentRecipe, image: Tensor, label: Tensor, presented: Sequence[int]) -> Tensor:
    """Train two copies of a net on one image with opposite labels, and compare their states on the image.

    For the first copy, ``label`` is the positive and the next class the negative label; for the second copy, they are
    exchanged. Each presentation has only ``BRIEF`` iterations. For the comparison of the two copies, each copy settles
    on the image for ``BRIEF`` iterations with its positive label. Activity cannot reach the lower layers in this time,
    so a difference in these layers must come from learning. If learning signals depend only on the difference within a
    pair, as in the recipe, differences can reach at most 2 · ``BRIEF`` layers down.

    Args:
        net: the net; copies of it are trained.
        recipe: provides the learning rate.
        image: ``(1, ...)``.
        label: true label, ``(1,)``.
        presented: numbers of presentations (training steps) after which to measure, ascending.

    Returns:
        ‖n(s₂) - n(s₁)‖ / ‖n(s₁)‖ for the states s₁ and s₂ of each layer in both copies, ``(numbers, layers)``.
    """
    wrong = (label + 1) % net.classes
    learners = [(_learner(net), label, wrong), (_learner(net), wrong, label)]
    rows, done = [], 0
    once = replace(recipe, iterations=BRIEF, judge_from=1, judge_to=BRIEF)
    for count in presented:
        states = []
        for learner, positive, negative in learners:
            _present(learner, once, image, positive, negative, count - done)
            *_, state = learner.look(learner.images(image), learner.top(positive), BRIEF)
            states.append(state)
        done = count
        rows.append(_distance(*states))
    return torch.stack(rows)


def _learner(net: Recurrent) -> Recurrent:
    """Return a copy of a net that learns by plain gradient steps.

    The copy has no momentum (smoothing), weight decay, peer normalization or importance sampling.
    """
    net = copy.deepcopy(net)
    for layer in net.stack:
        layer.rule = replace(layer.rule, smoothing=0.0, decay=0.0, peer=0.0, tolerance=0.0)
    return net


class Presentation(RecurrentTraining):
    """Training on a single image, which is the positive case with its label and the negative case with ``wrong``."""

    def __init__(self, net: Recurrent, recipe: RecurrentRecipe, data: Cases, *, wrong: Tensor) -> None:
        super().__init__(net, recipe, data)
        self.wrong = wrong

    def step(self, batch: Batch, progress: float) -> VideoResult:  # type: ignore[override]
        self.set_rate(progress)
        frame, top = self.net.images(batch.images), self.net.top(torch.cat([batch.labels, self.wrong]))
        start = tuple(layer.repeat(2) for layer in self.net.start(frame))
        video = repeat(frame, self.recipe.iterations)
        return self.net.learn_video(video, top, start, self.rate)


def _present(net: Recurrent, recipe: RecurrentRecipe, image: Tensor, right: Tensor, wrong: Tensor, times: int) -> None:
    """Train a net on one image for ``times`` steps, with the number of iterations and the rate of the recipe.

    Args:
        net: the net, which is trained in place.
        recipe: the recipe.
        image: ``(1, ...)``.
        right: label of the positive case, ``(1,)``.
        wrong: label of the negative case, ``(1,)``.
        times: number of steps.
    """
    if times:
        plain: dict[str, Any] = {"tolerance": 0.0, "revisit": 1.0, "jitter": 0, "mirror": False}
        once = replace(recipe, epochs=times, batch=1, schedule="constant", **plain)
        Trainer(net, once, (image, right), method=partial(Presentation, wrong=wrong)).run()
