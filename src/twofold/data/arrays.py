"""Arrays of one's own as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twofold.checks import typed
from twofold.data.columns import as_columns, cleaned
from twofold.data.dataset import Dataset, as_images, as_labels
from twofold.data.part import SHARE, Cases, as_tensor, count_of, prepared, taken
from twofold.data.preparation import numbered
from twofold.data.split import numbers_of, ordered, stratified
from twofold.errors import DataError, SettingError


@typed
def as_dataset(
    name: str,
    train_images: Any,
    train_labels: Any,
    test_images: Any = None,
    test_labels: Any = None,
    *,
    classes: int | None = None,
    names: Sequence[str] | None = None,
    table: bool = False,
    test_share: float = SHARE,
    seed: int = 0,
) -> Dataset:
    """Make a `Dataset` from your own arrays or tensors, with ``official=False``.

    Images may have the shape ``(cases, channels, height, width)``, ``(cases, height, width)`` (one channel is added)
    or ``(cases, features)`` (they become ``(cases, 1, 1, features)``). They become float32 and keep their values,
    which must lie between 0 and 1. Labels are whole numbers of any integer type, ``(cases,)``, or texts, which are
    numbered in their order.

    Args:
        name: the name of the data in results.
        train_images, train_labels: what is learned from.
        test_images, test_labels: what is tested on; where neither is given, a part of each class is split off.
        classes: number of classes; by default as many as there are names, or labels up to the largest.
        names: what the classes are called, in the order of their numbers.
        table: the images are tables: DataFrames, mappings of names to columns, or rows of features. Columns of numbers
            are standardized, as fitted on the training part, and columns of texts become one number for each value.
        test_share: the part that is split off.
        seed: of that split, which also decides the order of the training cases.

    Raises:
        DataError: the arrays are not as described; see `Dataset`.
        SettingError: a share or a seed that cannot be.
    """
    if not 0 < test_share < 1:
        raise SettingError(f"test_share is {test_share:g}, expected a share above 0 and below 1, as 0.2")
    if not 0 <= seed < 2**32:
        raise SettingError(f"seed is {seed}, expected 0 or more and below 2^32")
    split = test_images is None and test_labels is None
    given = {"train": (train_images, train_labels)} | ({} if split else {"test": (test_images, test_labels)})
    where = f"data set {name!r}"
    names, labels = _labels(name, {part: each for part, (_, each) in given.items()}, names)
    if classes is None:
        classes = len(names) if names is not None else 1 + max(int(part.max()) if len(part) else 0 for part in labels)
    if names is not None and len(names) != classes:
        raise DataError(f"{where}: there are {len(names)} names for {classes} classes: give one for each class")
    cases = [_cases(name, part, images, table) for part, (images, _) in given.items()]
    if split:
        if (count := count_of(cases[0])) != len(labels[0]):
            raise DataError(f"{where} has {count} cases and {len(labels[0])} labels, expected as many of each")
        chosen = stratified(labels[0].cpu().numpy(), test_share, seed, where)
        cases, labels = [taken(cases[0], each) for each in chosen], [labels[0][each] for each in chosen]
    preparation = None
    if table or (names is not None and getattr(cases[0], "ndim", 0) == 4):
        preparation = prepared(cases[0], numbered(classes) if names is None else names, where)
    train, test = (as_tensor(part, preparation, where) for part in cases)
    return Dataset(name, train, labels[0], test, labels[1], classes, official=False, preparation=preparation)


def _labels(name: str, given: dict[str, Any], names: Sequence[str] | None) -> tuple[Sequence[str] | None, list[Tensor]]:
    """The names of the classes, where they have some, and the labels of each part as numbers."""
    if not all(_are_texts(labels) for labels in given.values()):
        return names, [as_labels(name, part, labels) for part, labels in given.items()]
    where, found = f"data set {name!r}", ordered(map(str, given["train"]))
    names = found if names is None else names
    if new := [label for label in found if label not in names]:
        raise DataError(f"{where}: the training part has the class {new[0]!r}, which names= lacks: add it there")
    return names, [torch.from_numpy(numbers_of([*map(str, labels)], names, where)) for labels in given.values()]


def _are_texts(labels: Any) -> bool:
    """Whether labels are texts, one for each case."""
    several = isinstance(labels, list | tuple | np.ndarray) or hasattr(labels, "to_numpy")
    return several and len(labels) > 0 and all(isinstance(label, str) for label in labels)


def _cases(name: str, part: str, images: Any, table: bool) -> Cases:
    """One part as images, or as columns."""
    if not table:
        return as_images(name, part, images)
    where = f"data set {name!r}: the {part} table"
    columns = as_columns(images, where)
    return cleaned(columns, where) if part == "train" else columns
