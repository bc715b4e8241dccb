"""Features that layers learned by goodness, with labels or without, as a transformer of scikit-learn."""

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
from twofold.checks import typed
from twofold.errors import DataError, SettingError
from twofold.estimators.base import ForwardForwardEstimator, expect_several
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import FeatureSettings
from twofold.methods import Recipe
from twofold.nets.classifier import SoftmaxClassifier

SIDE = 28
"""Side of the pictures for which `defaults.BLURS` is meant."""


class ForwardForwardFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ForwardForwardEstimator):  # type: ignore[misc]
    """Normalized activities of layers that learned by Forward-Forward.

    With labels the right one makes a case positive data, and a wrong one negative data. Without labels, negative data
    are hybrids of two cases: each column comes from either of them, or, where columns are the pixels of a picture,
    whole patches do.

    Args:
        widths, epochs, batch, rate, random_state, device, precision, verbose: see `ForwardForwardClassifier`.
        shape: (height, width) or (channels, height, width) where a case is a picture, whose pixels are the columns.

    Attributes:
        net_: the trained `twofold.FeedForward` or, without labels, `twofold.Unsupervised`.
        n_iter_: epochs that were learned for.
        history_: the metrics of each.
        n_features_in_, feature_names_in_: of the table.
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

    @typed
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a table ``(cases, features)``, and from the label of each case where there are labels.

        Raises:
            DataError: no table of finite numbers, a single case without a label, or labels of one class only.
            ArgumentError, SettingError: a parameter of the constructor is wrong.
            Diverged: a layer's numbers are not finite, or it has collapsed.
        """
        settings = self._settings(FeatureSettings)
        if y is None:
            table, classes = self._validated(True, X=X), np.arange(2)
            labels = torch.zeros(len(table), dtype=torch.int64)
            if len(table) < 2:
                raise DataError("X has 1 sample, expected at least 2 without labels: a hybrid is made of two")
        else:
            table, y = self._labeled(True, X, y)
            classes, places = np.unique(y, return_inverse=True)
            expect_several(classes)
            labels = torch.from_numpy(places.astype(np.int64))
        if settings.shape is not None and math.prod(settings.shape) != table.shape[1]:
            raise SettingError(f"shape is {settings.shape}, but X has {table.shape[1]} columns, expected one a pixel")
        self._scaling = Scaling()
        self._scaling.see(table)
        cases = self._cases(table)
        shape, seed = tuple(cases.shape[1:]), int(check_random_state(self.random_state).randint(2**31 - 1))
        count, columns = table.shape
        recipe: Recipe = settings.unlabeled(count, 0 if settings.shape is None else _blurs(shape), seed)
        if y is not None:
            recipe = settings.labeled(count, columns, seed)
        self._begin(settings, recipe, {"shape": shape, "classes": len(classes)})
        self._learn((cases, labels))
        self._n_features_out = self.net_.softmax.weights.connectivity.inputs
        return self

    @typed
    def transform(self, X: Any) -> NDArray[Any]:
        """The normalized activities of all layers, ``(cases, features)``, float32; where labels were learned from,
        those under a label that says nothing."""
        cases = self._cases(self._known(X)).to(self.net_.device)
        parts = [self.net_.features(part).cpu() for part in torch.split(cases, self.net_.at_once)]
        features: NDArray[Any] = torch.cat(parts).numpy()
        return features

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
    """Blurs of the masks of hybrids, so that patches are as large beside a picture as those of `defaults` are."""
    return max(1, round(defaults.BLURS * (max(shape) / SIDE) ** 2))
