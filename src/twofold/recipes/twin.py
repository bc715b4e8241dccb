"""The backprop twin of a recipe: what it shares, and what it has of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from twofold.methods import Recipe

T = TypeVar("T", bound=Recipe)

TWINS_OWN = {"epochs", "rate", "smoothing", "decay", "tolerance", "revisit", "substrate", "device_seed"}
"""Fields that a twin keeps: its rate and schedule, which were tuned for it, and the devices that store its weights."""


def as_twin(twin: T, recipe: Recipe) -> T:
    """Give the twin the data, net, batch, distortions, held-out images and seed of ``recipe``, but not its schedule."""
    shared = twin.properties().keys() & recipe.properties().keys() - TWINS_OWN
    return replace(twin, **{name: getattr(recipe, name) for name in shared})
