"""Recipes for data of one's own: which one fits, and what of it has to change for the data."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from twofold import defaults
from twofold.checks import check_arguments
from twofold.data.dataset import Dataset
from twofold.learning import scaled_temperature
from twofold.methods import Recipe

SMALL = 256
"""Numbers in a case up to which the smaller recipe does."""
USUAL = 10
"""Classes for which the recipes were made."""
FEW = 10_000
"""Cases below which larger batches would make too few steps."""


def fitting(data: Dataset) -> str:
    """The name of the recipe that fits data: that of the 8 x 8 digits for small pictures and tables, else MNIST's."""
    table = data.preparation is not None and data.preparation.kind == "table"
    return "digits" if table or data.pixels <= SMALL else "mnist"


@check_arguments
def recipe_for(dataset: Dataset, like: str | None = None) -> Recipe:
    """The recipe with which `twofold train --data` trains on data of your own.

    It is that of the 8 x 8 digits for small pictures, and MNIST's for larger ones; for a table it has one layer and the
    rate and the strength of the label that are the defaults for tables.

    Args:
        dataset: of your own.
        like: the name of the recipe whose settings are taken instead.

    Raises:
        SettingError: there is no recipe of that name.
    """
    from twofold.recipes import find

    recipe = adapted(find(like or fitting(dataset)), dataset)
    table = like is None and dataset.preparation is not None and dataset.preparation.kind == "table"
    return replace(recipe, **for_tables(dataset.pixels, len(dataset.train_labels), recipe.batch)) if table else recipe


def for_tables(
    features: int, cases: int, batch: int, widths: tuple[int, ...] = defaults.TABLE_WIDTHS
) -> dict[str, Any]:
    """What is different for a table: few columns bear high rates, and few cases need more epochs."""
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
    """Epochs of a table: as many as make enough steps, where there are few cases."""
    return max(defaults.TABLE_EPOCHS, math.ceil(defaults.TABLE_STEPS / math.ceil(cases / batch)))


def adapted(recipe: Recipe, data: Dataset) -> Recipe:
    """Change what data ask for: their name, the size of batches, and the place and the strength of the label.

    Batches are no larger than those of the digits where there are `FEW` cases, and have no more cases than there are.
    A label replaces the first pixels only where these are dark in every picture, and else comes in front of them. Of
    more than `USUAL` classes each is seen less often, so that its label is the stronger, by the root of their number.
    """
    cases = len(data.train_labels)
    changes: dict[str, Any] = {
        "data": data.name,
        "batch": min(recipe.batch, cases, defaults.BATCH if cases < FEW else cases),
    }
    if "label_in" in recipe.properties() and not _has_margin(data):
        changes["label_in"] = "prepend"
    if "label_strength" in recipe.properties() and data.classes > USUAL:
        changes["label_strength"] = vars(recipe)["label_strength"] * math.sqrt(data.classes / USUAL)
    return replace(recipe, **changes)


def _has_margin(data: Dataset) -> bool:
    """Whether there is room for the label in the first pixels: none of them is ever bright, and others follow."""
    return data.pixels > data.classes and not data.train_images.flatten(1)[:, : data.classes].any()


def scaled(recipe: Recipe, like: Recipe) -> Recipe:
    """Give a recipe with other widths the temperature of the recipe ``like``, scaled to its widest layer; see
    `learning.scaled_temperature`."""
    if "temperature" not in recipe.properties():
        return recipe
    temperature: Any = scaled_temperature(vars(like)["temperature"], max(recipe.widths), max(like.widths))
    return replace(recipe, **{"temperature": temperature})
