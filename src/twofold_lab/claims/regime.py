"""Claim (talk 06:03): the cortex has many weights and little data, the opposite of what backprop is used for.

If the cortex learns by Forward-Forward, then Forward-Forward should compare best with backprop where images are few and
layers are wide. The map varies both: from 10 labeled images of each class to all of them, and nets of two hidden layers
from narrow to wide (smoke: digits). Where images are few, they are drawn anew with each seed, and repeated so that an
epoch has 10,000 visits.

Both sides have the settings of the recipe mnist and its twin, except that the temperature is proportional to the number
of units and the rate of twins wider than 1000 units falls in proportion, since they diverge at the rate of the twin of
1000 units. Where images are few, weight decay was chosen for each side and number of images, with 1000 units and among
three or four values, on the last 10,000 training images.

Rule: with the fewest images and the widest layers Forward-Forward's mean error is at most the twin's, and its
disadvantage there (its error divided by the twin's) is smaller than with all images and the narrowest layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold_lab.lab import Finding, Lab, error, mean_and_std, small, small_twin

VISITS = 10_000
"""Number of images in an epoch; a smaller set is repeated."""


@dataclass(frozen=True)
class Amount:
    """An amount of training data, with the settings for it.

    Attributes:
        each: number of images of each class; ``None`` stands for all.
        epochs: number of epochs, each of at least `VISITS` images.
        decay: weight decay of Forward-Forward.
        twin_decay: weight decay of the twin.
        seeds: number of nets that learn, each from its own draw.
    """

    each: int | None
    epochs: int
    decay: float
    twin_decay: float
    seeds: int


AMOUNTS = (
    Amount(10, 10, 0.002, 0.002, 3),
    Amount(100, 10, 0.0005, 0.002, 2),
    Amount(1000, 10, 0.002, 0.001, 1),
    Amount(None, 5, 0.002, 0.0002, 1),
)
SMALL = (Amount(5, 8, 0.002, 0.0002, 2), Amount(None, 12, 0.002, 0.0002, 1))
WIDTHS, SMALL_WIDTHS = (250, 1000, 4000), (60, 200)


def regime(lab: Lab) -> Finding:
    """Measure the claim ``regime``."""
    widths = lab.pick(smoke=SMALL_WIDTHS, full=WIDTHS)
    ours: dict[str, dict[str, dict[str, float]]] = {}
    twins: dict[str, dict[str, dict[str, float]]] = {}
    amounts = lab.pick(smoke=SMALL, full=AMOUNTS)
    for amount in amounts:
        found: list[dict[str, dict[str, float]]] = [{}, {}]
        for width in widths:
            each: list[list[float]] = [[], []]
            for seed in range(amount.seeds):
                drawn = draw(lab.data(lab.pick(smoke="digits", full="mnist")), amount, seed)
                for side, recipe in zip(each, settings(lab, amount, width, seed), strict=True):
                    side.append(error(lab.train(recipe, f"regime-{recipe.method}", drawn)))
            for row, values in zip(found, each, strict=True):
                row[f"{width} units"] = mean_and_std(values)
        name = f"{amount.each or 'all'} images a class"
        ours[name], twins[name] = found
    few, much = next(iter(ours)), list(ours)[-1]
    narrow, wide = (f"{width} units" for width in (widths[0], widths[-1]))

    def against(images: str, units: str) -> float:
        return ours[images][units]["mean"] / twins[images][units]["mean"]

    ratio = {images: {units: round(against(images, units), 2) for units in row} for images, row in ours.items()}
    return Finding(
        holds=against(few, wide) <= min(1.0, against(much, narrow)),
        rule="with the fewest images and the widest layers the slow error is at most the twin's, and relative to the "
        "twin's it is smaller than with all images and the narrowest layers",
        talk="many weights and little data suit the cortex",
        measured={"slow error %": ours, "slow error / twin's": ratio},
        twin={"fast error %": twins},
        seeds=list(range(max(amount.seeds for amount in amounts))),
    )


def settings(lab: Lab, amount: Amount, width: int, seed: int) -> tuple[FeedForwardRecipe, BackpropRecipe]:
    """Return the recipes of both sides for layers of that width."""
    recipe, twin = lab.pick(smoke=(small, small_twin), full=(mnist, mnist_twin))
    shared: dict[str, Any] = {"widths": (width, width), "epochs": amount.epochs, "seed": seed}
    per_unit = recipe.temperature / recipe.widths[0]
    return (
        replace(recipe, **shared, decay=amount.decay, temperature=per_unit * width),
        replace(twin, **shared, decay=amount.twin_decay, rate=twin.rate * min(1.0, twin.widths[0] / width)),
    )


def draw(dataset: Dataset, amount: Amount, seed: int) -> Dataset:
    """Draw training images of each class with the seed, and repeat them until there are enough for an epoch.

    If the amount is all images, the data set is returned as it is.
    """
    if amount.each is None:
        return dataset
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset.train_labels), generator=generator)
    labels = dataset.train_labels[order]
    cases = torch.cat([order[labels == label][: amount.each] for label in range(dataset.classes)])
    cases = cases.repeat(max(1, min(VISITS, len(order)) // len(cases)))
    name = f"{dataset.name}, {amount.each} a class"
    return replace(
        dataset, name=name, train_images=dataset.train_images[cases], train_labels=dataset.train_labels[cases]
    )


def draw_regime(lab: Lab, path: Path, record: Mapping[str, Any] | None = None) -> Path:
    """Draw the map of both sides' errors.

    Args:
        lab: the laboratory that has the nets, or trains them, if there is no record.
        path: the PNG to write.
        record: the kept record of the claim.
    """
    from twofold_lab.claims.plots import regime as plots

    found = record or asdict(regime(lab))
    return plots.regimes(found["measured"]["slow error %"], found["twin"]["fast error %"], path)
