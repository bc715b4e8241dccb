"""The base class of the estimators: it validates data with scikit-learn, trains nets and pickles them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from twofold import machine
from twofold.checkpoint import module_tensors
from twofold.errors import ArgumentError, DataError, Diverged, SettingError, remark
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import Settings
from twofold.methods import METHODS, Recipe, build
from twofold.nets.net import Net
from twofold.training.trainer import History, Trainer

S = TypeVar("S", bound=Settings)

ADVICE = {
    "Input y contains": "omit cases without a label",
    "Input contains NaN": "omit cases without a label",
    "value of NA is ambiguous": "impute missing values, and omit cases without a label",
    "contains NaN": "impute missing values, for instance with sklearn.impute.SimpleImputer",
    "contains infinity": "remove or correct these cases",
    "could not convert string": "encode text columns as numbers, for instance with sklearn.preprocessing.OneHotEncoder",
}
"""Part of an error message of scikit-learn -> advice, which replaces scikit-learn's advice about other estimators."""


class ForwardForwardEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of estimators that train a net."""

    net_: Net
    recipe_: Recipe
    history_: History
    _form: dict[str, Any]
    _scaling: Scaling

    def _settings(self, settings: type[S]) -> S:
        return settings(**{field.name: getattr(self, field.name) for field in fields(settings)})

    def _validated(self, reset: bool, **data: Any) -> Any:
        """Validate data with scikit-learn and return the arrays.

        Args:
            reset: If True, remember the columns, as in `fit`; if False, require the remembered columns.
            data: ``X`` and, optionally, ``y``.

        Raises:
            DataError: The table has values that are not finite numbers, or other columns than in `fit`.
            ArgumentError: The data are not a table.
        """
        try:
            return validate_data(self, **data, reset=reset, dtype=[np.float64, np.float32], accept_sparse="csr")
        except (ValueError, TypeError) as error:
            message, error_type = str(error), ArgumentError if isinstance(error, TypeError) else DataError
            for fault, advice in ADVICE.items():
                if fault in message:
                    message = f"{message.splitlines()[0].rstrip('.')}: {advice}"
            raise error_type(" ".join(message.split())) from None

    def _labeled(self, reset: bool, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Convert a table and its labels to validated arrays; ``reset`` is as in `_validated`."""
        table, y = self._validated(reset, X=X, y=_without_extension_type(y))
        try:
            check_classification_targets(y)
            np.unique(y)
        except (ValueError, TypeError) as error:
            types = sorted({type(label).__name__ for label in np.ravel(y).tolist()})
            message = f"it has {' and '.join(types)}, expected labels of one type" if len(types) > 1 else error
            raise DataError(f"y: {' '.join(str(message).split())}") from None
        return table, y

    def _known(self, X: Any) -> NDArray[Any]:
        """Convert a table to a validated array; the columns must be those of `fit`.

        Raises:
            NotFittedError: The estimator is not fitted.
            DataError, ArgumentError: The table is invalid, or has other columns than in `fit`.
        """
        check_is_fitted(self)
        table: NDArray[Any] = self._validated(False, X=X)
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

    def _learn_once(self, data: tuple[Tensor, ...]) -> None:
        """Train for one epoch with a constant learning rate."""
        recipe = replace(self.recipe_, epochs=1, schedule="constant", seed=self.recipe_.seed + len(self.history_))
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
        tags.input_tags.sparse = True
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
