"""What backpropagation can make of a black box: its answer as measured, and a stand-in for its derivative.

The box gets normalized activity x and gives an answer. What is handed on is n(answer + J (x - x')), where x' is x
without a graph, so that the last term is 0 and has the derivative J: what each crossing takes for that of the box.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from twofold.layers.boxes import Box
from twofold.layers.connectivity import Full
from twofold.nets.affine import Affine
from twofold.normalize import normalize

NUDGE = 0.1
"""By how much simultaneous perturbation changes each number that goes into a box; their root mean square is 1."""

FIT = 10.0
"""The rate of a surrogate relative to that of the net; with 1 it lags behind."""

Losses = Callable[[Sequence[Tensor]], Tensor]
"""Gives the loss of each case, ``(batch,)``, when so much is added to what goes into each box, ``(batch, units)``."""


class Crossed(NamedTuple):
    """What happened at a box, each ``(batch, units)``.

    Attributes:
        sent: normalized activity, what the box got.
        answer: of the box; it has no graph.
        output: what the next layer gets.
    """

    sent: Tensor
    answer: Tensor
    output: Tensor


class BoxedPass(NamedTuple):
    """A batch that went through a net with boxes.

    Attributes:
        crossings: of the net.
        crossed: what happened at each.
        logits: of the net, ``(batch, classes)``.
        labels: the true ones, ``(batch,)``.
        losses: measures the net again.
        generator: draws what is tried.
    """

    crossings: Sequence[Any]
    crossed: Sequence[Crossed]
    logits: Tensor
    labels: Tensor
    losses: Losses
    generator: torch.Generator | None

    def boxes(self) -> Iterator[tuple[Any, Crossed]]:
        """Each crossing with what happened at it."""
        return zip(self.crossings, self.crossed, strict=True)


class Crossing(nn.Module, ABC):
    """A box between two blocks of layers.

    Args:
        box: the box.
        classes: number of labels.
        generator: draws what is fixed or learned beside the net.
    """

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.box = box

    def forward(self, activity: Tensor, nudge: Tensor | None = None) -> Crossed:
        """Send activity ``(batch, units)`` through the box, in its type, after a nudge where there is one."""
        sent = normalize(activity).to(self.box.matrix.dtype)
        if nudge is not None:
            sent = sent + nudge
        with torch.no_grad():
            answer = self.box(sent)
        assumed = self.assumed(sent - sent.detach(), sent.detach())
        output = normalize(answer if assumed is None else answer + assumed)
        return Crossed(sent, answer, output.to(activity.dtype))

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor | None:
        """J · change, how the answer is taken to change when what is sent does; ``None`` if nothing is assumed.

        Args:
            change: zeros, which have a graph, ``(batch, units)``.
            sent: where the derivative is taken, likewise.
        """
        return None

    def learners(self) -> list[Affine]:
        """The layers that learn beside the net."""
        return []

    @classmethod
    def lessons(cls, passed: BoxedPass) -> Tensor:
        """What is added to the loss of each case, ``(batch,)``, for all boxes of a net."""
        return passed.logits.new_zeros(len(passed.labels))


class Stop(Crossing):
    """Nothing comes back through the box: layers below it stay as they were drawn."""


class StraightThrough(Crossing):
    """The box is taken for the identity."""

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        return change


class Known(Crossing):
    """An oracle: it knows the matrix of the box as it is now, and the slope of its response; see `Box.slope`."""

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        matrix = self.matrix()
        return change @ matrix.T * self.box.slope(sent @ matrix.T)

    def matrix(self) -> Tensor:
        """The matrix that is assumed."""
        return self.box.matrix


class ChipInTheLoop(Known):
    """Measures the box forwards, and has a model of it for the derivative: the box as it was before it drifted."""

    model: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        self.register_buffer("model", box.matrix.clone())

    def matrix(self) -> Tensor:
        return self.model


class FeedbackAlignment(Crossing):
    """The box is taken for a random matrix that stays as it is."""

    feedback: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        units = len(box.matrix)
        self.register_buffer("feedback", torch.randn(units, units, generator=generator) / math.sqrt(units))

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        return change @ self.feedback


class DirectFeedbackAlignment(Crossing):
    """What goes into a box gets the error of the softmax through a random matrix that stays as it is."""

    feedback: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        units = len(box.matrix)
        self.register_buffer("feedback", torch.randn(classes, units, generator=generator) / math.sqrt(units))

    @classmethod
    def lessons(cls, passed: BoxedPass) -> Tensor:
        wrong = passed.logits.detach().softmax(1) - one_hot(passed.labels, passed.logits.shape[1])
        taught = [(wrong @ each.feedback * box.sent).sum(1) for each, box in passed.boxes()]
        return sum(taught, torch.zeros_like(wrong[:, 0]))


class Perturbed(Crossing):
    """Simultaneous perturbation (SPSA) of all that goes into the boxes, in each case by other signs s:

        gradient = s (loss(x + c s) - loss(x - c s)) / 2c

    in expectation the gradient up to terms of c². Two evaluations for all boxes together; below the lowest box and
    between boxes backpropagation carries it on. Perturbing weights instead would be one number for a million of them.
    """

    @classmethod
    def lessons(cls, passed: BoxedPass) -> Tensor:
        on, sent = passed.labels.device, [box.sent for box in passed.crossed]
        signs = [torch.randint(2, each.shape, generator=passed.generator, device=on) * 2 - 1 for each in sent]
        with torch.no_grad():
            up, down = (passed.losses([step * each for each in signs]) for step in (NUDGE, -NUDGE))
            slope = (up - down) / (2 * NUDGE)
        taught = [(slope[:, None] * sign * each).sum(1) for sign, each in zip(signs, sent, strict=True)]
        return sum(taught, torch.zeros_like(slope))


class Surrogate(Crossing):
    """A small net learns what the box answers, from what it is sent, and lends its derivative.

    It is linear from input to answer, beside one hidden layer of as many rectified units as the box has, whose weights
    to the answer start at 0: the linear part alone follows a box far better than the hidden layer does. It learns at
    each batch, so that it follows a box that drifts.
    """

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        units = len(box.matrix)
        self.direct = Affine(Full(units, units), 1.0, generator)
        self.hidden = Affine(Full(units, units), math.sqrt(2), generator)
        self.answers = Affine(Full(units, units), 0.0)

    def learners(self) -> list[Affine]:
        return [self.direct, self.hidden, self.answers]

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        with torch.no_grad():
            active = self.hidden(sent) > 0
        hidden: Tensor = change @ self.hidden.weight.T * active
        return change @ self.direct.weight.T + hidden @ self.answers.weight.T

    @classmethod
    def lessons(cls, passed: BoxedPass) -> Tensor:
        found = super().lessons(passed)
        for each, box in passed.boxes():
            sent = box.sent.detach()
            guess = each.direct(sent) + each.answers(each.hidden(sent).relu())
            found = found + FIT * (guess - box.answer).square().mean(1) / 2
        return found


GRADIENTS: dict[str, type[Crossing]] = {
    "known": Known,
    "chip_in_the_loop": ChipInTheLoop,
    "straight_through": StraightThrough,
    "stop": Stop,
    "spsa": Perturbed,
    "surrogate": Surrogate,
    "feedback_alignment": FeedbackAlignment,
    "direct_feedback_alignment": DirectFeedbackAlignment,
}
"""What backpropagation makes of a box, by name."""

WHITE_BOX = ("known", "chip_in_the_loop")
"""Those that know the box; all others are told nothing of it."""
