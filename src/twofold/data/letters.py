"""Three-letter words in many fonts, and the shape between H and A of THE CAT (talk 17:56).

A word is three cells of 16 x 16 pixels side by side, each letter drawn by Pillow with one of the fonts that come with
matplotlib, and then shifted, scaled, turned and slanted a little by chance, each letter for itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from twofold.data.dataset import Dataset
from twofold.errors import DataError, SettingError

H_WORDS = ("THE", "SHE", "WHO", "WHY", "SHY", "THY", "CHI", "PHI", "RHO", "OHM")
A_WORDS = ("CAT", "MAN", "DAY", "EAT", "HAS", "BAG", "WAR", "SAD", "LAW", "PAN")
OTHER_WORDS = ("TIE", "TOE", "CUT", "COT", "SKY", "DOG", "SUN", "RED", "BIG", "NEW")
WORDS = (*H_WORDS, *A_WORDS, *OTHER_WORDS)
"""The labels, in this order. T.E and C.T alone name no word: TIE and TOE, CUT and COT are there, too."""

FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold"),
    *("STIXGeneral", "STIXGeneralBol", "cmr10", "cmb10", "cmss10", "cmtt10"),
)
BETWEEN = "?"
"""In a text: the shape between H and A."""

CELL = 16
FINE = 4  # glyphs are drawn this many times as large, distorted, and averaged down
SIDE = FINE * CELL
CAPITAL = 0.66  # height of an H, as a share of its cell
CHUNK = 2000  # glyphs that are distorted at once, which bounds memory


@cache
def glyph(letter: str, font: str) -> Tensor:
    """A capital as Pillow draws it, on the common baseline and centered: ``(64, 64)``, values in [0, 1].

    Every font has the size at which its H is 0.66 of a cell high.

    Raises:
        DataError: no single capital from A to Z.
        SettingError: none of `FONTS`.
    """
    if len(letter) != 1 or not "A" <= letter <= "Z":
        raise DataError(f"{letter!r} is no letter from A to Z: write words in capitals")
    if font not in FONTS:
        raise SettingError(f"unknown font {font!r}: choose one of {', '.join(FONTS)}")
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    _, top, _, bottom = ImageFont.truetype(file, 1000).getbbox("H", anchor="ms")
    size = CAPITAL * SIDE * 1000 / (bottom - top)
    picture = Image.new("L", (SIDE, SIDE))
    baseline = round(SIDE * (1 + CAPITAL) / 2)
    ImageDraw.Draw(picture).text(
        (SIDE / 2, baseline), letter, fill=255, font=ImageFont.truetype(file, size), anchor="ms"
    )
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)


def between(font: str, opening: float) -> Tensor:
    """The H of a font with its stems leaning together at the top, ``(64, 64)``.

    The left and the right half of the H are slanted against each other: at the top the stems stand ``opening`` times as
    far apart as in the H, at the foot they go as far out as those of the font's A by the share ``1 - opening``.

    Args:
        font: one of `FONTS`.
        opening: 1 gives the H itself; at 0 the stems meet, as in an A.

    Raises:
        SettingError: an opening outside [0, 1], or an unknown font.
    """
    if not 0 <= opening <= 1:
        raise SettingError(f"opening is {opening}, expected a share from 0 (A) to 1 (H)")
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


def _stem(fine: np.ndarray, middle: float, row: int) -> float:
    """How far from the middle the ink of a row lies on average."""
    return float((fine[row] * np.abs(np.arange(SIDE) - middle)).sum() / fine[row].sum())


def render(
    texts: Sequence[str], seed: int, openings: Sequence[float] | None = None, middle: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Pictures of texts of three letters, ``(texts, 1, 16, 48)``, values in [0, 1], and their fonts' numbers, ``(texts,)``.

    Each text gets a font, and each of its letters a shift of up to 1 pixel each way, a size of 0.9 to 1.1, a turn of up
    to 6 degrees and a slant of up to 0.1, all drawn evenly. What is drawn does not depend on the texts: with the same
    seed, what two lists have in common looks the same in both.

    Args:
        texts: capitals, or ``?`` for the shape between H and A.
        seed: of fonts and distortions.
        openings: of the shape between H and A, one for each of `FONTS`.
        middle: least strength of the ink of the middle letter, in (0, 1]: each text's is drawn between it and 1.

    Raises:
        DataError: a text has not three letters, there is none, or a ``?`` comes without openings.
        SettingError: an opening or the strength is outside its range.
    """
    wrong = [text for text in texts if len(text) != 3]
    if wrong or not texts:
        raise DataError(f"{wrong[0]!r} has not three letters" if wrong else "no text to draw: give at least one")
    if openings is None and any(BETWEEN in text for text in texts):
        raise DataError(f"a text has a {BETWEEN!r}, but no openings are given: give one for each font")
    if openings is not None and len(openings) != len(FONTS):
        raise SettingError(f"{len(openings)} openings for {len(FONTS)} fonts, expected one for each")
    if not 0 < middle <= 1:
        raise SettingError(f"middle is {middle}, expected a strength above 0 and at most 1")
    generator = torch.Generator().manual_seed(seed)
    fonts = torch.randint(len(FONTS), (len(texts),), generator=generator)
    chance = 2 * torch.rand(len(texts), 3, 5, generator=generator) - 1
    ink = torch.ones(len(texts), 3)
    ink[:, 1] = middle + (1 - middle) * torch.rand(len(texts), generator=generator)

    kinds = sorted({letter for text in texts for letter in text})
    fine = torch.stack(
        [
            between(font, openings[number]) if letter == BETWEEN and openings else glyph(letter, font)
            for number, font in enumerate(FONTS)
            for letter in kinds
        ]
    )
    which = torch.tensor([[kinds.index(letter) for letter in text] for text in texts]) + fonts[:, None] * len(kinds)
    parts = zip(which.flatten().split(CHUNK), chance.flatten(0, 1).split(CHUNK), strict=True)
    cells = torch.cat([distort(fine[some], each) for some, each in parts]).view(len(texts), 3, CELL, CELL)
    cells = cells * ink[:, :, None, None]
    return cells.transpose(1, 2).reshape(len(texts), 1, CELL, 3 * CELL), fonts


