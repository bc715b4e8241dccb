"""Layers with weights and biases whose gradients are computed in closed form, without autograd."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from twofold.checks import check_arguments
from twofold.checks.bounds import as_widths, counts
from twofold.goodness import accumulate_dtype
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.inputs import LayerInput, active_rows, gather_gradient, total_input, usable_by
from twofold.layers.layer import AffineLearner, FeedForwardLayer, Response
from twofold.learning import Phase, Rule, slope


class WeightedLayer(AffineLearner, FeedForwardLayer):
    """y = unit(x Wᵀ + b) with the local update in closed form, where ``unit`` is the rule's activation function.

    For the objective's signal s of each case, the total inputs should change by s · slope(y), where slope is the slope
    of the goodness times that of the activation function. The weight gradient is one product of these changes with the
    inputs. Biases start at 0.

    Args:
        connectivity: which inputs each unit sees.
        weight: initial weights, as the connectivity stores them.
        rule: the learning rule.
    """

    weight_velocity: Tensor
    bias_velocity: Tensor

    def __init__(self, connectivity: Connectivity, weight: Tensor, rule: Rule) -> None:
        super().__init__(connectivity.shape_above, rule)
        self.create_weights(weight, connectivity)

    def forward(self, below: LayerInput, activate: bool = True) -> Tensor:
        """Return the activity ``(batch, ...)`` for normalized input ``(batch, ...)``, in the type of the products.

        Args:
            below: the input.
            activate: apply the activation function; if False, return the total inputs.
        """
        bias = self.bias.to(self.weights.effective().dtype)
        total = total_input(usable_by(self.weights, below), self.weights, bias).view(-1, *self.shape)
        return self.rule.unit.value(total) if activate else total

    def respond(self, below: LayerInput) -> Response:
        if self.rule.unit.of_activity:
            return super().respond(below)
        total = self(below, activate=False)
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
    """y = f(x Wᵀ + b), with the activation function f of the rule, where every unit sees all inputs.

    Weights start as N(0, 1) / √inputs and biases at 0 (the author's code).

    Args:
        inputs: number of inputs per case.
        units: number of units.
        rule: the learning rule.
        generator: draws the initial weights.
    """

    @check_arguments
    def __init__(
        self, inputs: int, units: int, rule: Rule | None = None, generator: torch.Generator | None = None
    ) -> None:
        counts(inputs=inputs, units=units)
        weight = torch.randn(units, inputs, generator=generator) / math.sqrt(inputs)
        super().__init__(Full(units, inputs), weight, rule or Rule())


class SparseLayer(WeightedLayer):
    """y = f(x Wᵀ + b), where a connectivity defines which inputs each unit sees, and f is the activation of the rule.

    Weights start as N(0, 1) / √(inputs of the unit) and biases at 0.

    Args:
        connectivity: which inputs each unit sees.
        rule: the learning rule.
        generator: draws the initial weights.
    """

    def __init__(
        self, connectivity: Connectivity, rule: Rule | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(connectivity, connectivity.draw(connectivity.fan_in().rsqrt(), generator), rule or Rule())

    def to_matrix(self) -> Tensor:
        """Return the weights as those of a dense layer, ``(units, inputs)``, with zeros where no weights exist."""
        return self.weights.to_matrix()


def dense(
    inputs: int, widths: int | Sequence[int], rule: Rule | None = None, generator: torch.Generator | None = None
) -> Iterator[Dense]:
    """Yield a stack of `Dense` layers, one for each width; the first has ``inputs`` inputs."""
    for below, units in itertools.pairwise((inputs, *as_widths(widths))):
        yield Dense(below, units, rule, generator)
