"""Validate the parameters of the estimators, and convert them to recipes for tables of a given size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from twofold import defaults
from twofold.checks import check_fields
from twofold.checks.bounds import counts, not_negative, positive, share, sizes
from twofold.errors import DataError, SettingError, unknown
from twofold.methods import FeedForwardRecipe, UnsupervisedRecipe
from twofold.recipes.digits import digits
from twofold.recipes.mnist_hybrid import mnist_hybrid
from twofold.recipes.own import epochs_for, for_tables

Auto = Literal["auto"]
TESTS = ("fast", "slow")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Parameters shared by both estimators; see `ForwardForwardClassifier`.

    Raises:
        ArgumentError: A parameter has the wrong type.
        SettingError: A number is outside its range, or a name is unknown.
    """

    widths: tuple[int, ...]
    epochs: int | Auto
    batch: int | Auto
    rate: float | Auto
    device: str
    precision: str
    verbose: bool | int

    def __post_init__(self) -> None:
        if isinstance(self.widths, int):
            object.__setattr__(self, "widths", (self.widths,))
        check_fields(self)
        sizes(widths=self.widths)
        counts(epochs=None if self.epochs == "auto" else self.epochs)
        counts(batch=None if self.batch == "auto" else self.batch)
        not_negative(verbose=self.verbose)
        positive(rate=None if self.rate == "auto" else self.rate)

    def labeled(self, cases: int, columns: int, sparse: float, seed: int) -> FeedForwardRecipe:
        """Return the recipe for a labeled table; ``sparse`` is the share of sparse columns, see `for_tables`.

        With more epochs than by default, the default rate is proportionally lower: longer training at the same rate
        would memorize cases.
        """
        batch = self._batch(cases)
        stated = {name: value for name, value in (("epochs", self.epochs), ("rate", self.rate)) if value != "auto"}
        adapted = for_tables(columns, cases, batch, self.widths, sparse)
        if self.epochs != "auto":
            adapted["rate"] *= min(1.0, adapted["epochs"] / self.epochs)
        return replace(digits, data="table", batch=batch, seed=seed, **{**adapted, **stated})

    def unlabeled(self, cases: int, blurs: int, seed: int) -> UnsupervisedRecipe:
        """Return the recipe for an unlabeled table; for ``blurs``, see `UnsupervisedRecipe`."""
        return replace(
            mnist_hybrid,
            data="table",
            widths=self.widths,
            batch=max(2, self._batch(cases)),
            epochs=epochs_for(cases, self._batch(cases)) if self.epochs == "auto" else self.epochs,
            rate=defaults.RATE if self.rate == "auto" else self.rate,
            blurs=blurs,
            counted_from=1,
            tolerance=0.0,
            seed=seed,
        )

    def _batch(self, cases: int) -> int:
        return min(cases, defaults.BATCH if self.batch == "auto" else self.batch)


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(Settings):
    """Parameters of `ForwardForwardClassifier`."""

    test: str
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    reject: float
    warm_start: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test not in TESTS:
            raise unknown("test", self.test, TESTS)
        share(validation_fraction=self.validation_fraction, reject=self.reject)
        if not self.validation_fraction:
            raise SettingError("validation_fraction is 0, expected a fraction above 0")
        counts(n_iter_no_change=self.n_iter_no_change)


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(Settings):
    """Parameters of `ForwardForwardFeatures`."""

    shape: tuple[int, ...] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape is not None:
            sizes(shape=self.shape)
            if len(self.shape) not in (2, 3):
                raise SettingError(f"shape is {self.shape}, expected (height, width) or (channels, height, width)")


def weights_for(test: str, labels: Tensor, weights: Tensor, of_classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of cases in training, ``(cases,)``, and those of classes in predictions, ``(classes,)``.

    The slow test needs the weights of the classes in training. The fast test adds the logarithm of the weight of each
    class to its logit instead, since a net memorizes few cases with large weights.

    Args:
        test: Test that predicts the labels, ``fast`` or ``slow``.
        labels: Index of the label of each case, ``(cases,)``.
        weights: Weight of each case without that of its class, ``(cases,)``.
        of_classes: Weight of each class, ``(classes,)``.

    Raises:
        DataError: All cases have the weight 0, or belong to classes with the weight 0.
    """
    weights = weights * (of_classes[labels] > 0)
    if not weights.any():
        raise DataError("all weights are 0, expected at least one case with a weight above 0")
    if test == "slow":
        weights, of_classes = weights * of_classes[labels], torch.ones_like(of_classes)
    return weights, of_classes / of_classes[labels].mean()