def distort(fine: Tensor, chance: Tensor) -> Tensor:
    """Glyphs ``(glyphs, 64, 64)`` as they come out by chance, ``(glyphs, 16, 16)``.

    Args:
        fine: as drawn.
        chance: numbers in [-1, 1], ``(glyphs, 5)``: across, down, size, turn, slant; 0 changes nothing.
    """
    across, down, size, turn, slant = (chance * torch.tensor([1, 1, 0.1, math.radians(6), 0.1])).T
    cosine, sine = turn.cos() / (1 + size), turn.sin() / (1 + size)
    # A picture is 2 wide for affine_grid, which asks where each pixel comes from.
    step = 2 / CELL
    rows = [cosine, slant * cosine - sine, -step * across, sine, slant * sine + cosine, -step * down]
    grid = affine_grid(torch.stack(rows, 1).view(-1, 2, 3), [len(fine), 1, SIDE, SIDE], align_corners=False)
    moved = grid_sample(fine[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return avg_pool2d(moved, FINE)[:, 0].clamp(0, 1)


def load(train: int, test: int, seed: int = 0, middle: float = 1.0) -> Dataset:
    """`WORDS` in chance renderings: images ``(cases, 1, 16, 48)``, labels are places in `WORDS`.

    Args:
        train, test: renderings of each word.
        seed: of the training part; the test part has the next one.
        middle: as in `render`, for the training part.

    Raises:
        SettingError: not even one rendering of each word.
    """
    if min(train, test) < 1:
        raise SettingError(f"{train} training and {test} test renderings of each word, expected at least 1 of both")
    images = [render(WORDS * count, at, middle=least)[0] for count, at, least in ((train, seed, middle), (test, seed + 1, 1.0))]
    labels = [torch.arange(len(WORDS)).repeat(count) for count in (train, test)]
    order = torch.randperm(len(labels[0]), generator=torch.Generator().manual_seed(seed))
    return Dataset("letters", images[0][order], labels[0][order], images[1], labels[1], classes=len(WORDS), official=True)
