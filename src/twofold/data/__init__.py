"""Data sets as tensors: `load` a built-in one, `read_data` from your files, or use `as_dataset` for arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold.checks import check_arguments
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


@check_arguments
def load(name: str, data_dir: Path | str | None = None, download: bool = True) -> Dataset:
    """Load the data set ``name``, one of `DATASETS`.

    The folders ``data_dir``, ``$TWOFOLD_DATA`` and the user's cache folder are searched in this order. If none contains
    the files and ``download`` is true, they are downloaded to ``data_dir`` or, without one, to the cache folder.
    Well-formed files that differ from the official files are loaded with ``official=False``, and a `Remark` lists their
    names. Another `Remark` names the folder from which the files are read if this is not ``data_dir``.

    Args:
        name: name of the data set.
        data_dir: folder of the files.
        download: download missing files.

    Raises:
        SettingError: ``name`` is unknown.
        DataError: files are missing or damaged, or ``data_dir`` does not exist.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name](None if data_dir is None else fetch.folder("--data-dir", data_dir), download)


@check_arguments
def get(name: str, data_dir: Path | str | None = None) -> Dataset:
    """Load the data set ``name`` as `load` does; if ``data_dir`` is given, download missing files to it first.

    With ``data_dir``, files in other folders are ignored, and ``data_dir`` is created if it does not exist.

    Raises:
        SettingError: ``name`` is unknown.
        DataError: files are damaged, or cannot be downloaded or written.
    """
    if data_dir is not None:
        fetch.get(name, data_dir)
    return load(name, data_dir)


def __getattr__(name: str) -> Any:
    """Import `prepare` on first access, so that importing `twofold.data` does not import Pillow."""
    if name != "prepare":
        raise AttributeError(f"module 'twofold.data' has no attribute {name!r}")
    from twofold.data.pictures import prepare

    return prepare
