"""Training without a folder: a net, a method and data, and metrics after each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import looked_at, typed
from twofold.errors import SettingError, unknown
from twofold.methods import METHODS, Method, Recipe
from twofold.nets.door import on_device
from twofold.nets.net import Net

CHECK_EVERY = 50
"""Batches between two looks at whether the numbers are still finite."""


class Trainer:
    """Trains a net, epoch by epoch. Nothing is written anywhere.

    Args:
        net: learns, on the device that it is on.
        recipe: how.
        data: the training part of a data set, tensors whose first dimension are the cases, on any device.
        method: makes the method of net, recipe and data, if it is not that of the recipe.

    Raises:
        SettingError: the net is of another family than the recipe.

    Attributes:
        method: with all that it needs to go on later.
        history: the metrics of each epoch so far.
    """

    def __init__(
        self, net: Net, recipe: Recipe, data: tuple[Tensor, ...], method: Callable[..., Method[Any, Any]] | None = None
    ) -> None:
        if net.method != recipe.method:
            raise SettingError(f"a recipe of the method {recipe.method} cannot train a net of the method {net.method}")
        on_device = tuple(part.to(net.device) for part in data)
        self.method: Method[Any, Any] = (method or METHODS[recipe.method])(net, recipe, on_device)
        self.history: list[dict[str, Any]] = []

    def epochs(self, progress: Callable[[float], None] | None = None) -> Iterator[dict[str, Any]]:
        """Train from where the history ends to the recipe's last epoch, and give the metrics of each epoch.

        Args:
            progress: called now and then with how many epochs are done, with a fraction.

        Raises:
            Diverged: a layer's numbers are not finite, or it has collapsed.
        """
        while len(self.history) < self.method.recipe.epochs:
            seconds = self.epoch(len(self.history), progress)
            metrics = {"epoch": len(self.history) + 1, "seconds": seconds, **self.method.metrics()}
            for name, measured in metrics.items():
                if not all_finite(measured):
                    raise self.method.diverged(f"the metric {name}")
            self.history.append(metrics)
            yield metrics

    def run(self) -> None:
        """Train to the last epoch."""
        for _ in self.epochs():
            pass

    def epoch(self, number: int, progress: Callable[[float], None] | None = None) -> float:
        """Learn for one epoch of the schedule, counted from 0; return the seconds that it took.

        Raises:
            Diverged: numbers of the net or of its training are not finite.
        """
        method, recipe = self.method, self.method.recipe
        method.net.train()
        synchronize(method.net.device)
        start = time.perf_counter()
        for drawn in method.sampler.epoch(recipe.batch):
            batch = method.batch(drawn.cases, drawn.weight)
            with looked_at():
                difficulty = method.step(batch, (number + drawn.done) / recipe.epochs)
            method.sampler.learned(drawn.cases, difficulty[: len(drawn.cases)])
            method.batches_seen += 1
            if method.batches_seen % CHECK_EVERY == 0:
                method.check()
                if progress is not None:
                    progress(number + drawn.done)
        method.check()
        method.require_finite()
        synchronize(method.net.device)
        return time.perf_counter() - start


@typed
def fit(
    net: Net,
    *data: Tensor,
    epochs: int,
    batch: int = defaults.BATCH,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    **settings: Any,
) -> Iterator[dict[str, Any]]:
    """Train a net on your own tensors.

    Args:
        net: learns, on the device that it is on.
        data: images ``(cases, ...)`` with pixels in [0, 1] and labels ``(cases,)``, or whatever the net learns from.
        epochs: how often every case is seen.
        batch: cases per update.
        seed: of the order of the cases and of negative data.
        progress: called during an epoch with how many epochs are done.
        settings: other fields of the method's recipe, such as ``rate``, in place of `defaults`; those that describe the
            net are stated where it is made.

    Returns:
        An iterator over the metrics of each epoch: ``epoch``, ``seconds``, and what the method measures. The net
        learns while it is gone through.

    Raises:
        SettingError: a setting that the recipe does not have or that is the net's, or a value outside its range.
        DataError: data that the net cannot learn from.
        Diverged: a layer's numbers are not finite, or it has collapsed.
    """
    if net.method not in METHODS:
        raise unknown("method", net.method, METHODS)
    method = METHODS[net.method]
    here = tuple(on_device("data", part, part.device) for part in data)
    recipe = method.default_recipe(net, {**settings, "epochs": epochs, "batch": batch, "seed": seed})
    return Trainer(net, recipe, method.check_data(net, here)).epochs(progress)


def all_finite(measured: Any) -> bool:
    """Whether all numbers in metrics, as JSON can hold them, are finite."""
    if isinstance(measured, dict):
        return all(map(all_finite, measured.values()))
    if isinstance(measured, list | tuple):
        return all(map(all_finite, measured))
    return not isinstance(measured, float) or math.isfinite(measured)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
