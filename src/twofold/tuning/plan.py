"""The plan of a study: the settings to try for a recipe and for its twin, fixed before training begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, product
from math import prod
from typing import Any

import torch

from twofold import recipes
from twofold.errors import SettingError
from twofold.methods import Recipe
from twofold.recipes.spaces import Values

Settings = dict[str, Any]
"""Values of the tuned fields."""

MOST_HELD_OUT = 10_000


@dataclass(frozen=True)
class Side:
    """One of the two recipes that are tuned: the recipe itself, or its twin.

    Attributes:
        name: Name of the recipe.
        recipe: The recipe, with the stated fields, and with held-out images.
        values: Values to try of each tuned field, in order.
        plan: Settings of the first round, in order; those of the recipe itself come first.
    """

    name: str
    recipe: Recipe
    values: Values
    plan: list[Settings]

    def with_settings(self, settings: Settings, seed: int) -> Recipe:
        """Return the recipe of one trial."""
        return replace(self.recipe, **settings, seed=seed)


def held_out(recipe: Recipe, cases: int) -> int:
    """Return the number of held-out training cases: that of the recipe, or else a fifth, at most 10,000."""
    return recipe.validation or max(min(cases // 5, MOST_HELD_OUT), 1)


def sides(name: str, recipe: Recipe, stated: frozenset[str], twin: bool, cases: int, trials: int) -> list[Side]:
    """Plan the trials of a recipe and, optionally, of its twin.

    Args:
        name: Name of the recipe.
        recipe: The recipe, with the stated fields.
        stated: Fields that are not tuned; their values apply to the twin, too, if it has these fields.
        twin: If True, tune the twin, too.
        cases: Number of training cases.
        trials: Number of trials of each recipe in the first round.

    Raises:
        SettingError: The recipe has no twin, or a search space has fewer points than ``trials``.
    """
    recipe = replace(recipe, validation=held_out(recipe, cases))
    planned = [(name, recipe)]
    if twin:
        twin_name = recipes.twin_of(name)
        if twin_name is None:
            raise SettingError(f"the recipe {name} has no twin: tune it alone with --no-twin")
        twin_recipe = recipes.as_twin(recipes.find(twin_name), recipe)
        shared = stated & twin_recipe.properties().keys()
        planned.append((twin_name, replace(twin_recipe, **{field: getattr(recipe, field) for field in shared})))
    return [_side(name, recipe, stated, trials) for name, recipe in planned]


def _side(name: str, recipe: Recipe, stated: frozenset[str], trials: int) -> Side:
    values = {field: choices for field, choices in recipes.space_of(name).items() if field not in stated}
    if not values:
        raise SettingError(f"all fields of the search space of {name} are stated, nothing to tune: omit one of them")
    grid = list(points({field: getattr(recipe, field) for field in values}, values))
    if len(grid) < trials:
        raise SettingError(f"--trials is {trials}, but the search space of {name} has {len(grid)} points: lower it")
    return Side(name, recipe, values, grid[:trials])


def points(stands: Settings, values: Values) -> Iterator[Settings]:
    """Yield each point of a grid once: first the recipe's own settings, then the others in evenly distributed order.

    The order is that of an unscrambled Sobol sequence, so the first points, however many, contain the values of each
    field about equally often.

    Args:
        stands: The recipe's own value of each field, which need not be in the grid.
        values: Values of each field.
    """
    lists = list(values.values())
    size = prod(map(len, lists))
    sequence: Any = torch.quasirandom.SobolEngine
    even = (
        tuple(choices[int(share * len(choices))] for choices, share in zip(lists, row, strict=True))
        for row in sequence(len(lists)).draw(4 * size).tolist()
    )
    first = tuple(stands[field] for field in values)
    for point in dict.fromkeys(chain([first], even, product(*lists))):
        yield dict(zip(values, point, strict=True))
