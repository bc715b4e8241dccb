"""Claim (talk 26:55): on CIFAR-10, in nets of two or three hidden layers with local fields, Forward-Forward is slightly
worse than backprop, and a third layer does not widen the gap.

The recurrent net of the recipe cifar-local learns all training images and is tested once, beside its twin with the same
bottom-up fields (smoke: digits, 5 x 5 fields). The paper's table is filled at a smaller size: two and three layers, low
and high activity, from the first 20,000 images, tested on the last 5,000 training images; each side has the settings of
its recipe except for the epochs (full: 4, and 8 for the twin). *train* is the error of the same test on 2,000 training
images.

Rule: the slow error is at most 4 points above the twin's, in the recipe and in the table with low activity for two and
for three layers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, RecurrentRecipe
from twofold.methods.recipe import PictureRecipe
from twofold.nets.net import evaluate
from twofold.recipes.cifar_local import cifar_local, twin
from twofold.training.runs import Run
from twofold_lab.lab import Finding, Lab, errors, percent, small_recurrent, small_recurrent_twin

R = TypeVar("R", bound=PictureRecipe)

LEARNED, HELD, SEEN = 20_000, 5_000, 2_000
"""Numbers of images for the table: learned from, held out, and training images that are tested on."""

PAPER = {
    "backprop": {"2 layers": {"train": 0, "test": 37}, "3 layers": {"train": 2, "test": 39}},
    "low activity": {
        "2 layers": {"slow": {"train": 20, "test": 41}, "fast": {"train": 31, "test": 45}},
        "3 layers": {"slow": {"train": 24, "test": 41}, "fast": {"train": 32, "test": 44}},
    },
    "high activity": {
        "2 layers": {"slow": {"train": 25, "test": 44}},
        "3 layers": {"slow": {"train": 21, "test": 44}},
    },
}
"""Errors in percent of the paper's table (section 3.4)."""


def cifar(lab: Lab) -> Finding:
    """Measure the claim ``cifar``."""
    recipe, twin_recipe = settings(lab)
    run, twin_run = lab.train(recipe, "cifar-local"), lab.train(twin_recipe, "cifar-local-twin")
    gap = errors(run)["slow error %"] - errors(twin_run)["fast error %"]

    dataset, (short, short_twin) = part(lab, recipe), shorter(lab)
    measured: dict[str, Any] = {"low activity": {}, "high activity": {}}
    twins, gaps = {}, {}
    for layers in (2, 3):
        name = f"{layers} layers"
        ours, theirs = deepened(short, layers), deepened(short_twin, layers)
        for title, goodness in (("low activity", "minus_sum_of_squares"), ("high activity", "sum_of_squares")):
            found = lab.train(replace(ours, goodness=goodness), f"cifar-{layers}-layers", dataset)
            measured[title][name] = seen_and_held(found, dataset)
        twins[name] = seen_and_held(lab.train(theirs, f"cifar-{layers}-layers-twin", dataset), dataset)["fast"]
        gaps[name] = measured["low activity"][name]["slow"]["test"] - twins[name]["test"]
    return Finding(
        holds=max(gap, *gaps.values()) <= 4,
        rule="the slow error is at most 4 points above the twin's, with the recipe and in the table at both depths",
        talk={"test error % of the slow test": 41, "of backprop": "37 (2 layers), 39 (3 layers)", "table": PAPER},
        measured={
            **errors(run),
            "slow above the twin's (points)": round(gap, 3),
            "table": measured,
            "slow above the twin's in the table (points)": {name: round(value, 3) for name, value in gaps.items()},
        },
        twin={**errors(twin_run), "table": twins},
        seeds=[recipe.seed],
    )


def settings(lab: Lab) -> tuple[RecurrentRecipe, BackpropRecipe]:
    """Return the recipe of this size and its twin."""
    if lab.size == "full":
        return cifar_local, twin
    fields: dict[str, Any] = {"widths": (192, 192), "field_sizes": (5, 5), "strides": (1, 1), "margins": (2, 2)}
    small: dict[str, Any] = {**fields, "center": True, "decay": cifar_local.decay}
    return replace(small_recurrent, **small), replace(small_recurrent_twin, **small | {"decay": twin.decay})


def shorter(lab: Lab) -> tuple[RecurrentRecipe, BackpropRecipe]:
    """Return the recipe of the table and its twin, which have fewer epochs."""
    recipe, twin = settings(lab)
    epochs = lab.pick(smoke=(3, 5), full=(4, 8))
    return replace(recipe, epochs=epochs[0]), replace(twin, epochs=epochs[1])


def deepened(recipe: R, layers: int) -> R:
    """Return the recipe with ``layers`` layers that are all like its first."""
    names = ("widths", "field_sizes", "strides", "margins")
    return replace(recipe, **{name: getattr(recipe, name)[:1] * layers for name in names})


def part(lab: Lab, recipe: RecurrentRecipe) -> Dataset:
    """Return data with the first images to learn from and the last ones to test on; the test set is left out."""
    whole = lab.data(recipe.data)
    learned, held = lab.pick(smoke=(1000, 300), full=(LEARNED, HELD))
    return replace(
        whole.hold_out(held),
        name=f"{whole.name}, {learned} images",
        train_images=whole.train_images[:learned],
        train_labels=whole.train_labels[:learned],
    )


def seen_and_held(run: Run, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Return the error of each test on training images and on held-out ones, in percent."""
    seen = evaluate(run.net, *(part[:SEEN] for part in dataset.train)).error
    return {
        name: {"train": percent(seen[name]), "test": percent(error)} for name, error in run.result.test_error.items()
    }
