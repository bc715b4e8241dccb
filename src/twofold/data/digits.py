"""Load the 8 x 8 digits of scikit-learn, a small data set that needs no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from twofold.data.dataset import Dataset

SPLIT_SEED = 1797


def load(data_dir: Path | None = None, download: bool = False) -> Dataset:
    """Load scikit-learn's 1797 digits: images ``(cases, 1, 8, 8)``, values 0 to 16 divided by 16, in 10 classes.

    The split is fixed: a fifth of the cases of each class is the test part. Both parts are shuffled, so the last
    training images can be held out for validation. ``data_dir`` and ``download`` have no effect.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    order = np.random.RandomState(SPLIT_SEED).permutation(len(raw.target))  # NumPy guarantees a stable stream
    images, labels = raw.images[order, None].astype(np.float32) / 16, raw.target[order].astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[members[: round(len(members) / 5)]] = True
    parts = (torch.from_numpy(part) for part in (images[~test], labels[~test], images[test], labels[test]))
    train_images, train_labels, test_images, test_labels = parts
    return Dataset("digits", train_images, train_labels, test_images, test_labels, classes=10, official=True)
