"""Train a net in memory, without a run folder, and collect metrics after each epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from twofold import defaults
from twofold.checks import check_arguments
from twofold.data import Data
from twofold.errors import DataError, SettingError, unknown
from twofold.methods import METHODS, Method, Recipe
from twofold.methods.cases import CaseSource, cases_of
from twofold.methods.method import StepResult
from twofold.nets.entry import on_device
from twofold.nets.net import Net
from twofold.schedules import Schedule
from twofold.substrate import arrays

CHECK_EVERY = 50
"""Number of batches between checks for values that are not finite."""


class History(list[dict[str, Any]]):
    """List of the metrics of each epoch, oldest first."""

    @property
    def last(self) -> dict[str, Any]:
        """Metrics of the last epoch."""
        return self[-1]


class Trainer:
    """The training loop of a net, which can run one epoch at a time. It does not write files.

    Args:
        net: the net, which is trained on its current device.
        recipe: training settings.
        data: the training cases: tensors ``(cases, ...)``, as returned by `Method.as_cases`, on any device; or a
            `twofold.Dataset`, a `torch.utils.data.Dataset` or a `DataLoader`. A loader determines the size and order of
            the batches, so importance sampling is off.
        method: function that creates a `Method` from the net, the recipe and the cases; by default the method class of
            the recipe.
        schedule: learning-rate schedule; by default the schedule of the recipe.
        case_weight: weight of each case, ``(cases,)``, by which the weight from importance sampling is multiplied; all
            1 if omitted.
        on_batch: called after each batch with the trainer, the batch and the result of `Method.step`, such as a
            `NetResult`.

    Raises:
        SettingError: the net has another method than the recipe.
        DataError: the net cannot be trained on the dataset or loader.

    Attributes:
        net: the net.
        method: the learning method, with its state.
        history: metrics of each epoch so far.
        progress: training progress before the most recent batch, in epochs: 2.5 is the middle of the third epoch.
    """

    def __init__(
        self,
        net: Net,
        recipe: Recipe,
        data: tuple[Tensor | CaseSource, ...] | CaseSource,
        *,
        method: Callable[..., Method[Any, Any]] | None = None,
        schedule: Schedule | None = None,
        case_weight: Tensor | None = None,
        on_batch: Callable[[Trainer, Any, StepResult], None] | None = None,
    ) -> None:
        if net.method != recipe.method:
            raise SettingError(f"a recipe of the method {recipe.method} cannot train a net of the method {net.method}")
        family = METHODS[recipe.method]
        parts = data if isinstance(data, tuple) else (data,)
        cases = cases_of(parts, net.device, recipe.batch, partial(family.as_cases, net))
        self.net = net
        self.method: Method[Any, Any] = (method or family)(net, recipe, cases)
        if schedule is not None:
            self.method.schedule = schedule
        self.case_weight = None if case_weight is None else case_weight.to(net.device)
        self.on_batch = on_batch
        self.history = History()
        self.progress = 0.0
        for array in arrays(net):
            if array.substrate.updates is None:
                array.set_run_length(recipe.epochs * cases.batches(recipe.batch))

    def epochs(self) -> Iterator[dict[str, Any]]:
        """Train the remaining epochs of the recipe and yield the metrics of each epoch.

        Raises:
            Diverged: values of the net are not finite, or a layer has collapsed.
        """
        while len(self.history) < self.method.recipe.epochs:
            seconds = self.epoch(len(self.history))
            metrics = {"epoch": len(self.history) + 1, "seconds": seconds, **self.method.metrics()}
            for name, measured in metrics.items():
                if not all_finite(measured):
                    raise self.method.diverged(f"the metric {name}")
            self.history.append(metrics)
            yield metrics

    def run(self) -> None:
        """Train the remaining epochs of the recipe."""
        for _ in self.epochs():
            pass

    def epoch(self, number: int) -> float:
        """Train for one epoch and return the time in seconds.

        Args:
            number: number of the epoch, counted from 0. It determines the learning rate.

        Raises:
            Diverged: values of the net or of the training state are not finite.
        """
        method, recipe = self.method, self.method.recipe
        method.net.train()
        synchronize(method.net.device)
        start = time.perf_counter()
        for sampled in method.sampler.epoch(recipe.batch):
            weight = sampled.case_weight
            if self.case_weight is not None:
                weight = weight * self.case_weight[sampled.cases]
            batch = method.batch(sampled.cases, weight)
            self.progress = number + sampled.done
            result = method.step(batch, self.progress / recipe.epochs)
            method.sampler.learned(sampled.cases, result.difficulty[: len(sampled.cases)])
            method.batches_seen += 1
            if method.batches_seen % CHECK_EVERY == 0:
                method.check()
            if self.on_batch is not None:
                self.on_batch(self, batch, result)
        method.share()
        method.check()
        method.require_finite()
        synchronize(method.net.device)
        return time.perf_counter() - start


@check_arguments
def fit(
    net: Net,
    *data: Tensor | CaseSource,
    epochs: int,
    batch: int | None = None,
    seed: int = 0,
    schedule: str | Schedule | None = defaults.SCHEDULE,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    on_batch: Callable[[Trainer, Any, StepResult], None] | None = None,
    **settings: Any,
) -> History:
    """Train a net on your own data.

    Args:
        net: the net, which is trained on its current device.
        data: two tensors, images ``(cases, ...)`` with pixels in [0, 1] and labels ``(cases,)``; or other tensors that
            the net expects; or a `twofold.Dataset`, a `torch.utils.data.Dataset` or a `DataLoader` of images and
            labels. A loader determines the order of the cases, so importance sampling is off, and
            ``importance_sampling`` is False in the history.
        epochs: number of epochs.
        batch: batch size; by default 50, or the batch size of a `DataLoader`.
        seed: random seed of the order of the cases and of the negative data.
        schedule: learning-rate schedule: a name in `SCHEDULES`, or a function that maps the completed fraction of
            training, from 0 to 1, to a factor of the learning rate.
        on_epoch: called after each epoch with its metrics.
        on_batch: called after each batch; see `Trainer`.
        settings: other fields of the recipe of the method, such as ``rate``, in place of their default values. Fields
            that describe the net are not allowed.

    Returns:
        The metrics of each epoch: ``epoch`` (from 1), ``seconds`` and the metrics of the method.

    Raises:
        SettingError: a setting is unknown, describes the net, or is out of range.
        DataError: the net cannot be trained on the data.
        Diverged: values of the net are not finite, or a layer has collapsed.
    """
    if net.method not in METHODS:
        raise unknown("method", net.method, METHODS)
    family, first = METHODS[net.method], data[0] if data else None
    if isinstance(first, DataLoader):
        if batch not in (None, first.batch_size):
            raise SettingError(f"batch is {batch}, but that of the DataLoader is {first.batch_size}: omit batch")
        batch = first.batch_size
    stated: dict[str, Any] = {"epochs": epochs, "batch": defaults.BATCH if batch is None else batch, "seed": seed}
    if isinstance(schedule, str):
        stated["schedule"], schedule = schedule, None
    recipe = family.default_recipe(net, {**settings, **stated})
    if not data or (len(data) > 1 and not all(isinstance(part, Tensor) for part in data)):
        kinds = ", ".join(type(part).__name__ for part in data) or "nothing"
        raise DataError(f"data: got {kinds}, expected tensors, or one dataset or DataLoader")
    options: dict[str, Any] = {"schedule": schedule, "on_batch": on_batch}
    tensors = first.train if isinstance(first, Data) else tuple(part for part in data if isinstance(part, Tensor))
    if tensors:
        here = tuple(on_device("data", part, part.device) for part in tensors)
        trainer = Trainer(net, recipe, family.check_data(net, here), **options)
    else:
        trainer = Trainer(net, recipe, data, **options)
        family.check_fit(net, trainer.method.data.example)
    for metrics in trainer.epochs():
        if on_epoch is not None:
            on_epoch(metrics)
    return trainer.history


def all_finite(measured: Any) -> bool:
    """Return True if all numbers in a metric, which may be a number, list or dict, are finite."""
    if isinstance(measured, dict):
        return all(map(all_finite, measured.values()))
    if isinstance(measured, list | tuple):
        return all(map(all_finite, measured))
    return not isinstance(measured, float) or math.isfinite(measured)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
