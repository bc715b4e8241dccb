"""Timed training runs of Forward-Forward nets and their backprop twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twofold import recipes
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe, build
from twofold.training.trainer import Trainer
from twofold_lab.benchmarks.bench import Workbench
from twofold_lab.benchmarks.timing import interleave, ratios, spread, spreads

R = TypeVar("R", bound=Recipe)

IMAGES = 60_000
"""Number of images for which seconds are reported; seconds that were measured on fewer images are scaled up."""
RATE = 1e-4
"""Learning rate at which nets of all sizes are stable. It does not affect the time."""
WARM_UP = 20
"""Number of batches before the timing starts."""


def pair(name: str) -> tuple[Any, Any]:
    """Return the recipe ``name`` and the recipe of its backprop twin, whose net has the same hidden layers.

    Raises:
        SettingError: the recipe does not exist or has no twin.
    """
    recipe, twin_name = recipes.find(name), recipes.twin_of(name)
    if twin_name is None:
        raise SettingError(f"--recipe is {name}, which has no twin to compare with: choose a Forward-Forward recipe")
    return recipe, recipes.as_twin(recipes.find(twin_name), recipe)


def every_case(recipe: R) -> R:
    """Return the recipe without importance sampling: all cases train all layers, and epochs contain all images."""
    return replace(recipe, tolerance=0.0, revisit=1.0)


def layers_of(widths: Sequence[int]) -> str:
    """Format layer widths: ``3 x 1000`` for three equal ones, ``500 x 1000`` for different ones."""
    same = len(set(widths)) == 1
    return f"{len(widths)} x {widths[0]}" if same else " x ".join(str(width) for width in widths)


def trainer(
    bench: Workbench, recipe: Recipe, data: Dataset, cases: int | None = None, *, precision: str | None = None
) -> Trainer:
    """Return the trainer of a new net on the device of the workbench.

    Args:
        bench: the workbench.
        recipe: the recipe of the net.
        data: the data set, whose training images are used.
        cases: number of training images, from the first one; by default all.
        precision: precision of the matrix products; by default that of the workbench.
    """
    bench.recipes.append(recipe)
    net = build(recipe, data.form).to(bench.device)
    net.set_precision(precision or bench.precision)
    return Trainer(net, recipe, tuple(tensor[:cases] for tensor in data.train))


def burst(training: Trainer) -> Callable[[int], float]:
    """Return a contender for `interleave` that measures the seconds of an epoch at the rate of the first epoch."""
    return lambda turn: training.epoch(0)


def compare(
    bench: Workbench,
    recipe: Recipe,
    twin: Recipe,
    data: Dataset,
    *,
    images: int,
    rounds: int,
    precision: str | None = None,
) -> dict[str, Any]:
    """Compare the training times of Forward-Forward, without importance sampling, and of the twin, alternately.

    Args:
        bench: the workbench.
        recipe: the recipe of Forward-Forward.
        twin: the recipe of the twin.
        data: the data set, whose training images are used.
        images: maximum number of images in each round; the actual number is a multiple of the batch size.
        rounds: number of rounds, after one to warm up.
        precision: precision of the matrix products; by default that of the workbench.

    Returns:
        The spreads over rounds of ``ff`` and ``twin`` (seconds for 60,000 images) and of their ``ratio``, and the
        number of ``images`` in each round.
    """
    cases = max(1, min(images, len(data.train_labels)) // recipe.batch) * recipe.batch
    nets = {"ff": replace(every_case(recipe), rate=RATE), "twin": replace(twin, rate=RATE)}
    contenders = {name: burst(trainer(bench, net, data, cases, precision=precision)) for name, net in nets.items()}
    seconds = interleave(contenders, rounds, warm_up=True)
    ratio = spread(ratios(seconds["ff"], seconds["twin"]))
    return {**spreads(seconds, IMAGES / cases), "ratio": ratio, "images": cases}


def warm_up(bench: Workbench, recipe: Recipe, twin: Recipe, data: Dataset) -> None:
    """Train nets of both recipes for a few batches, so that one-time work is done before the timing starts."""
    for rival in (recipe, twin):
        trainer(bench, rival, data, WARM_UP * rival.batch).epoch(0)
