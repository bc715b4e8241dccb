"""Image files of digits in many forms, to test `twofold predict`: file types, sizes, colors, photographs.

The same seed makes the same files. This module was written before `predict` supported any of the forms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from twofold.data import Dataset
from twofold_lab.data.camera import Pen, photograph, thin_pen

Digit = np.ndarray[Any, np.dtype[np.uint8]]
"""Pixels of a digit, ``(28, 28)``, white on black."""
Random = np.random.Generator
Form = Callable[[Digit, Random], tuple[str, bytes]]
"""Function: digit, random generator -> suffix and content of an image file."""


def encode(picture: Image.Image, file_type: str, **options: Any) -> bytes:
    """Return the content of an image file; ``options`` are those of Pillow's ``save``."""
    file = BytesIO()
    picture.save(file, file_type, **options)
    return file.getvalue()


def resize(digit: Digit, size: int) -> Image.Image:
    """Return the digit, including its margins, with ``size`` x ``size`` pixels."""
    method = Image.Resampling.BICUBIC if size > 28 else Image.Resampling.BOX
    return Image.fromarray(digit).resize((size, size), method)


def enlarge(digit: Digit, random: Random, limit: int) -> Image.Image:
    """Return the digit enlarged by a random whole factor from 1 to ``limit`` - 1."""
    return resize(digit, 28 * int(random.integers(1, limit)))


def maybe_invert(picture: Image.Image, random: Random) -> Image.Image:
    """Invert the image with a probability of 1/2."""
    return ImageOps.invert(picture) if random.random() < 0.5 else picture


