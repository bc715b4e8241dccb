"""Layers that learn locally from positive and negative data and pass on only normalized activity."""

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
    """The result of learning from one batch: outputs for the next layer and measurements.

    Attributes:
        positive: normalized activity for the positive data, ``(batch, units)``, the input of the next layer.
        negative: the same for the negative data.
        goodness: goodness of the positive and of the negative cases, each ``(batch,)``.
        difficulty: the stronger of the two signals of each pair, ``(batch,)``.
    """

    positive: Tensor
    negative: Tensor
    goodness: tuple[Tensor, Tensor]
    difficulty: Tensor


class Response(NamedTuple):
    """The response of a feedforward layer to its input.

    Attributes:
        below: the input.
        activity: ``(rows, ...)``.
        output: normalized activity, ``(rows, ...)``, the input of the next layer.
        goodness: goodness of the activity, ``(rows,)``.
        total: total inputs, ``(rows, ...)``, if learning needs them in addition to the activity.
    """

    below: LayerInput
    activity: Tensor
    output: Tensor
    goodness: Tensor
    total: Tensor | None = None


class Learner(nn.Module, ABC):
    """A component of a net with parameters that learn.

    Attributes:
        compute: dtype of its products, such as ``torch.bfloat16``; ``None`` means the dtype of its parameters.
    """

    @abstractmethod
    def learnables(self) -> Sequence[Learnable]:
        """Return the parameters, each with its learning state."""

    @property
    def compute(self) -> torch.dtype | None:
        return next((learnable.compute for learnable in self.learnables()), None)

    @compute.setter
    def compute(self, dtype: torch.dtype | None) -> None:
        for learnable in self.learnables():
            learnable.compute = dtype

    def forget(self) -> None:
        """Drop caches."""
        for learnable in self.learnables():
            learnable.forget()

    def learning_state(self) -> dict[str, Tensor]:
        """Return the buffers that are needed only for learning and are not in ``state_dict``, by name."""
        saved = self.state_dict().keys()
        return {name: buffer for name, buffer in self.named_buffers() if name not in saved}


class AffineLearner(Learner):
    """A learner with weights and biases, for total inputs x Wᵀ + b. Biases start at 0."""

    weight: nn.Parameter
    bias: nn.Parameter
    inputs: int | None

    def create_weights(self, weight: Tensor, connectivity: Connectivity) -> None:
        """Create the weights, with initial values as the connectivity stores them, and the biases."""
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
    """A layer that learns from its own input, independently of the layers above it (talk 07:12).

    It responds, gathers gradients, and applies them when `apply_gradient` is called. Parameters are stored as in any
    module and are part of ``state_dict``. State that only learning needs (smoothed gradients, mean activities) is in
    buffers outside ``state_dict``; ``learning_state`` returns them for checkpoints.

    Attributes:
        units: number of activities per case.
        rule: the learning rule.
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
        """Gather the gradient of a response; `apply_gradient` makes a step with it.

        Gradients of several calls add up to the mean over positive plus the mean over negative data if both phases are
        gathered equally often; otherwise the phase that was gathered less often has less influence. Phases may be
        gathered separately and in any order if the objective judges each case by itself.

        Args:
            seen: the layer's response.
            phase: the data that it belongs to.
            case_weight: weight of each case, or pair of cases, ``(batch,)``; all 1 if omitted. See `Rule`.

        Returns:
            The difficulty of each case or pair, ``(batch,)``.

        Raises:
            SettingError: one phase is gathered alone, but the objective compares pairs.
        """

    @torch.no_grad()
    def apply_gradient(self, rate: float) -> None:
        """Make one step of all parameters with the gradients gathered since the last step, if any."""
        counted = torch.stack(self._counted).mean() if self._counted else 1.0
        apply_gathered(self.learnables(), rate, self.rule, counted)
        self._forget_gathered()

    def _forget_gathered(self) -> None:
        self._steps = {"positive": 0, "negative": 0}
        self._counted = []

    def memory(self) -> tuple[Tensor, Tensor]:
        """Return a copy of the state that `gather` modifies, except for the gradient, so that `drop` can restore it."""
        return self.mean_activity.clone(), self.batches.clone()

    def drop(self, memory: tuple[Tensor, Tensor]) -> None:
        """Discard all gradients gathered since the last step and restore the state ``memory``."""
        self.mean_activity.copy_(memory[0])
        self.batches.copy_(memory[1])
        for learnable in self.learnables():
            learnable.gradient = None
        self._forget_gathered()

    def _weight(self, case_weight: Tensor | None, batch: int) -> tuple[Tensor, Count]:
        """Return the weight of each case, ``(batch,)``, and their count, which is recorded for `apply_gradient`."""
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
        """Return the peer gradient, after updating the running mean of activity with the newest positive cases."""
        return peer_gradient(total, count, self.mean_activity, self.rule)

    def _shares(self, phase: Phase, steps: int = 1) -> tuple[float, float]:
        """Return the factors of the gathered and of the new gradient that make each phase a mean over its steps."""
        before = max(self._steps.values())
        for name in self._steps.keys() if phase == "both" else [phase]:
            self._steps[name] += steps
        after = max(self._steps.values())
        return 1 - (after - before) / after, steps / after


class FeedForwardLayer(Layer[Response]):
    """A layer whose only input is the layer below it.

    Args:
        shape: shape of its activity, such as ``(units,)`` or (channels, height, width).
        rule: the learning rule.

    Attributes:
        inputs: number of inputs; ``None`` if a module determines it.
        shape: as above.
        fixed: modules that transform the activity before it is passed on; see `Fixed`.
    """

    inputs: int | None = None

    def __init__(self, shape: tuple[int, ...], rule: Rule) -> None:
        super().__init__(math.prod(shape), rule)
        self.shape = shape
        self.fixed = nn.Sequential()

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Place the layer on top of a stack."""
        stack.append(self)

    def output(self, activity: Tensor) -> Tensor:
        """Return the input of the next layer: the activity, transformed by the `Fixed` modules, at fixed length."""
        return self.rule.normalize(self.fixed(activity))

    def respond(self, below: LayerInput) -> Response:
        """Return activity, goodness and output for normalized input ``(batch, ...)``."""
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
        """Learn from one batch: respond, gather the gradient of both phases, and apply it.

        Args:
            positive: normalized activity of the layer below for positive data, ``(batch, ...)``.
            negative: the same for negative data, with the same number of cases.
            rate: the learning rate.
            case_weight: weight of each pair of cases, ``(batch,)``; all 1 if omitted.

        Returns:
            Normalized activities and goodness from before the update, and the difficulty of each pair.
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
        """Return the learning signals of a response.

        Returns:
            The signal of each row; the peer gradient of each unit (both divided by the batch size); the difficulty of
            each case; and the weight of each positive row.
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
