"""Objectives of a layer: high goodness for positive data, low goodness for negative data.

All functions take the excess x = goodness - threshold of the positive and of the negative cases, each ``(batch,)``, and
a temperature T in units of goodness.

* ``loss`` returns one number per pair of a positive and a negative case, ``(batch,)``.
* ``signal`` returns the learning signals (-∂loss/∂x⁺, ∂loss/∂x⁻), each ``(batch,)``. These state how strongly the
  goodness of the positive case should increase, and how strongly the goodness of the negative case should decrease.
  Losses contain a factor T, so that signals are dimensionless: for a clearly misclassified case the signal is 1 at any
  temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

from twofold.checks import BY_NAME, check_fields


@dataclass(frozen=True)
class Objective:
    """A loss on the goodness of a positive and a negative case.

    Attributes:
        loss: (x⁺, x⁻, T) -> the loss of each pair, ``(batch,)``.
        paired: True if the loss depends only on the difference x⁺ - x⁻, so that the threshold has no effect.
        signal: (x⁺, x⁻, T) -> -∂loss/∂x⁺ and ∂loss/∂x⁻, each ``(batch,)``. If omitted, autograd computes both
            derivatives from ``loss``; a function in closed form is faster.
    """

    loss: Callable[[Tensor, Tensor, float], Tensor]
    paired: bool
    signal: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.signal is None:
            object.__setattr__(self, "signal", partial(_signal_by_autograd, self.loss))
        check_fields(self)


def _signal_by_autograd(
    loss: Callable[[Tensor, Tensor, float], Tensor], positive: Tensor, negative: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return -∂loss/∂x⁺ and ∂loss/∂x⁻, each ``(batch,)``."""
    with torch.enable_grad():
        positive, negative = (excess.detach().clone().requires_grad_() for excess in (positive, negative))
        positive_gradient, negative_gradient = torch.autograd.grad(
            loss(positive, negative, temperature).sum(),
            (positive, negative),
            materialize_grads=True,
            allow_unused=True,
        )
    return -positive_gradient, negative_gradient


def _logistic_loss(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    return temperature * (softplus(-positive / temperature) + softplus(negative / temperature))


def _logistic_signal(positive: Tensor, negative: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return torch.sigmoid(-positive / temperature), torch.sigmoid(negative / temperature)


logistic = Objective(_logistic_loss, False, _logistic_signal)
"""loss = T log(1 + e^(-x⁺/T)) + T log(1 + e^(x⁻/T)): each case is positive with probability p = σ(x/T).

Talk 08:11; paper equation 1.
"""


def _symba_loss(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    return temperature * softplus((negative - positive) / temperature)


def _symba_signal(positive: Tensor, negative: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    signal = torch.sigmoid((negative - positive) / temperature)
    return signal, signal


symba = Objective(_symba_loss, True, _symba_signal)
"""loss = T log(1 + e^(-(x⁺ - x⁻)/T)): depends only on the difference within a pair (Lee and Song, arXiv 2303.08418)."""


def _swish_symba_loss(positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    return temperature * silu((negative - positive) / temperature)


def _swish_symba_signal(positive: Tensor, negative: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    order = (negative - positive) / temperature
    gate = torch.sigmoid(order)
    signal = gate * (1 + order * (1 - gate))
    return signal, signal


swish_symba = Objective(_swish_symba_loss, True, _swish_symba_signal)
"""loss = T d σ(d), d = (x⁻ - x⁺)/T. Like `symba`, but slightly reduces the difference x⁺ - x⁻ of a pair if the
difference is already large."""

OBJECTIVES = {"logistic": logistic, "symba": symba, "swish_symba": swish_symba}
BY_NAME[Objective] = OBJECTIVES
