"""A scikit-learn classifier that is trained with the Forward-Forward algorithm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d
from torch import Tensor

from twofold import defaults
from twofold.checkpoint import module_tensors
from twofold.checks import check_arguments
from twofold.errors import DataError, SettingError, remark
from twofold.estimators import calibration
from twofold.estimators.base import ForwardForwardEstimator, expect_several
from twofold.estimators.rejection import Rejection, rejected_label, scores_of_parts
from twofold.estimators.sample import Sample
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import ClassifierSettings, weights_for
from twofold.nets.feedforward import FeedForward
from twofold.training.trainer import History
from twofold.training.weights import case_weights

EARLY = 0.8
"""Share of the epochs that are trained before the cases held out for calibration join the training cases."""
REMEMBERED, REPLAYED = 1000, 2
"""Number of earlier cases that `partial_fit` keeps, and number of them that it trains on again for each new case."""
PARTIAL_RATE = 0.3
"""Learning rate of `partial_fit`, relative to the initial one of `fit`, since it does not decrease during training."""
AT_CHANCE = 0.95
"""Training error that counts as chance, as a share of the error of always answering the most frequent class."""
RARE = 0.2
"""Share of the cases below which a class counts as rare, so that a remark suggests to balance the classes."""


class ForwardForwardClassifier(ClassifierMixin, ForwardForwardEstimator):  # type: ignore[misc]
    """Forward-Forward classifier for tables.

    A case with its right label is positive data, a case with a wrong label is negative data. Texts are one-hot encoded
    and missing values replaced, see `Preparation`, and columns are standardized to mean 0 and standard deviation 1.
    A `Remark` says if many rows to predict are far from the training data, unless ``reject`` is set.

    Predicted probabilities are calibrated on a tenth of the cases, at most 1,000, which are held out for the first four
    fifths of the epochs and added to the training cases afterwards. With fewer than 100 cases, or a single epoch, no
    cases are held out and probabilities are not calibrated.

    Args:
        widths: Number of units of each layer; an integer for a single layer. (200,) by default.
        epochs: Number of epochs, or the maximum with early stopping; ``"auto"`` (default) uses 16, and more for tables
            of few cases.
        batch: Number of cases per update; ``"auto"`` (default) uses 50.
        rate: Learning rate of the layers; ``"auto"`` (default) uses 1, and proportionally less for more than 32
            columns and for more epochs than by default; `partial_fit` then uses 0.3 of that.
        test: ``"fast"`` (default) classifies with a softmax of the hidden activities, ``"slow"`` by the goodness of the
            layers, with one pass per class.
        early_stopping: If True, hold out a fraction of the cases, stop training when the accuracy on the held-out cases
            no longer improves, and keep the net of the best epoch. False by default.
        validation_fraction: Fraction of the cases held out for early stopping; 0.1 by default.
        n_iter_no_change: Number of epochs without improvement after which training stops early; 10 by default.
        reject: Fraction of new cases to reject, those least similar to the training cases, if they are of the same kind
            as these; 0 (default) rejects none. `predict` returns ``reject_label`` for rejected cases. `fit` trains up
            to three more nets to measure the threshold on cases that a net was not trained on.
        reject_label: Label of rejected cases, of the type of the classes but not one of them. ``None`` (default) uses
            -1, or ``"rejected"`` for text labels. With boolean labels, `predict` then returns integers: 1 for True.
        class_weight: Weight of each class: a dictionary, or ``"balanced"`` for weights inversely proportional to the
            numbers of cases. ``None`` (default) weights all classes by 1. The fast test multiplies the probability of
            each class by its weight; for the slow test, cases are weighted in training, so choose the test before
            `fit`.
        warm_start: If True, `fit` continues with the net, the scaling and the classes of an earlier fit. False by
            default.
        random_state: Integer seed, ``RandomState`` or ``None`` (default), for the initial weights, the order of the
            cases, negative data and held-out cases.
        device: ``"cpu"`` (default), ``"cuda"``, or ``"auto"`` for a GPU if there is one.
        precision: Precision of matrix products: ``"fp32"`` (default), ``"bf16"``, or ``"auto"`` for bf16 where it is
            fast.
        verbose: If true, print one line per epoch. False by default.

    Attributes:
        classes_: Sorted labels, ``(classes,)``.
        net_: The trained `twofold.FeedForward`. Its inputs are the standardized columns and a constant.
        n_iter_: Number of training epochs.
        history_: Metrics of each epoch.
        temperature_: Temperature by which logits are divided before the softmax.
        threshold_: Cases whose score (see `score_samples`) is lower are rejected.
        validation_scores_: List of the accuracies on the held-out cases after each epoch; only with early stopping.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, ``(n_features_in_,)``, if all of them are strings.
    """

    net_: FeedForward
    classes_: NDArray[Any]
    _class_weights: NDArray[np.float32]

    def __init__(
        self,
        widths: int | Sequence[int] = defaults.TABLE_WIDTHS,
        *,
        epochs: int | Literal["auto"] = "auto",
        batch: int | Literal["auto"] = "auto",
        rate: float | Literal["auto"] = "auto",
        test: str = "fast",
        early_stopping: bool = False,
        validation_fraction: float = defaults.TABLE_VALIDATION,
        n_iter_no_change: int = defaults.TABLE_PATIENCE,
        reject: float = 0.0,
        reject_label: Any = None,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        device: str = "cpu",
        precision: str = "fp32",
        verbose: bool | int = False,
    ) -> None:
        self.widths = widths
        self.epochs = epochs
        self.batch = batch
        self.rate = rate
        self.test = test
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.reject = reject
        self.reject_label = reject_label
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose

    # ---- learning ------------------------------------------------------------------------------------------------

    @check_arguments
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier.

        Args:
            X: Table, ``(cases, features)``, which may have texts and missing values, or a sparse matrix of numbers.
            y: Labels, numbers or strings, ``(cases,)``.
            sample_weight: Weight of each case relative to their mean, ``(cases,)``; all 1 if omitted. Cases with a
                weight of 0 are left out.

        Returns:
            The fitted estimator.

        Raises:
            DataError: The table has values that cannot be used, or there is only one class.
            ArgumentError, SettingError: A parameter of the constructor is invalid.
            Diverged: A layer has values that are not finite, or has collapsed.
        """
        settings = self._settings(ClassifierSettings)
        warm = settings.warm_start and "net_" in self.__dict__
        table, y = self._labeled(not warm, X, y)
        if not warm:
            self.classes_ = np.unique(y)
        self._check_classes()
        self.__dict__.pop("validation_scores_", None)  # from an earlier fit
        wanted, weights = self._numbers(y), case_weights(sample_weight, None, table, y)
        weights = self._weigh_classes(settings, y, wanted, weights)
        if not (used := weights > 0).all():
            table, y, weights, wanted = table[used.numpy()], y[used.numpy()], weights[used], wanted[used]
        weights = torch.ones_like(weights) if (weights == weights[0]).all() else weights / weights.mean()
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        aside = calibration.aside(settings, wanted, random)
        if not warm:
            self._scaling = Scaling()
            self._scaling.see(table[~aside.numpy()] if settings.early_stopping else table)
        self._prepare(settings, table.shape[0], seed, warm)
        cases = (self._scaling.cases(table), wanted, weights)
        rest, judged = (tuple(part[mask] for part in cases) for mask in (~aside, aside))
        if settings.early_stopping:
            self._stop_early(settings, rest, judged)
            self._calibrate(judged)
        else:
            early = min(round(EARLY * self.recipe_.epochs), self.recipe_.epochs - 1)
            self._learn(rest, early if len(judged[0]) else None)
            self._calibrate(judged)
            self._learn(cases)
        self._remark_if_at_chance(*cases)
        self._sample = Sample(REMEMBERED, self.recipe_.seed)
        data = (table, y, weights.numpy(), wanted.numpy(), random)
        self._rejection = Rejection(scores_of_parts(self, *data) if settings.reject else np.empty(0))
        return self

    @check_arguments
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on additional cases, with a constant learning rate, without calibrating probabilities.

        Each part is mixed with earlier cases, so that classes that are missing from it are not forgotten: two for each
        new case, and enough for a whole batch. They are drawn from a uniform sample of the cases of all earlier parts,
        of which the estimator keeps up to 1,000.

        Args:
            X: Table, ``(cases, features)``, as in `fit`. Texts that are not in the first part are encoded as zeros.
            y: Labels, ``(cases,)``.
            classes: All labels that will occur; required in the first call, optional in later ones.
            sample_weight: Weight of each case, ``(cases,)``; all 1 if omitted.

        Returns:
            The estimator.

        Raises:
            DataError: The data are invalid, as in `fit`; ``classes`` is missing in the first call; or a label is not in
                ``classes``.
            SettingError: ``class_weight`` is "balanced", which needs all cases.
        """
        settings = self._settings(ClassifierSettings)
        first = "net_" not in self.__dict__
        if first and classes is None:
            raise DataError("classes is None, expected all labels that will occur in the first call of partial_fit")
        if self.class_weight == "balanced":
            raise SettingError(
                "class_weight is 'balanced', but partial_fit does not know the frequencies of the classes: give a "
                "dictionary of their weights"
            )
        table, y = self._labeled(first, X, y)
        if first:
            self.classes_ = np.unique(column_or_1d(classes))
            self._check_classes()
            self._scaling = Scaling()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise DataError("classes differ from those in the first call of partial_fit: give the same, or omit them")
        wanted, weights = self._numbers(y), case_weights(sample_weight, None, table, y)
        weights = self._weigh_classes(settings, self.classes_, wanted, weights)
        self._scaling.see(table)
        cases = self._scaling.cases(table)
        if first:
            self._prepare(settings, defaults.BATCH, int(check_random_state(self.random_state).randint(2**31 - 1)))
            self._sample = Sample(REMEMBERED, self.recipe_.seed)
            self._rejection = Rejection(np.empty(0))
        elif settings.reject:
            self._rejection.add(self._familiarity(cases))
        data: tuple[Tensor, ...] = (cases, wanted, weights)
        if len(self._sample):
            count = max(REPLAYED * len(cases), self.recipe_.batch - len(cases))
            rows, *rest = self._sample.draw(count)
            earlier = (self._scaling.cases(rows), *map(torch.from_numpy, rest))
            data = tuple(torch.cat(both) for both in zip(data, earlier, strict=True))
        self._learn_once(data, self.recipe_.rate * (PARTIAL_RATE if self.rate == "auto" else 1.0))
        self._sample.add(table, wanted.numpy(), weights.numpy())
        return self

    def _check_classes(self) -> None:
        expect_several(self.classes_)
        if self.reject:
            rejected_label(self.reject_label, self.classes_)

    def _weigh_classes(self, settings: ClassifierSettings, y: NDArray[Any], labels: Tensor, weights: Tensor) -> Tensor:
        """Set the weights of the classes, and return the weights of the cases for training; see `weights_for`."""
        of_classes = torch.ones(len(self.classes_))
        of_classes[self._numbers(y)] = case_weights(None, self.class_weight, y, y)
        weights, of_classes = weights_for(settings.test, labels, weights, of_classes)
        self._class_weights = of_classes.numpy()
        return weights

    def _weights_with_classes(self, labels: Tensor, weights: Tensor) -> Tensor:
        """Multiply the weights of cases, ``(cases,)``, by those of their classes that training does not use."""
        return weights * torch.from_numpy(self._class_weights)[labels]

    def _numbers(self, y: NDArray[Any]) -> Tensor:
        """Return the index in ``classes_`` of each label, ``(cases,)``."""
        indices = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (unknown := self.classes_[indices] != y).any():
            raise DataError(f"y has the unknown label {y[unknown][0]!s}: give all classes in the first call")
        return torch.from_numpy(indices.astype(np.int64))

    def _prepare(self, settings: ClassifierSettings, cases: int, seed: int, warm: bool = False) -> None:
        """Build an untrained net for a table of ``cases`` rows or, if ``warm``, keep the fitted net."""
        self.temperature_, columns = 1.0, len(self._scaling.nonzeros)
        recipe = settings.labeled(cases, columns, self._scaling.share, seed)
        if not warm:
            self._begin(settings, recipe, {"shape": (1, 1, columns + 1), "classes": len(self.classes_)})
            return
        if recipe.widths != self.recipe_.widths:
            raise SettingError(
                f"widths is {recipe.widths}, but the fitted net has {self.recipe_.widths}: set warm_start=False"
            )
        self.recipe_, self.history_ = recipe, History()

    def _stop_early(self, settings: ClassifierSettings, rest: tuple[Tensor, ...], judged: tuple[Tensor, ...]) -> None:
        """Train until the accuracy on held-out cases no longer improves, and restore the net of the best epoch."""
        self.validation_scores_: list[float] = []
        best: dict[str, Tensor] = {}
        for _ in self._epochs(rest):
            score = 1 - self._error(*judged)
            if score > max(self.validation_scores_, default=-1.0):
                best = {name: tensor.clone() for name, tensor in module_tensors(self.net_).items()}
            self.validation_scores_.append(score)
            if len(self.validation_scores_) - 1 - int(np.argmax(self.validation_scores_)) >= settings.n_iter_no_change:
                break
        self._restore(best)

    def _calibrate(self, judged: tuple[Tensor, ...]) -> None:
        cases, labels, weights = judged
        if len(cases):
            judged = labels, self._weights_with_classes(labels, weights)
            self.temperature_ = calibration.temperature(self._logits(cases), *judged)

    def _error(self, cases: Tensor, labels: Tensor, weights: Tensor) -> float:
        """Return the weight of the misclassified cases, as a share of the weight of all cases."""
        weights = self._weights_with_classes(labels, weights)
        return (weights @ (self._logits(cases).argmax(1) != labels).float() / weights.sum()).item()

    def _remark_if_at_chance(self, cases: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Issue a remark if the error is about that of always answering the most frequent class; see `AT_CHANCE`."""
        step = math.ceil(len(cases) / self.net_.at_once)
        cases, labels, weights = cases[::step], labels[::step], weights[::step]
        sums = torch.bincount(labels, self._weights_with_classes(labels, weights))
        error, shares = self._error(cases, labels, weights), sums / sums.sum()
        steps = self.n_iter_ * math.ceil(len(cases) * step / self.recipe_.batch)
        chance = 1 - shares.max().item()
        if error < AT_CHANCE * chance or not chance or steps < defaults.TABLE_STEPS:
            return
        balance = "for a rare class, set class_weight='balanced'; otherwise " if shares[shares > 0].min() < RARE else ""
        remark(
            f"the error on the training cases is {100 * error:.1f} %, hardly better than always answering the most "
            f"frequent class: {balance}change rate ({self.recipe_.rate:g}), or raise epochs ({self.recipe_.epochs})"
        )

    @property
    def threshold_(self) -> float:
        """Score below which a case is rejected: the quantile ``reject`` of the scores of cases before training on them.

        `fit` scores its cases by nets that were trained on two thirds of them, `partial_fit` scores new cases by the
        net before it is trained on them. The scores are those of the later half of all cases, at most 1,000.
        """
        return self._rejection.threshold(self.reject)

    # ---- answering -----------------------------------------------------------------------------------------------

    @check_arguments
    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the label of each case.

        Args:
            X: Table, ``(cases, features)``.

        Returns:
            Labels, ``(cases,)``; ``reject_label`` for rejected cases if ``reject`` is above 0.
        """
        cases = self._cases(X)
        labels: NDArray[Any] = self.classes_[self._logits(cases).argmax(1).numpy()]
        if not self.reject:
            return labels
        rejected = rejected_label(self.reject_label, self.classes_)
        return np.where(self._familiarity(cases) < self.threshold_, np.asarray(rejected), labels)

    @check_arguments
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Predict the calibrated probability of each class.

        Args:
            X: Table, ``(cases, features)``.

        Returns:
            Probabilities, ``(cases, classes)``, in the order of ``classes_``.
        """
        probabilities: NDArray[Any] = (self._logits(self._cases(X)) / self.temperature_).softmax(1).numpy()
        return probabilities

    @check_arguments
    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Predict the logarithm of the probability of each class, ``(cases, classes)``; see `predict_proba`."""
        logarithms: NDArray[Any] = (self._logits(self._cases(X)) / self.temperature_).log_softmax(1).numpy()
        return logarithms

    @check_arguments
    def score_samples(self, X: Any) -> NDArray[Any]:
        """Return the familiarity of each case (see `Classifier.familiarity`): high for cases like the training data.

        Args:
            X: Table, ``(cases, features)``.

        Returns:
            Scores, ``(cases,)``.
        """
        return self._familiarity(self._cases(X, compare=False))

    def _cases(self, X: Any, compare: bool = True) -> Tensor:
        table = self._known(X, compare and not self.reject)
        return self._scaling.cases(table)

    def _logits(self, cases: Tensor) -> Tensor:
        """Return the uncalibrated logits, ``(cases, classes)``, on the CPU."""
        cases = cases.to(self.net_.device)
        if self.test == "slow":
            return self.net_.evidence(cases).float().cpu()
        return self.net_.fast(cases).float().cpu() + torch.from_numpy(self._class_weights).log()

    def _familiarity(self, cases: Tensor) -> NDArray[Any]:
        scores: NDArray[Any] = self.net_.familiarity(cases.to(self.net_.device)).float().cpu().numpy()
        return scores
