"""Base classes of layers that learn locally from positive and negative data and pass on only normalized activity."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from twofold.checks import convert
from twofold.checks.bounds import counts
from twofold.errors import DataError
from twofold.layers.connectivity import Connectivity
from twofold.layers.inputs import LayerInput, join, weighted_sum
from twofold.layers.weights import Learnable, Weights, apply_gathered
from twofold.learning import Count, Phase, Rule, case_signals, count_of, peer_gradient

Seen = TypeVar("Seen")


class LayerResult(NamedTuple):
    """The result of a layer's learning step. All tensors were computed before the update.

    Attributes:
        positive: normalized activity for the positive data, ``(batch, units)``, the input of the next layer.
        negative: normalized activity for the negative data, ``(batch, units)``.
        goodness: goodness of the positive and of the negative cases, each ``(batch,)``.
        difficulty: the larger of the two learning signals of each pair, ``(batch,)``.
    """

    positive: Tensor
    negative: Tensor
    goodness: tuple[Tensor, Tensor]
    difficulty: Tensor


class Response(NamedTuple):
    """The input of a feedforward layer and its activity in one forward pass.

    Attributes:
        below: input of the layer.
        activity: activity before normalization, ``(rows, ...)``.
        output: normalized activity, ``(rows, ...)``, the input of the next layer.
        goodness: goodness of the activity, ``(rows,)``.
        total: pre-activations, ``(rows, ...)``; ``None`` if learning needs only the activity.
    """

    below: LayerInput
    activity: Tensor
    output: Tensor
    goodness: Tensor
    total: Tensor | None = None


class Learner(nn.Module, ABC):
    """Base class of the components of a net that have trainable parameters.

    Attributes:
        compute: dtype of the matrix products, such as ``torch.bfloat16``; ``None`` means the dtype of the parameters.
    """

    @abstractmethod
    def learnables(self) -> Sequence[Learnable]:
        """Return the trainable parameters together with their learning state."""

    @property
    def compute(self) -> torch.dtype | None:
        return next((learnable.compute for learnable in self.learnables()), None)

    @compute.setter
    def compute(self, dtype: torch.dtype | None) -> None:
        for learnable in self.learnables():
            learnable.compute = dtype

    def forget(self) -> None:
        """Clear the caches, to free memory."""
        for learnable in self.learnables():
            learnable.forget()

    def learning_state(self) -> dict[str, Tensor]:
        """Return the non-persistent buffers by name. Only learning needs these buffers; ``state_dict`` omits them."""
        saved = self.state_dict().keys()
        return {name: buffer for name, buffer in self.named_buffers() if name not in saved}


class AffineLearner(Learner):
    """A learner with weights W and biases b, for pre-activations x Wᵀ + b. Biases start at 0."""

    weight: nn.Parameter
    bias: nn.Parameter
    inputs: int | None

    def create_weights(self, weight: Tensor, connectivity: Connectivity) -> None:
        """Create the weights and biases.

        Args:
            weight: initial weights, in the shape in which the connectivity stores weights.
            connectivity: connections to the inputs.
        """
        self.connectivity = connectivity
        self.inputs = connectivity.inputs
        self.weights = Weights(self, "weight", weight, connectivity)
        self.biases = Learnable(self, "bias", torch.zeros(connectivity.biases))

    def learnables(self) -> list[Learnable]:
        return [self.weights, self.biases]

    @property
    def bottom_up(self) -> Weights:
        """The weights from the layer below."""
        return self.weights


class Layer(Learner, Generic[Seen]):
    """Base class of layers that learn from their own input, independently of the layers above (talk 07:12).

    `gather` accumulates the gradients of one or several forward passes, and `apply_gradient` updates the parameters.
    Parameters are part of ``state_dict``. State that only learning needs (smoothed gradients, mean activities) is in
    non-persistent buffers, which `learning_state` returns for checkpoints.

    Attributes:
        units: number of units, which is the number of activities per case.
        rule: learning rule.
        threshold: the goodness at which p(positive) = ½.
    """

    mean_activity: Tensor
    batches: Tensor

    def __init__(self, units: int, rule: Rule) -> None:
        super().__init__()
        counts(units=units)
        self.units = units
        self.rule = rule
        self.threshold = convert("the threshold of the goodness", rule.goodness.threshold(units), float)
        self._steps = {"positive": 0, "negative": 0}
        self._counted: list[Tensor] = []
        self.register_buffer("mean_activity", torch.full((units,), 0.5), persistent=False)
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64), persistent=False)

    @property
    def temperature(self) -> float:
        """The temperature of the objective, in units of goodness."""
        return self.rule.temperature_for(self.units)

    @abstractmethod
    def gather(self, seen: Seen, phase: Phase = "both", case_weight: Tensor | None = None) -> Tensor:
        """Accumulate the gradient of one forward pass, for use by `apply_gradient`.

        The accumulated gradient of several calls is the mean over positive data plus the mean over negative data, if
        there are as many calls for positive as for negative data. Otherwise the phase with fewer calls has less
        influence. Positive and negative data may be passed in separate calls, in any order, if the objective does not
        compare pairs (see `Objective.paired`).

        Args:
            seen: input and activity of the layer in the forward pass.
            phase: type of the data: ``positive``, ``negative`` or ``both``.
            case_weight: weight of each case or pair of cases, ``(batch,)``; 1 by default. See `Rule`.

        Returns:
            The difficulty of each case or pair, ``(batch,)``: the largest absolute learning signal of the case or pair
            in this layer.

        Raises:
            SettingError: the phase is not ``both``, but the objective compares pairs.
        """

    @torch.no_grad()
    def apply_gradient(self, rate: float) -> None:
        """Update all parameters with the gradients accumulated by `gather` since the last update, if any."""
        counted = torch.stack(self._counted).mean() if self._counted else 1.0
        apply_gathered(self.learnables(), rate, self.rule, counted)
        self._forget_gathered()

    def _forget_gathered(self) -> None:
        self._steps = {"positive": 0, "negative": 0}
        self._counted = []

    def memory(self) -> tuple[Tensor, Tensor]:
        """Return a copy of the buffers that `gather` modifies, for `drop`: the mean activity and the batch count."""
        return self.mean_activity.clone(), self.batches.clone()

    def drop(self, memory: tuple[Tensor, Tensor]) -> None:
        """Discard all accumulated gradients and restore the buffers from ``memory``, a result of `memory`."""
        self.mean_activity.copy_(memory[0])
        self.batches.copy_(memory[1])
        for learnable in self.learnables():
            learnable.gradient = None
        self._forget_gathered()

    def _weight(self, case_weight: Tensor | None, batch: int) -> tuple[Tensor, Count]:
        """Return the case weights, ``(batch,)``, and their `Count`. Store the mean weight for `apply_gradient`."""
        if case_weight is None:
            case_weight = self.mean_activity.new_ones(batch)
        else:
            case_weight = case_weight.to(self.mean_activity.dtype)
        count = count_of(case_weight)
        self._counted.append(count.weight / count.cases)
        return case_weight, count

    def _signals(self, goodness: Tensor, phase: Phase, case_weight: Tensor) -> tuple[Tensor, Tensor]:
        return case_signals(goodness, phase, self.batches, case_weight, self.threshold, self.temperature, self.rule)

    def _peers(self, total: Tensor, count: Count) -> Tensor:
        """Update the running mean activity and return the peer normalization term; see `peer_gradient`."""
        return peer_gradient(total, count, self.mean_activity, self.rule)

    def _shares(self, phase: Phase, steps: int = 1) -> tuple[float, float]:
        """Return factors of the accumulated and of the new gradient that make their sum a mean over forward passes.

        Args:
            phase: type of the data of the new gradient.
            steps: number of forward passes in the new gradient.
        """
        before = max(self._steps.values())
        for name in self._steps.keys() if phase == "both" else [phase]:
            self._steps[name] += steps
        after = max(self._steps.values())
        return 1 - (after - before) / after, steps / after


class FeedForwardLayer(Layer[Response]):
    """Base class of layers whose only input is the layer below.

    Args:
        shape: shape of the activity of one case, such as ``(units,)`` or (channels, height, width).
        rule: learning rule.

    Attributes:
        inputs: number of inputs per case; ``None`` if unknown, as in a `CustomLayer`.
        shape: shape of the activity of one case.
        fixed: modules that transform the activity before the next layer receives it; see `Fixed`.
    """

    inputs: int | None = None

    def __init__(self, shape: tuple[int, ...], rule: Rule) -> None:
        super().__init__(math.prod(shape), rule)
        self.shape = shape
        self.fixed = nn.Sequential()

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Add the layer to ``stack``, while a net is built."""
        stack.append(self)

    @property
    def positions(self) -> int:
        """Number of positions of a map that share weights. Gradients are means over these positions."""
        return 1

    def initial_scale(self) -> Tensor:
        """Return the standard deviation of the initial weights of each unit, ``()`` or ``(units,)``."""
        return torch.tensor(self.units).rsqrt()

    def differentiable(self) -> list[Tensor]:
        """Return the trainable parameters, with derivatives enabled, for the autograd graph of a block of layers."""
        return [learnable.effective().requires_grad_() for learnable in self.learnables()]

    def total(self, below: LayerInput) -> Tensor:
        """Return the pre-activations, ``(batch, ...)``; for a `CustomLayer`, the output of the module."""
        total: Tensor = self(below)
        return total

    def output(self, activity: Tensor) -> Tensor:
        """Return the input of the next layer: the activity, transformed by the `Fixed` modules and then normalized."""
        return self.rule.normalize(self.fixed(activity))

    def respond(self, below: LayerInput) -> Response:
        """Run a forward pass for normalized input ``(batch, ...)`` and return activity, output and goodness."""
        return self._response(below, self(below))

    def _response(self, below: LayerInput, activity: Tensor) -> Response:
        with torch.no_grad():
            detached = activity.detach()
            return Response(below, activity, self.output(detached), self.goodness(detached))

    def goodness(self, activity: Tensor) -> Tensor:
        """Return the goodness, ``(batch,)``, of activities ``(batch, ...)``."""
        return self.rule.goodness.value(activity.flatten(1))

    @torch.no_grad()
    def learn(
        self, positive: LayerInput, negative: LayerInput, rate: float, case_weight: Tensor | None = None
    ) -> LayerResult:
        """Train the layer on one batch of positive and negative data.

        Args:
            positive: normalized activity of the layer below for positive data, ``(batch, ...)``.
            negative: normalized activity of the layer below for negative data, ``(batch, ...)``.
            rate: learning rate.
            case_weight: weight of each pair of cases, ``(batch,)``; 1 by default.

        Returns:
            Normalized activities, goodness and difficulty, computed before the update.

        Raises:
            DataError: the numbers of positive and negative cases differ or are 0.
        """
        count = len(positive)
        if not count or len(negative) != count:
            raise DataError(
                f"positive has {count} cases and negative {len(negative)}, expected the same number, at least one"
            )
        seen = self.respond(join(positive, negative))
        difficulty = self.gather(seen, "both", case_weight)
        self.apply_gradient(rate)
        output, goodness = seen.output, seen.goodness
        return LayerResult(output[:count], output[count:], (goodness[:count], goodness[count:]), difficulty)

    def _learning_signal(
        self, seen: Response, phase: Phase, case_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the learning signals of a forward pass; for the arguments see `gather`.

        Returns:
            Four tensors: the learning signal of each row, divided by the batch size, ``(rows,)``; the peer term (see
            `peer_gradient`), divided by the batch size, ``(units,)``; the difficulty of each case or pair,
            ``(batch,)``; and the weight of each positive row, ``(positive rows,)``.
        """
        rows = len(seen.goodness)
        batch = rows // 2 if phase == "both" else rows
        case_weight, count = self._weight(case_weight, batch)
        signals, difficulty = self._signals(seen.goodness.view(-1, batch), phase, case_weight)
        positive = case_weight[: 0 if phase == "negative" else batch]
        if len(positive):
            activity = seen.activity.detach().flatten(1)[:batch]
            peers = self._peers(weighted_sum(activity, positive), count) / count.cases
        else:
            peers = torch.zeros_like(self.mean_activity)
        return signals.flatten() / count.cases, peers, difficulty, positive
