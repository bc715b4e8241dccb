"""Images of three-letter words in many fonts, with an ambiguous letter between H and A as in THE CAT (talk 17:56).

A word consists of three adjacent cells of 16 x 16 pixels. Pillow renders each letter in one of the fonts of matplotlib.
Each letter is then slightly shifted, scaled, rotated and slanted at random, independently of the other letters. In
training images, the middle letter is often faint and the image is noisy, so that the other letters are needed to
recognize it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from twofold.data.dataset import Dataset
from twofold.errors import DataError, SettingError

H_WORDS = ("THE", "SHE", "WHO", "WHY", "SHY", "THY", "CHI", "PHI", "RHO", "OHM")
A_WORDS = ("CAT", "MAN", "DAY", "EAT", "HAS", "BAG", "WAR", "SAD", "LAW", "PAN")
OTHER_WORDS = ("TIE", "TOE", "CUT", "COT", "SKY", "DOG", "SUN", "RED", "BIG", "NEW")
WORDS = (*H_WORDS, *A_WORDS, *OTHER_WORDS)
"""The words in the order of their labels. T.E and C.T alone do not determine the word, due to TIE, TOE, CUT and COT."""

FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold"),
    *("STIXGeneral", "STIXGeneralBol", "cmr10", "cmb10", "cmss10", "cmtt10"),
)
BETWEEN = "?"
"""Character that stands for the ambiguous letter between H and A in the texts to render."""

CELL = 16
FINE = 4  # factor of supersampling: glyphs are drawn larger, distorted, and averaged down
SIDE = FINE * CELL
CAPITAL = 0.66  # height of an H as a share of its cell
FAINTEST, NOISE = 0.05, 0.2
CHUNK = 2000  # number of glyphs that are distorted at once, to limit memory


@cache
def glyph(letter: str, font: str) -> Tensor:
    """Render a capital letter on a common baseline, horizontally centered: ``(64, 64)``, values in [0, 1].

    Each font is scaled so that the letter H has 0.66 of the height of a cell.

    Raises:
        DataError: ``letter`` is not a single capital from A to Z.
        SettingError: ``font`` is not in `FONTS`.
    """
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    if len(letter) != 1 or not "A" <= letter <= "Z":
        raise DataError(f"{letter!r} is not a capital letter from A to Z: use capitals only")
    if font not in FONTS:
        raise SettingError(f"unknown font {font!r}: choose one of {', '.join(FONTS)}")
    file = Path(get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    _, top, _, bottom = ImageFont.truetype(file, 1000).getbbox("H", anchor="ms")
    size = CAPITAL * SIDE * 1000 / (bottom - top)
    picture = Image.new("L", (SIDE, SIDE))
    foot = SIDE / 2, round(SIDE * (1 + CAPITAL) / 2)
    ImageDraw.Draw(picture).text(foot, letter, fill=255, font=ImageFont.truetype(file, size), anchor="ms")
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)


def between(font: str, opening: float) -> Tensor:
    """Render a shape between the H and the A of a font, ``(64, 64)``: an H whose stems lean together at the top.

    The left and the right half of the H are slanted towards each other. At the top, the distance of the stems is
    ``opening`` times that of the H. At the bottom, the stems move outwards by the fraction ``1 - opening`` of the
    distance between the stem of the H and that of the A, measured a fifth of the height above the bottom.

    Args:
        font: one of `FONTS`.
        opening: from 0 to 1; 1 for the H itself, 0 for stems that meet at the top, as in an A.

    Raises:
        SettingError: ``opening`` is outside [0, 1], or the font is unknown.
    """
    if not 0 <= opening <= 1:
        raise SettingError(f"opening is {opening}, expected a number from 0 (A) to 1 (H)")
    fine = glyph("H", font).double().numpy()
    rows, columns = (np.flatnonzero(fine.max(axis) > 0.5) for axis in (1, 0))
    top, foot, middle = rows[0], rows[-1], (columns[0] + columns[-1]) / 2
    places = np.arange(SIDE, dtype=np.float64)
    stem = _stem(fine, middle, rows[len(rows) // 4])
    out = _stem(glyph("A", font).double().numpy(), middle, rows[-len(rows) // 5]) - stem
    halves = fine * (places <= middle), fine * (places > middle)
    shape = np.zeros_like(fine)
    for row in range(top, foot + 1):
        height = (foot - row) / (foot - top)
        inward = (1 - opening) * (height * stem - (1 - height) * out)
        for half, direction in zip(halves, (1, -1), strict=True):
            moved = np.interp(places - direction * inward, places, half[row])
            shape[row] = np.maximum(shape[row], moved)
    return torch.from_numpy(shape).float()


def _stem(fine: NDArray[np.float64], middle: float, row: int) -> float:
    """Return the mean horizontal distance of the ink in a row of a glyph from the column ``middle``, in pixels."""
    return float((fine[row] * np.abs(np.arange(SIDE) - middle)).sum() / fine[row].sum())


def render(texts: Sequence[str], seed: int, openings: Sequence[float] | None = None) -> tuple[Tensor, Tensor]:
    """Render texts of three letters as images.

    Each text has a random font. Each letter has a random shift of up to 1 pixel in each direction, a size of 0.9 to
    1.1, a rotation of up to 6 degrees and a slant of up to 0.1, all uniformly distributed. The random numbers do not
    depend on the texts: with the same seed, a letter at the same position of two lists of texts looks the same.

    Args:
        texts: texts of three characters: capitals, or ``?`` for the shape between H and A.
        seed: seed of the fonts and distortions.
        openings: opening of the shape between H and A for each of `FONTS`; see `between`.

    Returns:
        Images ``(texts, 1, 16, 48)``, values in [0, 1], and the index of each font in `FONTS`, ``(texts,)``.

    Raises:
        DataError: ``texts`` is empty, a text does not have three letters, or has a ``?`` without openings.
        SettingError: an opening is outside [0, 1], or there is not exactly one for each font.
    """
    if not texts:
        raise DataError("texts is empty: give at least one text")
    for text in texts:
        if len(text) != 3:
            raise DataError(f"{text!r} has {len(text)} letters, expected 3")
        if BETWEEN in text and openings is None:
            raise DataError(f"{text!r} contains {BETWEEN!r}, but openings is None: give the opening for each font")
    if openings is not None and len(openings) != len(FONTS):
        raise SettingError(f"{len(openings)} openings for {len(FONTS)} fonts, expected one for each font")
    generator = torch.Generator().manual_seed(seed)
    fonts = torch.randint(len(FONTS), (len(texts),), generator=generator)
    chance = 2 * torch.rand(len(texts), 3, 5, generator=generator) - 1

    letters = sorted({letter for text in texts for letter in text})
    fine = torch.stack(
        [
            between(font, openings[number]) if letter == BETWEEN and openings else glyph(letter, font)
            for number, font in enumerate(FONTS)
            for letter in letters
        ]
    )
    indices = torch.tensor([[letters.index(letter) for letter in text] for text in texts])
    glyphs = (indices + fonts[:, None] * len(letters)).flatten()
    chunks = zip(torch.split(glyphs, CHUNK), torch.split(chance.flatten(0, 1), CHUNK), strict=True)
    cells = torch.cat([distort(fine[index], numbers) for index, numbers in chunks]).view(len(texts), 3, CELL, CELL)
    return cells.transpose(1, 2).reshape(len(texts), 1, CELL, 3 * CELL), fonts


def distort(fine: Tensor, chance: Tensor) -> Tensor:
    """Distort glyphs and downsample them to ``(glyphs, 16, 16)``.

    Args:
        fine: the glyphs, ``(glyphs, 64, 64)``.
        chance: strength of five distortions in [-1, 1], ``(glyphs, 5)``: shift to the right, shift down, size,
            rotation, slant; 0 for no change.
    """
    across, down, size, turn, slant = (chance * torch.tensor([1, 1, 0.1, math.radians(6), 0.1])).T
    cosine, sine = turn.cos() / (1 + size), turn.sin() / (1 + size)
    # affine_grid uses coordinates from -1 to 1, and maps each output pixel to its source.
    step = 2 / CELL
    rows = [cosine, slant * cosine - sine, -step * across, sine, slant * sine + cosine, -step * down]
    grid = affine_grid(torch.stack(rows, 1).view(-1, 2, 3), [len(fine), 1, SIDE, SIDE], align_corners=False)
    moved = grid_sample(fine[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return avg_pool2d(moved, FINE)[:, 0].clamp(0, 1)


def weaken(images: Tensor, seed: int) -> Tensor:
    """Scale the brightness of the middle letter by 0.05 to 1, and add Gaussian noise of standard deviation 0.2.

    Args:
        images: ``(cases, 1, 16, 48)``.
        seed: seed of the scales and the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    ink = torch.ones(len(images), 1, 1, 3, 1)
    ink[..., 1, 0] = FAINTEST + (1 - FAINTEST) * torch.rand(len(images), 1, 1, generator=generator)
    weak = (images.view(-1, 1, CELL, 3, CELL) * ink).view_as(images)
    return (weak + NOISE * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def load(train: int, test: int, seed: int = 0) -> Dataset:
    """Return a data set of random images of `WORDS`, ``(cases, 1, 16, 48)``. Labels are indices in `WORDS`.

    Args:
        train: number of training images of each word. These images are modified by `weaken` and shuffled.
        test: number of test images of each word. These images are drawn with the seed ``seed + 1`` and are not
            modified.
        seed: seed of all random numbers.

    Raises:
        SettingError: ``train`` or ``test`` is less than 1.
    """
    if min(train, test) < 1:
        raise SettingError(f"train is {train} and test is {test}, expected at least 1 image of each word for both")
    order = torch.randperm(train * len(WORDS), generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(len(WORDS))
    return Dataset(
        "letters",
        weaken(render(WORDS * train, seed)[0], seed)[order],
        labels.repeat(train)[order],
        render(WORDS * test, seed + 1)[0],
        labels.repeat(test),
        classes=len(WORDS),
        official=True,
    )
