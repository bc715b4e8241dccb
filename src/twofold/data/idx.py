"""MNIST and Fashion-MNIST: images in IDX files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.data import fetch
from twofold.data.dataset import Dataset
from twofold.errors import DataError


def read_idx(path: Path | str, ndim: int, name: str = "NAME") -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes with ``ndim`` dimensions, raw or gzip.

    ``name`` is the data set that the file belongs to; it is used in the advice of an error.

    Raises:
        DataError: the file cannot be read, or is not a complete file of this format.
    """
    return parse_idx(fetch.read(Path(path), name)[0], ndim, Path(path), name)


def parse_idx(content: bytes, ndim: int, path: Path, name: str) -> NDArray[np.uint8]:
    """Return the array in the unpacked ``content`` of an IDX file; ``path`` and ``name`` are used in errors.

    The layout is two zero bytes, a type code (8 for unsigned bytes), the number of dimensions, the size of each
    dimension as a big-endian 32-bit number, then the values, with the last dimension varying fastest.
    """
    start = 4 + 4 * ndim
    if content[:2] != b"\0\0" or len(content) < 4:
        raise fetch.damaged(path, f"is no IDX file (it starts with {content[:4].hex() or 'nothing'})", name)
    if content[2] != 8:
        raise fetch.damaged(path, f"holds values of type 0x{content[2]:02x}, expected 0x08 (unsigned byte)", name)
    if content[3] != ndim:
        raise fetch.damaged(path, f"has {content[3]} dimensions, expected {ndim}", name)
    if len(content) < start:
        raise fetch.damaged(path, f"ends inside its header, after {len(content)} of {start} bytes", name)
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, offset=4))
    if len(content) != start + math.prod(shape):
        raise fetch.damaged(
            path, f"has {len(content)} bytes, expected {start + math.prod(shape)} for the shape {shape}", name
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def load(name: str, data_dir: Path | str | None, download: bool) -> Dataset:
    """Load the data set ``name``, ``mnist`` or ``fashion-mnist``: images ``(cases, 1, 28, 28)``, 10 classes.

    ``official`` is true if all four files have their published digests.

    Raises:
        DataError: files are missing, damaged or of the wrong size, or images and labels differ in number.
    """
    arrays, official = [], True
    for path, ndim in zip(fetch.locate(name, data_dir, download), (3, 1, 3, 1), strict=True):
        content, verified = fetch.read(path, name)
        array = parse_idx(content, ndim, path, name)
        if ndim == 3 and array.shape[1:] != (28, 28):
            raise DataError(
                f"{path} has images of {array.shape[1]} x {array.shape[2]} pixels, expected 28 x 28: "
                f"it is not {name}; put the right file there"
            )
        scaled = np.divide(array[:, None], 255, dtype=np.float32) if ndim == 3 else array.astype(np.int64)
        arrays.append(torch.from_numpy(scaled))
        official &= verified
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(name, train_images, train_labels, test_images, test_labels, classes=10, official=official)
