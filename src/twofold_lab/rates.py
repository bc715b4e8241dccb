"""Learning rates for trainings that may diverge, as on a device or with noise that no rate was tuned for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from twofold.errors import Diverged

Result = TypeVar("Result")
Setting = TypeVar("Setting")

LOWERED = 5
"""Rates that are tried."""


def lowered(rate: float, learn: Callable[[float], Result]) -> Result | None:
    """What learns at a rate, or at the highest of those below it, each a third of the one before, at which it does not
    diverge; ``None`` where it diverges at all of `LOWERED`."""
    for number in range(LOWERED):
        with suppress(Diverged):
            return learn(rate / 3**number)
    return None


def best(settings: Iterable[Setting], error: Callable[[Setting], float]) -> Setting:
    """The setting with the least error; one that diverges is not chosen.

    Raises:
        Diverged: all of them do.
    """
    found: dict[Setting, float] = {}
    why: Diverged | None = None
    for setting in settings:
        try:
            found[setting] = error(setting)
        except Diverged as divergence:
            why = divergence
    if not found and why is not None:
        raise why
    return min(found, key=lambda setting: found[setting])
