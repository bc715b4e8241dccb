"""Build a data set from arrays, tensors or tables in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twofold.checks import check_arguments
from twofold.data.columns import Problems, as_columns, cleaned
from twofold.data.dataset import Dataset, as_images, as_labels
from twofold.data.part import SHARE, Cases, as_tensor, case_count, prepared, select
from twofold.data.preparation import numbered
from twofold.data.source import MISSING
from twofold.data.split import class_numbers, ordered, require_cases, stratified
from twofold.errors import DataError, SettingError, unknown


@check_arguments
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
    missing: str = "fill",
) -> Dataset:
    """Make a `Dataset` from arrays or tensors, with ``official=False``.

    Images may have the shape ``(cases, channels, height, width)``, ``(cases, height, width)`` (a channel dimension is
    added) or ``(cases, features)`` (reshaped to ``(cases, 1, 1, features)``). They are converted to float32 without
    rescaling; values must lie between 0 and 1. Labels have the shape ``(cases,)`` and are integers or strings. The
    classes are the sorted distinct values of the training labels, and the class names are these values as text. If
    ``classes`` or ``names`` is given, integer labels are class numbers from 0.

    Args:
        name: name of the data set in results.
        train_images, train_labels: the training part.
        test_images, test_labels: the test part; if both are omitted, ``test_share`` of the training cases of each class
            is split off.
        classes: number of classes; defaults to the number of ``names``, or of different labels.
        names: class names, in the order of the class numbers.
        table: ``train_images`` and ``test_images`` are tables: DataFrames, mappings of column names to values, rows of
            features, or sparse matrices. Numeric columns are standardized with the mean and scale of the training part;
            text columns are one-hot encoded.
        test_share: share of the cases of each class that is split off as the test part.
        seed: seed of the split, which also shuffles the training cases.
        missing: "fill" to replace missing values of a table as `Preparation` describes, "refuse" to raise an error.

    Raises:
        DataError: the arrays are not as described; see `Dataset`.
        SettingError: ``test_share`` or ``seed`` is out of range, or ``missing`` is unknown.
    """
    if not 0 < test_share < 1:
        raise SettingError(f"test_share is {test_share:g}, expected more than 0 and less than 1, such as 0.2")
    if not 0 <= seed < 2**32:
        raise SettingError(f"seed is {seed}, expected 0 or more and below 2^32")
    if missing not in MISSING:
        raise unknown("value of missing", missing, MISSING)
    fill = missing == "fill"
    split = test_images is None and test_labels is None
    parts = {"train": (train_images, train_labels)} | ({} if split else {"test": (test_images, test_labels)})
    where = f"data set {name!r}"
    labels, names, classes = _labels(name, {part: raw for part, (_, raw) in parts.items()}, names, classes)
    if names is not None and len(names) != classes:
        raise DataError(f"{where}: there are {len(names)} names for {classes} classes: give one name per class")
    cases = [_cases(name, part, images, table, fill) for part, (images, _) in parts.items()]
    if split:
        if (count := case_count(cases[0])) != len(labels[0]):
            raise DataError(f"{where} has {count} cases and {len(labels[0])} labels, expected one label per case")
        indices = stratified(labels[0].cpu().numpy(), test_share, seed, where)
        cases, labels = [select(cases[0], index) for index in indices], [labels[0][index] for index in indices]
    preparation = None
    if table or (names is not None and getattr(cases[0], "ndim", 0) == 4):
        preparation = prepared(cases[0], numbered(classes) if names is None else names, where, fill)
    train, test = (as_tensor(part, preparation, where) for part in cases)
    return Dataset(name, train, labels[0], test, labels[1], classes, official=False, preparation=preparation)


def _labels(
    name: str, parts: dict[str, Any], names: Sequence[str] | None, classes: int | None
) -> tuple[list[Tensor], Sequence[str] | None, int]:
    """Return the class numbers of each part, the class names, and the number of classes.

    Without ``names`` and ``classes``, the classes are the distinct labels of the training part, and the class names are
    these labels as text. The class names are ``None`` if the labels are 0, 1, 2, ...
    """
    where, device = f"data set {name!r}", torch.device("cpu")
    if all(_are_texts(labels) for labels in parts.values()):
        words = {part: [*map(str, labels)] for part, labels in parts.items()}
        values = ordered(words["train"])
    else:
        numbers = [as_labels(name, part, labels) for part, labels in parts.items()]
        if names is not None or classes is not None or not len(numbers[0]):
            return numbers, names, classes if classes is not None else len(names or ())
        values = tuple(map(str, np.unique(numbers[0].cpu().numpy()).tolist()))
        require_cases(len(values), len(numbers[0]), where)
        if values == numbered(len(values)) and all(int(part.max()) < len(values) for part in numbers if len(part)):
            return numbers, None, len(values)
        words = {part: [*map(str, labels.tolist())] for part, labels in zip(parts, numbers, strict=True)}
        device = numbers[0].device
    names = values if names is None else names
    if strange := [label for label in values if label not in names]:
        raise DataError(f"{where}: the training part has the class {strange[0]!r}, which is not in names=: add it")
    labels = [torch.from_numpy(class_numbers(part, names, where)).to(device) for part in words.values()]
    return labels, names, len(names) if classes is None else classes


def _are_texts(labels: Any) -> bool:
    """Return True if ``labels`` is a non-empty sequence of strings."""
    several = isinstance(labels, list | tuple | np.ndarray) or hasattr(labels, "to_numpy")
    return several and len(labels) > 0 and all(isinstance(label, str) for label in labels)


def _cases(name: str, part: str, images: Any, table: bool, fill: bool) -> Cases:
    """Convert the images of one part to an image tensor, or to columns by name if ``table``."""
    if not table:
        return as_images(name, part, images)
    problems = Problems(f"data set {name!r}: the {part} table")
    columns = as_columns(images, problems.where)
    if part == "train":
        columns = cleaned(columns, problems, fill)
        problems.check()
    return columns
