"""Recipes for user data: selection of a recipe, and its adaptation to the data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from twofold import defaults
from twofold.checks import check_arguments
from twofold.data.dataset import Dataset
from twofold.learning import scaled_temperature
from twofold.methods import Recipe

SMALL_CASE = 256
"""Largest number of values per case for the smaller recipe."""
FEW_CASES = 10_000
"""Number of cases below which batches are small, so that an epoch has enough steps."""


def recipe_name_for(data: Dataset) -> str:
    """Return the name of the recipe for data: digits for small pictures and tables, mnist otherwise."""
    table = data.preparation is not None and data.preparation.kind == "table"
    return "digits" if table or data.pixels <= SMALL_CASE else "mnist"


@check_arguments
def recipe_for(dataset: Dataset, like: str | None = None) -> Recipe:
    """Return the recipe that `twofold train --data` uses for your own data.

    It is based on the recipe digits for small pictures and on mnist for larger ones. For a table, it has one layer and
    the default learning rate and label strength of tables.

    Args:
        dataset: your data.
        like: name of the recipe to use instead.

    Raises:
        SettingError: there is no recipe of this name.
    """
    from twofold.recipes import find

    recipe = adapt_recipe(find(like or recipe_name_for(dataset)), dataset)
    table = like is None and dataset.preparation is not None and dataset.preparation.kind == "table"
    return replace(recipe, **for_tables(dataset.pixels, len(dataset.train_labels), recipe.batch)) if table else recipe


def for_tables(
    features: int, cases: int, batch: int, widths: tuple[int, ...] = defaults.TABLE_WIDTHS
) -> dict[str, Any]:
    """Return the settings for a table: a higher learning rate for few columns, more epochs for few cases."""
    return {
        "widths": widths,
        "rate": defaults.TABLE_RATE * min(1.0, defaults.TABLE_INPUTS / features),
        "epochs": epochs_for(cases, batch),
        "temperature": scaled_temperature(defaults.TEMPERATURE, max(widths)),
        "label_strength": defaults.TABLE_LABEL_STRENGTH * math.sqrt(features),
        "counted_from": 1,
        "tolerance": 0.0,
        "revisit": 1.0,
    }


def epochs_for(cases: int, batch: int) -> int:
    """Return the number of epochs for a table, which is higher for few cases so that there are enough steps."""
    return max(defaults.TABLE_EPOCHS, math.ceil(defaults.TABLE_STEPS / math.ceil(cases / batch)))


def adapt_recipe(recipe: Recipe, data: Dataset) -> Recipe:
    """Adapt a recipe to data: the name of the data, the batch size, and what depends on the images and their classes.

    The batch is at most the number of cases, and with less than `FEW_CASES` cases at most the default batch. See
    `Recipe.for_cases` for the rest.
    """
    cases = len(data.train_labels)
    batch = min(recipe.batch, cases, defaults.BATCH if cases < FEW_CASES else cases)
    return replace(recipe, data=data.name, batch=batch).for_cases(data.train_images, data.classes)
