"""Trainings whose steps can be timed, always of a Forward-Forward net together with its twin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twofold import recipes
from twofold.benchmarks.bench import Workbench, interleave, ratios, spread
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe, build
from twofold.training.trainer import Trainer

R = TypeVar("R", bound=Recipe)

IMAGES = 60_000
"""Number of images to which all times of parts of an epoch are scaled."""
RATE = 1e-4
"""The learning rate of bursts, at which nets of every size train stably for a while. Time does not depend on it."""
WARM_UP = 20
"""Number of batches before timing starts."""


def pair(name: str) -> tuple[Any, Any]:
    """Return the recipe ``name`` and its twin, with the same net.

    Raises:
        SettingError: there is no such recipe, or it has no twin.
    """
    recipe, twin_name = recipes.find(name), recipes.twin_of(name)
    if twin_name is None:
        raise SettingError(f"--recipe is {name}, which has no twin to compare with: choose one of Forward-Forward")
    return recipe, recipes.as_twin(recipes.find(twin_name), recipe)


def every_case(recipe: R) -> R:
    """Return the recipe with nothing left out: every case counts for every layer, every image in every epoch."""
    return replace(recipe, tolerance=0.0, revisit=1.0)


def layers_of(widths: Sequence[int]) -> str:
    """Describe layers: 3 x 1000, or 500 x 1000 if they differ."""
    same = len(set(widths)) == 1
    return f"{len(widths)} x {widths[0]}" if same else " x ".join(str(width) for width in widths)


def trainer(
    bench: Workbench, recipe: Recipe, data: Dataset, cases: int | None = None, *, precision: str | None = None
) -> Trainer:
    """Set up a training on the workbench whose epochs can be timed.

    Args:
        bench: the workbench.
        recipe: the recipe.
        data: the training images.
        cases: number of images, from the first; all by default.
        precision: precision of the products; the workbench's by default.
    """
    net = build(recipe, data.form).to(bench.device)
    net.set_precision(precision or bench.precision)
    return Trainer(net, recipe, tuple(part[:cases] for part in data.train))


def burst(training: Trainer) -> Callable[[int], float]:
    """Return a timer of an epoch at the beginning of the schedule, whatever the round, without its metrics."""
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
    """Compare Forward-Forward with nothing left out to its twin, in interleaved bursts of whole batches.

    Args:
        bench: the workbench.
        recipe: the recipe of Forward-Forward.
        twin: its twin.
        data: the training images.
        images: number of images in a burst, at most.
        rounds: number of bursts, after one that warms up.
        precision: precision of the products; the workbench's by default.

    Returns:
        The spread of ``ff`` and ``twin`` (seconds for 60,000 images), that of the paired ``ratio``, and the number of
        ``images`` in a burst.
    """
    cases = max(1, min(images, len(data.train_labels)) // recipe.batch) * recipe.batch
    rivals = {"ff": replace(every_case(recipe), rate=RATE), "twin": replace(twin, rate=RATE)}
    contenders = {name: burst(trainer(bench, one, data, cases, precision=precision)) for name, one in rivals.items()}
    interleave(contenders, 1)
    seconds = interleave(contenders, rounds)
    figures = {name: spread([IMAGES / cases * one for one in seconds[name]]) for name in seconds}
    return {**figures, "ratio": spread(ratios(seconds["ff"], seconds["twin"])), "images": cases}


def warm_up(bench: Workbench, recipe: Recipe, twin: Recipe, data: Dataset) -> None:
    """Take some steps of both recipes, so that one-time work of the process is done before timing starts."""
    for one in (recipe, twin):
        trainer(bench, one, data, WARM_UP * one.batch).epoch(0)
