"""The base class of the estimators: it validates data with scikit-learn, trains nets and pickles them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data
from torch import Tensor

from twofold import machine
from twofold.checkpoint import module_tensors
from twofold.data.preparation import Preparation
from twofold.errors import ArgumentError, DataError, Diverged, SettingError, remark
from twofold.estimators.columns import encoded, fitted, has_texts, is_frame, named_columns, require_numbers
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import Settings
from twofold.methods import METHODS, Recipe, build
from twofold.nets.net import Net
from twofold.training.trainer import History, Trainer

S = TypeVar("S", bound=Settings)

ADVICE = {
    "Input y contains": "omit cases without a label",
    "Input contains NaN": "omit cases without a label",
    "value of NA is ambiguous": "omit cases without a label",
    "contains NaN": "impute missing values, for instance with sklearn.impute.SimpleImputer",
    "contains infinity": "remove or correct these cases",
    "could not convert string": "give numbers, as in fit",
}
"""Part of an error message of scikit-learn -> advice, which replaces scikit-learn's advice about other estimators."""

USUAL = 0.25
"""Share of rows with a value far beyond those of the training data up to which no remark is made."""


class ForwardForwardEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of estimators that train a net."""

    net_: Net
    recipe_: Recipe
    history_: History
    _form: dict[str, Any]
    _preparation: Preparation | None
    _scaling: Scaling

    def _settings(self, settings: type[S]) -> S:
        return settings(**{field.name: getattr(self, field.name) for field in fields(settings)})

    def _validated(self, reset: bool, **data: Any) -> Any:
        """Validate data with scikit-learn and return the arrays.

        Args:
            reset: If True, remember the columns, as in `fit`; if False, require the remembered columns.
            data: ``X`` and, optionally, ``y``.

        Returns:
            The arrays. A table with columns of text is returned unchanged if it is a DataFrame, else as an array of
            objects.

        Raises:
            DataError: The table has infinite numbers, or other columns than in `fit`; or labels are missing.
            ArgumentError: The data are not a table.
        """
        X = data["X"]
        numbers = issparse(X) or (not reset and self._preparation is None)
        texts = not numbers and has_texts(X)
        try:
            if texts and is_frame(X):
                validate_data(self, **data, reset=reset, skip_check_array=True)
                return (X, check_X_y(np.zeros((len(X), 1)), data["y"])[1]) if "y" in data else X
            types, finite = None if texts else [np.float64, np.float32], True if numbers else "allow-nan"
            return validate_data(self, **data, reset=reset, dtype=types, accept_sparse="csr", ensure_all_finite=finite)
        except (ValueError, TypeError) as error:
            message, error_type = str(error), ArgumentError if isinstance(error, TypeError) else DataError
            for fault, advice in ADVICE.items():
                if fault in message:
                    message = f"{message.splitlines()[0].rstrip('.')}: {advice}"
            raise error_type(" ".join(message.split())) from None

    def _encoded(self, table: Any, reset: bool) -> tuple[NDArray[Any], dict[int, str]]:
        """Convert a validated table to numbers, and describe the values that are far from all training values by row.

        A sparse matrix is returned as it is. With ``reset``, the preparation is fitted to the table.
        """
        if reset:
            names = getattr(self, "feature_names_in_", None)
            self._preparation = None if issparse(table) else fitted(named_columns(table, names))
        if self._preparation is None:
            return table, {}
        if issparse(table):
            require_numbers(self._preparation)
            return table, {}
        return encoded(self._preparation, named_columns(table, self._preparation.columns))

    def _labeled(self, reset: bool, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Convert a table and its labels to validated arrays of numbers and labels; ``reset`` is as in `_validated`."""
        table, y = self._validated(reset, X=X, y=_without_extension_type(y))
        try:
            check_classification_targets(y)
            np.unique(y)
        except (ValueError, TypeError) as error:
            types = sorted({type(label).__name__ for label in np.ravel(y).tolist()})
            message = f"it has {' and '.join(types)}, expected labels of one type" if len(types) > 1 else error
            raise DataError(f"y: {' '.join(str(message).split())}") from None
        table, _ = self._encoded(table, reset)
        if not reset and self._preparation is not None and not issparse(table):
            self._preparation = self._preparation.with_ranges_of(table)
        return table, y

    def _known(self, X: Any, compare: bool = True) -> NDArray[Any]:
        """Convert a table to an array of numbers; the columns must be those of `fit`.

        With ``compare``, a `Remark` says if more than `USUAL` of the rows have values far beyond those of the training
        data.

        Raises:
            NotFittedError: The estimator is not fitted.
            DataError, ArgumentError: The table is invalid, or has other columns than in `fit`.
        """
        check_is_fitted(self)
        table, unusual = self._encoded(self._validated(False, X=X), False)
        if compare and len(unusual) > USUAL * table.shape[0]:
            row, reason = min(unusual.items())
            remark(
                f"X: {len(unusual)} of {table.shape[0]} rows do not look like the training data, such as row "
                f"{row + 1}: {reason}: check the order and the units of the columns"
            )
        return table

    def _begin(self, settings: Settings, recipe: Recipe, form: dict[str, Any]) -> None:
        """Build the untrained net of a recipe for data of this ``form``: "shape" and, for labeled data, "classes"."""
        device = machine.choose_device(settings.device)
        precision = machine.choose_precision(settings.precision, device)
        machine.require_memory(METHODS[recipe.method].needed_memory(recipe, form, precision, False), device)
        self.recipe_, self._form, self.history_ = recipe, form, History()
        self.net_ = build(recipe, form).to(device)
        self.net_.set_precision(precision)

    def _trainer(self, recipe: Recipe, data: tuple[Tensor, ...]) -> Trainer:
        """Return a trainer for ``data``: the cases, the labels and, optionally, the weights of the cases."""
        cases, labels, *weights = data
        return Trainer(self.net_, recipe, (cases, labels), case_weight=weights[0] if weights else None)

    def _next(self, epochs: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """Train for an epoch and return its metrics.

        Raises:
            Diverged: A layer has values that are not finite, or has collapsed. The message names parameters of the
                estimator.
        """
        try:
            return next(epochs)
        except Diverged as error:
            raise Diverged(
                f"the training diverged in epoch {len(self.history_) + 1}: lower rate (it is {self.recipe_.rate:g}), "
                f"or raise batch (it is {self.recipe_.batch})"
            ) from error

    def _epochs(self, data: tuple[Tensor, ...], last: int | None = None) -> Iterator[dict[str, Any]]:
        """Train until ``last`` epochs are done, by default all of the recipe's, and yield the metrics of each epoch."""
        trainer = self._trainer(self.recipe_, data)
        trainer.history = self.history_
        epochs = trainer.epochs()
        while len(self.history_) < (self.recipe_.epochs if last is None else last):
            metrics = self._next(epochs)
            if self.verbose:
                error = f", training error {100 * metrics['train_error']:.1f} %" if data[1].any() else ""
                print(f"epoch {metrics['epoch']} of {self.recipe_.epochs}{error}, {metrics['seconds']:.2f} s")
            yield metrics

    def _learn(self, data: tuple[Tensor, ...], last: int | None = None) -> None:
        for _ in self._epochs(data, last):
            pass

    def _learn_once(self, data: tuple[Tensor, ...], rate: float) -> None:
        """Train for one epoch with a constant learning rate."""
        seed = self.recipe_.seed + len(self.history_)
        recipe = replace(self.recipe_, epochs=1, schedule="constant", rate=rate, seed=seed)
        self.history_.append(self._next(self._trainer(recipe, data).epochs()))

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        """Copy ``tensors``, by name, into the parameters and buffers of the net."""
        with torch.no_grad():
            for name, tensor in module_tensors(self.net_).items():
                tensor.copy_(tensors[name])

    @property
    def n_iter_(self) -> int:
        """Number of training epochs."""
        return len(self.history_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.categorical = tags.input_tags.allow_nan = True
        return tags

    # ---- pickles -------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with arrays in place of the net, so that a pickle does not depend on a device."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "net_" in state:
            state["net_"] = {
                name: tensor.detach().cpu().numpy().copy() for name, tensor in module_tensors(self.net_).items()
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" not in self.__dict__:
            return
        arrays: Any = self.net_
        self.net_ = build(self.recipe_, self._form)
        self._restore({name: torch.tensor(array) for name, array in arrays.items()})
        device = _available(machine.choose_device, self.device, "cpu")
        precision = _available(lambda name: machine.choose_precision(name, device), self.precision, "fp32")
        self.net_.to(device).set_precision(precision)


def _without_extension_type(y: Any) -> Any:
    """Convert labels of a nullable pandas dtype, such as Int64, to a NumPy array; labels with gaps are unchanged."""
    numpy_type = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    return y if numpy_type is None or y.isna().any() else y.to_numpy(numpy_type)


def expect_several(classes: NDArray[Any]) -> None:
    """Raise a `DataError` if there are fewer than two classes."""
    if len(classes) < 2:
        raise DataError(f"y has only one class, {classes[0]!s}, expected at least 2")


def _available(choose: Callable[[str], Any], wanted: str, fallback: str) -> Any:
    """Return ``choose(wanted)``, or ``choose(fallback)`` with a remark if this machine does not support ``wanted``."""
    try:
        return choose(wanted)
    except SettingError:
        remark(f"this estimator was fitted with {wanted}, which is not available: using {fallback} instead")
        return choose(fallback)
