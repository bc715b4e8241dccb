"""Separate the drawing on a picture from its ground, for dark or light ink and uneven illumination."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from twofold.data.look import INK_THRESHOLD, box_of, stroke_of

Array = NDArray[np.float64]

MAX_SIDE = 320
"""Length of the longer side, in pixels, to which larger pictures are reduced before ink is detected."""

MIN_SIDE = 120
"""Length in pixels; a drawing with a shorter longer side is cropped and analyzed again at a higher resolution."""

PLAIN_TOLERANCE = 4 / 255
"""Largest difference between pixels that count as the same color on a plain ground, as a share of white."""

MIN_CONTRAST = 0.08
"""Smallest difference between ink and an uneven ground, as a share of white."""

MIN_COMPONENT = 0.04
"""Connected components of ink whose area is below this share of the largest component's are ignored."""


@dataclass(frozen=True)
class Ink:
    """The drawing on a picture.

    Attributes:
        levels: amount of ink of each pixel, ``(height, width)``, from 0 for bare ground to 1, cropped to the bounding
            box of the drawing. Empty if nothing is drawn.
        dark: True if the ink is darker than the ground.
        uneven: True if the ground is not uniform.
        contrast: difference between ink and ground, as a share of the difference between black and white.
    """

    levels: Array
    dark: bool
    uneven: bool
    contrast: float


def ink_of(picture: Image.Image) -> Ink:
    """Separate the drawing on a picture in mode L or RGB from its ground.

    The color of a plain ground is the most frequent color at the edge of the picture. If no color is frequent there, as
    on a photograph, the ground is estimated: pixels that differ from a smooth surface are filled in from their
    surroundings. Components along much of an edge then count as background beyond the paper. Colors are projected onto
    the direction from ground to ink, so that ink as bright as its ground is detected too.
    """
    scale = min(1.0, MAX_SIDE / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        pixels = np.atleast_3d(np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float64)) / 255
    else:
        pixels = np.atleast_3d(np.asarray(picture, dtype=np.float64)) / 255
    ground, plain = _ground(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))
    uneven = not plain
    levels, dark = _ink_on_uneven(pixels) if uneven else _project(pixels - ground)
    levels, contrast = _cleaned(levels, uneven)
    if not contrast:
        return Ink(np.zeros((0, 0)), dark, uneven, 0.0)
    top, left, bottom, right = box_of(levels)
    longer = max(bottom - top, right - left)
    if scale < 1 and longer < MIN_SIDE and 2 * longer < max(pixels.shape[:2]):
        first = [max(0, round((corner - longer / 2) / scale)) for corner in (left, top)]
        last = [round((corner + longer / 2) / scale) for corner in (right, bottom)]
        box = (first[0], first[1], min(last[0], picture.width), min(last[1], picture.height))
        return ink_of(picture.crop(box))
    return Ink(levels[top:bottom, left:right], dark, uneven, contrast)


