"""What is drawn on a picture: ink told from its ground, whichever of them is dark, however the light falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from twofold.data.look import SEEN, box_of, stroke_of

Array = NDArray[np.float64]

LONGEST = 320
"""Pixels of the longer side of a picture in which ink is looked for."""

ENOUGH = 120
"""Pixels of the longer side of what is drawn, below which it is looked at again in more of the picture's pixels."""

PLAIN = 4 / 255
"""Difference, as a share of white, up to which two pixels of a plain ground are the same."""

LEAST = 0.08
"""Difference from the ground, as a share of white, from which on something may be ink where the ground is uneven."""

SPECK = 0.04
"""Share of the area of the largest part that is drawn, below which another is a speck."""


@dataclass(frozen=True)
class Ink:
    """What is drawn on a picture.

    Attributes:
        levels: (height, width) of what is drawn, cut out: from 0, where the ground is bare, to 1. Empty where nothing
            is drawn.
        dark: whether it is darker than the ground.
        uneven: whether the ground is not the same everywhere.
        contrast: how far the ink is from the ground, as a share of the distance from black to white.
    """

    levels: Array
    dark: bool
    uneven: bool
    contrast: float


def ink_of(picture: Image.Image) -> Ink:
    """Tell what is drawn on a picture of kind L or RGB from the ground.

    A plain ground is the color that most pixels at the edge have. Where they have none in common, as on a photograph,
    the ground is what is left when all that differs from a smooth surface is taken away and filled from around; what
    lies along an edge for long is beyond the paper. Of colors it is the direction from the ground to the ink that
    counts, so that ink as bright as its ground is seen too.
    """
    scale = min(1.0, LONGEST / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        pixels = np.atleast_3d(np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float64)) / 255
    else:
        pixels = np.atleast_3d(np.asarray(picture, dtype=np.float64)) / 255
    ground, plain = _ground(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))
    uneven = not plain
    levels, dark = _on_uneven(pixels) if uneven else _along(pixels - ground)
    levels, contrast = _cleaned(levels, uneven)
    if not contrast:
        return Ink(np.zeros((0, 0)), dark, uneven, 0.0)
    top, left, bottom, right = box_of(levels)
    longer = max(bottom - top, right - left)
    if scale < 1 and longer < ENOUGH and 2 * longer < max(pixels.shape[:2]):
        first = [max(0, round((place - longer / 2) / scale)) for place in (left, top)]
        last = [round((place + longer / 2) / scale) for place in (right, bottom)]
        box = (first[0], first[1], min(last[0], picture.width), min(last[1], picture.height))
        return ink_of(picture.crop(box))
    return Ink(levels[top:bottom, left:right], dark, uneven, contrast)