def one_bit(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a black and white PNG without grey, enlarged one to six times."""
    picture = enlarge(digit, random, 7).point(lambda value: 255 * (value >= 128))
    return "png", encode(picture.convert("1", dither=Image.Dither.NONE), "PNG")


def sixteen_bits(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG or TIFF with 16 bits per pixel, whose brightest pixel has 40 to 100 % of the largest value."""
    shares = np.asarray(enlarge(digit, random, 5), dtype=np.float64) / 255
    values = shares * random.uniform(0.4, 1) * 65_000 + random.uniform(0, 500, shares.shape)
    picture = Image.fromarray(values.astype(np.uint16))
    file_type = str(random.choice(["PNG", "TIFF"]))
    return file_type.lower(), encode(picture, file_type)


def transparent(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG with alpha channel: a digit in the alpha channel only, colored ink on transparency, or opaque."""
    alpha = enlarge(digit, random, 5)
    match random.integers(4):
        case 0:  # one color everywhere: the digit is only in the alpha channel
            color = tuple(int(value) for value in random.choice([[0, 0, 0], [255, 255, 255], [20, 40, 160]]))
            picture = Image.new("RGB", alpha.size, color)
        case 1:  # ink of any color, and another color in the transparent pixels
            ink = tuple(int(value) for value in random.integers(0, 256, 3))
            hidden = tuple(int(value) for value in random.integers(0, 256, 3))
            picture = Image.new("RGB", alpha.size, hidden)
            picture.paste(ink, None, alpha.point(lambda value: 255 * (value > 0)))
        case 2:
            picture = Image.new("L", alpha.size, int(random.choice([0, 255])))
        case _:  # opaque everywhere
            picture, alpha = maybe_invert(alpha, random).convert("RGB"), Image.new("L", alpha.size, 255)
    picture.putalpha(alpha)
    return "png", encode(picture, "PNG")


def inverted(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG with dark ink on white, enlarged one to four times, with one or three channels."""
    picture = ImageOps.invert(enlarge(digit, random, 5))
    return "png", encode(picture.convert(str(random.choice(["L", "RGB"]))), "PNG")


def large(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG of 150 to 1200 pixels a side; a digit near the middle fills at least 45 % of the shorter side."""
    width, height = (int(value) for value in random.integers(150, 1201, 2))
    side = int(min(width, height) * random.uniform(0.45, 1))
    left, top = (int((free - side) * random.uniform(0.2, 0.8)) for free in (width, height))
    picture = Image.new("L", (width, height))
    picture.paste(resize(digit, side), (left, top))
    return "png", encode(maybe_invert(picture, random), "PNG")


def small(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG, usually not square, with a digit of 16 to 27 pixels a side, which is smaller than in the data."""
    side = int(random.integers(16, 28))
    width, height = side + int(random.integers(0, 30)), side
    picture = Image.new("L", (width, height))
    picture.paste(resize(digit, side), (int(random.integers(0, width - side + 1)), 0))
    return "png", encode(maybe_invert(picture, random), "PNG")


def off_center(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG of 28 to 84 pixels a side with a digit at a random position, possibly at the edge of the image."""
    ink = Image.fromarray(digit)
    ink = ink.crop(ink.getbbox())
    side = int(random.integers(28, 85))
    picture = Image.new("L", (side, side))
    left, top = (int(random.integers(0, side - length + 1)) for length in ink.size)
    picture.paste(ink, (left, top))
    return "png", encode(maybe_invert(picture, random), "PNG")


TURNS = (
    *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
    *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270),
)
"""Transpositions of the stored pixels for the EXIF orientations 2 to 8."""


def turned(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a JPEG with flipped or rotated pixels and the EXIF orientation that undoes the flip or rotation."""
    orientation = int(random.integers(1, 9))
    picture = maybe_invert(resize(digit, int(random.integers(60, 300))), random).convert("RGB")
    picture = picture if orientation == 1 else picture.transpose(TURNS[orientation - 2])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return "jpg", encode(picture, "JPEG", quality=int(random.integers(70, 96)), exif=exif)


def brightness(color: Any) -> float:
    """Return the brightness of a color, from 0 to 255."""
    return float(np.dot(color, (0.299, 0.587, 0.114)))


def colored(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Make a PNG or GIF with a palette of two colors and their mixtures, or a JPEG in CMYK."""
    ink, ground = random.integers(0, 256, (2, 3))
    while abs(brightness(ink) - brightness(ground)) < 64:
        ink, ground = random.integers(0, 256, (2, 3))
    share = np.asarray(enlarge(digit, random, 9), dtype=np.float64)[..., None] / 255
    picture = Image.fromarray((share * ink + (1 - share) * ground).astype(np.uint8))
    if (file_type := str(random.choice(["PNG", "GIF", "JPEG"]))) == "JPEG":
        return "jpg", encode(picture.convert("CMYK"), file_type, quality=90)
    return file_type.lower(), encode(picture.quantize(int(random.choice([4, 16, 64]))), file_type)


def photographed(digit: Digit, random: Random, pen: Pen | None = None) -> tuple[str, bytes]:
    """Make a JPEG of a synthetic photograph of a digit on paper."""
    return "jpg", encode(photograph(digit, random, pen), "JPEG", quality=int(random.integers(60, 93)))


FORMS: dict[str, Form] = {
    "1 bit": one_bit,
    "16 bits": sixteen_bits,
    "transparency": transparent,
    "dark on white": inverted,
    "large": large,
    "small or odd": small,
    "off-center": off_center,
    "turned by EXIF": turned,
    "palette or CMYK": colored,
    "photograph of paper": photographed,
}
LATER: dict[str, Form] = {"thin pen, photographed": partial(photographed, pen=thin_pen)}
"""Forms that were added after `predict` supported those in `FORMS`."""


def no_digits(digits: Digit, clothes: Dataset, random: Random) -> dict[str, list[bytes]]:
    """Return PNG files that do not show exactly one digit: printed letters, two digits, clothing, noise."""
    font, letters = ImageFont.load_default(120), []
    for letter in "ABCDEFGHJKLMNPQRTUVWXYabdefghkmnpqrtwxy?#&@%":
        picture = Image.new("L", (160, 200), 255)
        ImageDraw.Draw(picture).text((30, 20), letter, font=font, fill=0)
        letters.append(picture)
    pairs = [np.concatenate([digits[case] for case in random.integers(0, len(digits), 2)], 1) for _ in range(60)]
    clothing = [(255 * clothes.test_images[case, 0]).round().byte().numpy() for case in range(60)]
    noise = [random.integers(0, 256, (60, 60), dtype=np.uint8) for _ in range(60)]
    arrays = {"two digits": pairs, "clothing": clothing, "noise": noise}
    pictures = {"letters": letters} | {name: list(map(Image.fromarray, values)) for name, values in arrays.items()}
    return {name: [encode(picture, "PNG") for picture in group] for name, group in pictures.items()}
