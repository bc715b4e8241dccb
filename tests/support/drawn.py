"""What is read off a picture that was drawn: its panels, captions, legends and pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image


def shown(figure: Figure) -> list[Any]:
    return [place for place in figure.axes if place.get_visible()]


def captions(figure: Figure) -> list[str]:
    return [place.get_title() for place in shown(figure)]


def legend(place: Any) -> list[str]:
    return [text.get_text() for text in place.get_legend().get_texts()]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def digits_weight(units: int = 60, inputs: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(units, inputs, generator=torch.Generator().manual_seed(seed))
