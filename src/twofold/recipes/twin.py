"""Backprop twins of recipes."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from twofold.methods import Recipe

T = TypeVar("T", bound=Recipe)

TWINS_OWN = {"epochs", "rate", "smoothing", "decay", "tolerance", "revisit", "substrate", "device_seed"}
"""Fields that a twin does not copy from the recipe: fields that are set for the twin alone, and its analog devices."""


def as_twin(twin: T, recipe: Recipe) -> T:
    """Return a copy of ``twin`` with the data, net, batch size, distortions, held-out cases and seed of ``recipe``.

    All fields that both recipes have are copied from ``recipe``, except those in `TWINS_OWN`.
    """
    shared = twin.properties().keys() & recipe.properties().keys() - TWINS_OWN
    return replace(twin, **{name: getattr(recipe, name) for name in shared})
