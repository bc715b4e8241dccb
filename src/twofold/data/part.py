"""From raw cases and their labels to a data set: classes are named, a test part is split off, tables standardized."""

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
from twofold.data.split import numbers_of, ordered, shuffled, stratified
from twofold.errors import DataError

SHARE = 0.2
"""Of each class that is split off as the test part where nobody says how much."""

Cases = NDArray[Any] | Tensor | dict[str, Column]
"""Pictures ``(cases, channels, height, width)``, bytes or numbers from 0 to 1, or the columns of a table; those
to train on are `cleaned`."""


class Part(NamedTuple):
    """Raw cases.

    Attributes:
        cases: pictures or columns.
        labels: the name of the class of each, ``(cases,)``.
    """

    cases: Cases
    labels: Sequence[str] | NDArray[np.str_]


def assembled(name: str, train: Part, test: Part | None, source: Source) -> Dataset:
    """Make a data set of its raw parts, or of one, from which a part is split off for testing.

    Raises:
        DataError: there is one class only, or a class is only tested on, or the two parts do not go together.
    """
    where = source.path
    names = ordered(train.labels)
    if len(names) < 2:
        raise DataError(f"{where} has one class only, {', '.join(names)}: add cases of another one, or check the path")
    if source.kind != "folder" and 2 * len(names) > len(train.labels):
        raise DataError(
            f"{where}: {f'column {source.label!r} has' if source.label else 'the labels have'} {len(names)} different "
            f"values in {len(train.labels)} {'rows' if source.label else 'cases'}, expected classes with several each: "
            f"{'choose another --label' if source.label else 'give the number or the name of the class of each case'}"
        )
    labels = numbers_of(train.labels, names, where)
    if test is None:
        share = SHARE if source.test_share is None else source.test_share
        source = replace(source, test_share=share)
        chosen, held = stratified(labels, share, source.seed, where)
        tested, held_labels, beside = train.cases, labels[held], where
    elif source.test_share is not None:
        raise DataError(f"{where} has a test part, so that none is split off: leave --test-share away")
    else:
        chosen, held = shuffled(len(labels), source.seed), slice(None)
        beside = source.test or where
        tested, held_labels = test.cases, numbers_of(test.labels, names, beside)
    seen, held_cases = taken(train.cases, chosen), taken(tested, held)
    preparation = prepared(seen, names, where)
    return Dataset(
        name,
        as_tensor(seen, preparation, where),
        torch.from_numpy(labels[chosen]),
        as_tensor(held_cases, preparation, beside),
        torch.from_numpy(held_labels),
        classes=len(names),
        official=False,
        preparation=preparation,
        source=source,
    )


def count_of(cases: Cases) -> int:
    """How many cases they are; a number alone, which is none, counts as 0."""
    if isinstance(cases, dict):
        return len(next(iter(cases.values())))
    return len(cases) if cases.ndim else 0


def taken(cases: Cases, chosen: Any) -> Cases:
    """Some of the cases."""
    if isinstance(cases, dict):
        return {name: values[chosen] for name, values in cases.items()}
    some: NDArray[Any] | Tensor = cases[chosen]
    return some


def prepared(train: Cases, names: Sequence[str], where: str) -> Preparation:
    """The preparation that fits a training part."""
    if isinstance(train, dict):
        return Preparation.fitted(train, names, where)
    channels, height, width = train.shape[1:]
    return Preparation("pictures", (channels, height, width), tuple(names))


def as_tensor(cases: Cases, preparation: Preparation | None, where: str) -> Tensor:
    """Raw cases as a net takes them."""
    if isinstance(cases, dict):
        assert preparation is not None
        return preparation.table(cases, where)
    if isinstance(cases, Tensor):
        return cases
    if cases.dtype == np.uint8:
        return torch.from_numpy(np.divide(cases, 255, dtype=np.float32, order="C"))
    return torch.from_numpy(cases.astype(np.float32, order="C"))
