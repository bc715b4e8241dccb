"""Gradient estimators for black boxes, for nets that are trained by backpropagation.

A gradient estimator (`Crossing`) passes activity through a box. The forward pass uses the measured output of the box,
the backward pass an assumed derivative J. For the normalized activity x, the result is n(box(x) + J (x - x.detach())),
where n normalizes. The term with J is 0 in the forward pass.
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
"""Size c of the perturbations in `Perturbed`, relative to the root mean square of the inputs of a box."""

SURROGATE_RATE = 10.0
"""Learning rate of a `Surrogate`, relative to the learning rate of the net. With 1, the surrogate learns too slowly."""

Losses = Callable[[Sequence[Tensor]], Tensor]
"""Function: perturbations of the input of each box, ``(batch, units)`` -> loss of each case, ``(batch,)``."""


class Crossed(NamedTuple):
    """The input and output of a box in a forward pass, each ``(batch, units)``.

    Attributes:
        sent: input of the box, which is the normalized activity of the layer below.
        answer: output of the box, without an autograd graph.
        output: input of the layer that follows the box, with an autograd graph.
    """

    sent: Tensor
    answer: Tensor
    output: Tensor


class BoxedPass(NamedTuple):
    """A forward pass of a batch through a net with boxes.

    Attributes:
        crossings: gradient estimator (`Crossing`) of each box.
        crossed: input and output of each box.
        logits: logits of the net, ``(batch, classes)``.
        labels: true labels, ``(batch,)``.
        losses: function that repeats the forward pass with perturbed inputs of the boxes and returns the loss of each
            case, ``(batch,)``.
        generator: random generator of the perturbations.
    """

    crossings: Sequence[Any]
    crossed: Sequence[Crossed]
    logits: Tensor
    labels: Tensor
    losses: Losses
    generator: torch.Generator | None

    def boxes(self) -> Iterator[tuple[Any, Crossed]]:
        """Return an iterator over the boxes: pairs of the gradient estimator and the input and output of the box."""
        return zip(self.crossings, self.crossed, strict=True)


class Crossing(nn.Module, ABC):
    """Base class of gradient estimators for a box between two layers.

    Args:
        box: the box.
        classes: number of classes.
        generator: random generator of the weights of the estimator.
    """

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.box = box

    def forward(self, activity: Tensor, nudge: Tensor | None = None) -> Crossed:
        """Pass activity through the box.

        Args:
            activity: activity of the layer below, ``(batch, units)``.
            nudge: perturbation that is added to the input of the box, ``(batch, units)``; none by default.
        """
        sent = normalize(activity).to(self.box.matrix.dtype)
        if nudge is not None:
            sent = sent + nudge
        with torch.no_grad():
            answer = self.box(sent)
        assumed = self.assumed(sent - sent.detach(), sent.detach())
        output = normalize(answer if assumed is None else answer + assumed)
        return Crossed(sent, answer, output.to(activity.dtype))

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor | None:
        """Return J · change, the assumed change of the output of the box, or ``None`` to stop the gradient.

        Args:
            change: change of the input of the box, ``(batch, units)``: zeros with an autograd graph.
            sent: input of the box, at which the derivative J is taken, ``(batch, units)``.
        """
        return None

    def learners(self) -> list[Affine]:
        """Return the layers inside the estimator, which are trained with the net; none by default."""
        return []

    @classmethod
    def auxiliary_loss(cls, passed: BoxedPass) -> Tensor:
        """Return an addend for the loss of each case, ``(batch,)``, summed over all boxes of a net; 0 by default."""
        return passed.logits.new_zeros(len(passed.labels))


class Stop(Crossing):
    """Gradient estimator that stops the gradient: a loss above the box does not train the layers below the box."""


class StraightThrough(Crossing):
    """Straight-through estimator: assumes that the derivative of the box is the identity matrix."""

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        return change


class Known(Crossing):
    """Gradient estimator that uses the exact derivative of the box, which is unknown for real black boxes."""

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        matrix = self.matrix()
        return change @ matrix.T * self.box.slope(sent @ matrix.T)

    def matrix(self) -> Tensor:
        """Return the matrix M, ``(units, units)``, from which the derivative of the box is computed."""
        return self.box.matrix


class ChipInTheLoop(Known):
    """Chip-in-the-loop training: uses the derivative of a model of the box. The model is the box before any drift."""

    model: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        self.register_buffer("model", box.matrix.clone())

    def matrix(self) -> Tensor:
        return self.model


class FeedbackAlignment(Crossing):
    """Feedback alignment: assumes that the derivative of the box is a fixed random matrix."""

    feedback: Tensor

    def __init__(self, box: Box, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__(box, classes, generator)
        units = len(box.matrix)
        self.register_buffer("feedback", torch.randn(units, units, generator=generator) / math.sqrt(units))

    def assumed(self, change: Tensor, sent: Tensor) -> Tensor:
        return change @ self.feedback


class DirectFeedbackAlignment(Crossing):
    """Direct feedback alignment: the gradient at the input of a box is a random projection of the classifier's error.

    The error is softmax(logits) - one-hot label, and the projection is a fixed random matrix.
    """

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
    """Simultaneous perturbation (SPSA): estimates the gradient at the inputs x of all boxes from two forward passes.

    With random signs s for each case and box, and the constant c = `NUDGE`,

        gradient = s (loss(x + c s) - loss(x - c s)) / 2c

    The expected value of this estimate is the true gradient up to terms of order c². Below each box, the gradient is
    backpropagated as usual. The inputs of the boxes are perturbed instead of the weights of the net, because the net
    has far more weights.
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
    """Gradient estimator that uses the derivative of a surrogate: a small net that learns to predict the box's output.

    The surrogate is the sum of a linear layer and a two-layer net, with a hidden layer of ReLU units as wide as the
    box. The output weights of the two-layer net start at 0, because the linear layer alone predicts a box far better.
    The surrogate is trained on each batch, so that it follows a drifting box.
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
"""Names of the gradient estimators that use knowledge of the box: the true derivative, or a model of the box."""
