"""Layers with weights and biases whose local gradients are computed by explicit formulas, without autograd."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from twofold.activations import activate
from twofold.checks import check_arguments
from twofold.checks.bounds import as_widths, counts
from twofold.errors import SettingError
from twofold.goodness import accumulate_dtype
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.inputs import LayerInput, active_rows, gather_gradient, total_input, usable_by
from twofold.layers.layer import AffineLearner, FeedForwardLayer, Response
from twofold.learning import Phase, Rule, slope


class WeightedLayer(AffineLearner, FeedForwardLayer):
    """Layer y = f(x Wᵀ + b), where f is the activation function of the learning rule. Biases start at 0.

    Gradients are computed without autograd: the learning signal of each case times the derivative of the goodness with
    respect to the pre-activations gives the desired changes of the pre-activations (see `Rule`). The weight gradient is
    the product of these changes with the inputs.

    Args:
        connectivity: connections to the inputs.
        weight: initial weights, in the shape in which the connectivity stores weights.
        rule: learning rule.
    """

    weight_velocity: Tensor
    bias_velocity: Tensor

    def __init__(self, connectivity: Connectivity, weight: Tensor, rule: Rule) -> None:
        super().__init__(connectivity.shape_above, rule)
        self.create_weights(weight, connectivity)

    @property
    def positions(self) -> int:
        return self.units // self.connectivity.biases

    def initial_scale(self) -> Tensor:
        return self.connectivity.fan_in().rsqrt()

    def differentiable(self) -> list[Tensor]:
        if not self.weights.linear:
            raise SettingError(
                "the weights of a block of several layers are on an analog substrate, whose derivative is unknown: use "
                "blocks of one layer"
            )
        return super().differentiable()

    def total(self, below: LayerInput) -> Tensor:
        bias = self.biases.effective()
        return total_input(usable_by(self.weights, below), self.weights, bias).view(-1, *self.shape)

    def forward(self, below: LayerInput) -> Tensor:
        """Return the activity ``(batch, ...)``, in the dtype in which the layer computes; see `Learner.compute`.

        Args:
            below: normalized activity of the layer below, ``(batch, ...)``.
        """
        return activate(self.total(below), self.rule.unit)

    def respond(self, below: LayerInput) -> Response:
        if self.rule.unit.of_activity:
            return super().respond(below)
        total = self.total(below)
        return self._response(below, self.rule.unit.value(total))._replace(total=total)

    @torch.no_grad()
    def gather(self, seen: Response, phase: Phase = "both", case_weight: Tensor | None = None) -> Tensor:
        signal, peers, difficulty, positive = self._learning_signal(seen, phase, case_weight)
        keep, share = self._shares(phase)
        below = usable_by(self.weights, seen.below)
        rows = active_rows(below, signal)
        activity = seen.activity.index_select(0, rows).flatten(1)
        total = None if seen.total is None else seen.total.index_select(0, rows).flatten(1)
        wanted = slope(activity, total, self.rule) * signal[rows, None].to(activity.dtype)
        bias_gradient = wanted.sum(0, dtype=accumulate_dtype(wanted)) + positive.sum() * peers
        gather_gradient(self.weights, below, wanted, rows, positive, peers.to(wanted.dtype), keep, share)
        self.biases.gather(self.connectivity.bias_gradient(bias_gradient), keep, share)
        return difficulty


class Dense(WeightedLayer):
    """Fully connected layer y = f(x Wᵀ + b), where f is the activation function of the learning rule.

    Weights start as N(0, 1) / √inputs and biases at 0 (the author's code).

    Args:
        inputs: number of inputs per case.
        units: number of units.
        rule: learning rule.
        generator: random generator of the initial weights.
    """

    @check_arguments
    def __init__(
        self, inputs: int, units: int, rule: Rule | None = None, generator: torch.Generator | None = None
    ) -> None:
        counts(inputs=inputs, units=units)
        weight = torch.randn(units, inputs, generator=generator) / math.sqrt(inputs)
        super().__init__(Full(units, inputs), weight, rule or Rule())


class SparseLayer(WeightedLayer):
    """Layer y = f(x Wᵀ + b) with any `Connectivity`, where f is the activation function of the learning rule.

    Weights start as N(0, 1) / √(inputs of the unit) and biases at 0.

    Args:
        connectivity: connections to the inputs.
        rule: learning rule.
        generator: random generator of the initial weights.
    """

    def __init__(
        self, connectivity: Connectivity, rule: Rule | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(connectivity, connectivity.draw(connectivity.fan_in().rsqrt(), generator), rule or Rule())

    def to_matrix(self) -> Tensor:
        """Return the weights as a matrix ``(units, inputs)``, with zeros where there is no connection."""
        return self.weights.to_matrix()


def dense(
    inputs: int, widths: int | Sequence[int], rule: Rule | None = None, generator: torch.Generator | None = None
) -> Iterator[Dense]:
    """Yield a stack of `Dense` layers.

    Args:
        inputs: number of inputs of the first layer.
        widths: number of units of each layer; an integer for a single layer.
        rule: learning rule of all layers.
        generator: random generator of the initial weights.
    """
    for below, units in itertools.pairwise((inputs, *as_widths(widths))):
        yield Dense(below, units, rule, generator)
