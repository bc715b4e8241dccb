"""Layers that learn by themselves from a positive and a negative batch, and pass on only normalized activity."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.goodness import wide
from twofold.layers.connectivity import Connectivity
from twofold.layers.inputs import Below, busy, join, linear, outer, written_out
from twofold.learning import Judge, Narrow, Rule, Update, judge, smooth_and_step


class Learned(NamedTuple):
    """What a layer hands on after a batch: two batches of normalized activity, and for the records what it thought.

    Attributes:
        positive: ``(batch, units)``, normalized.
        negative: ``(batch, units)``, normalized.
        goodness: of the positive and of the negative cases, each ``(batch,)``.
        need: how much each pair of cases had to teach the layer: the stronger of its two signals, ``(batch,)``.
    """

    positive: Tensor
    negative: Tensor
    goodness: tuple[Tensor, Tensor]
    need: Tensor


class Learner(nn.Module):
    """What all layers have that learn by themselves: a rule, and the state that it needs.

    Parameters are stored as in any module and appear in ``state_dict``. What only learning needs (smoothed gradients,
    mean activities) lies in buffers outside ``state_dict``; ``learning_state`` gives them, for checkpoints.

    Attributes:
        units: number of activities per case.
        rule: how the layer learns.
        threshold: the goodness at which p(positive) = ½.
        compute: the type of its products, ``torch.bfloat16`` for instance; ``None`` is the type of its weights.
        update: ``learning.smooth_and_step``, or what computes the same faster.
    """

    mean_activity: Tensor
    batches: Tensor

    def __init__(self, units: int, rule: Rule) -> None:
        super().__init__()
        self.units = units
        self.rule = rule
        self.threshold = rule.goodness.threshold(units)
        self.compute: torch.dtype | None = None
        self.update: Update = smooth_and_step
        self.register_buffer("mean_activity", torch.full((units,), 0.5), persistent=False)
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64), persistent=False)

    def forget(self) -> None:
        """Give back the memory of what can be made again."""

    def learning_state(self) -> dict[str, Tensor]:
        """The buffers that learning needs and ``state_dict`` leaves out, by name."""
        kept = self.state_dict().keys()
        return {name: buffer for name, buffer in self.named_buffers() if name not in kept}


class Layer(Learner, ABC):
    """A layer that learns from what it sees, and from nothing that happens above it (talk 07:12).

    Attributes:
        judge: ``learning.judge``, or what computes the same faster.
    """

    def __init__(self, units: int, rule: Rule) -> None:
        super().__init__(units, rule)
        self.judge: Judge = judge

    @abstractmethod
    def climb(self, below: Below, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        """Change the parameters so that every activity y moves along signal · slope(y), and the total inputs of the
        positive half along ``pull`` too.

        Args:
            below: ``(2 batch, ...)``, positive cases first; see ``inputs.py``.
            activity: ``(2 batch, ...)``, this layer's for ``below``.
            signal: ``(2 batch,)``, divided by the batch; above 0 where more goodness is wanted, 0 where a case is
                left out.
            pull: ``(units,)``, the same for every positive case, divided by the batch.
            rate: the learning rate.
        """

    def wanted(self, activity: Tensor, signal: Tensor, pull: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """How the total inputs of the chosen rows are to change, ``(chosen, units)``, and the gradient of the biases,
        ``(units,)``, which the pull of the peers is a part of."""
        change = self.rule.goodness.slope(activity.index_select(0, rows)) * signal[rows, None].to(activity.dtype)
        return change, change.sum(0, dtype=wide(change)) + len(signal) // 2 * pull

    def goodness(self, activity: Tensor) -> Tensor:
        """Goodness of activities ``(batch, ...)``, ``(batch,)``."""
        return self.rule.goodness.value(activity.flatten(1))

    def learn(self, positive: Below, negative: Below, rate: float, weight: Tensor | None = None) -> Learned:
        """Forward, goodness, signal, weight gradient, update: one batch of learning.

        Args:
            positive: normalized activity of the layer below for positive data, ``(batch, ...)``.
            negative: the same for as many negative data.
            rate: the learning rate.
            weight: how much each pair of cases counts, ``(batch,)``; all count 1 where it is not given.

        Returns:
            The normalized activities, as they were before the update, and the goodnesses.
        """
        count, below = len(positive), join(positive, negative)
        activity = self(below)
        with torch.no_grad():
            seen = self.judge(activity.detach(), self.mean_activity, self.batches, weight, self.threshold, self.rule)
            self.climb(below, activity, seen.signal, seen.pull, rate)
        above, goodness = seen.above, seen.goodness
        return Learned(above[:count], above[count:], (goodness[:count], goodness[count:]), seen.need)


class Weighted(Layer, ABC):
    """A layer with weights and biases whose gradients are known in closed form, without autograd.

    Args:
        weight: the first weights, with two dimensions or more.
        biases: their number; they start at 0.
        units: number of activities per case.
        rule: how the layer learns.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    weight_velocity: Tensor
    bias_velocity: Tensor

    def __init__(self, weight: Tensor, biases: int, units: int, rule: Rule) -> None:
        super().__init__(units, rule)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(biases), requires_grad=False)
        self.register_buffer("weight_velocity", torch.zeros_like(weight), persistent=False)
        self.register_buffer("bias_velocity", torch.zeros(biases), persistent=False)
        self._narrow = Narrow()

    def in_use(self) -> tuple[Tensor, Tensor]:
        """Weights and biases in the type of the products."""
        weight = self._narrow.of(self.weight, self.compute)
        return weight, self.bias.to(weight.dtype)

    def factors(self, below: Tensor, activity: Tensor, signal: Tensor, pull: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the weight gradient is the product of: what is wanted, ``(chosen + 1, units)``, and what was seen,
        ``(chosen + 1, inputs)``, of the chosen rows, and in the last row the pull and the sum of the positive rows; and
        the gradient of a bias for each unit, ``(units,)``. Arguments as in ``climb``."""
        rows = busy(below, signal)
        wanted, bias_gradient = self.wanted(activity, signal, pull, rows)
        total = below[: len(signal) // 2].sum(0, keepdim=True)
        shown = torch.cat([below.index_select(0, rows), total]).to(wanted.dtype)
        return torch.cat([wanted, pull[None].to(wanted.dtype)]), shown, bias_gradient

    def step(self, gradient: Tensor, bias_gradient: Tensor, rate: float) -> None:
        """One update of weights and biases; the gradients point uphill."""
        narrow = self._narrow.of(self.weight, self.compute)
        self.update(self.weight, self.weight_velocity, gradient, rate, self.rule, narrow)
        self.update(self.bias, self.bias_velocity, bias_gradient, rate, self.rule, None)
        self._narrow.is_of(self.weight)

    def forget(self) -> None:
        self._narrow = Narrow()


class Dense(Weighted):
    """y = relu(x Wᵀ + b), with the local update in closed form.

    Weights start as N(0, 1) / √inputs and biases at 0 (the author's code).

    Args:
        inputs: number of inputs per case.
        units: number of units.
        rule: how the layer learns.
        generator: draws the first weights.
    """

    def __init__(self, inputs: int, units: int, rule: Rule, generator: torch.Generator | None = None) -> None:
        super().__init__(torch.randn(units, inputs, generator=generator) / math.sqrt(inputs), units, units, rule)

    def forward(self, below: Below) -> Tensor:
        """Activity ``(batch, units)`` for normalized input ``(batch, inputs)``, in the type of the products."""
        return linear(below, *self.in_use()).relu_()

    def climb(self, below: Below, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        rows = busy(below, signal)
        wanted, bias_gradient = self.wanted(activity, signal, pull, rows)
        self.step(outer(below, wanted, rows, pull.to(wanted.dtype)), bias_gradient, rate)


class Connected(Weighted):
    """The same where a connectivity says which inputs each unit sees. Weights start as N(0, 1) / √(inputs of the unit).

    Args:
        seen: which inputs each unit sees.
        rule: how the layer learns.
        generator: draws the first weights.
    """

    def __init__(self, seen: Connectivity, rule: Rule, generator: torch.Generator | None = None) -> None:
        super().__init__(seen.draw(seen.seen().rsqrt(), generator), seen.units, seen.units, rule)
        self.seen = seen

    def forward(self, below: Below) -> Tensor:
        """Activity ``(batch, units)`` for normalized input ``(batch, inputs)``, in the type of the products."""
        weight, bias = self.in_use()
        return self.seen.times(weight, written_out(below), bias).relu_()

    def climb(self, below: Below, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        asked, shown, bias_gradient = self.factors(written_out(below), activity, signal, pull)
        gradient = torch.empty_like(self.weight, dtype=asked.dtype)
        self.seen.gather(gradient, asked.T.contiguous(), shown, 1.0)
        self.step(self.seen.mask(gradient), bias_gradient, rate)

    def written_out(self) -> Tensor:
        """The weights as those of a dense layer, ``(units, inputs)``, zero where there are none."""
        return self.seen.written_out(self.weight)


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

    def forward(self, below: Below) -> Tensor:
        """Activity of the module, ``(batch, ...)``."""
        activity: Tensor = self.module(written_out(below))
        return activity

    def learn(self, positive: Below, negative: Below, rate: float, weight: Tensor | None = None) -> Learned:
        with torch.enable_grad():
            return super().learn(written_out(positive).detach(), written_out(negative).detach(), rate, weight)

    def climb(self, below: Below, activity: Tensor, signal: Tensor, pull: Tensor, rate: float) -> None:
        flat = activity.detach().flatten(1)
        wanted = signal[:, None].to(flat.dtype) * self.rule.goodness.slope(flat)
        wanted[: len(signal) // 2] += pull.to(flat.dtype)
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        with torch.enable_grad():
            gradients = torch.autograd.grad(activity, [p for _, p in named], wanted.view_as(activity))
        for (name, parameter), gradient in zip(named, gradients, strict=True):
            velocity = self.get_buffer(self._velocity(name))
            self.update(parameter.data, velocity, gradient, rate, self.rule, None)


def dense(
    inputs: int, widths: tuple[int, ...], rule: Rule, generator: torch.Generator | None = None
) -> Iterator[Layer]:
    """A stack of ``Dense`` layers, made one after the other: ``inputs``, then one layer for each width."""
    for below, units in itertools.pairwise((inputs, *widths)):
        yield Dense(below, units, rule, generator)