def _ground(edge: Array) -> tuple[Array, bool]:
    """The color that most of the pixels (count, channels) at the edge have, and whether it is that of a plain ground:
    many have it, and few have almost the same, as they would where light falls off."""
    some = edge[:: max(1, len(edge) // 256)]
    away = abs(some[:, None] - some[None]).max(2)
    same = (away <= PLAIN).mean(1)
    best = int(same.argmax())
    similar = ((away[best] > PLAIN) & (away[best] <= LEAST)).mean()
    return some[best], bool(same[best] >= 0.4 and similar <= 0.15)


def _along(away: Array) -> tuple[Array, bool]:
    """Differences (height, width, channels) from the ground as one number each, positive in the direction of what
    differs most, and whether that is the darker one."""
    size = abs(away).max(2)
    strong = away[size >= 0.5 * size.max()].mean(0)
    length = max(float(np.linalg.norm(strong)), 1e-9)
    direction = strong / length
    black_to_white = max(float(abs(direction).sum()), 1e-9)
    return np.clip(away @ direction / black_to_white, 0, None), bool(strong.sum() < 0)


def _on_uneven(pixels: Array) -> tuple[Array, bool]:
    bright = pixels.mean(2)
    dark = _is_dark(bright)
    away = bright - _surface(bright, -1 if dark else 1)
    found = (away < -LEAST) if dark else (away > LEAST)
    differs = pixels
    for _ in range(3):
        ground = _filled(pixels, ~ndimage.binary_dilation(found, iterations=2))
        differs = pixels / np.maximum(ground, 0.05) - 1 if dark else pixels - ground
        level = (-differs if dark else differs).mean(2)
        found = level > max(LEAST, 0.5 * _threshold(level))
    return _along(differs)[0], dark


def _is_dark(bright: Array) -> bool:
    """Whether what differs from a smooth surface is darker than it, in the inner part of a picture."""
    away = bright - _surface(bright, 0)
    height, width = away.shape
    inner = away[height // 8 : height - height // 8, width // 8 : width - width // 8]
    return bool(inner[abs(inner) > LEAST].sum() <= 0)


def _surface(bright: Array, side: int) -> Array:
    """A parabola through most of a picture; what differs more to ``side`` (-1: what is darker; 0: to either) does not
    count."""
    height, width = bright.shape
    down, right = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(down), down, right, down**2, down * right, right**2], 2)
    some = slice(None, None, max(1, max(bright.shape) // 64))
    few, values = terms[some, some].reshape(-1, 6), bright[some, some].ravel()
    weight: Array = np.ones(len(values))
    best: Array = np.zeros(6)
    for _ in range(8):
        best = np.asarray(np.linalg.lstsq(few * weight[:, None], values * weight, rcond=None)[0], dtype=np.float64)
        away = values - few @ best
        counts = abs(away) if side == 0 else np.clip(side * away, 0, None)
        weight = 1 / np.sqrt(1 + (counts / (LEAST / 2)) ** 2)
    found: Array = terms @ best
    return found


def _filled(pixels: Array, bare: NDArray[np.bool_]) -> Array:
    """A smooth ground (height, width, channels): the mean of what is ``bare`` near by, or farther away."""
    height, width, channels = pixels.shape
    step = max(1, max(height, width) // 80)
    rows, columns = np.arange(height) // step, np.arange(width) // step
    known = np.concatenate([np.where(bare[..., None], pixels, 0), bare[..., None]], 2)
    coarse = np.zeros((rows[-1] + 1, columns[-1] + 1, channels + 1))
    np.add.at(coarse, (rows[:, None], columns[None]), known)
    sigma = max(coarse.shape[:2]) / 24
    near, far = (ndimage.gaussian_filter(coarse, (size, size, 0)) for size in (sigma, 6 * sigma))
    both = near + 0.02 * far
    ground = both[..., :channels] / np.maximum(both[..., channels:], 1e-9)
    places = [(np.arange(length) + 0.5) / step - 0.5 for length in (height, width)]
    at = np.meshgrid(*places, indexing="ij")
    parts = [ndimage.map_coordinates(ground[..., each], at, order=1, mode="nearest") for each in range(channels)]
    return np.stack(parts, 2)


def _threshold(levels: Array) -> float:
    """Otsu's threshold: it parts the levels in two groups of the least variance within them."""
    counts, edges = np.histogram(levels, 128, (0, max(float(levels.max()), 1e-6)))
    middle = (edges[1:] + edges[:-1]) / 2
    below, total, first = np.cumsum(counts)[:-1], max(int(counts.sum()), 1), np.cumsum(counts * middle)
    between = (first[-1] * below / total - first[:-1]) ** 2 / np.maximum(below * (total - below), 1)
    return float(edges[1 + int(between.argmax())])


def _cleaned(levels: Array, uneven: bool) -> tuple[Array, float]:
    """Levels with what is no ink at 0 and full ink at 1, and what full ink was; 0 where nothing is drawn."""
    strongest = float(np.partition(levels, -min(9, levels.size), axis=None)[-min(9, levels.size)])
    threshold = max(LEAST, 0.5 * _threshold(levels)) if uneven else max(SEEN * strongest, 0.01)
    parts, count = ndimage.label(levels > threshold, np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    if uneven:
        numbers = np.array([number for number in numbers if not _from_edge(parts == number)], dtype=int)
    if not len(numbers) or strongest < LEAST / 2:
        return levels, 0.0
    area = np.bincount(parts.ravel(), minlength=count + 1)[numbers]
    chosen = np.isin(parts, numbers[area >= SPECK * area.max()])
    full = float(np.quantile(levels[chosen], 0.8 if uneven else 0.9))
    faint = 0.25 * full if uneven else 0.0  # the noise of the paper
    inked = ndimage.binary_dilation(chosen) if uneven else chosen
    return np.clip(np.where(inked, (levels - faint) / (full - faint), 0), 0, 1), full


def _from_edge(part: NDArray[np.bool_]) -> bool:
    """Whether a part lies along an edge of the picture for long, as what is beyond a sheet of paper does."""
    return any(side.mean() > 0.25 for side in (part[0], part[-1], part[:, 0], part[:, -1]))


def thickened(levels: Array, share: float) -> Array:
    """What is drawn (height, width), with strokes about as wide as this share of its longer side."""
    more = round((share * max(levels.shape) - stroke_of(levels)) / 2)
    if more < 1:
        return levels
    down, right = np.ogrid[-more : more + 1, -more : more + 1]
    pen = down**2 + right**2 <= more**2
    found: Array = ndimage.grey_dilation(np.pad(levels, more), footprint=pen)
    return found
