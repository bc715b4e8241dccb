"""Read images and labels from a pair of IDX files, the format of MNIST."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from twofold.data.columns import shortened
from twofold.data.data_file import UNREADABLE
from twofold.data.idx import read_idx
from twofold.data.part import Part
from twofold.data.source import Source
from twofold.errors import DataError

ENDINGS = ("-idx3-ubyte", "-idx3-ubyte.gz", ".idx3-ubyte", ".idx3-ubyte.gz")
"""Endings of the names of image files in a folder."""

TESTS = (("train", "t10k"), ("train", "test"))
"""Pairs of a word in the name of a training file and the word in its place in the name of the test file."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read an IDX file of images and the file of its labels.

    The name of the label file is the name of the image file with "images" replaced by "labels" and "idx3" by "idx1". If
    the name of the image file contains "train", and a file exists whose name has "t10k" or "test" instead, that file
    has the test images.

    Raises:
        DataError: the label file is missing, a file is damaged, or a folder contains several data sets.
    """
    path = Path(source.path)
    images = _images_of(path)
    test = _images_of(Path(source.test)) if source.test else None
    if test is None:
        test = next((path for path in _tests_of(images) if path.exists()), None)
    return _part(images), _part(test) if test else None


def has_idx(folder: Path) -> bool:
    """Return True if a folder contains an IDX file of images."""
    return bool(_images_in(folder))


def is_idx(path: Path) -> bool:
    """Return True if a file, raw or gzip, starts with the header of an IDX file."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(3) == b"\0\0\x08"
    except UNREADABLE:
        return False


def _images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder, training files first."""
    files = sorted(path for path in folder.iterdir() if path.name.endswith(ENDINGS))
    return sorted(files, key=lambda path: "train" not in path.name)


def _tests_of(images: Path) -> list[Path]:
    """Return the possible paths of the test images that belong to a file of training images."""
    names = [images.name.replace(*words) for words in TESTS]
    return [images.with_name(name) for name in names if name != images.name]


def _images_of(path: Path) -> Path:
    """Return ``path`` if it is a file; if it is a folder, return the file of training images inside.

    Raises:
        DataError: the folder contains several data sets.
    """
    if not path.is_dir():
        return path
    images, *others = _images_in(path)
    same = {file.name.removesuffix(".gz") for file in (images, *_tests_of(images))}
    if different := [file.name for file in others if file.name.removesuffix(".gz") not in same]:
        raise DataError(
            f"{path} contains several data sets, {images.name} and {shortened(different)}: name the "
            "file of images to train on"
        )
    return images


def _part(path: Path) -> Part:
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    labels = path.with_name(name)
    if name == path.name or not labels.exists():
        expected = "labels" if name == path.name else name
        raise DataError(
            f"{path} has no file of labels next to it, expected {expected}: name it like the images, with labels for "
            "images and idx1 for idx3"
        )
    pixels, numbers = read_idx(path, 3, ""), read_idx(labels, 1, "")
    if len(pixels) != len(numbers):
        raise DataError(f"{path} has {len(pixels)} images and {labels} {len(numbers)} labels, expected equal numbers")
    return Part(pixels[:, None], np.array([str(number) for number in numbers]))
