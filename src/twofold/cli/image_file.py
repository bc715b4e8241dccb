"""Read a picture file into a tensor for a net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from twofold.errors import DataError


def read_picture(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read a picture as ``(1, channels, height, width)`` with pixels in [0, 1].

    Args:
        path: a file in any format that Pillow reads.
        shape: (channels, height, width) that the net was trained on.

    Raises:
        DataError: there is no such file, it is not a picture, or it has the wrong size.
    """
    channels, height, width = shape
    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: give the path of a picture") from error
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as a picture: give a PNG of {width} x {height} pixels") from error
    if picture.shape[:2] != (height, width):
        found = f"{picture.shape[1]} x {picture.shape[0]}"
        raise DataError(f"{path} is {found} pixels, the net was trained on {width} x {height}: scale or crop it")
    return torch.from_numpy(np.atleast_3d(picture)).permute(2, 0, 1)[None].contiguous()
