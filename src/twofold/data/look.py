"""Statistics of the pictures of a data set, used to make other pictures look like the training pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.checks import check_fields

MAX_PICTURES = 1000
"""Number of pictures that are analyzed, spread evenly over the data set."""

PIXELS = 4_000_000
"""Total number of pixels that are analyzed, at 33 bytes each; fewer large pictures are analyzed than small ones."""

MIN_AGREEMENT = 0.98
"""Share of the pictures that must have a property for it to count as a property of the data set."""

MIN_INK = 0.25
"""Contrast between ink and ground below which pictures count as empty."""

INK_THRESHOLD = 0.1
"""Difference from the ground, as a share of the ink's difference, above which a pixel is part of the drawing."""


@dataclass(frozen=True)
class Look:
    """Statistics of one-channel pictures that are drawn on a plain ground.

    Levels range from 0 to 1; lengths and positions are in pixels.

    Attributes:
        ground: level of the plain ground.
        ink: level farthest from the ground in a picture, median over the pictures.
        covered: smallest and largest mean amount of ink of a picture, from 0 for a bare ground to 1 for ink everywhere.
        stroke: smallest, median and largest stroke width of the pictures; see `stroke_of`.
        box: length of the longer side of the drawings' bounding boxes; ``None`` if it differs between pictures.
        by_mass: True if the drawings are centered by their center of mass, False if by their bounding box.
        center: mean position of the drawings' centers, (down, right) from the upper left corner of the picture.
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
        """Return the look whose `asdict` was written as JSON and read back as ``content``.

        Raises:
            TypeError: an entry is missing or has another type.
        """
        return cls(**content)

    def levels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Convert pixels from 0 to 1 to levels of ink, from 0 for the ground to 1 for full ink."""
        return np.clip((pixels - self.ground) / (self.ink - self.ground), 0, 1)

    def oddity(self, pixels: NDArray[Any]) -> str | None:
        """Describe how a picture ``(height, width)`` differs from all training images; ``None`` if it does not."""
        levels = self.levels(pixels)
        covered, stroke = float(levels.mean()), stroke_of(levels)
        if not self.covered[0] <= covered <= self.covered[1]:
            return f"{'less' if covered < self.covered[0] else 'more'} ink than the training images"
        if not self.stroke[0] <= stroke <= self.stroke[2]:
            return f"{'thinner' if stroke < self.stroke[0] else 'thicker'} strokes than the training images"
        return None


def look_of(images: Tensor) -> Look | None:
    """Return the statistics of training images ``(cases, channels, height, width)``.

    Returns:
        The look, or ``None`` if the images have several channels, no plain ground, or too little contrast.
    """
    if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < 4:
        return None
    most = min(MAX_PICTURES, max(PIXELS // images[0, 0].numel(), 10))
    sample = images[:: -(-len(images) // most), 0]
    around = torch.cat([sample[:, 0], sample[:, -1], sample[:, :, 0], sample[:, :, -1]], 1)
    edges = around.cpu().numpy().astype(np.float64)
    ground = float(np.median(edges))
    if ((abs(edges - ground) <= INK_THRESHOLD).mean(1) >= 0.5).mean() < MIN_AGREEMENT:
        return None
    pictures = sample.cpu().numpy().astype(np.float64)
    flat = (pictures - ground).reshape(len(pictures), -1)
    ink = float(np.median(flat[np.arange(len(flat)), abs(flat).argmax(1)]))
    levels = np.clip((pictures - ground) / (ink or 1), 0, 1)
    drawn = levels[(levels > INK_THRESHOLD).any((1, 2))]
    if abs(ink) < MIN_INK or len(drawn) < MIN_AGREEMENT * len(levels):
        return None
    means = drawn.mean((1, 2))
    widths = np.array([stroke_of(picture) for picture in drawn])
    covered = float(means.min()), float(means.max())
    stroke = float(widths.min()), float(np.median(widths)), float(widths.max())
    sides = [edges_of(np.any(drawn > INK_THRESHOLD, axis)) for axis in (2, 1)]
    longer = np.maximum(*(last - first for first, last in sides))
    box = int(np.median(longer))
    if (longer == box).mean() < MIN_AGREEMENT:
        return Look(ground, ground + ink, covered, stroke)
    middles = np.stack([(first + last) / 2 for first, last in sides], 1)
    masses = np.array([mass_of(picture) for picture in drawn])
    by_mass = bool(masses.std(0).sum() < middles.std(0).sum())
    down, right = (masses if by_mass else middles).mean(0)
    return Look(ground, ground + ink, covered, stroke, box, by_mass, (float(down), float(right)))


def edges_of(seen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the index of the first True and of the last True plus 1, in each row of ``seen``, ``(rows, length)``."""
    return seen.argmax(-1), seen.shape[-1] - seen[..., ::-1].argmax(-1)


def box_of(levels: NDArray[Any]) -> tuple[int, int, int, int]:
    """Return the bounding box (top, left, bottom, right) of ink ``(height, width)``; at least one level must be above
    `INK_THRESHOLD`."""
    (top, bottom), (left, right) = (edges_of(np.any(levels > INK_THRESHOLD, axis)) for axis in (1, 0))
    return int(top), int(left), int(bottom), int(right)


def mass_of(levels: NDArray[Any]) -> tuple[float, float]:
    """Return the center of mass (down, right) of ink ``(height, width)``, from the upper left corner."""
    mass = levels.sum()
    down = levels.sum(1) @ (np.arange(levels.shape[0]) + 0.5) / mass
    right = levels.sum(0) @ (np.arange(levels.shape[1]) + 0.5) / mass
    return float(down), float(right)


def stroke_of(levels: NDArray[Any]) -> float:
    """Return the stroke width in pixels of ink ``(height, width)``.

    The width is 2 × area / outline. The area is the sum of the levels; the outline is the sum of the gradient's norm.
    No threshold is needed, and multiplying all levels by a factor changes nothing. Strokes thinner than a pixel
    therefore measure about one to two pixels.
    """
    around = np.pad(levels, 1)
    down, right = np.diff(around, axis=0)[:, :-1], np.diff(around, axis=1)[:-1]
    return float(2 * levels.sum() / max(float(np.hypot(down, right).sum()), 1e-9))
