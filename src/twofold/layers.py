"""Layers that learn by themselves from a positive and a negative batch, and pass on only normalized activity."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from twofold.goodness import wide
from twofold.learning import Rule, smooth_and_step


class Learned(NamedTuple):
    """What a layer hands on after a batch: two batches of normalized activity, and for the records what it thought.

    Attributes:
        positive: ``(batch, units)``, normalized.
        negative: ``(batch, units)``, normalized.
        goodness: of the positive and of the negative cases, each ``(batch,)``.
        idle: whether neither the positive nor the negative case taught the layer anything, ``(batch,)``.
    """

    positive: Tensor
    negative: Tensor
    goodness: tuple[Tensor, Tensor]
    idle: Tensor


class Layer(nn.Module, ABC):
    """A layer that learns from what it sees, and from nothing that happens above it (talk 07:12).

    Parameters are stored as in any module and appear in ``state_dict``. What only learning needs (smoothed gradients,
    mean activities) lies in buffers outside ``state_dict``; ``learning_state`` gives them, for checkpoints.

    Attributes:
        units: number of activities per case.
        rule: how the layer learns.
        threshold: the goodness at which p(positive) = ½.
        compute: the type of its products, ``torch.bfloat16`` for instance; ``None`` is the type of its weights.
    """

    mean_activity: Tensor

    def __init__(self, units: int, rule: Rule) -> None:
        super().__init__()
        self.units = units
        self.rule = rule
        self.threshold = rule.goodness.threshold(units)
        self.compute: torch.dtype | None = None
        self.register_buffer("mean_activity", torch.full((units,), 0.5), persistent=False)

    @abstractmethod
    def climb(self, below: Tensor, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        """Change the parameters so that every activity y moves along signal · slope(y), and the total inputs of the
        positive half along ``pull`` too.

        Args:
            below: ``(2 batch, ...)``, positive cases first.
            activity: ``(2 batch, ...)``, this layer's for ``below``.
            signal: ``(2 batch,)``, divided by the batch; above 0 where more goodness is wanted, 0 where a case is
                left out.
            pull: ``(units,)``, the same for every positive case, divided by the batch.
            rate: the learning rate.
        """

    def goodness(self, activity: Tensor) -> Tensor:
        """Goodness of activities ``(batch, ...)``, ``(batch,)``."""
        return self.rule.goodness.value(activity.flatten(1))

    def learn(self, positive: Tensor, negative: Tensor, rate: float) -> Learned:
        """Forward, goodness, signal, weight gradient, update: one batch of learning.

        Args:
            positive: normalized activity of the layer below for positive data, ``(batch, ...)``.
            negative: the same for as many negative data.
            rate: the learning rate.

        Returns:
            The normalized activities, as they were before the update, and the goodnesses.
        """
        rule, count = self.rule, len(positive)
        below = torch.cat([positive, negative])
        activity = self(below)
        with torch.no_grad():
            flat = activity.flatten(1)
            goodness = rule.goodness.value(flat)
            excess = goodness - self.threshold
            more, less = rule.objective.signal(excess[:count], excess[count:], rule.temperature)
            signal = torch.cat([more, -less])
            signal = signal.where(signal.abs() > rule.tolerance, 0.0) / count
            self.climb(below, activity, signal, self._peer_pull(flat[:count]) / count, rate)
            above = rule.normalize(activity.detach())
            idle = (signal[:count] == 0) & (signal[count:] == 0)
        return Learned(above[:count], above[count:], (goodness[:count], goodness[count:]), idle)

    def _peer_pull(self, activity: Tensor) -> Tensor:
        mean = self.mean_activity
        mean.lerp_(activity.mean(0, dtype=wide(activity)).to(mean.dtype), 0.1)
        return self.rule.peer * (mean.mean() - mean)

    def learning_state(self) -> dict[str, Tensor]:
        """The buffers that learning needs and ``state_dict`` leaves out, by name."""
        kept = self.state_dict().keys()
        return {name: buffer for name, buffer in self.named_buffers() if name not in kept}


class Dense(Layer):
    """y = relu(x Wᵀ + b), with the local update in closed form, without autograd.

    Weights start as N(0, 1) / √inputs and biases at 0 (the author's code).

    Args:
        inputs: number of inputs per case.
        units: number of units.
        rule: how the layer learns.
        generator: draws the first weights.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    weight_velocity: Tensor
    bias_velocity: Tensor

    def __init__(self, inputs: int, units: int, rule: Rule, generator: torch.Generator | None = None) -> None:
        super().__init__(units, rule)
        weight = torch.randn(units, inputs, generator=generator) / math.sqrt(inputs)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(units), requires_grad=False)
        self.register_buffer("weight_velocity", torch.zeros_like(weight), persistent=False)
        self.register_buffer("bias_velocity", torch.zeros(units), persistent=False)
        self._narrow: tuple[tuple[int, int, torch.dtype], Tensor] | None = None

    def forward(self, below: Tensor) -> Tensor:
        """Activity ``(batch, units)`` for normalized input ``(batch, inputs)``, in the type of the products."""
        weight = self._weight()
        return linear(below.to(weight.dtype), weight, self.bias.to(weight.dtype)).relu_()

    def climb(self, below: Tensor, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        # The pull is the same for all positive cases: one more row for the product, with the sum of their inputs.
        rows = signal.nonzero()[:, 0]
        some, total = activity[rows], below[: len(below) // 2].sum(0, dtype=wide(below))
        wanted = signal[rows, None].to(some.dtype) * self.rule.goodness.slope(some) * (some > 0)
        wanted = torch.cat([wanted, pull[None].to(some.dtype)])
        inputs = torch.cat([below[rows].to(some.dtype), total[None].to(some.dtype)])
        bias_gradient = wanted.sum(0, dtype=wide(wanted)) + (len(below) // 2 - 1) * pull
        smooth_and_step(self.weight, self.weight_velocity, wanted.T @ inputs, rate, self.rule)
        smooth_and_step(self.bias, self.bias_velocity, bias_gradient, rate, self.rule)

    def _weight(self) -> Tensor:
        """The weights in the type of the products; a narrow copy is made once after each change of the weights."""
        if self.compute is None or self.compute == self.weight.dtype:
            return self.weight
        state = (self.weight._version, self.weight.data_ptr(), self.compute)
        if self._narrow is None or self._narrow[0] != state:
            self._narrow = (state, self.weight.to(self.compute))
        return self._narrow[1]


class LocalModule(Layer):
    """Any module as a layer: its own autograd finds its weight gradients, and no derivative leaves it.

    The module must give ``units`` activities per case. Peer normalization acts on what the module puts out, since its
    total inputs are not known.

    Args:
        module: maps ``(batch, ...)`` to ``(batch, ...)`` with ``units`` numbers per case.
        units: that number.
        rule: how the layer learns.
    """

    def __init__(self, module: nn.Module, units: int, rule: Rule) -> None:
        super().__init__(units, rule)
        self.module = module
        for name, parameter in module.named_parameters():
            self.register_buffer(self._velocity(name), torch.zeros_like(parameter), persistent=False)

    @staticmethod
    def _velocity(name: str) -> str:
        return f"{name.replace('.', '_')}_velocity"

    def forward(self, below: Tensor) -> Tensor:
        """Activity of the module, ``(batch, ...)``."""
        activity: Tensor = self.module(below)
        return activity

    def learn(self, positive: Tensor, negative: Tensor, rate: float) -> Learned:
        with torch.enable_grad():
            return super().learn(positive.detach(), negative.detach(), rate)

    def climb(self, below: Tensor, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        flat = activity.detach().flatten(1)
        wanted = signal[:, None].to(flat.dtype) * self.rule.goodness.slope(flat)
        wanted[: len(below) // 2] += pull.to(flat.dtype)
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        with torch.enable_grad():
            gradients = torch.autograd.grad(activity, [p for _, p in named], wanted.view_as(activity))
        for (name, parameter), gradient in zip(named, gradients, strict=True):
            velocity = self.get_buffer(self._velocity(name))
            smooth_and_step(parameter.data, velocity, gradient, rate, self.rule)


def dense(inputs: int, widths: tuple[int, ...], rule: Rule, generator: torch.Generator | None = None) -> list[Layer]:
    """A stack of ``Dense`` layers: ``inputs``, then one layer for each width."""
    sizes = (inputs, *widths)
    return [Dense(a, b, rule, generator) for a, b in itertools.pairwise(sizes)]
