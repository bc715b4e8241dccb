"""What the pictures of a data set have in common, so that others can be made to look like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.checks import check_fields

MOST = 1000
"""Pictures that are looked at, evenly over the data set."""

PIXELS = 4_000_000
"""Of all the pictures together that are looked at, which take 33 bytes each; of larger pictures there are fewer."""

AGREE = 0.98
"""Share of the pictures of which something has to be true."""

FAINT = 0.25
"""Difference of the ink from the ground, below which pictures are all but empty."""

SEEN = 0.1
"""Difference from the ground, as a share of the ink's, from which on a pixel belongs to what is drawn."""


@dataclass(frozen=True)
class Look:
    """What pictures of one channel have in common that are drawn on a plain ground.

    Levels are from 0 to 1, lengths and places in pixels.

    Attributes:
        ground: level of the plain ground on which things are drawn.
        ink: level that is farthest from the ground, as most pictures have it.
        covered: least and greatest mean level, where the ground counts as 0 and the ink as 1.
        stroke: least, median and greatest width of strokes, `stroke_of`.
        box: the longer side of what is drawn; ``None`` where it is not the same in all pictures.
        by_mass: whether all have their center of mass in one place; else it is the middle of the box that is there.
        center: that place, (down, right), from the upper left corner of the picture.
    """

    ground: float
    ink: float
    covered: tuple[float, float]
    stroke: tuple[float, float, float]
    box: int | None = None
    by_mass: bool = False
    center: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The look in what `asdict` gave and JSON has held.

        Raises:
            TypeError: an entry is missing, or of another type.
        """
        return cls(**content)

    def levels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels as levels of ink, from 0 where they are the ground to 1."""
        return np.clip((pixels - self.ground) / (self.ink - self.ground), 0, 1)

    def oddity(self, pixels: NDArray[Any]) -> str | None:
        """How a picture (height, width) differs from all that were looked at, if it does."""
        levels = self.levels(pixels)
        covered, stroke = float(levels.mean()), stroke_of(levels)
        if not self.covered[0] <= covered <= self.covered[1]:
            return f"{'less' if covered < self.covered[0] else 'more'} ink than the training images"
        if not self.stroke[0] <= stroke <= self.stroke[2]:
            return f"{'thinner' if stroke < self.stroke[0] else 'thicker'} strokes than the training images"
        return None


def look_of(images: Tensor) -> Look | None:
    """What training images ``(cases, channels, height, width)`` have in common; ``None`` where they have color, or no
    plain ground."""
    if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < 4:
        return None
    most = min(MOST, max(PIXELS // images[0, 0].numel(), 10))
    some = images[:: -(-len(images) // most), 0]
    around = torch.cat([some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1]], 1)
    edges = around.cpu().numpy().astype(np.float64)
    ground = float(np.median(edges))
    if ((abs(edges - ground) <= SEEN).mean(1) >= 0.5).mean() < AGREE:
        return None
    pictures = some.cpu().numpy().astype(np.float64)
    flat = (pictures - ground).reshape(len(pictures), -1)
    ink = float(np.median(flat[np.arange(len(flat)), abs(flat).argmax(1)]))
    levels = np.clip((pictures - ground) / (ink or 1), 0, 1)
    drawn = levels[(levels > SEEN).any((1, 2))]
    if abs(ink) < FAINT or len(drawn) < AGREE * len(levels):
        return None
    means = drawn.mean((1, 2))
    widths = np.array([stroke_of(each) for each in drawn])
    covered = float(means.min()), float(means.max())
    stroke = float(widths.min()), float(np.median(widths)), float(widths.max())
    sides = [edges_of(np.any(drawn > SEEN, axis)) for axis in (2, 1)]
    longer = np.maximum(*(last - first for first, last in sides))
    box = int(np.median(longer))
    if (longer == box).mean() < AGREE:
        return Look(ground, ground + ink, covered, stroke)
    middles = np.stack([(first + last) / 2 for first, last in sides], 1)
    masses = np.array([mass_of(each) for each in drawn])
    by_mass = bool(masses.std(0).sum() < middles.std(0).sum())
    down, right = (masses if by_mass else middles).mean(0)
    return Look(ground, ground + ink, covered, stroke, box, by_mass, (float(down), float(right)))


def edges_of(seen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where in each row (rows, length) the first is that is seen, and the place behind the last."""
    return seen.argmax(-1), seen.shape[-1] - seen[..., ::-1].argmax(-1)


def box_of(levels: NDArray[Any]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what is drawn with levels (height, width) of ink, at least one above `SEEN`."""
    (top, bottom), (left, right) = (edges_of(np.any(levels > SEEN, axis)) for axis in (1, 0))
    return int(top), int(left), int(bottom), int(right)


def mass_of(levels: NDArray[Any]) -> tuple[float, float]:
    """Where the center of mass of levels (height, width) of ink is, (down, right), from the upper left corner."""
    mass = levels.sum()
    down = levels.sum(1) @ (np.arange(levels.shape[0]) + 0.5) / mass
    right = levels.sum(0) @ (np.arange(levels.shape[1]) + 0.5) / mass
    return float(down), float(right)


def stroke_of(levels: NDArray[Any]) -> float:
    """The width in pixels of the strokes that are drawn with levels (height, width) of ink.

    Twice their area over their length of edge, which is the sum of |gradient|: there is no threshold. Strokes that are
    fainter throughout count as if they were not, so that one thinner than a pixel has about a pixel or two.
    """
    around = np.pad(levels, 1)
    down, right = np.diff(around, axis=0)[:, :-1], np.diff(around, axis=1)[:-1]
    return float(2 * levels.sum() / max(float(np.hypot(down, right).sum()), 1e-9))
