"""Schedules: how learning rates change during a training."""

from __future__ import annotations

from collections.abc import Callable

from twofold.checks import BY_NAME

Schedule = Callable[[float], float]
"""A function from the completed fraction of the training, in [0, 1], to the factor of all learning rates."""


def constant_then_linear(progress: float) -> float:
    """Return 1 for the first half of the training, then a factor that decreases linearly to 0 (the author's code)."""
    return min(1.0, 2.0 * (1.0 - progress))


def constant(progress: float) -> float:
    """Return 1 throughout the training."""
    return 1.0


SCHEDULES: dict[str, Schedule] = {"constant_then_linear": constant_then_linear, "constant": constant}
BY_NAME[Schedule] = SCHEDULES
