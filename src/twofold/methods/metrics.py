"""Declarations of the metrics of an epoch: their types, and how progress lines show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A metric that a method reports.

    Attributes:
        type: type of its values.
        show: returns the text of a value for a progress line, by default nothing.
        meaning: explanation of that text.
    """

    type: Any
    show: Callable[[Any], str] = lambda value: ""
    meaning: str = ""


def number(name: str) -> Callable[[float | None], str]:
    """Return a function that shows a number after its name, and nothing for ``None``."""
    return lambda value: "" if value is None else f"{name} {value:.4g}"


def percent(name: str) -> Callable[[float | None], str]:
    """Return a function that shows a share as a percentage after its name, and nothing for ``None``."""
    return lambda value: "" if value is None else f"{name} {100 * value:.2f} %"


def percents(values: dict[str, float]) -> str:
    """Show several shares as percentages, each after its name."""
    return ", ".join(percent(name)(value) for name, value in values.items())
