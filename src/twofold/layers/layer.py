"""Layers that learn by themselves from positive and negative data, and pass on only normalized activity."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from twofold.checks import convert, typed
from twofold.checks.bounds import counts, floating, not_negative
from twofold.errors import DataError
from twofold.layers.inputs import LayerInput, checked, join, weighted_sum
from twofold.layers.weights import Learnable, apply_gathered
from twofold.learning import Count, Phase, Rule, case_signals, count_of, peer_gradient

Seen = TypeVar("Seen")


class LayerResult(NamedTuple):
    """The result of one batch of learning: the outputs for the next layer, and what was measured.

    Attributes:
        positive: normalized activity, ``(batch, units)``: what the next layer gets.
        negative: the same for the negative data.
        goodness: of the positive and of the negative cases, each ``(batch,)``.
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
        output: normalized activity, ``(rows, ...)``: what the next layer gets.
        goodness: of the activity, ``(rows,)``.
        total: total inputs, ``(rows, ...)``, where learning needs them beside the activity.
    """

    below: LayerInput
    activity: Tensor
    output: Tensor
    goodness: Tensor
    total: Tensor | None = None


class Learner(nn.Module, ABC):
    """A part of a net that has parameters which learn.

    Attributes:
        compute: the type of its products, ``torch.bfloat16`` for instance; ``None`` is the type of its parameters.
    """

    @abstractmethod
    def learnables(self) -> Sequence[Learnable]:
        """Its parameters, each with all that learning needs."""

    @property
    def compute(self) -> torch.dtype | None:
        return next((each.compute for each in self.learnables()), None)

    @compute.setter
    def compute(self, kind: torch.dtype | None) -> None:
        for each in self.learnables():
            each.compute = kind

    def forget(self) -> None:
        """Free the memory of what can be made again."""
        for each in self.learnables():
            each.forget()

    def learning_state(self) -> dict[str, Tensor]:
        """The buffers that learning needs and ``state_dict`` leaves out, by name."""
        kept = self.state_dict().keys()
        return {name: buffer for name, buffer in self.named_buffers() if name not in kept}


class Layer(Learner, Generic[Seen]):
    """A layer that learns from its input, and from nothing that happens above it (talk 07:12).

    It responds, gathers the gradient of what it saw, and applies it when told to. Parameters are stored as in any
    module and appear in ``state_dict``. What only learning needs (smoothed gradients, mean activities) lies in buffers
    outside ``state_dict``; ``learning_state`` gives them, for checkpoints.

    Attributes:
        units: number of activities per case.
        rule: how the layer learns.
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
    def gather(self, seen: Seen, phase: Phase = "both", weight: Tensor | None = None) -> Tensor:
        """Gather the gradient of what was seen, so that `apply_gradient` can make a step of it.

        Gradients of several calls add up to the mean over positive plus the mean over negative data, if each phase is
        gathered as often as the other; else the one that was gathered less often counts less. The phases may come
        alone and in any order, where the objective judges each case by itself.

        Args:
            seen: what the layer responded.
            phase: which data that was.
            weight: how much each case, or pair of cases, counts, ``(batch,)``; all count 1 where it is not given. See
                `Rule` for what that means.

        Returns:
            How difficult each case or pair was, ``(batch,)``.

        Raises:
            SettingError: a phase comes alone, and the objective compares pairs.
        """

    @typed
    @torch.no_grad()
    def apply_gradient(self, rate: float) -> None:
        """One step of all parameters with the gradients gathered since the last one, if there are any."""
        not_negative(rate=rate)
        counted = torch.stack(self._counted).mean() if self._counted else 1.0
        apply_gathered(self.learnables(), rate, self.rule, counted)
        self._forget_gathered()

    def _forget_gathered(self) -> None:
        self._steps = {"positive": 0, "negative": 0}
        self._counted = []

    def memory(self) -> tuple[Tensor, Tensor]:
        """A copy of all that gathering changes apart from the gradient, for `drop`."""
        return self.mean_activity.clone(), self.batches.clone()

    @typed
    def drop(self, memory: tuple[Tensor, Tensor]) -> None:
        """Forget all that was gathered since the last step, and go back to ``memory``."""
        self.mean_activity.copy_(memory[0])
        self.batches.copy_(memory[1])
        for each in self.learnables():
            each.gradient = None
        self._forget_gathered()

    def _weight(self, weight: Tensor | None, batch: int) -> tuple[Tensor, Count]:
        """How much each case counts, ``(batch,)``, and their count, which is noted for `apply_gradient`."""
        if weight is None:
            found = self.mean_activity.new_ones(batch)
        else:
            floating("weight", weight, batch, on=self.batches.device)
            found = weight.to(self.mean_activity.dtype)
        count = count_of(found)
        self._counted.append(count.weight / count.cases)
        return found, count

    def _signals(self, goodness: Tensor, phase: Phase, weight: Tensor) -> tuple[Tensor, Tensor]:
        return case_signals(goodness, phase, self.batches, weight, self.threshold, self.temperature, self.rule)

    def _peers(self, total: Tensor, count: Count) -> Tensor:
        """The peer gradient, with the newest positive cases in the running mean of activity."""
        return peer_gradient(total, count, self.mean_activity, self.rule)

    def _shares(self, phase: Phase, steps: int = 1) -> tuple[float, float]:
        """The factors of the gathered and of the new gradient that make each phase a mean over its steps."""
        before = max(self._steps.values())
        for each in self._steps.keys() if phase == "both" else [phase]:
            self._steps[each] += steps
        after = max(self._steps.values())
        return 1 - (after - before) / after, steps / after


