"""A classifier that learns with two forward passes, as scikit-learn's are used."""

from __future__ import annotations

from collections.abc import Sequence
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
from twofold.checks import typed
from twofold.errors import DataError, SettingError
from twofold.estimators import calibration
from twofold.estimators.base import ForwardForwardEstimator, expect_several
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import ClassifierSettings
from twofold.nets.feedforward import FeedForward

EARLY = 0.8
"""Share of the epochs after which the cases that were held out for the temperature are learned from, too."""


class ForwardForwardClassifier(ClassifierMixin, ForwardForwardEstimator):  # type: ignore[misc]
    """Forward-Forward on a table: the right label makes a case positive data, a wrong one negative data.

    Columns may hold any numbers: they are brought to mean 0 and standard deviation 1, as they are in the cases that are
    learned from. A tenth of these, at most a thousand, is held out for four fifths of the epochs; from what the net
    says of them follows how far its probabilities are to be trusted. Then they are learned from, too. Of fewer than a
    hundred cases none is held out, and probabilities are not calibrated, nor are they with a single epoch.

    Args:
        widths: units of each layer; a number for a single one.
        epochs: how often every case is seen; with early stopping at most. ``auto`` is 16, and more for short tables.
        batch: cases per update; ``auto`` is 50.
        rate: learning rate of the layers; ``auto`` is 1, and less in proportion for more than 32 columns.
        test: ``fast``, in which a softmax reads the hidden activities, or ``slow``, in which the layers' goodness
            decides, one pass for each class.
        early_stopping: whether a part of the cases is held out to the end, and training stops when they are named no
            better; the net is then that of the best epoch.
        validation_fraction: how large this part is.
        n_iter_no_change: epochs without an improvement after which it stops.
        reject: share of cases like those learned from that are rejected, since they look least like the others: with a
            share above 0, `predict` gives them the label ``reject_label``.
        reject_label: a label that is no class, of their kind; by default -1, or "rejected" where classes are words.
        random_state: of the first weights, the order of the cases, negative data and held-out cases.
        device: cpu, cuda, or auto, which is the GPU where there is one.
        precision: of the products: fp32, bf16, or auto, which is bf16 where it is fast.
        verbose: whether a line is printed after each epoch.

    Attributes:
        classes_: the labels, sorted.
        net_: the trained `twofold.FeedForward`; its images are the standardized columns and a constant.
        n_iter_: epochs that were learned for.
        history_: the metrics of each.
        temperature_: by which scores are divided before they become probabilities.
        threshold_: cases of which `score_samples` says less are rejected.
        validation_scores_: with early stopping the share of held-out cases named rightly after each epoch.
        n_features_in_, feature_names_in_: of the table.
    """

    net_: FeedForward
    classes_: NDArray[Any]

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
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.verbose = verbose

    # ---- learning ------------------------------------------------------------------------------------------------

    @typed
    def fit(self, X: Any, y: Any) -> Self:
        """Learn from a table ``(cases, features)`` and the label of each case, numbers or words, ``(cases,)``.

        Raises:
            DataError: no table of finite numbers, or labels of one class only.
            ArgumentError, SettingError: a parameter of the constructor is wrong.
            Diverged: a layer's numbers are not finite, or it has collapsed.
        """
        settings = self._settings(ClassifierSettings)
        table, y = self._labeled(True, X, y)
        self.classes_ = np.unique(y)
        self._check_classes()
        self.__dict__.pop("validation_scores_", None)  # of an earlier fit
        self._scaling, wanted = Scaling(), self._numbers(y)
        random = check_random_state(self.random_state)
        self._prepare(settings, len(table), random)
        aside = self._hold_out(settings, wanted, random)
        self._scaling.see(table[~aside.numpy()] if settings.early_stopping else table)
        cases = self._scaling.cases(table)
        rest, judged = (cases[~aside], wanted[~aside]), (cases[aside], wanted[aside])
        if settings.early_stopping:
            self._stop_early(settings, rest, judged)
            self._calibrate(judged)
        else:
            early = min(round(EARLY * self.recipe_.epochs), self.recipe_.epochs - 1)
            self._learn(rest, early if len(judged[0]) else None)
            self._calibrate(judged)
            self._learn((cases, wanted))
        self._set_threshold(settings, judged[0] if len(judged[0]) else cases)
        return self

    @typed
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn once from some cases more, at a rate that does not fall; probabilities stay as calibrated as they are.

        Args:
            X, y: as for `fit`.
            classes: all labels that there will be; at the first call, and only there.

        Raises:
            DataError: as for `fit`; no classes at the first call, or a label that is none of them.
        """
        settings = self._settings(ClassifierSettings)
        first = "net_" not in self.__dict__
        if first and classes is None:
            raise DataError("classes is None, expected all labels that there will be, at the first call of partial_fit")
        table, y = self._labeled(first, X, y)
        if first:
            self.classes_ = np.unique(column_or_1d(classes))
            self._check_classes()
            self._scaling = Scaling()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise DataError("classes are others than at the first call of partial_fit: give the same, or none")
        wanted = self._numbers(y)
        self._scaling.see(table)
        cases = self._scaling.cases(table)
        if first:
            self._prepare(settings, defaults.BATCH, check_random_state(self.random_state))
        self._learn_once((cases, wanted))
        self._set_threshold(settings, cases)
        return self

    def _check_classes(self) -> None:
        expect_several(self.classes_)
        if self.reject:
            self._rejected()

    def _numbers(self, y: NDArray[Any]) -> Tensor:
        """The places of labels among the classes, ``(cases,)``."""
        places = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (strange := self.classes_[places] != y).any():
            raise DataError(f"y has the label {y[strange][0]!s}, which is no class: name all classes at the first call")
        return torch.from_numpy(places.astype(np.int64))

    def _prepare(self, settings: ClassifierSettings, cases: int, random: np.random.RandomState) -> None:
        """Make the untrained net for a table of so many cases."""
        columns = self.n_features_in_
        recipe = settings.labeled(cases, columns, int(random.randint(2**31 - 1)))
        self._begin(settings, recipe, {"shape": (1, 1, columns + 1), "classes": len(self.classes_)})
        self.temperature_ = 1.0

    def _hold_out(self, settings: ClassifierSettings, labels: Tensor, random: np.random.RandomState) -> Tensor:
        """Which cases are held out, ``(cases,)``."""
        if settings.early_stopping:
            count = max(1, int(settings.validation_fraction * len(labels)))
        else:
            count = min(int(defaults.TABLE_VALIDATION * len(labels)), calibration.MOST)
            count = count if count >= calibration.FEWEST and self.recipe_.epochs > 1 else 0
        aside = calibration.held_out(labels.numpy(), count, random)
        if settings.early_stopping and not aside.any():
            raise DataError("y has no class with two cases, so that none can be held out: set early_stopping=False")
        return torch.from_numpy(aside)

    def _stop_early(
        self, settings: ClassifierSettings, rest: tuple[Tensor, Tensor], judged: tuple[Tensor, Tensor]
    ) -> None:
        """Learn until held-out cases are named no better, and go back to the best epoch."""
        self.validation_scores_: list[float] = []
        best: dict[str, Tensor] = {}
        for _ in self._epochs(rest):
            score = (self._logits(judged[0]).argmax(1) == judged[1]).float().mean().item()
            if score > max(self.validation_scores_, default=-1.0):
                best = {name: each.clone() for name, each in module_tensors(self.net_).items()}
            self.validation_scores_.append(score)
            if len(self.validation_scores_) - 1 - int(np.argmax(self.validation_scores_)) >= settings.n_iter_no_change:
                break
        self._restore(best)

    def _calibrate(self, judged: tuple[Tensor, Tensor]) -> None:
        if len(judged[0]):
            self.temperature_ = calibration.temperature(self._logits(judged[0]), judged[1])

    def _set_threshold(self, settings: ClassifierSettings, cases: Tensor) -> None:
        self.threshold_ = float(np.quantile(self._familiarity(cases), settings.reject)) if settings.reject else -np.inf

    # ---- answering -----------------------------------------------------------------------------------------------

    @typed
    def predict(self, X: Any) -> NDArray[Any]:
        """The label of each case, ``(cases,)``; where ``reject`` is above 0, ``reject_label`` for cases that look too
        little like those that were learned from."""
        cases = self._cases(X)
        named: NDArray[Any] = self.classes_[self._logits(cases).argmax(1).numpy()]
        if not self.reject:
            return named
        return np.where(self._familiarity(cases) < self.threshold_, np.asarray(self._rejected()), named)

    @typed
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, ``(cases, classes)``, in the order of ``classes_``, calibrated on cases that
        were held out."""
        probabilities: NDArray[Any] = (self._logits(self._cases(X)) / self.temperature_).softmax(1).numpy()
        return probabilities

    @typed
    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithm of each probability, ``(cases, classes)``."""
        logarithms: NDArray[Any] = (self._logits(self._cases(X)) / self.temperature_).log_softmax(1).numpy()
        return logarithms

    @typed
    def score_samples(self, X: Any) -> NDArray[Any]:
        """How much each case looks like those that were learned from, ``(cases,)``: the higher, the more; see
        `Classifier.familiarity`."""
        return self._familiarity(self._cases(X))

    def _cases(self, X: Any) -> Tensor:
        table = self._known(X)
        return self._scaling.cases(table)

    def _logits(self, cases: Tensor) -> Tensor:
        """Scores of the classes whose softmax are probabilities, ``(cases, classes)``, on the CPU."""
        cases = cases.to(self.net_.device)
        scores = self.net_.fast(cases) if self.test == "fast" else self.net_.evidence(cases)
        return scores.float().cpu()

    def _familiarity(self, cases: Tensor) -> NDArray[Any]:
        found: NDArray[Any] = self.net_.familiarity(cases.to(self.net_.device)).float().cpu().numpy()
        return found

    def _rejected(self) -> Any:
        """The label of cases that are rejected.

        Raises:
            SettingError: it is a class or of another kind than they are, or there is none unless it is stated.
        """
        usual = {"i": -1, "f": -1.0, "U": "rejected", "O": "rejected"}.get(self.classes_.dtype.kind)
        label: Any = usual if self.reject_label is None else self.reject_label
        kinds = [np.asarray(each).dtype.kind for each in (label, self.classes_.tolist())]
        if (kinds[0] != kinds[1] and kinds != ["i", "f"]) or np.ndim(label) or label in self.classes_:
            raise SettingError(
                f"reject_label is {self.reject_label!r}, expected a label that is no class, but of the same kind as "
                f"{self.classes_.tolist()[0]!r}: state another"
            )
        return label
