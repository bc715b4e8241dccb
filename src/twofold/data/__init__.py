"""Data sets as tensors: `load` them by name, `read_data` of your own, or bring arrays with `as_dataset`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.checks import typed
from twofold.data import cifar10, digits, fetch, idx
from twofold.data.arrays import as_dataset
from twofold.data.dataset import Dataset
from twofold.data.look import look_of
from twofold.data.own import read_data
from twofold.data.preparation import Preparation
from twofold.data.protocol import Data
from twofold.data.transforms import jitter, mirror
from twofold.errors import unknown

if TYPE_CHECKING:
    from twofold.data.pictures import prepare

__all__ = [
    "DATASETS",
    "Data",
    "Dataset",
    "Preparation",
    "as_dataset",
    "get",
    "jitter",
    "load",
    "look_of",
    "mirror",
    "prepare",
    "read_data",
]

DATASETS: dict[str, Callable[[Path | None, bool], Dataset]] = {
    "digits": digits.load,
    "mnist": partial(idx.load, "mnist"),
    "fashion-mnist": partial(idx.load, "fashion-mnist"),
    "cifar10": cifar10.load,
}


@typed
def load(name: str, data_dir: Path | str | None = None, download: bool = True) -> Dataset:
    """Load the data set ``name``, one of `DATASETS`.

    Its files are looked for in ``data_dir``, in ``$TWOFOLD_DATA`` and in the user's cache folder; if they are in none
    of these and ``download`` is true, they are downloaded, to ``data_dir`` if it is given. Well-formed files that are
    not byte for byte the official ones are loaded too, with ``official=False`` and a `Remark` that names them; another
    says where the files were found if not in ``data_dir``.

    Raises:
        SettingError: there is no data set of that name.
        DataError: its files are missing or damaged, or ``data_dir`` does not exist.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name](None if data_dir is None else fetch.folder("--data-dir", data_dir), download)


@typed
def get(name: str, data_dir: Path | str | None = None) -> Dataset:
    """Load the data set ``name`` as `load` does; if ``data_dir`` is given, its files are afterwards in this folder.

    What is not in it is downloaded, whatever lies in other places; the folder is made where it does not exist.

    Raises:
        SettingError: there is no data set of that name.
        DataError: its files are damaged, or cannot be downloaded or written.
    """
    if data_dir is not None:
        fetch.get(name, data_dir)
    return load(name, data_dir)


def __getattr__(name: str) -> Any:
    """Import `prepare` when it is asked for: pictures take a library of their own."""
    if name != "prepare":
        raise AttributeError(f"module 'twofold.data' has no attribute {name!r}")
    from twofold.data.pictures import prepare

    return prepare