class FeedForwardLayer(Layer[Response]):
    """A layer that sees the layer below it alone.

    Args:
        shape: of its activity, such as ``(units,)`` or (channels, height, width).
        rule: how it learns.

    Attributes:
        inputs: number of inputs; ``None`` where a module decides what it takes.
        shape: as above.
        fixed: what its activity goes through before it is passed on; see `Fixed`.
    """

    inputs: int | None = None

    def __init__(self, shape: tuple[int, ...], rule: Rule) -> None:
        super().__init__(math.prod(shape), rule)
        self.shape = shape
        self.fixed = nn.Sequential()

    def _join(self, stack: list[FeedForwardLayer]) -> None:
        """Take a place on top of a stack."""
        stack.append(self)

    @typed
    def hand_on(self, activity: Tensor) -> Tensor:
        """What the next layer gets: the activity, through what is `Fixed` behind the layer, at fixed length."""
        floating("activity", activity, "batch", "...", on=self.mean_activity.device)
        return self.rule.normalize(self.fixed(activity))

    @typed
    def respond(self, below: LayerInput) -> Response:
        """Activity, goodness and output for normalized input ``(batch, ...)``."""
        return self._response(below, self(below))

    def _response(self, below: LayerInput, activity: Tensor) -> Response:
        with torch.no_grad():
            found = activity.detach()
            return Response(below, activity, self.hand_on(found), self.goodness(found))

    @typed
    def goodness(self, activity: Tensor) -> Tensor:
        """Goodness of activities ``(batch, ...)``, ``(batch,)``."""
        floating("activity", activity, "batch", "...")
        flat = activity.flatten(1)
        floating("activity", flat, "batch", self.units)
        return self.rule.goodness.value(flat)

    @typed
    @torch.no_grad()
    def learn(
        self, positive: LayerInput, negative: LayerInput, rate: float, weight: Tensor | None = None
    ) -> LayerResult:
        """Learn from one batch: respond, gather the gradient of both phases, apply it.

        Args:
            positive: normalized activity of the layer below for positive data, ``(batch, ...)``.
            negative: the same for as many negative data.
            rate: the learning rate.
            weight: how much each pair of cases counts, ``(batch,)``; all count 1 where it is not given.

        Returns:
            Normalized activities and goodness as they were before the update, and how difficult each pair was.
        """
        not_negative(rate=rate)
        for name, below in (("positive", positive), ("negative", negative)):
            checked(name, below, self.inputs, self.mean_activity.device)
        count = len(positive)
        if not count or len(negative) != count:
            raise DataError(
                f"positive has {count} cases and negative {len(negative)}, expected as many, and at least one"
            )
        seen = self.respond(join(positive, negative))
        difficulty = self.gather(seen, "both", weight)
        self.apply_gradient(rate)
        output, goodness = seen.output, seen.goodness
        return LayerResult(output[:count], output[count:], (goodness[:count], goodness[count:]), difficulty)

    def _learning_signal(
        self, seen: Response, phase: Phase, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The signal of each row, how peers want each unit to change (both divided by the batch), the difficulty of
        each case, and how much each positive row counts."""
        rows = len(seen.goodness)
        batch = rows // 2 if phase == "both" else rows
        weight, count = self._weight(weight, batch)
        signals, difficulty = self._signals(seen.goodness.view(-1, batch), phase, weight)
        positive = weight[: 0 if phase == "negative" else batch]
        if len(positive):
            activity = seen.activity.detach().flatten(1)[:batch]
            peers = self._peers(weighted_sum(activity, positive), count) / count.cases
        else:
            peers = torch.zeros_like(self.mean_activity)
        return signals.flatten() / count.cases, peers, difficulty, positive
