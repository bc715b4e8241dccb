"""Learning methods by name. Each method is one file that defines its recipe, net, training step and plots."""

from __future__ import annotations

from typing import Any

from twofold.methods.backprop import Backpropagation, BackpropRecipe
from twofold.methods.feedforward import FeedForwardRecipe, ForwardForward
from twofold.methods.label_free import LabelFreeRecipe, LabelFreeTraining
from twofold.methods.method import Form, Method, StoreLayers
from twofold.methods.metrics import Metric
from twofold.methods.recipe import Recipe
from twofold.methods.recurrent import RecurrentRecipe, RecurrentTraining
from twofold.methods.unsupervised import Hybrids, UnsupervisedRecipe

__all__ = [
    "METHODS",
    "BackpropRecipe",
    "Backpropagation",
    "FeedForwardRecipe",
    "ForwardForward",
    "Hybrids",
    "LabelFreeRecipe",
    "LabelFreeTraining",
    "Method",
    "Recipe",
    "RecurrentRecipe",
    "RecurrentTraining",
    "StoreLayers",
    "UnsupervisedRecipe",
    "build",
    "reported",
]

METHODS: dict[str, type[Method[Any, Any]]] = {
    method.recipe_type.method: method
    for method in (ForwardForward, LabelFreeTraining, RecurrentTraining, Hybrids, Backpropagation)
}


def build(recipe: Recipe, form: Form, store: StoreLayers = list) -> Any:
    """Build the untrained net of a recipe for data with the given description; see `Method.build`."""
    return METHODS[recipe.method].build(recipe, form, store)


def reported() -> dict[str, Metric]:
    """Return the metrics of all methods by name. A name has the same meaning in all methods."""
    classes = dict.fromkeys(base for method in METHODS.values() for base in reversed(method.__mro__))
    return {name: metric for cls in classes for name, metric in vars(cls).get("reported", {}).items()}
