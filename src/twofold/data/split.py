"""Number the classes, and split off a test part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.data.columns import number_of
from twofold.errors import DataError


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels in class order: sorted by value if all are finite numbers, else as text."""
    numbers = {name: number_of(name) for name in labels}
    by_value = all(number is not None and math.isfinite(number) for number in numbers.values())
    return tuple(sorted(numbers, key=lambda name: (numbers[name] if by_value else 0, name)))


def class_numbers(labels: Sequence[str] | NDArray[Any], names: Sequence[str], where: str) -> NDArray[np.int64]:
    """Return the class number of each label: the index of the label in ``names``.

    Raises:
        DataError: a label is not in ``names``.
    """
    numbers = {name: number for number, name in enumerate(names)}
    if unknown := [name for name in ordered(labels) if name not in numbers]:
        raise DataError(
            f"{where}: the test part has the class {str(unknown[0])!r}, which the training part does not have: remove "
            "its cases, or add some to the training part"
        )
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def require_cases(classes: int, cases: int, where: str, label: str | None = None) -> None:
    """Raise a `DataError` for fewer than two cases per class on average; ``label`` is the label column of a table."""
    if 2 * classes > cases:
        raise DataError(
            f"{where}: {f'column {label!r} has' if label else 'the labels have'} {classes} different values in {cases} "
            f"{'rows' if label else 'cases'}, expected several cases per class: "
            f"{'choose another --label' if label else 'give the number or the name of the class of each case'}"
        )


def shuffled(cases: int, seed: int) -> NDArray[np.intp]:
    """Return the indices of all cases in random order, so that the last cases are a random sample to hold out."""
    return np.random.RandomState(seed).permutation(cases)  # NumPy guarantees a stable stream


def stratified(labels: NDArray[np.int64], share: float, seed: int, where: str) -> tuple[Any, Any]:
    """Return the indices of the training part and of the test part, both in random order.

    The test part gets ``share`` of the cases of each class, rounded, but at least one case and never all cases. A class
    with a single case is only in the training part.

    Raises:
        DataError: no class has more than one case.
    """
    order = shuffled(len(labels), seed)
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        test[members[: min(max(round(share * len(members)), 1), len(members) - 1)]] = True
    if not test.any():
        raise DataError(f"{where} has one case of each class, expected several: add cases for the test part")
    return order[~test[order]], order[test[order]]
