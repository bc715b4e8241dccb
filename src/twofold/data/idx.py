"""MNIST and Fashion-MNIST: images in IDX files."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.data import fetch
from twofold.data.data_file import DataFile, opened
from twofold.data.dataset import Dataset
from twofold.errors import DataError


def read_idx(path: Path | str, ndim: int, name: str = "NAME") -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes with ``ndim`` dimensions, raw or gzip.

    ``name`` is the data set that the file belongs to, or empty; it is used in the advice of an error.

    Raises:
        DataError: the file cannot be read, or is not a complete file of this format.
    """
    with opened(Path(path), name) as file:
        return take_idx(file, ndim)


def take_idx(file: DataFile, ndim: int) -> NDArray[np.uint8]:
    """Read an open IDX file; see `read_idx`. Its header is checked before any memory is taken for its values.

    The layout is two zero bytes, a type code (8 for unsigned bytes), the number of dimensions, the size of each
    dimension as a big-endian 32-bit number, then the values, with the last dimension varying fastest.
    """
    start = 4 + 4 * ndim
    head = file.read(start)
    if head[:2] != b"\0\0" or len(head) < 4:
        raise file.damaged(f"is no IDX file (it starts with {head[:4].hex() or 'nothing'})")
    if head[2] != 8:
        raise file.damaged(f"holds values of type 0x{head[2]:02x}, expected 0x08 (unsigned byte)")
    if head[3] != ndim:
        raise file.damaged(f"has {head[3]} dimensions, expected {ndim}")
    if len(head) < start:
        raise file.damaged(f"ends inside its header, after {len(head)} of {start} bytes")
    shape = struct.unpack_from(f">{ndim}I", head, 4)
    _check_shape(file, shape)
    size = math.prod(shape)
    values = file.rest(size, f"the shape {shape}")
    if len(values) < size:
        raise file.damaged(f"has {start + len(values)} bytes, expected {start + size} for the shape {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _check_shape(file: DataFile, shape: tuple[int, ...]) -> None:
    """Refuse images of another size than those of the data set, and more cases than it has."""
    if file.shape is None:
        return
    if shape[1:] != file.shape[1:]:
        found, expected = (" x ".join(map(str, each[1:])) for each in (shape, file.shape))
        raise DataError(
            f"{file.path} has images of {found} pixels, expected {expected}: it is not {file.name}; "
            "put the right file there"
        )
    if shape[0] > file.shape[0]:
        raise DataError(
            f"{file.path} has {shape[0]} cases, expected {file.shape[0]}: it is not {file.name}; "
            "put the right file there, or bring data of your own with twofold.as_dataset"
        )


def load(name: str, data_dir: Path | None, download: bool) -> Dataset:
    """Load the data set ``name``, ``mnist`` or ``fashion-mnist``: images ``(cases, 1, 28, 28)``, 10 classes.

    ``official`` is true if all four files have their published digests.

    Raises:
        DataError: files are missing, damaged or of the wrong size, or images and labels differ in number.
    """
    arrays, other = [], []
    paths = fetch.locate(name, data_dir, download)
    for path, ndim in zip(paths, (3, 1, 3, 1), strict=True):
        with opened(path, name) as file:
            array = take_idx(file, ndim)
        if not file.official:
            other.append(file.found(len(array)))
        scaled = np.divide(array[:, None], 255, dtype=np.float32) if ndim == 3 else array.astype(np.int64)
        arrays.append(torch.from_numpy(scaled))
    train_images, train_labels, test_images, test_labels = arrays
    data = Dataset(name, train_images, train_labels, test_images, test_labels, classes=10, official=not other)
    fetch.say(name, paths[0].parent, data_dir, other)
    return data
