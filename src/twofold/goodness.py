"""Goodness functions: a score of a layer's activity vector that is high for positive data.

All take activities ``(batch, units)`` and give goodness ``(batch,)`` in at least float32, a sum or a mean over the
units, as the formula says. The slope is *half* the derivative, so that the slope of a sum of squares is the activity
itself; the factor 2 belongs to the learning rate, as in the author's own code.
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
    """A goodness function with its natural threshold.

    Attributes:
        value: activity ``(batch, units)`` -> goodness ``(batch,)``, at least float32.
        threshold: number of units -> the goodness at which p(positive) = ½.
        slope: activity ``(batch, units)`` -> ½ ∂goodness/∂activity ``(batch, units)``. By default autograd computes it
            from ``value``, within this one function; a slope in closed form is faster.
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
        """Whether the slope is 0 where the activity is, so that a rectifier's own slope changes nothing."""
        return not self.slope(torch.zeros(1, 1)).any()


def _slope_by_autograd(value: Callable[[Tensor], Tensor], activity: Tensor) -> Tensor:
    """Half the derivative of a goodness by each activity, ``(batch, units)``."""
    with torch.enable_grad():
        leaf = activity.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(leaf).sum(), leaf, materialize_grads=True, allow_unused=True)
    return gradient / 2


def accumulate_dtype(tensor: Tensor) -> torch.dtype:
    """Return the dtype in which to sum over units: float32, or the tensor's own if that is wider."""
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


def _half_each(activity: Tensor) -> Tensor:
    return torch.full_like(activity, 0.5)


def _minus_sum_of_squares(activity: Tensor) -> Tensor:
    return -_sum_of_squares(activity)


def _itself(activity: Tensor) -> Tensor:
    return activity


def _one(units: int) -> float:
    return 1.0


def _half(units: int) -> float:
    return 0.5 * units


def _minus(units: int) -> float:
    return -float(units)


sum_of_squares = Goodness(_sum_of_squares, float, _itself)
"""g = Σ yⱼ², threshold = number of units (talk 08:11; the author's code)."""

mean_of_squares = Goodness(_mean_of_squares, _one, _slope_of_mean)
"""g = Σ yⱼ² / units, threshold 1. The slope is ``units`` times smaller, so the rate should be that much larger."""

sum_of_activities = Goodness(_sum_of_activities, _half, _half_each)
"""g = Σ yⱼ, threshold = half the number of units (paper section 2: other goodness functions are possible)."""

minus_sum_of_squares = Goodness(_minus_sum_of_squares, _minus, torch.neg)
"""g = -Σ yⱼ²: low activity for positive data, high for negative (talk 25:09)."""

GOODNESS = {
    "sum_of_squares": sum_of_squares,
    "mean_of_squares": mean_of_squares,
    "sum_of_activities": sum_of_activities,
    "minus_sum_of_squares": minus_sum_of_squares,
}
BY_NAME[Goodness] = GOODNESS
