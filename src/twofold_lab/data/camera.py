"""Synthetic photographs of digits written on paper, under uneven light and at an angle.

A photograph is the product of reflectance and light, followed by a perspective transformation, blur and noise. The
reflectance is that of paper with grain, colored ink and, in every third image, a desk beyond the edge of the paper. The
light has a gradient, a vignette and, in every third image, a shadow with a soft edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

Array = np.ndarray[Any, np.dtype[np.float64]]
Random = np.random.Generator
Pen = Callable[[Any, int], Array]
"""Function: digit, length of the longer side of the digit in pixels -> opacity of the ink, from 0 to 1."""

INKS = {
    "black": (0.08, 0.08, 0.09),
    "blue": (0.10, 0.16, 0.52),
    "red": (0.70, 0.12, 0.12),
    "green": (0.10, 0.40, 0.20),
    "pencil": (0.34, 0.34, 0.36),
}
"""Ink -> reflectance of red, green and blue light."""

DESKS = ((0.36, 0.25, 0.16), (0.16, 0.16, 0.18), (0.55, 0.42, 0.30))
"""Reflectances of desks for red, green and blue light."""

SIZES = ((480, 640), (640, 480), (800, 600), (600, 800))
"""Widths and heights of photographs, in pixels."""

SCENE = 900
"""Width and height of the photographed scene, in pixels."""


def photograph(digit: Any, random: Random, pen: Pen | None = None) -> Image.Image:
    """Return a synthetic photograph of a digit on paper.

    Args:
        digit: the digit, ``(28, 28)``, uint8, white on black.
        random: random generator.
        pen: renders the ink; by default `broad_pen`.
    """
    reflectance = _scene(digit, random, pen or broad_pen)
    scene = reflectance * _light(random) * random.uniform(0.75, 1.05) * random.uniform(0.93, 1.07, 3)
    size = SIZES[int(random.integers(len(SIZES)))]
    half = np.array(size) / max(size) * SCENE / 2 * random.uniform(0.88, 0.98)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    corners = corners + random.uniform(-0.08, 0.08, (4, 2)) * SCENE
    turn = np.radians(random.uniform(-10, 10))
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + SCENE / 2
    picture = Image.fromarray((np.clip(scene, 0, 1) ** (1 / 1.2) * 255).astype(np.uint8))
    corners = np.clip(corners, 0, SCENE)
    picture = picture.transform(
        size, Image.Transform.PERSPECTIVE, _perspective(corners, size), Image.Resampling.BICUBIC
    )
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 2))), dtype=np.float64)
    noise = random.uniform(2, 8) * random.standard_normal(blurred.shape)
    return Image.fromarray(np.clip(blurred + noise, 0, 255).astype(np.uint8))


def broad_pen(digit: Any, length: int) -> Array:
    """Return the opacity of the ink of a digit with sharp edges; see `Pen`."""
    ink = Image.fromarray(digit)
    ink = ink.crop(ink.getbbox())
    width, height = (max(1, round(side * length / max(ink.size))) for side in ink.size)
    grown = ink.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(length / 60))
    return np.clip((np.asarray(grown, dtype=np.float64) / 255 - 0.35) / 0.25, 0, 1)


def thin_pen(digit: Any, length: int) -> Array:
    """Return the opacity of the ink of a digit whose lines have a width of ``length / 25``; see `Pen`."""
    inside = ndimage.distance_transform_edt(broad_pen(digit, length) > 0.5)
    ridge = (inside > 0) & (inside >= ndimage.maximum_filter(inside, 5) - 0.6)
    distance = ndimage.distance_transform_edt(~ndimage.binary_closing(ridge, iterations=3))
    return np.asarray(np.clip(0.5 + length / 50 - distance, 0, 1))


def _clouds(random: Random, cells: int) -> Array:
    """Return a smooth random map ``(SCENE, SCENE)`` of about -1 to 1, interpolated from ``cells + 3`` points a side."""
    coarse = Image.fromarray(random.uniform(-1, 1, (cells + 3, cells + 3)).astype(np.float32))
    return np.asarray(coarse.resize((SCENE, SCENE), Image.Resampling.BICUBIC), dtype=np.float64)


def _scene(digit: Any, random: Random, pen: Pen) -> Array:
    """Return the reflectance ``(SCENE, SCENE, 3)`` of paper, ink and desk."""
    paper = random.uniform(0.78, 0.95) * (1 - random.uniform(0, 0.08, 3))
    scene = np.ones((SCENE, SCENE, 3)) * paper
    scene *= 1 + (0.01 * _clouds(random, 40) + 0.02 * random.standard_normal((SCENE, SCENE)))[..., None]
    cover = pen(digit, int(random.uniform(0.25, 0.5) * SCENE))
    top, left = (int((SCENE - length) / 2 + random.uniform(-0.08, 0.08) * SCENE) for length in cover.shape)
    color = np.array(INKS[str(random.choice(list(INKS)))]) * random.uniform(0.8, 1.2)
    strength = random.uniform(0.75, 1) * (1 - 0.15 * np.abs(_clouds(random, 60)))
    area = np.s_[top : top + cover.shape[0], left : left + cover.shape[1]]
    covered = (cover * strength[area])[..., None]
    scene[area] = scene[area] * (1 - covered) + color * covered
    if random.random() < 1 / 3:  # the desk is visible beyond an edge of the paper
        beyond = int(random.uniform(0.06, 0.15) * SCENE)
        desk = np.array(DESKS[int(random.integers(len(DESKS)))]) * (1 + 0.15 * _clouds(random, 12))[..., None]
        strip = np.s_[:, :beyond] if random.random() < 0.5 else np.s_[SCENE - beyond :]
        scene[strip] = desk[strip]
    return scene


def _light(random: Random) -> Array:
    """Return a map of light ``(SCENE, SCENE, 1)`` with a gradient, a vignette and sometimes a shadow."""
    down, right = np.mgrid[-1 : 1 : SCENE * 1j, -1 : 1 : SCENE * 1j]
    angle = random.uniform(0, 2 * np.pi)
    along = np.cos(angle) * right + np.sin(angle) * down
    light = (1 + random.uniform(0, 0.3) * along) * (1 - random.uniform(0, 0.15) * (right**2 + down**2))
    if random.random() < 1 / 3:
        turn, edge = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
        across = np.cos(turn) * right + np.sin(turn) * down - edge
        light *= 1 - random.uniform(0.15, 0.4) / (1 + np.exp(-across / random.uniform(0.05, 0.15)))
    return np.asarray(light[..., None])


def _perspective(corners: Array, size: tuple[int, int]) -> list[float]:
    """Return Pillow's coefficients of the perspective that maps a quadrilateral of the scene to an image.

    Args:
        corners: corners of the quadrilateral, ``(4, 2)``, clockwise from the upper left.
        size: width and height of the image.
    """
    width, height = size
    rows, values = [], []
    for (x, y), (u, v) in zip([(0, 0), (width, 0), (width, height), (0, height)], corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows, dtype=np.float64), np.array(values))]
