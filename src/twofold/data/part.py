"""Turn raw cases and labels into a data set: number the classes, split off a test part, standardize tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.data.columns import Column
from twofold.data.dataset import Dataset
from twofold.data.preparation import Preparation
from twofold.data.source import Source
from twofold.data.split import class_numbers, ordered, require_cases, shuffled, stratified
from twofold.errors import DataError

SHARE = 0.2
"""Default share of the cases of each class that is split off as the test part."""

Cases = NDArray[Any] | Tensor | dict[str, Column]
"""Pictures ``(cases, channels, height, width)``, as bytes or as numbers from 0 to 1, or the columns of a table. In a
training part, the columns have passed through `cleaned`."""


class Part(NamedTuple):
    """Raw cases and their labels.

    Attributes:
        cases: pictures or columns.
        labels: the class name of each case, ``(cases,)``.
    """

    cases: Cases
    labels: Sequence[str] | NDArray[np.str_]


def assembled(name: str, train: Part, test: Part | None, source: Source) -> Dataset:
    """Make a data set from raw parts; if ``test`` is ``None``, split off a test part.

    Raises:
        DataError: there is only one class, a class occurs only in the test part, or the two parts do not match.
    """
    where = source.path
    names = ordered(train.labels)
    if len(names) < 2:
        raise DataError(f"{where} has one class only, {', '.join(names)}: add cases of another one or check the path")
    if source.kind != "folder":
        require_cases(len(names), len(train.labels), where, source.label)
    labels = class_numbers(train.labels, names, where)
    if test is None:
        share = SHARE if source.test_share is None else source.test_share
        source = replace(source, test_share=share)
        train_index, test_index = stratified(labels, share, source.seed, where)
        test_cases, test_labels, test_where = train.cases, labels[test_index], where
    elif source.test_share is not None:
        raise DataError(f"{where} already has a test part: omit --test-share")
    else:
        train_index, test_index = shuffled(len(labels), source.seed), slice(None)
        test_where = source.test or where
        test_cases, test_labels = test.cases, class_numbers(test.labels, names, test_where)
    train_cases, test_cases = select(train.cases, train_index), select(test_cases, test_index)
    preparation = prepared(train_cases, names, where, source.missing == "fill")
    return Dataset(
        name,
        as_tensor(train_cases, preparation, where),
        torch.from_numpy(labels[train_index]),
        as_tensor(test_cases, preparation, test_where),
        torch.from_numpy(test_labels),
        classes=len(names),
        official=False,
        preparation=preparation,
        source=source,
    )


def case_count(cases: Cases) -> int:
    """Return the number of cases; 0 for a zero-dimensional array."""
    if isinstance(cases, dict):
        return len(next(iter(cases.values())))
    return len(cases) if cases.ndim else 0


def select(cases: Cases, index: Any) -> Cases:
    """Return the cases at the given indices."""
    if isinstance(cases, dict):
        return {name: values[index] for name, values in cases.items()}
    selected: NDArray[Any] | Tensor = cases[index]
    return selected


def prepared(train: Cases, names: Sequence[str], where: str, fill: bool = True) -> Preparation:
    """Return the preparation fitted to training cases; if ``fill`` is False, missing values are errors."""
    if isinstance(train, dict):
        return Preparation.fitted(train, names, where, fill)
    channels, height, width = train.shape[1:]
    return Preparation("pictures", (channels, height, width), tuple(names))


def as_tensor(cases: Cases, preparation: Preparation | None, where: str) -> Tensor:
    """Convert raw cases to the float32 input of a net. Bytes are divided by 255."""
    if isinstance(cases, dict):
        assert preparation is not None
        return preparation.table(cases, where)
    if isinstance(cases, Tensor):
        return cases
    if cases.dtype == np.uint8:
        return torch.from_numpy(np.divide(cases, 255, dtype=np.float32, order="C"))
    return torch.from_numpy(cases.astype(np.float32, order="C"))
