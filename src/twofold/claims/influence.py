"""How far what changes at the top of a net gets down, and what learning from one image again and again adds to that.

The measures of the claim ``relax``, which says what each of them is for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twofold.methods import RecurrentRecipe, RecurrentTraining
from twofold.methods.method import Batch
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold.training.trainer import Trainer

THRESHOLD = 0.01
"""Influence from which a layer counts as reached, as a share of its state's length."""

BRIEF = 3
"""Iterations of a brief presentation."""


class Decay(NamedTuple):
    """A line through the logarithms of the layers' settled influence.

    Attributes:
        ratio: a layer's influence over that of the layer above it.
        fit: R² of the line; two layers always have 1.
        hundredth: influence that the line gives the hundredth layer below the label.
    """

    ratio: float
    fit: float
    hundredth: float


def watched(depth: int) -> int:
    """Iterations in which a net of that depth settles, and for which it is then watched."""
    return 3 * depth + 10


@torch.no_grad()
def influence(net: Recurrent, images: Tensor, labels: Tensor, other: Tensor, iterations: int) -> Tensor:
    """How far each layer is from where it would be, had the label at the top not changed from ``labels`` to ``other``.

    ‖n(s changed) - n(s kept)‖ / ‖n(s kept)‖, mean over images, at each iteration after the change. Before it the net
    has settled for as many.

    Args:
        net: the net.
        images: ``(batch, ...)``.
        labels, other: ``(batch,)``.
        iterations: to settle, and to watch.

    Returns:
        ``(layers, iterations)``.
    """
    frame = net.images(images)
    *_, state = net.look(frame, net.top(labels), iterations)
    kept = net.watch(repeat(frame, iterations), net.top(labels), state)
    changed = net.watch(repeat(frame, iterations), net.top(other), state)
    return torch.stack([_apart(before, after) for before, after in zip(kept, changed, strict=True)], 1)


def _apart(one: State, other: State) -> Tensor:
    """How far apart two states of a net are by layer, relative to their length, mean over cases, ``(layers,)``.

    What a layer shows has the length √units, or 0 where it is silent.
    """
    both = zip(one, other, strict=True)
    return torch.stack([(b.output - a.output).norm(dim=1).mean() / math.sqrt(a.output.shape[1]) for a, b in both])


def reached(settled: Tensor) -> int:
    """How many layers the label reaches, from the top downwards and without a gap, by their influence ``(layers,)``."""
    return int((settled.flip(0) >= THRESHOLD).long().cumprod(0).sum())


def first_reached(presented: Sequence[int], settled: Tensor) -> list[int | None]:
    """The number of presentations after which each layer was first reached; ``None`` where it never was.

    Args:
        presented: numbers of presentations, ascending.
        settled: influence after each of them, ``(numbers, layers)``.
    """
    columns = (settled >= THRESHOLD).T.tolist()
    return [next((count for count, there in zip(presented, column, strict=True) if there), None) for column in columns]


def decay(settled: Tensor) -> Decay:
    """log(influence of a layer) = a + b · (layers between it and the label), by least squares; the ratio is e^b.

    Args:
        settled: influence by layer, from the lowest upwards, ``(layers,)``; a layer without any is left out.
    """
    below = np.arange(len(settled))[::-1]
    there = settled.numpy() > 0
    if there.sum() < 2:
        return Decay(0.0, 0.0, 0.0)
    slope, start, fit = _line(below[there], np.log(settled.numpy()[there]))
    return Decay(math.exp(slope), fit, math.exp(start + 99 * slope))


def front(influence: Tensor) -> tuple[list[int], float, float]:
    """When half of what a layer's influence ends with has arrived, and how fast that front moves.

    Args:
        influence: ``(layers, iterations)``.

    Returns:
        The iteration, from 1, by layer; layers per iteration, by a line through arrival against layers from the top,
        infinite where all arrive at once; and R² of that line.
    """
    arrived = (influence >= 0.5 * influence[:, -1:]).long().argmax(1) + 1
    below = np.arange(len(arrived))[::-1]
    slope, _, fit = _line(below, arrived.double().numpy())
    return arrived.tolist(), 1 / slope if slope else math.inf, fit


