"""Read pictures from class folders, one folder per class, or from the files that a manifest names."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from twofold import machine
from twofold.data.columns import Problems, as_texts, missing_columns, shortened
from twofold.data.part import Part
from twofold.data.pictures import decoded, pictures_below, visible_entries
from twofold.data.source import Source
from twofold.data.tables import is_picture_name, read_table
from twofold.errors import DataError, remark

BYTES = 7
"""Peak memory in bytes per pixel value while a folder is read: 1 for the value as it is read, 1 for the copy in the
training or test part, 4 for the float32 image, 1 for temporary values of the checks."""

TRAIN, TEST = "train", "test"
"""Names of the subfolders with the training part and the test part."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read a folder that contains class folders, or the folders ``train`` and ``test`` with class folders inside.

    All pictures below a class folder, including those in subfolders, belong to that class. The result has one channel
    if all pictures are grey, including grey pictures stored in color.

    Raises:
        DataError: there is no picture, a class has no picture, a picture cannot be read, the sizes of the pictures
            differ, or the pictures do not fit into memory.
    """
    path = Path(source.path)
    train, test = path, Path(source.test) if source.test else None
    if _has_folders(path / TRAIN):
        train = path / TRAIN
        if test is None and _has_folders(path / TEST):
            test = path / TEST
        ignored = [folder for folder in _folders(path) if folder not in (train, path / TEST)]
        if ignored:
            names = f"{TRAIN}{f' and {TEST}' if test else ''}"
            remark(f"{path}: only the folders {names} are read, {ignored[0].name} is not used")
    if len(folders := _folders(train)) == 1 and _has_folders(folders[0]):
        raise DataError(f"{train} contains a single folder, {folders[0].name}, with folders in it: give {folders[0]}")
    return _pictures([_files(train), *([_files(test)] if test else [])], source)


def read_manifest(source: Source) -> tuple[Part, Part | None]:
    """Read the pictures listed in a manifest, a table of two columns: the picture files and their labels.

    Relative paths of picture files start at the folder of the manifest.

    Raises:
        DataError: a file does not exist or cannot be read, a label is missing, or the sizes of the pictures differ.
    """
    return _pictures([_named(Path(path), source) for path in (source.path, source.test) if path], source)


def _named(path: Path, source: Source) -> list[tuple[Path, str]]:
    """Return (picture file, class name) for each row of a manifest."""
    columns, problems = read_table(path), Problems(str(path))
    label = source.label or next(name for name, values in columns.items() if not is_picture_name(values[0]))
    if label not in columns:
        raise missing_columns(str(path), [label], columns)
    labels = as_texts(label, columns.pop(label), problems, False)
    if len(columns) != 1:
        raise DataError(
            f"{path} has {len(columns)} columns besides the label, expected one with the names of the files"
        )
    ((name, values),) = columns.items()
    files = [path.parent / text for text in as_texts(name, values, problems, False).tolist()]
    if not source.skip_unreadable:
        lost = [row for row, file in enumerate(files) if not file.exists()]
        problems.add_rows(name, lost, lambda row: f"{files[row]}, which does not exist,", "check the path")
    problems.check()
    return list(zip(files, labels.tolist(), strict=True))


def _pictures(parts: list[list[tuple[Path, str]]], source: Source) -> tuple[Part, Part | None]:
    """Read the pictures of the training part and, if ``parts`` has two lists, of the test part."""
    files = [file for part in parts for file, _ in part]
    reader = _Reader(files, source)
    labels = np.array([label for part in parts for _, label in part])[np.array(reader.kept, dtype=int)]
    cut = int((np.array(reader.kept) < len(parts[0])).sum())
    pixels = reader.pixels.transpose(0, 3, 1, 2)
    for part, read_labels in zip(parts, (labels[:cut], labels[cut:]), strict=False):
        if lost := {label for _, label in part} - set(read_labels.tolist()):
            raise DataError(
                f"{source.path}: no picture of the class {min(lost)} can be read: repair some or remove the class"
            )
    read_files = {files[number] for number in reader.kept}
    if skipped := [f"{file.parent.name}/{file.name}" for file in files if file not in read_files]:
        remark(f"skipped {len(skipped)} of {len(files)} pictures that cannot be read: {shortened(skipped, 5)}")
    return Part(pixels[:cut], labels[:cut]), Part(pixels[cut:], labels[cut:]) if len(parts) > 1 else None


def _has_folders(path: Path) -> bool:
    return path.is_dir() and bool(_folders(path))


def _folders(path: Path) -> list[Path]:
    return [entry for entry in visible_entries(path) if entry.is_dir()]


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return (picture file, class name) for each picture below a folder of class folders."""
    files = []
    for folder in _folders(path):
        pictures = pictures_below(folder)
        if not pictures:
            raise DataError(f"{folder} has no picture, expected those of one class: add some or remove the folder")
        files += [(file, unicodedata.normalize("NFC", folder.name)) for file in pictures]
    if not files:
        content = "pictures but no folders in it" if pictures_below(path) else "no folders in it"
        raise DataError(f"{path} has {content}: put the pictures of each class into a folder named after the class")
    return files


class _Reader:
    """Reads picture files into one array.

    Attributes:
        pixels: the pictures that could be read, ``(pictures, height, width, 1 or 3)``.
        kept: indices, in ``files``, of the pictures that could be read.
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
                    raise DataError(f"{error}, or skip unreadable pictures with --skip-unreadable") from error
            else:
                self._add(number, picture)
        self.pixels = self.pixels[: len(self.kept)]

    def _add(self, number: int, picture: Image.Image) -> None:
        """Add the picture of file ``number``. The first picture sets the size of all if the source has none."""
        size = self._source.size or ((self.pixels.shape[2], self.pixels.shape[1]) if self.kept else picture.size)
        if not self.kept:
            self._allocate(size, 1)
        if picture.size != size and self._source.size is None:
            first = self._files[self.kept[0]]
            raise DataError(
                f"{self._files[number]} is {picture.width} x {picture.height} pixels and {first} is {size[0]} x "
                f"{size[1]}: scale all to one size, for example with --size {size[0]}x{size[1]}"
            )
        picture = picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
        pixels: NDArray[Any] = np.atleast_3d(np.asarray(picture))
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., :1]
        elif self.pixels.shape[3] == 1:
            self._allocate(size, 3)
        self.pixels[len(self.kept)] = pixels
        self.kept.append(number)

    def _allocate(self, size: tuple[int, ...], channels: int) -> None:
        """Allocate `pixels` for all files, and copy the grey pictures read so far into the new array."""
        shape = (len(self._files), size[1], size[0], channels)
        needed, free = BYTES * int(np.prod(shape, dtype=np.int64)), machine.free_memory(torch.device("cpu"))
        if needed > free:
            raise DataError(
                f"{self._source.path}: {shape[0]} pictures of {size[0]} x {size[1]} take {needed / 1e9:.1f} GB of "
                f"memory, and {free / 1e9:.1f} GB are free: choose a smaller --size or give fewer pictures"
            )
        pixels = np.empty(shape, np.uint8)
        if self.kept:
            pixels[: len(self.kept)] = self.pixels[: len(self.kept)]
        self.pixels = pixels
