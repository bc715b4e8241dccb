"""Layers of the backprop twin (`Backprop`): digital layers, and layers whose weights are stored in analog devices."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from twofold.activations import relu
from twofold.layers.connectivity import Connectivity
from twofold.layers.layer import AffineLearner
from twofold.layers.weights import apply_gathered
from twofold.learning import Rule
from twofold.substrate.neurons import Neurons
from twofold.substrate.noise import mixed
from twofold.substrate.parameters import Substrate
from twofold.substrate.weights import AnalogWeights, signal_of

DERIVATIVES = ("ideal", "known", "feedback")
"""Names of the weights that the backward pass of a `MeasuredLayer` can use.

``ideal``: the programmed weights, from which the weights of imperfect devices differ. ``known``: the actual weights of
the devices, without noise; in practice these weights are not available. ``feedback``: fixed random weights (feedback
alignment).
"""


class Affine(AffineLearner):
    """Layer z = x Wᵀ + b, trained by backpropagation. The forward pass returns the pre-activations z.

    Args:
        connectivity: connections to the inputs.
        scale: scale of the initial weights, which are drawn from N(0, scale² / inputs of the unit).
        generator: random generator of the initial weights.
    """

    def __init__(self, connectivity: Connectivity, scale: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.create_weights(connectivity.draw(scale * connectivity.fan_in().rsqrt(), generator), connectivity)

    def _leaves(self) -> list[Tensor]:
        """Return the weights and biases as leaves of the autograd graph, in the dtype of the matrix products."""
        return [learnable.effective() for learnable in self.learnables()]

    def forward(self, activity: Tensor) -> Tensor:
        """Return the pre-activations ``(batch, units)`` for activity ``(batch, inputs)`` of the layer below."""
        weight, bias = self._leaves()
        if torch.is_grad_enabled():
            weight.requires_grad_()
            bias.requires_grad_()
        return self.weights.product(activity, bias)

    def respond(self, activity: Tensor) -> Tensor:
        """Return the rectified activity ``(batch, units)`` for activity ``(batch, inputs)`` of the layer below."""
        total: Tensor = self(activity)
        return total.relu()

    @torch.no_grad()
    def apply_gradient(self, rate: float, rule: Rule, counted: Tensor) -> None:
        """Update the parameters with the gradients of the last backward pass, if any, and clear these gradients.

        Args:
            rate, rule, counted: see `learning.momentum_step`.
        """
        for learnable, leaf in zip(self.learnables(), self._leaves(), strict=True):
            if leaf.grad is not None:  # None if no gradient reached the leaf
                learnable.gather(leaf.grad)
                leaf.grad = None
        apply_gathered(self.learnables(), rate, rule, counted)


class _Measured(torch.autograd.Function):
    """Autograd function whose forward pass is measured on devices, and whose backward pass assumes an ideal ReLU layer.

    The ideal ReLU layer has the weights ``back``.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, back: Tensor, layer: MeasuredLayer) -> Tensor:
        total = layer.weights.product(rows, bias.to(layer.weights.effective().dtype))
        activity = relu.value(total) if layer.neurons is None else layer.neurons(total)
        ctx.save_for_backward(rows, back, activity)
        return activity

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, back, activity = ctx.saved_tensors
        signal = gradients[0].to(back.dtype) * (activity > 0)
        return (signal @ back).to(rows.dtype), signal.T @ rows.to(back.dtype), signal.sum(0), None, None


class MeasuredLayer(Affine):
    """A ReLU layer whose weights are stored in analog devices and whose activity is measured. Biases are digital.

    Args:
        connectivity: `Full` or `Masked`, whose weights are stored as a matrix.
        scale: scale of the initial weights; see `Affine`.
        generator: random generator of the initial weights.
        substrate: physical parameters of the devices.
        seed: random seed of the devices.
        derivative: weights of the backward pass: ``ideal``, ``known`` or ``feedback``; see `DERIVATIVES`.
    """

    feedback: Tensor

    def __init__(
        self,
        connectivity: Connectivity,
        scale: float,
        generator: torch.Generator | None,
        substrate: Substrate,
        seed: int,
        derivative: str,
    ) -> None:
        super().__init__(connectivity, scale, generator)
        value, self.derivative = self.weight.detach().clone(), derivative
        signal = signal_of([(value, connectivity)])
        drawn = torch.Generator().manual_seed(mixed(seed, len("neurons")))
        units = connectivity.units
        self.neurons = Neurons(units, relu, substrate, signal, drawn) if substrate.has_neurons else None
        self.weights = AnalogWeights(self, "weight", value, connectivity, substrate, seed, signal, self.neurons)
        if derivative == "feedback":
            random = connectivity.mask(torch.randn(value.shape, generator=drawn))
            self.register_buffer("feedback", scale * random / math.sqrt(connectivity.inputs))

    def _leaves(self) -> list[Tensor]:
        return [learnable.value for learnable in self.learnables()]

    def respond(self, activity: Tensor) -> Tensor:
        weight, bias = (leaf.requires_grad_() for leaf in self._leaves())
        known = self.weights.effective().to(weight.dtype)
        back = {"known": known, "feedback": getattr(self, "feedback", None)}.get(self.derivative, weight)
        measured: Tensor = _Measured.apply(activity, weight, bias, back, self)  # type: ignore[no-untyped-call]
        return measured
