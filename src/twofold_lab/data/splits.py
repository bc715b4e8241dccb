"""Data sets of columns and their splits into training and test set, for the benchmark of the estimators."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import interpolate

from twofold.data import Dataset
from twofold_lab.data.letters import FONTS, distort, glyph

Features = NDArray[np.float64]
Labels = NDArray[np.int64]
GENERATED = ((100, 5, 2), (300, 10, 3), (700, 20, 4), (1500, 40, 5), (3000, 60, 10), (5000, 100, 20))
"""Numbers of cases, features and classes of the data sets made by scikit-learn's `make_classification`."""


def generate(seed: int) -> tuple[Features, Labels]:
    """Return the generated data set number ``seed``, counted from 1: features and labels.

    Half of the columns are informative, and a quarter of the columns are linear combinations of the informative
    columns.
    """
    cases, features, classes = GENERATED[seed - 1]
    informative = {"n_informative": features // 2, "n_redundant": features // 4, "n_classes": classes}
    return datasets.make_classification(cases, features, **informative, flip_y=0.05, random_state=seed)  # type: ignore[no-any-return]


SETS: dict[str, Callable[[], tuple[Features, Labels]]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "moons, 500, noise 0.3": lambda: datasets.make_moons(500, noise=0.3, random_state=0),
    "circles, 500, noise 0.2": lambda: datasets.make_circles(500, noise=0.2, random_state=0),
    **{
        f"made {seed}: {cases} x {features}, {classes} classes": lambda seed=seed: generate(seed)  # type: ignore[misc]
        for seed, (cases, features, classes) in enumerate(GENERATED, 1)
    },
}


class Split(NamedTuple):
    """A training set and a test set with standardized columns.

    Attributes:
        train, labels: features and labels of the training set.
        test, test_labels: features and labels of the test set.
        fingerprint: SHA-256 of the data before they were standardized and split.
    """

    train: Features
    labels: Labels
    test: Features
    test_labels: Labels
    fingerprint: str


def standardize(train: Features, labels: Labels, test: Features, test_labels: Labels, fingerprint: str) -> Split:
    """Return a split whose columns have mean 0 and variance 1 in the training set."""
    scaler = StandardScaler().fit(train)
    return Split(scaler.transform(train), labels, scaler.transform(test), test_labels, fingerprint)


def halves(features: Features, labels: Labels) -> Iterator[Split]:
    """Yield ten splits: each half of five random partitions is the training set once, and the other the test set."""
    fingerprint = hashlib.sha256(features.tobytes() + labels.tobytes()).hexdigest()
    for train, test in RepeatedStratifiedKFold(n_splits=2, n_repeats=5, random_state=0).split(features, labels):
        yield standardize(features[train], labels[train], features[test], labels[test], fingerprint)


def flat(data: Dataset, count: int, first: int = 0) -> Split:
    """Return ``count`` training images, from number ``first``, and all test images of a data set, as columns."""
    taken = data.take(count, first)
    train, test = (images.flatten(1).double().numpy() for images in (taken.train_images, taken.test_images))
    return standardize(train, taken.train_labels.numpy(), test, taken.test_labels.numpy(), data.fingerprint)


def without(split: Split, label: int) -> tuple[Split, Features]:
    """Remove a class from a split. Return the remaining split, with consecutive labels, and the removed test cases."""
    train, test = split.labels != label, split.test_labels != label
    labels, test_labels = (kept - (kept > label) for kept in (split.labels[train], split.test_labels[test]))
    return Split(split.train[train], labels, split.test[test], test_labels, split.fingerprint), split.test[~test]


def letters(count: int, side: int) -> Features:
    """Return ``count`` images of distorted capital letters, ``(count, side²)``, with sides of 8 or 28 pixels."""
    generator = torch.Generator().manual_seed(0)
    glyphs = torch.stack([glyph(letter, font) for font in FONTS for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    chosen = torch.randint(len(glyphs), (count,), generator=generator)
    cells = distort(glyphs[chosen], 2 * torch.rand(count, 5, generator=generator) - 1)[:, None]
    cells = cells[:, :, 2:14, 2:14] if side == 8 else cells
    mode = "area" if side == 8 else "bilinear"
    return interpolate(cells, size=(side, side), mode=mode).flatten(1).double().numpy()


def pairs(images: Tensor, labels: Tensor, count: int, seed: int) -> tuple[Features, Labels]:
    """Return ``count`` random pairs of digits, side by side and flattened, and the number (0 to 99) in each pair."""
    tens, ones = torch.randint(len(labels), (2, count), generator=torch.Generator().manual_seed(seed))
    both = torch.cat([images[tens], images[ones]], 3).flatten(1)
    return both.double().numpy(), (10 * labels[tens] + labels[ones]).numpy()
