"""Activation functions from pre-activations z to activities y, and the derivatives of these functions (talk 08:05).

Names with ``slope`` denote the derivative dy/dz. The talk and the paper use ReLU; docs/layers.md compares the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu as torch_gelu

from twofold.checks import BY_NAME, check_fields

LEAK = 0.01
"""Derivative of the leaky ReLU below zero, as in PyTorch."""
HEIGHT = 2.0
"""Activity of an active unit with the activation `threshold`. If a quarter of the units are active, the sum of squares
of the activities is the number of units, which is the threshold of the goodness `goodness.sum_of_squares`.
"""
REACH, STRETCH = 1.7159, 2 / 3
"""Constants of y = REACH · tanh(STRETCH · z), with y = ±1 at z = ±1 (LeCun et al., Efficient BackProp)."""


@dataclass(frozen=True)
class Activation:
    """An activation function and the derivative of this function, both elementwise.

    Attributes:
        value: function: pre-activations z, of any shape -> activities y. If ``of_activity`` is True, the function may
            work in place.
        slope: function that returns the derivative dy/dz, given y if ``of_activity`` is True, else given z.
        of_activity: True if the derivative can be computed from the activity, so that z need not be stored.
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    of_activity: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


class _Differentiable(torch.autograd.Function):
    """An activation function with its derivative for autograd, which may be a surrogate."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, unit: Activation) -> Tensor:
        activity = unit.value(total.clone())
        ctx.unit = unit
        ctx.save_for_backward(activity if unit.of_activity else total)
        return activity

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.unit.slope(*ctx.saved_tensors), None


def activate(total: Tensor, unit: Activation) -> Tensor:
    """Return the activity for pre-activations ``total``, which may be overwritten unless autograd needs them."""
    if not total.requires_grad:
        return unit.value(total)
    activity: Tensor = _Differentiable.apply(total, unit)  # type: ignore[no-untyped-call]
    return activity


def _positive(activity: Tensor) -> Tensor:
    return (activity > 0).to(activity.dtype)


def _leaky(total: Tensor) -> Tensor:
    return torch.nn.functional.leaky_relu_(total, LEAK)


def _leaky_slope(activity: Tensor) -> Tensor:
    return _positive(activity).mul_(1 - LEAK).add_(LEAK)


def _gelu_slope(total: Tensor) -> Tensor:
    below = 0.5 * (1 + torch.erf(total / math.sqrt(2)))
    density = torch.exp(-0.5 * total.square()) / math.sqrt(2 * math.pi)
    return below + total * density


def _tanh(total: Tensor) -> Tensor:
    return total.mul_(STRETCH).tanh_().mul_(REACH)


def _tanh_slope(activity: Tensor) -> Tensor:
    return STRETCH * (REACH - activity.square() / REACH)


def _threshold(total: Tensor) -> Tensor:
    return HEIGHT * _positive(total)


def _surrogate_slope(total: Tensor) -> Tensor:
    return (1 - total.abs()).clamp(min=0) * HEIGHT


relu = Activation(torch.relu_, _positive, of_activity=True)
"""y = max(z, 0)."""

leaky_relu = Activation(_leaky, _leaky_slope, of_activity=True)
"""y = z where z > 0, else 0.01 z."""

gelu = Activation(torch_gelu, _gelu_slope)
"""y = z Φ(z), with the normal distribution function Φ."""

tanh = Activation(_tanh, _tanh_slope, of_activity=True)
"""y = 1.7159 tanh(⅔ z)."""

threshold = Activation(_threshold, _surrogate_slope)
"""y = 2 where z > 0, else 0. The derivative is 0, so learning uses the surrogate derivative 2 max(0, 1 - |z|), as in
spiking nets. With a sum of squares as goodness, inactive units get no learning signal: only peer normalization can
activate them."""

ACTIVATIONS = {"relu": relu, "leaky_relu": leaky_relu, "gelu": gelu, "tanh": tanh, "threshold": threshold}
BY_NAME[Activation] = ACTIVATIONS
