"""Schedules of the learning rates during a training run."""

from __future__ import annotations

from collections.abc import Callable

from twofold.checks import BY_NAME

Schedule = Callable[[float], float]
"""Function: completed fraction of the training run, in [0, 1] -> factor by which all learning rates are multiplied."""


def constant_then_linear(progress: float) -> float:
    """Return 1 in the first half of the training run, then a value that decreases linearly to 0 (the author's code)."""
    return min(1.0, 2.0 * (1.0 - progress))


def constant(progress: float) -> float:
    """Return 1: the learning rates do not change."""
    return 1.0


SCHEDULES: dict[str, Schedule] = {"constant_then_linear": constant_then_linear, "constant": constant}
BY_NAME[Schedule] = SCHEDULES
