"""The recipes by name, each in a file of its own that says what it claims; ``NAME-twin`` is its backprop twin."""

from __future__ import annotations

from dataclasses import replace

from twofold.errors import unknown
from twofold.methods.recipe import (
    BackpropRecipe,
    FeedForwardRecipe,
    GoodnessRecipe,
    PictureRecipe,
    Recipe,
    RecurrentRecipe,
    UnsupervisedRecipe,
)
from twofold.recipes import (
    cifar_local,
    digits,
    mnist,
    mnist_hybrid,
    mnist_hybrid_local,
    mnist_jitter,
    mnist_wide,
    recurrent,
)

__all__ = [
    "RECIPES",
    "BackpropRecipe",
    "FeedForwardRecipe",
    "GoodnessRecipe",
    "PictureRecipe",
    "Recipe",
    "RecurrentRecipe",
    "UnsupervisedRecipe",
    "as_twin",
    "find",
    "twin_of",
]

RECIPES: dict[str, Recipe] = {
    "cifar-local": cifar_local.cifar_local,
    "cifar-local-twin": cifar_local.twin,
    "digits": digits.digits,
    "digits-twin": digits.twin,
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
}


def find(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        SettingError: there is none; the nearest name is suggested.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]


def as_twin(twin: Recipe, recipe: Recipe) -> Recipe:
    """The twin with the data, net, batch, jitter, held-out images and seed of ``recipe``, its own rate and schedule."""
    seen = ("center", "field_sizes", "strides", "margins") if isinstance(recipe, PictureRecipe) else ()
    return replace(
        twin,
        **{name: getattr(recipe, name) for name in seen},
        data=recipe.data,
        widths=recipe.widths,
        batch=recipe.batch,
        jitter=recipe.jitter,
        mirror=recipe.mirror,
        validation=recipe.validation,
        seed=recipe.seed,
    )


def twin_of(name: str) -> str | None:
    """The name of a recipe's backprop twin; ``None`` for a twin."""
    return None if name.endswith("-twin") else f"{name}-twin"
