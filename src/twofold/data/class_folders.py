"""Pictures in folders, one folder for each class."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from twofold import machine
from twofold.data.columns import shortened
from twofold.data.part import Part
from twofold.data.pictures import decoded, pictures_below, shown
from twofold.data.source import Source
from twofold.errors import DataError, remark

BYTES = 7
"""That a number of a picture takes while a folder is read: as a byte, again as one of its part, as float32, and what
is checked of it."""

TRAIN, TEST = "train", "test"
"""The folders of the two parts, where a folder has both."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read a folder of class folders, or of the folders ``train`` and ``test`` that hold such folders.

    All pictures below a class folder are of that class, also those in folders within it. Pictures are grey where all of
    them are, also where they are stored in color.

    Raises:
        DataError: there is no picture, a class has none, one cannot be read, their sizes differ, or there are more
            than memory holds.
    """
    path = Path(source.path)
    train, test = path, Path(source.test) if source.test else None
    if _is_of_folders(path / TRAIN):
        train = path / TRAIN
        if test is None and _is_of_folders(path / TEST):
            test = path / TEST
        others = [each for each in _folders(path) if each not in (train, path / TEST)]
        if others:
            remark(f"{path} is read from {TRAIN}{f' and {TEST}' if test else ''} alone: {others[0].name} is not used")
    if len(alone := _folders(train)) == 1 and _is_of_folders(alone[0]):
        raise DataError(f"{train} has one folder only, {alone[0].name}, which has folders in it: give {alone[0]}")
    parts = [_files(train), *([_files(test)] if test else [])]
    files = [file for part in parts for file, _ in part]
    reading = _Reading(files, source)
    labels = np.array([label for part in parts for _, label in part])[np.array(reading.kept, dtype=int)]
    cut = int((np.array(reading.kept) < len(parts[0])).sum())
    whole = reading.pixels.transpose(0, 3, 1, 2)
    for part, those_read in zip(parts, (labels[:cut], labels[cut:]), strict=False):
        if lost := {label for _, label in part} - set(those_read.tolist()):
            raise DataError(f"{path}: no picture of the class {min(lost)} can be read: repair some, or remove it")
    read_files = {files[number] for number in reading.kept}
    if left_out := [f"{file.parent.name}/{file.name}" for file in files if file not in read_files]:
        said = shortened(left_out, 5)
        remark(f"{len(left_out)} of {len(files)} pictures cannot be read and are left out: {said}")
    return Part(whole[:cut], labels[:cut]), Part(whole[cut:], labels[cut:]) if test else None


def _is_of_folders(path: Path) -> bool:
    return path.is_dir() and bool(_folders(path))


def _folders(path: Path) -> list[Path]:
    return [each for each in shown(path) if each.is_dir()]


def _files(path: Path) -> list[tuple[Path, str]]:
    """The pictures below a folder, each with the name of its class."""
    found = []
    for folder in _folders(path):
        pictures = pictures_below(folder)
        if not pictures:
            raise DataError(f"{folder} has no picture, expected those of a class: add some, or remove the folder")
        found += [(file, unicodedata.normalize("NFC", folder.name)) for file in pictures]
    if not found:
        what = "pictures but no folders in it" if pictures_below(path) else "no folders in it"
        raise DataError(f"{path} has {what}: put the pictures of each class into a folder of its own, named like it")
    return found


class _Reading:
    """Picture files read one after the other into one array.

    Attributes:
        pixels: of those that could be read, ``(pictures, height, width, 1 or 3)``.
        kept: which of the files these are.
    """

    def __init__(self, files: list[Path], source: Source) -> None:
        self.kept: list[int] = []
        self._files, self._source = files, source
        self.pixels: NDArray[np.uint8] = np.empty((0, 0, 0, 1), np.uint8)
        for number, file in enumerate(files):
            try:
                picture = decoded(file)
            except DataError as error:
                if not source.skip_unreadable:
                    raise DataError(f"{error}, or leave such pictures out with --skip-unreadable") from error
            else:
                self._take(number, picture)
        self.pixels = self.pixels[: len(self.kept)]

    def _take(self, number: int, picture: Image.Image) -> None:
        """Add a picture; the first one decides the size, where none is asked for."""
        size = self._source.size or ((self.pixels.shape[2], self.pixels.shape[1]) if self.kept else picture.size)
        if not self.kept:
            self._make_room(size, 1)
        if picture.size != size and self._source.size is None:
            first = self._files[self.kept[0]]
            raise DataError(
                f"{self._files[number]} is {picture.width} x {picture.height} pixels and {first} is {size[0]} x "
                f"{size[1]}: have all scaled to one size, as with --size {size[0]}x{size[1]}"
            )
        picture = picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
        pixels: NDArray[Any] = np.atleast_3d(np.asarray(picture))
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., :1]
        elif self.pixels.shape[3] == 1:
            self._make_room(size, 3)
        self.pixels[len(self.kept)] = pixels
        self.kept.append(number)

    def _make_room(self, size: tuple[int, ...], channels: int) -> None:
        """Make an array for all pictures; those that were read before, in grey, are in it."""
        shape = (len(self._files), size[1], size[0], channels)
        needed, free = BYTES * int(np.prod(shape, dtype=np.int64)), machine.free_memory(torch.device("cpu"))
        if needed > free:
            raise DataError(
                f"{self._source.path}: {shape[0]} pictures of {size[0]} x {size[1]} take {needed / 1e9:.1f} GB of "
                f"memory, and {free / 1e9:.1f} GB are free: scale them to a smaller --size, or give fewer"
            )
        room = np.empty(shape, np.uint8)
        if self.kept:
            room[: len(self.kept)] = self.pixels[: len(self.kept)]
        self.pixels = room
