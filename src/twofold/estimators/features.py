"""A scikit-learn transformer whose features are learned with the Forward-Forward algorithm."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from torch import Tensor

from twofold import defaults
from twofold.checks import check_arguments
from twofold.errors import DataError, SettingError
from twofold.estimators.base import ForwardForwardEstimator, expect_several
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import FeatureSettings
from twofold.methods import Recipe
from twofold.nets.classifier import SoftmaxClassifier

SIDE = 28
"""Side length, in pixels, of the pictures for which `defaults.BLURS` is chosen."""


class ForwardForwardFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ForwardForwardEstimator):  # type: ignore[misc]
    """Forward-Forward features: the normalized activities of trained layers.

    With labels, a case with its right label is positive data and a case with a wrong label is negative data. Without
    labels, negative data are hybrids of two cases: each column, or each patch of a picture, is taken from one of the
    two cases.

    Args:
        widths, epochs, batch, rate, random_state, device, precision, verbose: See `ForwardForwardClassifier`.
        shape: ``(height, width)`` or ``(channels, height, width)`` if the columns are the pixels of a picture; ``None``
            (default) for other tables.

    Attributes:
        net_: The trained `twofold.FeedForward` or, without labels, `twofold.Unsupervised`.
        n_iter_: Number of training epochs.
        history_: Metrics of each epoch.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, ``(n_features_in_,)``, if all of them are strings.
    """

    net_: SoftmaxClassifier

    def __init__(
        self,
        widths: tuple[int, ...] = defaults.TABLE_WIDTHS,
        *,
        shape: tuple[int, ...] | None = None,
        epochs: int | Literal["auto"] = "auto",
        batch: int | Literal["auto"] = "auto",
        rate: float | Literal["auto"] = "auto",
        random_state: Any = None,
        device: str = "cpu",
        precision: str = "fp32",
        verbose: bool | int = False,
    ) -> None:
        self.widths = widths
        self.shape = shape
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose

    @check_arguments
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the transformer.

        Args:
            X: Table, ``(cases, features)``, which may have texts and missing values, or a sparse matrix of numbers.
            y: Labels, ``(cases,)``, or ``None`` (default) to learn without labels.

        Returns:
            The fitted estimator.

        Raises:
            DataError: The table has values that cannot be used; or there is only one class or, without labels, only one
                case.
            ArgumentError, SettingError: A parameter of the constructor is invalid.
            Diverged: A layer has values that are not finite, or has collapsed.
        """
        settings = self._settings(FeatureSettings)
        if y is None:
            (table, _), classes = self._encoded(self._validated(True, X=X), True), np.arange(2)
            labels = torch.zeros(table.shape[0], dtype=torch.int64)
            if table.shape[0] < 2:
                raise DataError("X has 1 sample, expected at least 2 without labels, since hybrids combine two samples")
        else:
            table, y = self._labeled(True, X, y)
            classes, indices = np.unique(y, return_inverse=True)
            expect_several(classes)
            labels = torch.from_numpy(indices.astype(np.int64))
        if settings.shape is not None and math.prod(settings.shape) != table.shape[1]:
            raise SettingError(f"shape is {settings.shape}, but X has {table.shape[1]} columns, expected one per pixel")
        self._scaling = Scaling()
        self._scaling.see(table)
        cases = self._cases(table)
        shape, seed = tuple(cases.shape[1:]), int(check_random_state(self.random_state).randint(2**31 - 1))
        count, columns = table.shape
        recipe: Recipe = settings.unlabeled(count, 0 if settings.shape is None else _blurs(shape), seed)
        if y is not None:
            recipe = settings.labeled(count, columns, self._scaling.share, seed)
        self._begin(settings, recipe, {"shape": shape, "classes": len(classes)})
        self._learn((cases, labels))
        self._n_features_out = self.net_.softmax.weights.connectivity.inputs
        return self

    @check_arguments
    def transform(self, X: Any) -> NDArray[Any]:
        """Return the normalized activities of all layers. A net trained with labels gets a neutral label.

        Args:
            X: Table, ``(cases, features)``.

        Returns:
            Activities, ``(cases, units)``, float32.
        """
        cases = self._cases(self._known(X)).to(self.net_.device)
        features = [self.net_.features(batch).cpu() for batch in torch.split(cases, self.net_.at_once)]
        activities: NDArray[Any] = torch.cat(features).numpy()
        return activities

    def _cases(self, table: NDArray[Any]) -> Tensor:
        if self.shape is None:
            return self._scaling.cases(table)
        channels, height, width = (1, *self.shape)[-3:]
        return self._scaling.standardized(table).view(-1, channels, height, width)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _blurs(shape: tuple[int, ...]) -> int:
    """Return how often to blur the mask of a hybrid, so that its patches keep their size relative to the picture."""
    return max(1, round(defaults.BLURS * (max(shape) / SIDE) ** 2))
