"""Goodness functions: scores of a layer's activity vector that are high for positive data.

All functions map activities ``(batch, units)`` to goodness ``(batch,)`` in at least float32. The field ``slope`` of a
goodness function is *half* the derivative of the function: for a sum of squares, this is the activity itself. The
factor 2 is part of the learning rate, as in the author's code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from twofold.checks import BY_NAME, check_fields


@dataclass(frozen=True)
class Goodness:
    """A goodness function, with the threshold and the derivative of the goodness.

    Attributes:
        value: activity ``(batch, units)`` -> goodness ``(batch,)``, at least float32.
        threshold: number of units -> the goodness at which p(positive) = ½.
        slope: activity ``(batch, units)`` -> ½ ∂goodness/∂activity ``(batch, units)``. If omitted, autograd computes
            it from ``value``; a function in closed form is faster.
    """

    value: Callable[[Tensor], Tensor]
    threshold: Callable[[int], float]
    slope: Callable[[Tensor], Tensor] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.slope is None:
            object.__setattr__(self, "slope", partial(_slope_by_autograd, self.value))
        check_fields(self)

    @cached_property
    def spares_silent_units(self) -> bool:
        """True if ∂goodness/∂activity is 0 for inactive units. The derivative of a ReLU can then be omitted."""
        return not self.slope(torch.zeros(1, 1)).any()


def _slope_by_autograd(value: Callable[[Tensor], Tensor], activity: Tensor) -> Tensor:
    """Return half the derivative of the goodness function ``value`` at ``activity``, ``(batch, units)``."""
    with torch.enable_grad():
        leaf = activity.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(leaf).sum(), leaf, materialize_grads=True, allow_unused=True)
    return gradient / 2


def accumulate_dtype(tensor: Tensor) -> torch.dtype:
    """Return the dtype for sums over ``tensor``: float32, or the dtype of ``tensor`` if it is wider than float32."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _sum_of_squares(activity: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(activity, dim=1, dtype=accumulate_dtype(activity))
    return length.square()


def _mean_of_squares(activity: Tensor) -> Tensor:
    return _sum_of_squares(activity) / activity.shape[1]


def _slope_of_mean(activity: Tensor) -> Tensor:
    return activity / activity.shape[1]


def _sum_of_activities(activity: Tensor) -> Tensor:
    return activity.sum(1, dtype=accumulate_dtype(activity))


def _slope_half(activity: Tensor) -> Tensor:
    return torch.full_like(activity, 0.5)


def _minus_sum_of_squares(activity: Tensor) -> Tensor:
    return -_sum_of_squares(activity)


def _identity(activity: Tensor) -> Tensor:
    return activity


def _threshold_one(units: int) -> float:
    return 1.0


def _threshold_half(units: int) -> float:
    return 0.5 * units


def _threshold_minus(units: int) -> float:
    return -float(units)


sum_of_squares = Goodness(_sum_of_squares, float, _identity)
"""g = Σ yⱼ², threshold = number of units (talk 08:11; the author's code)."""

mean_of_squares = Goodness(_mean_of_squares, _threshold_one, _slope_of_mean)
"""g = Σ yⱼ² / units, threshold 1. The derivative is smaller than for `sum_of_squares` by a factor of ``units``;
multiply the learning rate by this factor."""

sum_of_activities = Goodness(_sum_of_activities, _threshold_half, _slope_half)
"""g = Σ yⱼ, threshold = half the number of units (paper section 2: other goodness functions are possible)."""

minus_sum_of_squares = Goodness(_minus_sum_of_squares, _threshold_minus, torch.neg)
"""g = -Σ yⱼ²: low activity for positive data, high activity for negative data (talk 25:09)."""

GOODNESS = {
    "sum_of_squares": sum_of_squares,
    "mean_of_squares": mean_of_squares,
    "sum_of_activities": sum_of_activities,
    "minus_sum_of_squares": minus_sum_of_squares,
}
BY_NAME[Goodness] = GOODNESS
