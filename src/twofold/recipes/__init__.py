"""Recipes by name. The file of a recipe states the claim that the recipe tests.

The recipe ``NAME-twin`` is the backprop twin of the recipe ``NAME``.
"""

from __future__ import annotations

from twofold.errors import unknown
from twofold.methods import Recipe
from twofold.recipes import (
    black_box,
    cifar_local,
    digits,
    mnist,
    mnist_hybrid,
    mnist_hybrid_local,
    mnist_jitter,
    mnist_paper,
    mnist_wide,
    recurrent,
    recurrent_deep,
)
from twofold.recipes.spaces import SPACES, Values
from twofold.recipes.twin import as_twin

__all__ = ["RECIPES", "as_twin", "find", "space_of", "twin_of"]

RECIPES: dict[str, Recipe] = {
    "black-box": black_box.black_box,
    "black-box-twin": black_box.twin,
    "cifar-local": cifar_local.cifar_local,
    "cifar-local-twin": cifar_local.twin,
    "digits": digits.digits,
    "digits-twin": digits.twin,
    "mnist-paper": mnist_paper.mnist_paper,
    "mnist-paper-twin": mnist.twin,
    "mnist-paper-wide": mnist_paper.wide,
    "mnist-paper-wide-twin": mnist_wide.twin,
    "mnist": mnist.mnist,
    "mnist-twin": mnist.twin,
    "mnist-random-negatives": mnist.random_negatives,
    "mnist-random-negatives-twin": mnist.twin,
    "mnist-wide": mnist_wide.mnist_wide,
    "mnist-wide-twin": mnist_wide.twin,
    "mnist-jitter": mnist_jitter.mnist_jitter,
    "mnist-jitter-twin": mnist_jitter.twin,
    "mnist-hybrid": mnist_hybrid.mnist_hybrid,
    "mnist-hybrid-twin": mnist_hybrid.twin,
    "mnist-hybrid-local": mnist_hybrid_local.mnist_hybrid_local,
    "mnist-hybrid-local-twin": mnist_hybrid_local.twin,
    "recurrent": recurrent.recurrent,
    "recurrent-twin": recurrent.twin,
    "recurrent-deep": recurrent_deep.recurrent_deep,
    "recurrent-deep-twin": recurrent_deep.twin,
}


def find(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises:
        SettingError: there is no recipe of this name. The message suggests the most similar name.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]


def twin_of(name: str) -> str | None:
    """Return the name of the backprop twin of the recipe called ``name``, or ``None`` if it has no twin."""
    twin = f"{name}-twin"
    return twin if twin in RECIPES else None


def space_of(name: str) -> Values:
    """Return the search space of `twofold tune` for the recipe or twin called ``name``: field -> values to try.

    Raises:
        SettingError: the recipe has no search space.
    """
    base = name.removesuffix("-twin")
    if base not in SPACES:
        raise unknown("search space of the recipe", name, [recipe for recipe in RECIPES if recipe in SPACES])
    shared, forward_forward, twin = SPACES[base]
    return {**shared, **(forward_forward if name == base else twin)}
