"""What both estimators share: data checked as scikit-learn does, a net that is trained, and pickles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from twofold import machine
from twofold.checkpoint import module_tensors
from twofold.errors import ArgumentError, DataError, SettingError, remark
from twofold.estimators.scaling import Scaling
from twofold.estimators.settings import Settings
from twofold.methods import METHODS, Recipe, build
from twofold.nets.net import Net
from twofold.training.trainer import History, Trainer

S = TypeVar("S", bound=Settings)

ADVICE = {
    "Input y contains": "leave out cases without a label",
    "Input contains NaN": "leave out cases without a label",
    "value of NA is ambiguous": "fill what is missing, and leave out cases without a label",
    "contains NaN": "fill what is missing, for instance with sklearn.impute.SimpleImputer",
    "contains infinity": "remove or repair such cases",
    "could not convert string": "columns have to hold numbers: encode words, with sklearn.preprocessing.OneHotEncoder",
}
"""What to do about faults that scikit-learn finds; its own text about other estimators is left out."""


class ForwardForwardEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator around a net."""

    net_: Net
    recipe_: Recipe
    history_: History
    _form: dict[str, Any]
    _scaling: Scaling

    def _settings(self, kind: type[S]) -> S:
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})

    def _validated(self, reset: bool, **data: Any) -> Any:
        """Data as arrays of numbers, checked by scikit-learn, with errors of one line.

        Raises:
            DataError: no table of finite numbers, or one with other columns than what was learned from.
            ArgumentError: something else than a table.
        """
        try:
            return validate_data(self, **data, reset=reset, dtype=[np.float64, np.float32])
        except (ValueError, TypeError) as error:
            said, kind = str(error), ArgumentError if isinstance(error, TypeError) else DataError
            for fault, advice in ADVICE.items():
                if fault in said:
                    said = f"{said.splitlines()[0].rstrip('.')}: {advice}"
            raise kind(" ".join(said.split())) from None

    def _labeled(self, reset: bool, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """A table and its labels, checked likewise."""
        table, y = self._validated(reset, X=X, y=y)
        try:
            check_classification_targets(y)
            np.unique(y)
        except (ValueError, TypeError) as error:
            kinds = sorted({type(label).__name__ for label in np.ravel(y).tolist()})
            said = f"it has {' and '.join(kinds)}, expected labels of one kind" if len(kinds) > 1 else error
            raise DataError(f"y: {' '.join(str(said).split())}") from None
        return table, y

    def _known(self, X: Any) -> NDArray[Any]:
        """A table to answer about, checked.

        Raises:
            NotFittedError: nothing was learned.
            DataError, ArgumentError: as above.
        """
        check_is_fitted(self)
        table: NDArray[Any] = self._validated(False, X=X)
        return table

    def _begin(self, settings: Settings, recipe: Recipe, form: dict[str, Any]) -> None:
        """Make the untrained net of a recipe, for data of that form."""
        device = machine.choose_device(settings.device)
        precision = machine.choose_precision(settings.precision, device)
        machine.require_memory(METHODS[recipe.method].needed_memory(recipe, form, precision, False), device)
        self.recipe_, self._form, self.history_ = recipe, form, History()
        self.net_ = build(recipe, form).to(device)
        self.net_.set_precision(precision)

    def _epochs(self, data: tuple[Tensor, ...], last: int | None = None) -> Iterator[dict[str, Any]]:
        """Go on training to the epoch ``last``, counted from 1, or to that of the recipe."""
        trainer = Trainer(self.net_, self.recipe_, data)
        trainer.history = self.history_
        epochs = trainer.epochs()
        while len(self.history_) < (self.recipe_.epochs if last is None else last):
            metrics = next(epochs)
            if self.verbose:
                error = f", {100 * metrics['train_error']:.1f} % named wrongly" if data[1].any() else ""
                print(f"epoch {metrics['epoch']} of {self.recipe_.epochs}{error}, {metrics['seconds']:.2f} s")
            yield metrics

    def _learn(self, data: tuple[Tensor, ...], last: int | None = None) -> None:
        for _ in self._epochs(data, last):
            pass

    def _learn_once(self, data: tuple[Tensor, ...]) -> None:
        """Learn for an epoch, at a rate that does not fall."""
        recipe = replace(self.recipe_, epochs=1, schedule="constant", seed=self.recipe_.seed + len(self.history_))
        self.history_.append(next(Trainer(self.net_, recipe, data).epochs()))

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        """Put the net back to what it was."""
        with torch.no_grad():
            for name, each in module_tensors(self.net_).items():
                each.copy_(tensors[name])

    @property
    def n_iter_(self) -> int:
        """Epochs that were learned for."""
        return len(self.history_)

    # ---- pickles -------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Arrays in the place of the net's tensors, so that a pickle depends on no device."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "net_" in state:
            state["net_"] = {
                name: each.detach().cpu().numpy().copy() for name, each in module_tensors(self.net_).items()
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "net_" not in self.__dict__:
            return
        arrays: Any = self.net_
        self.net_ = build(self.recipe_, self._form)
        self._restore({name: torch.tensor(each) for name, each in arrays.items()})
        device = _or_here(machine.choose_device, self.device, "cpu")
        precision = _or_here(lambda name: machine.choose_precision(name, device), self.precision, "fp32")
        self.net_.to(device).set_precision(precision)


def expect_several(classes: NDArray[Any]) -> None:
    """Refuse labels of one class."""
    if len(classes) < 2:
        raise DataError(f"y has one class only, {classes[0]!s}, expected at least 2 to tell apart")


def _or_here(choose: Callable[[str], Any], wanted: str, instead: str) -> Any:
    """What a pickle asks for, or what every machine has, where it comes from a machine that had more."""
    try:
        return choose(wanted)
    except SettingError:
        remark(f"this estimator was fitted with {wanted}, which is not there: it goes on with {instead}")
        return choose(instead)
