"""Data sets as tensors: `load` them by name, or bring your own with `as_dataset`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from twofold.checks import typed
from twofold.data import cifar10, digits, idx
from twofold.data.dataset import Dataset, as_dataset
from twofold.data.protocol import Data
from twofold.data.transforms import jitter, mirror
from twofold.errors import unknown

__all__ = ["DATASETS", "Data", "Dataset", "as_dataset", "jitter", "load", "mirror"]

DATASETS: dict[str, Callable[[Path | str | None, bool], Dataset]] = {
    "digits": digits.load,
    "mnist": partial(idx.load, "mnist"),
    "fashion-mnist": partial(idx.load, "fashion-mnist"),
    "cifar10": cifar10.load,
}


@typed
def load(name: str, data_dir: Path | str | None = None, download: bool = True) -> Dataset:
    """Load the data set ``name``, one of `DATASETS`.

    Its files are looked for in ``data_dir``, in ``$TWOFOLD_DATA`` and in the user's cache folder; if they are in none
    of these and ``download`` is true, they are downloaded. Well-formed files that are not byte for byte the official
    ones are loaded too, with ``official=False``.

    Raises:
        SettingError: there is no data set of that name.
        DataError: its files are missing or damaged.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name](data_dir, download)
