"""Measures of how far down a net a change of the label at its top gets, also after repeated learning from one image.

The claim ``relax`` explains the purpose of each.
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
"""Influence, relative to the length of a layer's state, from which on the layer counts as reached."""

BRIEF = 3
"""Number of iterations of a brief presentation."""


@dataclass(frozen=True)
class Depth:
    """Measurements on the nets of one depth, with layers from the lowest upwards.

    Attributes:
        influence: influence of the label on each layer at each iteration, ``(layers, iterations)``.
        untrained: the same influence before learning.
        gradient: sensitivity of the twin's loss by hidden layer, relative to the top one.
        errors: errors of the trained net and of its twin, in percent.
    """

    influence: Tensor
    untrained: Tensor
    gradient: list[float]
    errors: tuple[dict[str, float], dict[str, float]]


@dataclass(frozen=True)
class Study:
    """All measurements that the claim and its picture need.

    Attributes:
        depths: measurements by number of hidden layers.
        presented: numbers of presentations.
        influence: settled influence in the deepest net after each of these numbers, ``(numbers, layers)``.
        trace: trace of the label in the deepest net after as many brief presentations, ``(numbers, layers)``.
    """

    depths: dict[int, Depth]
    presented: list[int]
    influence: Tensor
    trace: Tensor


class Decay(NamedTuple):
    """A line through the logarithms of the layers' settled influence.

    Attributes:
        ratio: influence on a layer divided by that on the layer above it.
        fit: R² of the line; it is always 1 for two layers.
        hundredth: influence that the line gives for the hundredth layer below the label.
    """

    ratio: float
    fit: float
    hundredth: float


def watched(depth: int) -> int:
    """Return the number of iterations for which a net of that depth settles, and is then watched."""
    return 3 * depth + 10


@torch.no_grad()
def influence(net: Recurrent, images: Tensor, labels: Tensor, wrong: Tensor, iterations: int) -> Tensor:
    """Measure how a change of the label at the top from ``labels`` to ``wrong`` moves each layer's state.

    The influence is ‖n(s changed) - n(s kept)‖ / ‖n(s kept)‖, mean over images, at each iteration after the change.
    Before the change the net settles for the same number of iterations.

    Args:
        net: the net.
        images: ``(batch, ...)``.
        labels, wrong: ``(batch,)``.
        iterations: number of iterations to settle, and then to watch.

    Returns:
        ``(layers, iterations)``.
    """
    frame = net.images(images)
    *_, state = net.look(frame, net.top(labels), iterations)
    kept = net.watch(repeat(frame, iterations), net.top(labels), state)
    changed = net.watch(repeat(frame, iterations), net.top(wrong), state)
    return torch.stack([_distance(before, after) for before, after in zip(kept, changed, strict=True)], 1)


def _distance(first: State, second: State) -> Tensor:
    """Return the distance of two states of a net by layer, relative to their length, mean over cases, ``(layers,)``.

    The output of a layer has the length √units, or 0 if the layer is silent.
    """
    both = zip(first, second, strict=True)
    return torch.stack([(b.output - a.output).norm(dim=1).mean() / math.sqrt(a.output.shape[1]) for a, b in both])


def reached(settled: Tensor) -> int:
    """Count the layers that the label reaches, from the top down without a gap, given the influence ``(layers,)``."""
    return int((settled.flip(0) >= THRESHOLD).long().cumprod(0).sum())


def first_reached(presented: Sequence[int], settled: Tensor) -> list[int | None]:
    """Return the number of presentations after which each layer was first reached, ``None`` if it never was.

    Args:
        presented: numbers of presentations, ascending.
        settled: settled influence after each of these numbers, ``(numbers, layers)``.
    """
    columns = (settled >= THRESHOLD).T.tolist()
    return [next((count for count, hit in zip(presented, column, strict=True) if hit), None) for column in columns]


def decay(settled: Tensor) -> Decay:
    """Fit log(influence of a layer) = a + b · (layers between it and the label) by least squares; the ratio is e^b.

    Args:
        settled: influence by layer, from the lowest upwards, ``(layers,)``; layers without influence are left out.
    """
    below = np.arange(len(settled))[::-1]
    influenced = settled.numpy() > 0
    if influenced.sum() < 2:
        return Decay(0.0, 0.0, 0.0)
    slope, start, fit = _line(below[influenced], np.log(settled.numpy()[influenced]))
    return Decay(math.exp(slope), fit, math.exp(start + 99 * slope))


def front(influence: Tensor) -> tuple[list[int], float, float]:
    """Find when half of each layer's final influence has arrived, and how fast that front moves.

    Args:
        influence: ``(layers, iterations)``.

    Returns:
        The iteration of arrival by layer, counted from 1; the speed in layers per iteration, from a line through
        arrival against layers from the top, infinite if it arrives at all layers at once; and R² of that line.
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
    """Return ‖∂loss/∂a‖ ‖a‖ for each hidden layer's activity a, mean over images, relative to the top layer.

    Args:
        twin: the net.
        images: ``(batch, ...)``.
        labels: ``(batch,)``.

    Returns:
        One number for each layer, from the lowest upwards.
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
    """Return the settled influence of the label on each layer for one image, after repeated learning from that image.

    Args:
        net: the net; a copy of it learns.
        recipe: its rate and iterations are used.
        image: ``(1, ...)``.
        label: the right label, ``(1,)``; the next class is the wrong label, in the negative case and for the influence.
        presented: numbers of presentations, ascending.

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
    """Measure how two copies of a net that learned an image under different labels differ after a brief settling on it.

    One copy learns that ``label`` is right and the next class wrong, the other the reverse; each then settles on the
    image for ``BRIEF`` iterations under the label that is right for it. A difference in a layer that activity cannot
    reach in this time has come down through learning. If learning signals depend only on the difference within a pair,
    as in the recipe, it gets down at most 2 · ``BRIEF`` layers.

    Args:
        net: the net; copies of it learn.
        recipe: its rate is used.
        image: ``(1, ...)``.
        label: ``(1,)``.
        presented: numbers of presentations, ascending.

    Returns:
        ‖n(s first) - n(s second)‖ / ‖n(s first)‖ of each layer after each number, ``(numbers, layers)``.
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
    """Copy a net so that it learns by plain gradient steps: no smoothing, decay, peer normalization or sampling."""
    net = copy.deepcopy(net)
    for layer in net.stack:
        layer.rule = replace(layer.rule, smoothing=0.0, decay=0.0, peer=0.0, tolerance=0.0)
    return net


class Presentation(RecurrentTraining):
    """Training on one image, once per epoch: as a positive case with its label and as a negative with ``wrong``."""

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
    """Present an image ``times`` times, for the iterations and at the rate of the recipe."""
    if times:
        plain: dict[str, Any] = {"tolerance": 0.0, "revisit": 1.0, "jitter": 0, "mirror": False}
        once = replace(recipe, epochs=times, batch=1, schedule="constant", **plain)
        Trainer(net, once, (image, right), method=partial(Presentation, wrong=wrong)).run()
