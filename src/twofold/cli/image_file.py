"""Read a picture file into a tensor for a net."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from twofold.errors import DataError

MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"}
"""Kinds of pixels, as Pillow calls them, of which each channel has 8 bits. Others have no agreed white."""

LARGEST = 1 << 26
"""Bytes of a file that is looked into."""


def read_picture(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read a picture as ``(1, channels, height, width)`` with pixels in [0, 1].

    The kind and the size of the file and the size in its header are checked before anything is decoded.

    Args:
        path: a file in any format that Pillow reads.
        shape: (channels, height, width) that the net was trained on.

    Raises:
        DataError: there is no such file, it is not a picture, or it has the wrong size.
    """
    _, height, width = shape
    hint = f"give a PNG of {width} x {height} pixels with 8 bits a channel"
    try:
        file = path.stat()
        if not stat.S_ISREG(file.st_mode):
            raise DataError(f"{path} cannot be read as a picture (it is no regular file): {hint}")
        if file.st_size > LARGEST:
            raise DataError(f"{path} cannot be read as a picture (it has {file.st_size / 1e6:.0f} MB): {hint}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about what is refused below or does not matter
            picture = _decoded(path, shape)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: give the path of a picture") from error
    except Exception as error:  # Pillow raises what its decoders meet, of every kind
        raise DataError(f"{path} cannot be read as a picture ({error}): {hint}") from error
    return torch.from_numpy(np.atleast_3d(picture)).permute(2, 0, 1)[None].contiguous()


def _decoded(path: Path, shape: tuple[int, int, int]) -> Any:
    """The pixels of a picture whose header fits the shape."""
    channels, height, width = shape
    with Image.open(path) as image:
        if image.size != (width, height):
            found = f"{image.width} x {image.height}"
            raise DataError(f"{path} is {found} pixels, the net was trained on {width} x {height}: scale or crop it")
        if image.mode not in MODES:
            raise DataError(f"{path} has pixels of the kind {image.mode}: save it with 8 bits a channel")
        return np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
