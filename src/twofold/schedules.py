"""Schedules: how learning rates change during a training."""

from __future__ import annotations

from collections.abc import Callable

from twofold.checks import BY_NAME

Schedule = Callable[[float], float]
"""Maps the share of the training that is done, in [0, 1], to the factor of all learning rates."""


def constant_then_linear(progress: float) -> float:
    """Return 1 for the first half of the training, then a factor that falls linearly to zero (the author's code)."""
    return min(1.0, 2.0 * (1.0 - progress))


def constant(progress: float) -> float:
    """Return 1 at any time."""
    return 1.0


SCHEDULES: dict[str, Schedule] = {"constant_then_linear": constant_then_linear, "constant": constant}
BY_NAME[Schedule] = SCHEDULES
