"""The data set of digit sums: MNIST digits side by side, whose label is the last digit of their sum.

The label depends on all digits of an image, and a single digit says nothing about it. One hidden layer learns this task
much worse than several, so it shows how well a way to learn uses depth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from twofold.data import idx
from twofold.data.dataset import Dataset

HELD_OUT = 10_000
"""Number of training cases, at the end, whose digits appear in no other case. They are for `Dataset.hold_out`."""
SEED = 7
CLASSES = 10


def load(digits: int, data_dir: Path | None = None, download: bool = True) -> Dataset:
    """Load MNIST and put digits side by side: images ``(cases, 1, 28, 28 · digits)``, in 10 classes; see `sums_of`.

    Args:
        digits: number of digits in an image.
        data_dir, download: see `twofold.data.load`.
    """
    return sums_of(idx.load("mnist", data_dir, download), digits, HELD_OUT)


def sums_of(dataset: Dataset, digits: int, held_out: int) -> Dataset:
    """Return a data set whose images are digits side by side, and whose label is the last digit of their sum.

    The number of cases is that of ``dataset``. Each image of ``dataset`` appears once in each place. The digits of the
    last ``held_out`` training cases appear in no other case, so `Dataset.hold_out` tests on new handwriting.

    Args:
        dataset: images of single digits, with their values as labels.
        digits: number of digits in an image.
        held_out: number of training cases, at the end, whose digits appear in no other case.
    """
    generator = np.random.RandomState(SEED)  # NumPy guarantees a stable stream

    def side_by_side(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        places = [torch.from_numpy(generator.permutation(len(labels))) for _ in range(digits)]
        sums = torch.stack([labels[place] for place in places]).sum(0)
        return torch.cat([images[place] for place in places], 3), sums % CLASSES

    images, labels = dataset.train
    first = side_by_side(images[:-held_out], labels[:-held_out])
    last = side_by_side(images[-held_out:], labels[-held_out:])
    return Dataset(
        f"digit-sums-{digits}",
        torch.cat([first[0], last[0]]),
        torch.cat([first[1], last[1]]),
        *side_by_side(*dataset.test),
        classes=CLASSES,
        official=dataset.official,
    )
