"""Gradient estimators for black boxes, which use the measured output of a box and an assumed derivative.

The input of the box is the normalized activity x. The output of a crossing is n(answer + J (x - x')), where n
normalizes, answer is the output of the box, and x' is x without a graph. The last term is 0 and has the derivative J,
which each crossing assumes for the box.
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
"""Size of simultaneous perturbations of each input of a box, whose root mean square is 1."""

SURROGATE_RATE = 10.0
"""Learning rate of a surrogate relative to that of the net. At 1, the surrogate lags behind."""

Losses = Callable[[Sequence[Tensor]], Tensor]
"""Returns the loss of each case, ``(batch,)``, for perturbations of the input of each box, ``(batch, units)``."""


class Crossed(NamedTuple):
    """Activity at a box, each ``(batch, units)``.

    Attributes:
        sent: input of the box, normalized activity.
        answer: output of the box, without a graph.
        output: input of the next layer.
    """

    sent: Tensor
    answer: Tensor
    output: Tensor


class BoxedPass(NamedTuple):
    """Forward pass of a batch through a net with boxes.

    Attributes:
        crossings: the places of the net at which activity passes through a box.
        crossed: activity at each box.
        logits: logits of the net, ``(batch, classes)``.
        labels: true labels, ``(batch,)``.
        losses: function that computes the losses again, with perturbed activity.
        generator: generator of the perturbations.
    """

    crossings: Sequence[Any]
    crossed: Sequence[Crossed]
    logits: Tensor
    labels: Tensor
    losses: Losses
    generator: torch.Generator | None

    def boxes(self) -> Iterator[tuple[Any, Crossed]]:
        """Return pairs of each crossing and the activity at its box."""
        return zip(self.crossings, self.crossed, strict=True)


class Crossing(nn.Module, ABC):
    """Base class of gradient estimators for a box between two blocks of layers.

    Args:
        box: the box.
        classes: number of labels.
        generator: generator of additional weights, fixed or learned.
    """

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.box = box

    def forward(self, activity: Tensor, nudge: Tensor | None = None) -> Crossed:
        """Pass activity ``(batch, units)`` through the box in its data type, with an optional perturbation."""
        sent = normalize(activity).to(self.box.matrix.dtype)
        if nudge is not None:
            sent = sent + nudge
        with torch.no_grad():
            answer = self.box(sent)
        assumed = self.assumed(sent - sent.detach(), sent.detach())
        output = normalize(answer if assumed is None else answer + assumed)
        return Crossed(sent, answer, output.to(activity.dtype))

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor | None:
        """Return J · change, the assumed change of the answer, or ``None`` to stop the gradient.

        Args:
            change: change of the input: zeros with a graph, ``(batch, units)``.
            sent: input at which the derivative is taken, ``(batch, units)``.
        """
        return None

    def learners(self) -> list[Affine]:
        """Return additional layers to train."""
        return []

    @classmethod
    def auxiliary_loss(cls, passed: BoxedPass) -> Tensor:
        """Return the term added to the loss of each case, ``(batch,)``, for all boxes of a net."""
        return passed.logits.new_zeros(len(passed.labels))


class Stop(Crossing):
    """No gradient: the layers below the box keep their initial weights."""


class StraightThrough(Crossing):
    """Straight-through estimator, which assumes that the box is the identity."""

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        return change


class Known(Crossing):
    """Exact derivative of the box, from its current matrix and the derivative of its response; see `Box.slope`."""

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        matrix = self.matrix()
        return change @ matrix.T * self.box.slope(sent @ matrix.T)

    def matrix(self) -> Tensor:
        """Return the assumed matrix."""
        return self.box.matrix


class ChipInTheLoop(Known):
    """Chip in the loop: a measured forward pass, and the derivative of a model, the box before its drift."""

    model: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        self.register_buffer("model", box.matrix.clone())

    def matrix(self) -> Tensor:
        return self.model


class FeedbackAlignment(Crossing):
    """Feedback alignment, which assumes that the box is a fixed random matrix."""

    feedback: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        units = len(box.matrix)
        self.register_buffer("feedback", torch.randn(units, units, generator=generator) / math.sqrt(units))

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        return change @ self.feedback


class DirectFeedbackAlignment(Crossing):
    """Direct feedback alignment, which projects the error of the softmax to the box input by a fixed random matrix."""

    feedback: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        units = len(box.matrix)
        self.register_buffer("feedback", torch.randn(classes, units, generator=generator) / math.sqrt(units))

    @classmethod
    def auxiliary_loss(cls, passed: BoxedPass) -> Tensor:
        error = passed.logits.detach().softmax(1) - one_hot(passed.labels, passed.logits.shape[1])
        terms = [(error @ crossing.feedback * box.sent).sum(1) for crossing, box in passed.boxes()]
        return sum(terms, torch.zeros_like(error[:, 0]))


class Perturbed(Crossing):
    """Simultaneous perturbation (SPSA) of the inputs of all boxes, with random signs s for each case:

        gradient = s (loss(x + c s) - loss(x - c s)) / 2c

    Its expected value is the gradient up to terms of c². Two evaluations suffice for all boxes, and backpropagation
    passes the gradient on between boxes and below the lowest one. Weights are not perturbed, since that would give one
    number for a million weights.
    """

    @classmethod
    def auxiliary_loss(cls, passed: BoxedPass) -> Tensor:
        device, inputs = passed.labels.device, [box.sent for box in passed.crossed]
        signs = [torch.randint(2, sent.shape, generator=passed.generator, device=device) * 2 - 1 for sent in inputs]
        with torch.no_grad():
            up, down = (passed.losses([step * sign for sign in signs]) for step in (NUDGE, -NUDGE))
            slope = (up - down) / (2 * NUDGE)
        terms = [(slope[:, None] * sign * sent).sum(1) for sign, sent in zip(signs, inputs, strict=True)]
        return sum(terms, torch.zeros_like(slope))


class Surrogate(Crossing):
    """Surrogate model: a small net that learns to predict the answer of the box, and whose derivative is used.

    It is the sum of a linear map and a hidden layer of rectified units with the width of the box, whose output weights
    start at 0, since the linear map alone follows a box far better than the hidden layer does. It is trained on each
    batch, so that it follows a drifting box.
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
    def auxiliary_loss(cls, passed: BoxedPass) -> Tensor:
        total = super().auxiliary_loss(passed)
        for crossing, box in passed.boxes():
            sent = box.sent.detach()
            guess = crossing.direct(sent) + crossing.answers(crossing.hidden(sent).relu())
            total = total + SURROGATE_RATE * (guess - box.answer).square().mean(1) / 2
        return total


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
"""Gradient estimators for boxes by name."""

WHITE_BOX = ("known", "chip_in_the_loop")
"""Gradient estimators that use the true derivative of the box or a model of it."""
