"""Labels of user data: classes are the values that occur, and their names are these values.

Oracles: the labels from which the data were made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twofold
from support.data_files import refusal
from twofold.data import read_data
from twofold.errors import DataError

DIGITS = np.arange(100) % 10
X = np.random.default_rng(0).random((100, 4, 4))

CHANGES: dict[str, Callable[[Any], Any]] = {
    "from 0": lambda labels: labels,
    "from 1": lambda labels: labels + 1,
    "times 10^6": lambda labels: (labels + 1) * 10**6,
    "negative": lambda labels: labels - 5,
    "with a gap": lambda labels: np.where(labels == 4, 77, labels),
    "one stray label": lambda labels: np.where(np.arange(100) == 3, 100_000, labels),
    "one label of 2^40": lambda labels: np.where(np.arange(100) == 3, 2**40, labels),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("table", [False, True])
def test_classes_are_the_labels_that_occur_in_python_and_in_a_file(tmp_path: Path, change: str, table: bool) -> None:
    labels = CHANGES[change](DIGITS)
    cases = X.reshape(100, -1) if table else X
    data = twofold.as_dataset("own", cases, labels, table=table)
    assert data.names == tuple(str(value) for value in np.unique(labels))
    assert data.classes == len(data.names)
    np.savez(tmp_path / "own.npz", x=cases, y=labels)
    read = read_data(tmp_path / "own.npz")
    assert (read.names, read.fingerprint) == (data.names, data.fingerprint)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64])
def test_labels_of_any_whole_number_type_make_the_same_classes(kind: Any) -> None:
    data = twofold.as_dataset("own", X, (DIGITS + 1).astype(kind))
    assert data.fingerprint == twofold.as_dataset("own", X, DIGITS + 1).fingerprint


def test_a_given_number_of_classes_or_their_names_make_labels_class_numbers() -> None:
    assert twofold.as_dataset("own", X, DIGITS, classes=12).classes == 12
    named = twofold.as_dataset("own", X, DIGITS, names=[f"n{number}" for number in range(11)])
    assert (named.classes, named.names[10]) == (11, "n10")


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "a label for each case": (
        lambda: twofold.as_dataset("own", X, np.arange(100)),
        "100 different values in 100 cases",
    ),
    "a class that is only tested": (lambda: twofold.as_dataset("own", X, DIGITS + 1, X, DIGITS + 2), "the class '11'"),
    "classes without cases": (lambda: twofold.as_dataset("own", X, DIGITS, classes=2**40), "at most the 80 training"),
}


@pytest.mark.parametrize("name", BAD)
def test_labels_that_are_no_classes_are_refused_in_one_line(name: str) -> None:
    make, words = BAD[name]
    assert words in refusal(DataError, make)
