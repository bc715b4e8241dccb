"""The cortex has many weights and little data, the opposite of what backprop is used for (talk 06:03).

If the cortex learns by Forward-Forward, then Forward-Forward should compare best with backprop if images are few and
layers are wide. The map varies both: from 10 labeled images of each class to all of them, and nets of two hidden layers
from narrow to wide (smoke: digits). Few images are drawn with each seed, and repeated so that an epoch has 10,000
visits.

The settings are those of the recipe mnist and its twin, with two exceptions. The temperature is proportional to the
number of units. The rate of twins with layers wider than 1000 units is inversely proportional to the width, since such
twins diverge at the rate of the twin with 1000 units. For few images, the weight decay of Forward-Forward and of
backprop was chosen for each number of images, with 1000 units and among three or four values, on the last 10,000
training images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe
from twofold.recipes import mnist
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline, Record
from twofold_lab.figures import error, mean_and_std
from twofold_lab.lab import Lab
from twofold_lab.tables import figures as cell
from twofold_lab.tables import markdown, table
from twofold_lab.verdict import Estimate, Figures, Verdict, at_most, less

VISITS = 10_000
"""Least number of images in an epoch; a smaller set of images is repeated."""
OURS, TWINS, RATIO = "slow error %", "fast error %", "slow error / twin's"


@dataclass(frozen=True)
class Amount:
    """An amount of training data, with the settings of the recipes for this amount.

    Attributes:
        per_class: number of images of each class; ``None`` for all images.
        epochs: number of epochs, each of at least `VISITS` images.
        decay: weight decay of Forward-Forward.
        twin_decay: weight decay of the twin.
        seeds: number of seeds; the random images and the net are drawn with the seed.
    """

    per_class: int | None
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


CLAIM = Claim(
    "regime",
    time="06:03",
    says="The cortex has many weights and little data, the opposite of what backprop is used for.",
    headline=Headline(RATIO, "many weights, little data", ours=(RATIO, "10 images a class", "4000 units"), twin=()),
)


def _errors(figures: Figures, row: int, column: int, seeds: int | None = None) -> tuple[Estimate, Estimate]:
    """Return the errors of Forward-Forward and backprop for the number of images ``row`` and the width ``column``."""
    images, by_width = list(figures.measured[OURS].items())[row]
    units = list(by_width)[column]
    return figures.of(OURS, images, units, seeds=seeds), figures.of_twin(TWINS, images, units, seeds=seeds)


def _ratio(error: Estimate, twin: Estimate) -> Estimate:
    ratio = error.value / twin.value
    return Estimate(ratio, ratio * math.hypot(error.error / error.value, twin.error / twin.value))


@CLAIM.clause(
    "as good as backprop with few images and many weights",
    "with the fewest images and the widest layers, the mean slow error is at most the twin's",
)
def _as_good(figures: Figures) -> Verdict:
    return at_most(*_errors(figures, 0, -1))


@CLAIM.clause(
    "compares better than with many images and few weights",
    "there, the error divided by the twin's is smaller than with all images and the narrowest layers",
)
def _better_than_elsewhere(figures: Figures) -> Verdict:
    return less(_ratio(*_errors(figures, 0, -1)), _ratio(*_errors(figures, -1, 0, seeds=1)))


@CLAIM.measure
def regime(lab: Lab) -> Finding:
    widths, amounts = lab.pick(smoke=(SMALL_WIDTHS, SMALL), full=(WIDTHS, AMOUNTS))
    complete = lab.sized("mnist")
    ours: dict[str, dict[str, Any]] = {}
    twins: dict[str, dict[str, Any]] = {}
    for amount in amounts:
        images = f"{amount.per_class or 'all'} images a class"
        datasets = [sample(complete, amount, seed) for seed in range(amount.seeds)]
        for width in widths:
            pairs = [
                [error(lab.train(recipe, "regime", dataset)) for recipe in settings(lab, amount, width, seed)]
                for seed, dataset in enumerate(datasets)
            ]
            for side, values in zip((ours, twins), zip(*pairs, strict=True), strict=True):
                side.setdefault(images, {})[f"{width} units"] = mean_and_std(values)
    ratio = {
        images: {units: round(row[units]["mean"] / twins[images][units]["mean"], 2) for units in row}
        for images, row in ours.items()
    }
    return Finding({OURS: ours, RATIO: ratio}, {TWINS: twins}, list(range(amounts[0].seeds)))


def settings(lab: Lab, amount: Amount, width: int, seed: int) -> tuple[FeedForwardRecipe, BackpropRecipe]:
    """Return the recipes of Forward-Forward and the twin for an amount of data and a width of both layers."""
    recipe, twin = feedforward.pair(lab, mnist.mnist, mnist.twin)
    shared: dict[str, Any] = {"widths": (width, width), "epochs": amount.epochs, "seed": seed}
    per_unit = recipe.temperature / recipe.widths[0]
    return (
        replace(recipe, **shared, decay=amount.decay, temperature=per_unit * width),
        replace(twin, **shared, decay=amount.twin_decay, rate=twin.rate * min(1.0, twin.widths[0] / width)),
    )


def sample(dataset: Dataset, amount: Amount, seed: int) -> Dataset:
    """Return a data set with random training images of each class, repeated until there are enough for an epoch.

    If the amount is all images, the data set is returned unchanged.
    """
    if amount.per_class is None:
        return dataset
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset.train_labels), generator=generator)
    labels = dataset.train_labels[order]
    cases = torch.cat([order[labels == label][: amount.per_class] for label in range(dataset.classes)])
    cases = cases.repeat(max(1, min(VISITS, len(order)) // len(cases)))
    name = f"{dataset.name}, {amount.per_class} a class"
    return replace(
        dataset, name=name, train_images=dataset.train_images[cases], train_labels=dataset.train_labels[cases]
    )


@table("regime", "claims/regime.json")
def errors(record: Mapping[str, Any]) -> str:
    """Tabulate the errors of Forward-Forward and backprop by number of images and width."""
    ours, twins = record["measured"][OURS], record["twin"][TWINS]
    widths = list(next(iter(ours.values())))
    rows = [[images, *(cell(side[images][width]) for width in widths for side in (ours, twins))] for images in ours]
    return markdown(["", *(f"{width}, {side}" for width in widths for side in ("FF", "backprop"))], rows)


@CLAIM.draw
def picture(record: Record, path: Path, lab: Lab) -> Path:
    """Plot a map of the errors of Forward-Forward and backprop, blue where the error of Forward-Forward is smaller."""
    import numpy as np

    from twofold.plots.canvas import subplots, suptitle, write
    from twofold.plots.colors import INK, POSITIVE, TWIN
    from twofold_lab.drawing import heat_map

    sides = record["measured"][OURS], record["twin"][TWINS]
    images, widths = list(sides[0]), list(next(iter(sides[0].values())))
    ours, twins = np.array([[[side[row][column]["mean"] for column in widths] for row in images] for side in sides])
    limit = 3.0  # the ratio of errors at which the color scale ends
    figure, [[ax]] = subplots(1, 1, 7.4, 0.9 * len(images) + 1)
    ax.set_visible(True)
    pairs = zip(ours, twins, strict=True)
    texts = [[f"{error:.2f} : {twin:.2f}" for error, twin in zip(*rows, strict=True)] for rows in pairs]
    cells = heat_map(ax, ours / twins, (POSITIVE, "#FFFFFF", TWIN), (1 / limit, limit), texts, aspect="auto")
    ax.set_xticks(range(len(widths)), widths, fontsize=11)
    ax.set_yticks(range(len(images)), images, fontsize=11)
    ax.tick_params(length=0, colors=INK)
    ax.spines[:].set_visible(False)
    ticks = (1 / limit, 1 / 2, 1, 2, limit)
    bar = figure.colorbar(cells, ax=ax, ticks=ticks)
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in ticks], fontsize=10.5)
    bar.ax.minorticks_off()
    bar.set_label("error / twin's error", fontsize=11, color=INK)
    suptitle(
        figure,
        "Test error in %, Forward-Forward : backprop",
        "blue: Forward-Forward errs less often; grey: backprop does",
    )
    return write(figure, path)
