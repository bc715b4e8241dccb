"""Recipes for the user's own data: selection of a recipe, and its adaptation to the data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold import defaults
from twofold.checks import check_arguments
from twofold.data.dataset import Dataset
from twofold.learning import scaled_temperature
from twofold.methods import Recipe

SMALL_CASE = 256
"""Largest number of values per case, such as pixels, for which the recipe digits is used."""
FEW_CASES = 10_000
"""With fewer cases than this, the batch size is at most `defaults.BATCH`, so that an epoch has enough batches."""


def recipe_name_for(data: Dataset) -> str:
    """Return the name of the recipe for the user's own data: digits for small images and tables, mnist otherwise."""
    table = data.preparation is not None and data.preparation.kind == "table"
    return "digits" if table or data.pixels <= SMALL_CASE else "mnist"


@check_arguments
def recipe_for(dataset: Dataset, like: str | None = None) -> Recipe:
    """Return the recipe that `twofold train --data` uses for your own data.

    For small images, the result is based on the recipe digits; for larger images, on the recipe mnist. For a table, the
    result is based on the recipe digits, but has one layer and the other settings of `for_tables`.

    Args:
        dataset: your data.
        like: name of the recipe to adapt; by default the result of `recipe_name_for`. If a name is given, the settings
            of `for_tables` are not used.

    Raises:
        SettingError: there is no recipe of this name.
    """
    from twofold.recipes import find

    recipe = adapt_recipe(find(like or recipe_name_for(dataset)), dataset)
    table = like is None and dataset.preparation is not None and dataset.preparation.kind == "table"
    return replace(recipe, **for_tables(dataset.pixels, len(dataset.train_labels), recipe.batch)) if table else recipe


def for_tables(
    features: int, cases: int, batch: int, widths: tuple[int, ...] = defaults.TABLE_WIDTHS, sparse: float = 0.0
) -> dict[str, Any]:
    """Return the settings for a table: a higher learning rate for few columns, more epochs for few cases.

    The net normalizes each case to a squared length of ``features``, so a step changes the response to a case in
    proportion to ``features``. Therefore, the learning rate is inversely proportional to ``features``, if there are
    more than `defaults.TABLE_INPUTS` columns. At a low rate, the random initial weights shrink too slowly, and would
    still add noise to the goodness at the end. Therefore, the initial weights are scaled by the square root of the
    factor by which the rate is reduced. A sparse column is nonzero in few cases, so the weights of this column average
    over few cases, and the rate is lower the more columns are sparse.

    Args:
        features: number of columns.
        cases: number of cases.
        batch: batch size.
        widths: number of units of each layer.
        sparse: fraction of the columns that are sparse; see `sparse_columns`.
    """
    factor = min(1.0, defaults.TABLE_INPUTS / features) * defaults.TABLE_SPARSE_RATE**sparse
    return {
        "widths": widths,
        "rate": defaults.TABLE_RATE * factor,
        "epochs": epochs_for(cases, batch),
        "temperature": scaled_temperature(defaults.TEMPERATURE, max(widths)),
        "label_strength": defaults.TABLE_LABEL_STRENGTH * math.sqrt(features),
        "input_start": math.sqrt(factor),
        "counted_from": 1,
        "tolerance": 0.0,
        "revisit": 1.0,
    }


def sparse_columns(nonzeros: NDArray[Any], cases: int) -> NDArray[np.bool_]:
    """Return a mask of the sparse columns of a table, ``(columns,)``, such as one-hot columns.

    A column is sparse if fewer than the fraction `defaults.TABLE_SPARSE` of its values are nonzero.

    Args:
        nonzeros: number of nonzero values of each column, ``(columns,)``.
        cases: number of cases.
    """
    mask: NDArray[np.bool_] = nonzeros < defaults.TABLE_SPARSE * cases
    return mask


def epochs_for(cases: int, batch: int) -> int:
    """Return the number of epochs for a table, which is higher for few cases, so that there are enough batches."""
    return max(defaults.TABLE_EPOCHS, math.ceil(defaults.TABLE_STEPS / math.ceil(cases / batch)))


def adapt_recipe(recipe: Recipe, data: Dataset) -> Recipe:
    """Return a copy of a recipe that is adapted to the user's own data.

    The batch size is at most the number of training cases. With fewer than `FEW_CASES` cases, the batch size is also at
    most `defaults.BATCH`. `Recipe.for_cases` adapts the settings that depend on the images and the number of classes.
    """
    cases = len(data.train_labels)
    batch = min(recipe.batch, cases, defaults.BATCH if cases < FEW_CASES else cases)
    return replace(recipe, data=data.name, batch=batch).for_cases(data.train_images, data.classes)
