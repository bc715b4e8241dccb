"""Which settings are tried, of a recipe and of its twin: decided before the first of them is trained."""

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
"""The value of each field that is tuned."""

MOST_HELD_OUT = 10_000


@dataclass(frozen=True)
class Side:
    """One of the two that are tuned: the recipe, or its twin.

    Attributes:
        name: of the recipe.
        recipe: as it stands, with what was stated, and with held-out images.
        values: of each field that is tuned, in order.
        plan: the settings of the first round, in order; those of the recipe as it stands come first.
    """

    name: str
    recipe: Recipe
    values: Values
    plan: list[Settings]

    def with_settings(self, settings: Settings, seed: int) -> Recipe:
        """The recipe of one trial."""
        return replace(self.recipe, **settings, seed=seed)


def held_out(recipe: Recipe, cases: int) -> int:
    """How many of the training cases are held out: what the recipe says, or else the last fifth, at most 10,000."""
    return recipe.validation or max(min(cases // 5, MOST_HELD_OUT), 1)


def sides(name: str, recipe: Recipe, stated: frozenset[str], twin: bool, cases: int, trials: int) -> list[Side]:
    """The recipe and, if asked for, its twin, each with its plan.

    Args:
        name: of the recipe.
        recipe: with what was stated.
        stated: fields that are not tuned, but the same in all trials; they hold for the twin too, where it has them.
        twin: whether to tune the twin as well.
        cases: of the training part.
        trials: of each side, in the first round.

    Raises:
        SettingError: there is no twin, or a search space has fewer points than ``trials``.
    """
    recipe = replace(recipe, validation=held_out(recipe, cases))
    both = [(name, recipe)]
    if twin:
        other = recipes.twin_of(name)
        if other is None:
            raise SettingError(f"the recipe {name} has no twin: tune it alone, with --no-twin")
        found = recipes.as_twin(recipes.find(other), recipe)
        too = stated & found.properties().keys()
        both.append((other, replace(found, **{field: getattr(recipe, field) for field in too})))
    return [_side(name, recipe, stated, trials) for name, recipe in both]


def _side(name: str, recipe: Recipe, stated: frozenset[str], trials: int) -> Side:
    values = {field: each for field, each in recipes.space_of(name).items() if field not in stated}
    if not values:
        raise SettingError(f"every field of the search space of {name} is stated: leave one to be tuned")
    every = list(points({field: getattr(recipe, field) for field in values}, values))
    if len(every) < trials:
        raise SettingError(f"--trials is {trials}, but the search space of {name} has {len(every)} points: lower it")
    return Side(name, recipe, values, every[:trials])


def points(stands: Settings, values: Values) -> Iterator[Settings]:
    """The points of a grid, each once: that of the recipe as it stands, and then as evenly as can be (Sobol's sequence,
    not scrambled), so that any number of first points has all values of each field about equally often.

    Args:
        stands: the recipe's own value of each field, which need not be in the grid.
        values: of each field.
    """
    lists = list(values.values())
    size = prod(map(len, lists))
    sequence: Any = torch.quasirandom.SobolEngine
    even = (
        tuple(each[int(share * len(each))] for each, share in zip(lists, row, strict=True))
        for row in sequence(len(lists)).draw(4 * size).tolist()
    )
    first = tuple(stands[field] for field in values)
    for point in dict.fromkeys(chain([first], even, product(*lists))):
        yield dict(zip(values, point, strict=True))
