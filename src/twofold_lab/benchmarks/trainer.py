"""Timed trainings of Forward-Forward nets and their twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twofold import recipes
from twofold.data import Dataset
from twofold.errors import SettingError
from twofold.methods import Recipe, build
from twofold.training.trainer import Trainer
from twofold_lab.benchmarks.bench import Workbench, interleave, ratios, spread

R = TypeVar("R", bound=Recipe)

IMAGES = 60_000
"""Number of images to which the times of bursts are scaled."""
RATE = 1e-4
"""Learning rate of bursts, at which nets of all sizes are stable. It does not affect the time."""
WARM_UP = 20
"""Number of batches before the timing starts."""


def pair(name: str) -> tuple[Any, Any]:
    """Return the recipe ``name`` and its twin, with the same net.

    Raises:
        SettingError: the recipe does not exist or has no twin.
    """
    recipe, twin_name = recipes.find(name), recipes.twin_of(name)
    if twin_name is None:
        raise SettingError(f"--recipe is {name}, which has no twin to compare with: choose a Forward-Forward recipe")
    return recipe, recipes.as_twin(recipes.find(twin_name), recipe)


def every_case(recipe: R) -> R:
    """Return the recipe without importance sampling: all cases count for all layers, all images in all epochs."""
    return replace(recipe, tolerance=0.0, revisit=1.0)


def layers_of(widths: Sequence[int]) -> str:
    """Describe layers: 3 x 1000, or 500 x 1000 if they differ."""
    same = len(set(widths)) == 1
    return f"{len(widths)} x {widths[0]}" if same else " x ".join(str(width) for width in widths)


def trainer(
    bench: Workbench, recipe: Recipe, data: Dataset, cases: int | None = None, *, precision: str | None = None
) -> Trainer:
    """Set up a training on the workbench.

    Args:
        bench: the workbench.
        recipe: the recipe.
        data: the training images.
        cases: number of images, from the first one; by default all.
        precision: precision of the products; by default that of the workbench.
    """
    bench.recipes.append(recipe)
    net = build(recipe, data.form).to(bench.device)
    net.set_precision(precision or bench.precision)
    return Trainer(net, recipe, tuple(tensor[:cases] for tensor in data.train))


def burst(training: Trainer) -> Callable[[int], float]:
    """Return a function that times an epoch at the beginning of the schedule, in every round."""
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
    """Compare Forward-Forward without importance sampling to its twin, in interleaved bursts of complete batches.

    Args:
        bench: the workbench.
        recipe: the recipe of Forward-Forward.
        twin: the recipe of the twin.
        data: the training images.
        images: maximum number of images in a burst.
        rounds: number of bursts, after one to warm up.
        precision: precision of the products; by default that of the workbench.

    Returns:
        The spreads of ``ff`` and ``twin`` (seconds for 60,000 images) and of the paired ``ratio``, and the number of
        ``images`` in a burst.
    """
    cases = max(1, min(images, len(data.train_labels)) // recipe.batch) * recipe.batch
    rivals = {"ff": replace(every_case(recipe), rate=RATE), "twin": replace(twin, rate=RATE)}
    contenders = {name: burst(trainer(bench, side, data, cases, precision=precision)) for name, side in rivals.items()}
    interleave(contenders, 1)
    seconds = interleave(contenders, rounds)
    figures = {name: spread([IMAGES / cases * time for time in seconds[name]]) for name in seconds}
    return {**figures, "ratio": spread(ratios(seconds["ff"], seconds["twin"])), "images": cases}


def warm_up(bench: Workbench, recipe: Recipe, twin: Recipe, data: Dataset) -> None:
    """Train some batches of both recipes, so that one-time work is done before the timing starts."""
    for side in (recipe, twin):
        trainer(bench, side, data, WARM_UP * side.batch).epoch(0)