def _line(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Slope, start and R² of the line of least squares; R² is 1 where y does not vary."""
    slope, start = np.polyfit(x, y, 1)
    rest, all_of_it = ((y - start - slope * x) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return float(slope), float(start), float(1 - rest / all_of_it) if all_of_it else 1.0


# ---- presentations -------------------------------------------------------------------------------------------------


@torch.no_grad()
def presentations(
    net: Recurrent, recipe: RecurrentRecipe, image: Tensor, label: Tensor, presented: Sequence[int]
) -> Tensor:
    """Settled influence of the label on each layer for one image, after it was learned from so many times.

    Args:
        net: stays as it is; a copy learns.
        recipe: its rate and iterations are used.
        image: ``(1, ...)``.
        label: ``(1,)``, right; the next one is the wrong one of the negative case, and of the influence.
        presented: numbers of presentations, ascending.

    Returns:
        ``(numbers, layers)``.
    """
    net, other = _learner(net), (label + 1) % net.classes
    found, done = [], 0
    for count in presented:
        _present(net, recipe, image, label, other, count - done)
        done = count
        found.append(influence(net, image, label, other, watched(len(net.layers)))[:, -1])
    return torch.stack(found)


@torch.no_grad()
def brief(net: Recurrent, recipe: RecurrentRecipe, image: Tensor, label: Tensor, presented: Sequence[int]) -> Tensor:
    """How far apart two copies of a net end at a brief look, which learned as often from the image with two labels.

    One learned that ``label`` is right and the next one wrong, the other the reverse; each looks under its right one.
    What differs in a layer that a look is too brief to reach has come down through learning. Where signals go by the
    difference of a pair alone, as in the recipe, that is 2 · ``BRIEF`` layers at most.

    Args:
        net: stays as it is.
        recipe: its rate is used.
        image: ``(1, ...)``.
        label: ``(1,)``.
        presented: numbers of presentations, ascending.

    Returns:
        ‖n(s one) - n(s other)‖ / ‖n(s one)‖ of each layer, ``(numbers, layers)``.
    """
    believers = [(_learner(net), label, (label + 1) % net.classes), (_learner(net), (label + 1) % net.classes, label)]
    found, done = [], 0
    for count in presented:
        states = []
        for learner, right, wrong in believers:
            _present(learner, replace(recipe, iterations=BRIEF), image, right, wrong, count - done)
            *_, state = learner.look(learner.images(image), learner.top(right), BRIEF)
            states.append(state)
        done = count
        found.append(_apart(*states))
    return torch.stack(found)


def _learner(net: Recurrent) -> Recurrent:
    """A copy that learns from one image: one plain step of the rate at a time."""
    net = copy.deepcopy(net)
    for layer in net.stack:
        layer.rule = replace(layer.rule, smoothing=0.0, decay=0.0, peer=0.0, tolerance=0.0)
    return net


class Presentation(RecurrentTraining):
    """Each epoch presents one image once, positive with its label and negative with ``wrong``."""

    def __init__(self, net: Recurrent, recipe: RecurrentRecipe, data: tuple[Tensor, ...], *, wrong: Tensor) -> None:
        super().__init__(net, recipe, data)
        self.wrong = wrong

    def step(self, batch: Batch, progress: float) -> Tensor:
        frame, top = self.net.images(batch.images), self.net.top(torch.cat([batch.labels, self.wrong]))
        start = tuple(layer.repeat(2) for layer in self.net.start(frame))
        video = repeat(frame, self.recipe.iterations)
        return self.net.learn_video(video, top, start, self.recipe.rate).difficulty


def _present(net: Recurrent, recipe: RecurrentRecipe, image: Tensor, right: Tensor, wrong: Tensor, times: int) -> None:
    """Present an image ``times`` times, for the iterations and at the rate of the recipe."""
    if times:
        once = replace(recipe, epochs=times, batch=1, tolerance=0.0, revisit=1.0, jitter=0, mirror=False)
        Trainer(net, once, (image, right), partial(Presentation, wrong=wrong)).run()
