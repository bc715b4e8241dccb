"""Load CIFAR-10 from its official binary files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.data import fetch
from twofold.data.data_file import DataFile, opened
from twofold.data.dataset import Dataset
from twofold.data.origins import ORIGINS

RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue planes, each in row-major order


def parse_records(file: DataFile) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the images ``(cases, 3, 32, 32)`` and labels ``(cases,)`` of an open CIFAR-10 file.

    Raises:
        DataError: the file ends inside a record or has more records than the official one, or a label is above 9.
    """
    cases = ORIGINS["cifar10"].shapes[file.path.name.removesuffix(".gz")][0]
    content = file.rest(cases * RECORD, f"{cases} images")
    if not content or len(content) % RECORD:
        raise file.damaged(f"has {len(content)} bytes, expected a multiple of {RECORD}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels, images = records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32)
    if labels.max() > 9:
        first = int((labels > 9).argmax())
        raise file.damaged(f"has the label {labels[first]} at image {first}, expected 0 to 9")
    return images, labels


def load(data_dir: Path | None, download: bool) -> Dataset:
    """Load CIFAR-10: images ``(cases, 3, 32, 32)`` in 10 classes.

    ``official`` is True if the digests of all six files are the published ones.

    Raises:
        DataError: files are missing or damaged.
    """
    batches, unofficial = [], []
    paths = fetch.locate("cifar10", data_dir, download)
    for path in paths:
        with opened(path, "cifar10") as file:
            images, labels = parse_records(file)
        if not file.official:
            unofficial.append(file.described(len(labels)))
        batches.append((np.divide(images, 255, dtype=np.float32), labels.astype(np.int64)))
    train_images, train_labels = (torch.from_numpy(np.concatenate(part)) for part in zip(*batches[:-1], strict=True))
    test_images, test_labels = (torch.from_numpy(part) for part in batches[-1])
    data = Dataset("cifar10", train_images, train_labels, test_images, test_labels, classes=10, official=not unofficial)
    fetch.report_source("cifar10", paths[0].parent, data_dir, unofficial)
    return data
