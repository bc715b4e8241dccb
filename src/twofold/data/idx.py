"""Read IDX files, and load MNIST and Fashion-MNIST from them."""

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

    Args:
        path: path of the file.
        ndim: expected number of dimensions.
        name: the data set that the file belongs to, or empty; used in error messages.

    Raises:
        DataError: the file cannot be read, or is not a complete IDX file.
    """
    with opened(Path(path), name) as file:
        return parse_idx(file, ndim)


def parse_idx(file: DataFile, ndim: int) -> NDArray[np.uint8]:
    """Read an open IDX file; see `read_idx`. The header is checked before memory is allocated.

    The layout is two zero bytes, a type code (8 for unsigned bytes), the number of dimensions, the size of each
    dimension as a big-endian 32-bit integer, then the values in row-major order.
    """
    start = 4 + 4 * ndim
    header = file.read(start)
    if header[:2] != b"\0\0" or len(header) < 4:
        raise file.damaged(f"is not an IDX file (it starts with {header[:4].hex() or 'nothing'})")
    if header[2] != 8:
        raise file.damaged(f"holds values of type 0x{header[2]:02x}, expected 0x08 (unsigned byte)")
    if header[3] != ndim:
        raise file.damaged(f"has {header[3]} dimensions, expected {ndim}")
    if len(header) < start:
        raise file.damaged(f"ends inside its header, after {len(header)} of {start} bytes")
    shape = struct.unpack_from(f">{ndim}I", header, 4)
    _check_shape(file, shape)
    size = math.prod(shape)
    values = file.rest(size, f"the shape {shape}")
    if len(values) < size:
        raise file.damaged(f"has {start + len(values)} bytes, expected {start + size} for the shape {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _check_shape(file: DataFile, shape: tuple[int, ...]) -> None:
    """Raise a `DataError` if images have another size than those of the official file, or the file has more cases."""
    if file.shape is None:
        return
    if shape[1:] != file.shape[1:]:
        actual, expected = (" x ".join(map(str, sizes[1:])) for sizes in (shape, file.shape))
        raise DataError(
            f"{file.path} has images of {actual} pixels, expected {expected}: it is not {file.name}; "
            "put the right file there"
        )
    if shape[0] > file.shape[0]:
        raise DataError(
            f"{file.path} has {shape[0]} cases, expected {file.shape[0]}: it is not {file.name}; "
            "put the right file there, or read your own data with twofold.read_data"
        )


def load(name: str, data_dir: Path | None, download: bool) -> Dataset:
    """Load the data set ``name``, ``mnist`` or ``fashion-mnist``: images ``(cases, 1, 28, 28)`` in 10 classes.

    ``official`` is True if the digests of all four files are the published ones.

    Raises:
        DataError: files are missing, damaged or of the wrong size, or the numbers of images and labels differ.
    """
    arrays, unofficial = [], []
    paths = fetch.locate(name, data_dir, download)
    for path, ndim in zip(paths, (3, 1, 3, 1), strict=True):
        with opened(path, name) as file:
            array = parse_idx(file, ndim)
        if not file.official:
            unofficial.append(file.described(len(array)))
        scaled = np.divide(array[:, None], 255, dtype=np.float32) if ndim == 3 else array.astype(np.int64)
        arrays.append(torch.from_numpy(scaled))
    train_images, train_labels, test_images, test_labels = arrays
    data = Dataset(name, train_images, train_labels, test_images, test_labels, classes=10, official=not unofficial)
    fetch.report_source(name, paths[0].parent, data_dir, unofficial)
    return data
