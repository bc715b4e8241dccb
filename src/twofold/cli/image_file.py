"""Read a picture file into a tensor for a net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from twofold.data.pictures import decoded
from twofold.errors import DataError


def read_picture(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """Read a picture as ``(1, channels, height, width)`` with pixels in [0, 1].

    Raises:
        DataError: there is no such file, it is not a picture, or it has the wrong size.
    """
    channels, height, width = shape
    image = decoded(path)
    if image.size != (width, height):
        found = f"{image.width} x {image.height}"
        raise DataError(f"{path} is {found} pixels, the net was trained on {width} x {height}: scale or crop it")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None].contiguous()
