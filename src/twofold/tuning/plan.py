"""The plan of a study: the settings to try for a recipe and for its twin. It is fixed before training begins."""

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
"""Tuned field -> value."""

MOST_HELD_OUT = 10_000
"""Largest number of training cases to hold out, unless the recipe sets the number."""


@dataclass(frozen=True)
class Side:
    """A recipe to tune: the recipe of the study, or its backprop twin.

    Attributes:
        name: Name of the recipe.
        recipe: The recipe, with the fields set by the user and the number of held-out cases.
        values: Tuned field -> values to try, in order.
        plan: Settings to try in the first round, in order. The first entry has the settings of the recipe itself.
    """

    name: str
    recipe: Recipe
    values: Values
    plan: list[Settings]

    def with_settings(self, settings: Settings, seed: int) -> Recipe:
        """Return the recipe of a trial, with the given settings and random seed."""
        return replace(self.recipe, **settings, seed=seed)


def held_out(recipe: Recipe, cases: int) -> int:
    """Return the number of training cases to hold out, of a total of ``cases``.

    The number is ``recipe.validation`` or, if this is 0, a fifth of the cases, at least 1 and at most 10,000.
    """
    return recipe.validation or max(min(cases // 5, MOST_HELD_OUT), 1)


def sides(name: str, recipe: Recipe, stated: frozenset[str], twin: bool, cases: int, trials: int) -> list[Side]:
    """Plan the trials of a recipe and, optionally, of its twin.

    Args:
        name: Name of the recipe.
        recipe: The recipe, with the fields set by the user.
        stated: Names of the fields set by the user. These fields are not tuned, and have the same values in the twin.
        twin: If True, also tune the twin.
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
        raise SettingError(f"all tunable fields of {name} are set as options, so there is nothing to tune: omit one")
    grid = list(points({field: getattr(recipe, field) for field in values}, values))
    if len(grid) < trials:
        raise SettingError(f"--trials is {trials}, but {name} has only {len(grid)} combinations to try: lower it")
    return Side(name, recipe, values, grid[:trials])


def points(stands: Settings, values: Values) -> Iterator[Settings]:
    """Yield each point of a grid of settings once: first the settings of the recipe, then the other points.

    The other points are in the order of an unscrambled Sobol sequence. Therefore, among the first n points, for any n,
    the values of a field occur about equally often.

    Args:
        stands: Settings of the recipe, which may lie outside the grid.
        values: Field -> values of the grid.
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
