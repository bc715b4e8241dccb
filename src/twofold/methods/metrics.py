"""Declarations of metrics: the type of each metric, and its text in progress lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A metric that a method reports.

    Attributes:
        type: type of the values of the metric.
        show: function that formats a value for a progress line. By default, the metric is not shown.
        meaning: explanation of the metric, for users.
    """

    type: Any
    show: Callable[[Any], str] = lambda value: ""
    meaning: str = ""


def number(name: str) -> Callable[[float | None], str]:
    """Return a function that formats a number with a name, as ``loss 0.123``, and ``None`` as an empty string."""
    return lambda value: "" if value is None else f"{name} {value:.4g}"


def percent(name: str) -> Callable[[float | None], str]:
    """Return a function that formats a fraction with a name, as ``error 1.37 %``, and ``None`` as an empty string."""
    return lambda value: "" if value is None else f"{name} {100 * value:.2f} %"


def percents(values: dict[str, float]) -> str:
    """Format named fractions as percentages, such as ``slow 1.37 %, fast 1.45 %``."""
    return ", ".join(percent(name)(value) for name, value in values.items())
