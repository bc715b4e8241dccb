"""Images and labels in IDX files, the format of MNIST."""

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
"""How the names of files of images end in the folders of data sets."""

TESTS = (("train", "t10k"), ("train", "test"))
"""What stands in the name of a file to train on, and in its place in that of the file to test on."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read a file of images and the file of labels beside it, whose name has labels for images and idx1 for idx3.

    Where the name has ``train``, and files with ``t10k`` or ``test`` in its place are there, these are the test part.

    Raises:
        DataError: the labels are missing, a file is damaged, or a folder holds several data sets.
    """
    path = Path(source.path)
    images = _images_of(path)
    test = _images_of(Path(source.test)) if source.test else None
    if test is None:
        test = next((each for each in _tests_of(images) if each.exists()), None)
    return _part(images), _part(test) if test else None


def lie_in(folder: Path) -> bool:
    """Whether there are IDX files of images in a folder."""
    return bool(_images_in(folder))


def is_idx(path: Path) -> bool:
    """Whether a file begins as an IDX file does, packed with gzip or not."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(3) == b"\0\0\x08"
    except UNREADABLE:
        return False


def _images_in(folder: Path) -> list[Path]:
    """The files of images in a folder, those to train on first."""
    found = sorted(each for each in folder.iterdir() if each.name.endswith(ENDINGS))
    return sorted(found, key=lambda each: "train" not in each.name)


def _tests_of(images: Path) -> list[Path]:
    """What the file of images to test on may be called that belongs to one to train on."""
    names = [images.name.replace(*words) for words in TESTS]
    return [images.with_name(name) for name in names if name != images.name]


def _images_of(path: Path) -> Path:
    """The file of images to train on, which a path is, or which lies in the folder that it is.

    Raises:
        DataError: there are those of several data sets.
    """
    if not path.is_dir():
        return path
    images, *others = _images_in(path)
    same = {each.name.removesuffix(".gz") for each in (images, *_tests_of(images))}
    if different := [each.name for each in others if each.name.removesuffix(".gz") not in same]:
        raise DataError(
            f"{path} holds several data sets, {images.name} and {shortened(different)}: name the "
            "file of images to train on"
        )
    return images


def _part(path: Path) -> Part:
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    labels = path.with_name(name)
    if name == path.name or not labels.exists():
        expected = "labels" if name == path.name else name
        raise DataError(
            f"{path} has no file of labels beside it, expected {expected}: its name is that of the images, with labels "
            "for images and idx1 for idx3"
        )
    pixels, numbers = read_idx(path, 3, ""), read_idx(labels, 1, "")
    if len(pixels) != len(numbers):
        raise DataError(f"{path} has {len(pixels)} images and {labels} {len(numbers)} labels, expected as many")
    return Part(pixels[:, None], np.array([str(number) for number in numbers]))