def _ground(edge: Array) -> tuple[Array, bool]:
    """Return the most frequent color of edge pixels ``(count, channels)``, and True if the ground is plain.

    The ground is plain if many pixels have this color and few have a similar color; uneven light makes many similar
    colors.
    """
    sample = edge[:: max(1, len(edge) // 256)]
    difference = abs(sample[:, None] - sample[None]).max(2)
    same = (difference <= PLAIN_TOLERANCE).mean(1)
    best = int(same.argmax())
    similar = ((difference[best] > PLAIN_TOLERANCE) & (difference[best] <= MIN_CONTRAST)).mean()
    return sample[best], bool(same[best] >= 0.4 and similar <= 0.15)


def _project(difference: Array) -> tuple[Array, bool]:
    """Project differences from the ground ``(height, width, channels)`` onto the direction of the largest differences.

    Returns:
        Levels ``(height, width)``, with negative levels clipped to 0, and True if the direction is toward black.
    """
    size = abs(difference).max(2)
    strong = difference[size >= 0.5 * size.max()].mean(0)
    length = max(float(np.linalg.norm(strong)), 1e-9)
    direction = strong / length
    black_to_white = max(float(abs(direction).sum()), 1e-9)
    return np.clip(difference @ direction / black_to_white, 0, None), bool(strong.sum() < 0)


def _ink_on_uneven(pixels: Array) -> tuple[Array, bool]:
    """Estimate an uneven ground; return the ink levels ``(height, width)``, and True if ink is darker than ground."""
    bright = pixels.mean(2)
    dark = _is_dark(bright)
    residual = bright - _surface(bright, -1 if dark else 1)
    ink = (residual < -MIN_CONTRAST) if dark else (residual > MIN_CONTRAST)
    difference = pixels
    for _ in range(3):
        ground = _filled(pixels, ~ndimage.binary_dilation(ink, iterations=2))
        difference = pixels / np.maximum(ground, 0.05) - 1 if dark else pixels - ground
        level = (-difference if dark else difference).mean(2)
        ink = level > max(MIN_CONTRAST, 0.5 * _threshold(level))
    return _project(difference)[0], dark


def _is_dark(bright: Array) -> bool:
    """Return True if the drawing is darker than a smooth surface fitted to the brightness, False if it is brighter."""
    residual = bright - _surface(bright, 0)
    height, width = residual.shape
    inner = residual[height // 8 : height - height // 8, width // 8 : width - width // 8]
    return bool(inner[abs(inner) > MIN_CONTRAST].sum() <= 0)


def _surface(bright: Array, side: int) -> Array:
    """Fit a quadratic surface to brightness, robust to outliers on a side: darker (-1), brighter (1) or both (0)."""
    height, width = bright.shape
    down, right = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(down), down, right, down**2, down * right, right**2], 2)
    step = slice(None, None, max(1, max(bright.shape) // 64))
    design, values = terms[step, step].reshape(-1, 6), bright[step, step].ravel()
    weight: Array = np.ones(len(values))
    best: Array = np.zeros(6)
    for _ in range(8):
        best = np.asarray(np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0], dtype=np.float64)
        residual = values - design @ best
        outlying = abs(residual) if side == 0 else np.clip(side * residual, 0, None)
        weight = 1 / np.sqrt(1 + (outlying / (MIN_CONTRAST / 2)) ** 2)
    surface: Array = terms @ best
    return surface


def _filled(pixels: Array, bare: NDArray[np.bool_]) -> Array:
    """Return a smooth ground ``(height, width, channels)``: the mean of nearby ``bare`` pixels, or of farther ones."""
    height, width, channels = pixels.shape
    step = max(1, max(height, width) // 80)
    rows, columns = np.arange(height) // step, np.arange(width) // step
    known = np.concatenate([np.where(bare[..., None], pixels, 0), bare[..., None]], 2)
    coarse = np.zeros((rows[-1] + 1, columns[-1] + 1, channels + 1))
    np.add.at(coarse, (rows[:, None], columns[None]), known)
    sigma = max(coarse.shape[:2]) / 24
    near, far = (ndimage.gaussian_filter(coarse, (size, size, 0)) for size in (sigma, 6 * sigma))
    total = near + 0.02 * far
    ground = total[..., :channels] / np.maximum(total[..., channels:], 1e-9)
    axes = [(np.arange(length) + 0.5) / step - 0.5 for length in (height, width)]
    grid = np.meshgrid(*axes, indexing="ij")
    planes = [ndimage.map_coordinates(ground[..., index], grid, order=1, mode="nearest") for index in range(channels)]
    return np.stack(planes, 2)


def _threshold(levels: Array) -> float:
    """Return Otsu's threshold: the variance within the levels below it and within those above it is minimal."""
    counts, edges = np.histogram(levels, 128, (0, max(float(levels.max()), 1e-6)))
    middle = (edges[1:] + edges[:-1]) / 2
    below, total, first = np.cumsum(counts)[:-1], max(int(counts.sum()), 1), np.cumsum(counts * middle)
    between = (first[-1] * below / total - first[:-1]) ** 2 / np.maximum(below * (total - below), 1)
    return float(edges[1 + int(between.argmax())])


def _cleaned(levels: Array, uneven: bool) -> tuple[Array, float]:
    """Return the levels rescaled to 0 for ground and 1 for full ink, and the old level of full ink, 0 without ink."""
    strongest = float(np.partition(levels, -min(9, levels.size), axis=None)[-min(9, levels.size)])
    threshold = max(MIN_CONTRAST, 0.5 * _threshold(levels)) if uneven else max(INK_THRESHOLD * strongest, 0.01)
    components, count = ndimage.label(levels > threshold, np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    if uneven:
        numbers = np.array([number for number in numbers if not _from_edge(components == number)], dtype=int)
    if not len(numbers) or strongest < MIN_CONTRAST / 2:
        return levels, 0.0
    area = np.bincount(components.ravel(), minlength=count + 1)[numbers]
    chosen = np.isin(components, numbers[area >= MIN_COMPONENT * area.max()])
    full = float(np.quantile(levels[chosen], 0.8 if uneven else 0.9))
    faint = 0.25 * full if uneven else 0.0  # the noise of the paper
    inked = ndimage.binary_dilation(chosen) if uneven else chosen
    return np.clip(np.where(inked, (levels - faint) / (full - faint), 0), 0, 1), full


def _from_edge(mask: NDArray[np.bool_]) -> bool:
    """Return True if a component covers over a quarter of an edge of the picture, like background beyond the paper."""
    return any(side.mean() > 0.25 for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def thickened(levels: Array, share: float) -> Array:
    """Thicken strokes to a width of about ``share`` times the longer side of ``levels``, ``(height, width)``."""
    more = round((share * max(levels.shape) - stroke_of(levels)) / 2)
    if more < 1:
        return levels
    down, right = np.ogrid[-more : more + 1, -more : more + 1]
    pen = down**2 + right**2 <= more**2
    thick: Array = ndimage.grey_dilation(np.pad(levels, more), footprint=pen)
    return thick
