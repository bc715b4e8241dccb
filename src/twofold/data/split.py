"""Classes in their order, and a part split off for testing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.data.columns import number_of
from twofold.errors import DataError


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """The different labels in the order in which classes are numbered: by value where all are finite
    numbers, else by name."""
    numbers = {name: number_of(name) for name in labels}
    by_value = all(number is not None and math.isfinite(number) for number in numbers.values())
    return tuple(sorted(numbers, key=lambda name: (numbers[name] if by_value else 0, name)))


def numbers_of(labels: Sequence[str] | NDArray[Any], names: Sequence[str], where: str) -> NDArray[np.int64]:
    """The numbers of labels among the classes of the training part.

    Raises:
        DataError: a label is none of them.
    """
    known = {name: number for number, name in enumerate(names)}
    if new := [name for name in ordered(labels) if name not in known]:
        raise DataError(
            f"{where}: the test part has the class {str(new[0])!r}, which the training part does not have: remove its "
            "cases, or add some to train on"
        )
    return np.array([known[label] for label in labels], dtype=np.int64)


def shuffled(cases: int, seed: int) -> NDArray[np.intp]:
    """The numbers of so many cases in an order that the seed decides, so that the last of them can be held out."""
    return np.random.RandomState(seed).permutation(cases)  # NumPy promises never to change its stream


def stratified(labels: NDArray[np.int64], share: float, seed: int, where: str) -> tuple[Any, Any]:
    """The numbers of the cases of the training part and of the test part, each in an order that the seed decides.

    The test part gets the share of each class, rounded, but at least one case and never all of them; a class of one
    case is only trained on.

    Raises:
        DataError: no class has two cases.
    """
    order = shuffled(len(labels), seed)
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        test[members[: min(max(round(share * len(members)), 1), len(members) - 1)]] = True
    if not test.any():
        raise DataError(f"{where} has one case of each class, expected several: there is nothing to test on")
    return order[~test[order]], order[test[order]]
