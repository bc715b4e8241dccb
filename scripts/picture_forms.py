"""Pictures as people have them, made from digits of 28 x 28: ten forms, each as the bytes of a file.

Everything that is drawn comes from the generator that is given, so that the same seed makes the same files. Nothing in
here knows how a picture is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from paper_camera import photograph, thin_ink_of
from PIL import Image, ImageDraw, ImageFont, ImageOps

from twofold.data import Dataset

Digit = np.ndarray[Any, np.dtype[np.uint8]]
"""(28, 28), light ink on black."""

Random = np.random.Generator


def saved(picture: Image.Image, kind: str, **how: Any) -> bytes:
    """The bytes of a file of this kind."""
    file = BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def sized(digit: Digit, size: int) -> Image.Image:
    """The digit with its frame as ``size`` x ``size`` pixels."""
    way = Image.Resampling.BICUBIC if size > 28 else Image.Resampling.BOX
    return Image.fromarray(digit).resize((size, size), way)


def either(picture: Image.Image, random: Random) -> Image.Image:
    """The picture, or every other time its negative."""
    return ImageOps.invert(picture) if random.random() < 0.5 else picture


def one_bit(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Ink and ground without any grey, one to six times as large."""
    picture = sized(digit, 28 * int(random.integers(1, 7))).point(lambda value: 255 * (value >= 128))
    return "png", saved(picture.convert("1", dither=Image.Dither.NONE), "PNG")


def sixteen_bits(digit: Digit, random: Random) -> tuple[str, bytes]:
    """PNG or TIFF of 16 bits a pixel, whose brightest one is at 40 to 100 % of the range."""
    large = np.asarray(sized(digit, 28 * int(random.integers(1, 5))), dtype=np.float64) / 255
    values = large * random.uniform(0.4, 1) * 65_000 + random.uniform(0, 500, large.shape)
    picture = Image.fromarray(values.astype(np.uint16))
    kind = str(random.choice(["PNG", "TIFF"]))
    return kind.lower(), saved(picture, kind)


def transparent(digit: Digit, random: Random) -> tuple[str, bytes]:
    """The digit in the transparency alone, ink of some color on a transparent ground, or one channel too many."""
    alpha = sized(digit, 28 * int(random.integers(1, 5)))
    match random.integers(4):
        case 0:  # one color everywhere: only the transparency tells the digit from the ground
            color = tuple(int(value) for value in random.choice([[0, 0, 0], [255, 255, 255], [20, 40, 160]]))
            picture = Image.new("RGB", alpha.size, color)
        case 1:  # dark or colored ink, and something else where nobody sees it
            ink = tuple(int(value) for value in random.integers(0, 256, 3))
            hidden = tuple(int(value) for value in random.integers(0, 256, 3))
            picture = Image.new("RGB", alpha.size, hidden)
            picture.paste(ink, None, alpha.point(lambda value: 255 * (value > 0)))
        case 2:
            picture = Image.new("L", alpha.size, int(random.choice([0, 255])))
        case _:  # opaque everywhere
            picture, alpha = either(alpha, random).convert("RGB"), Image.new("L", alpha.size, 255)
    picture.putalpha(alpha)
    return "png", saved(picture, "PNG")


def inverted(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Dark ink on white, one to four times as large, grey or in three channels."""
    picture = ImageOps.invert(sized(digit, 28 * int(random.integers(1, 5))))
    return "png", saved(picture.convert(str(random.choice(["L", "RGB"]))), "PNG")


def large(digit: Digit, random: Random) -> tuple[str, bytes]:
    """150 to 1200 pixels a side, not square, the digit somewhere near the middle and from a third of it upwards."""
    width, height = (int(value) for value in random.integers(150, 1201, 2))
    side = int(min(width, height) * random.uniform(0.45, 1))
    place = [int((free - side) * random.uniform(0.2, 0.8)) for free in (width, height)]
    picture = Image.new("L", (width, height))
    picture.paste(sized(digit, side), (place[0], place[1]))
    return "png", saved(either(picture, random), "PNG")


def small(digit: Digit, random: Random) -> tuple[str, bytes]:
    """Fewer pixels than the data have, the frame of the digit 16 to 27 of them, in pictures that are not square."""
    side = int(random.integers(16, 28))
    width, height = side + int(random.integers(0, 30)), side
    picture = Image.new("L", (width, height))
    picture.paste(sized(digit, side), (int(random.integers(0, width - side + 1)), 0))
    return "png", saved(either(picture, random), "PNG")


def off_center(digit: Digit, random: Random) -> tuple[str, bytes]:
    """The digit anywhere in a picture of 28 to 84 pixels, at its edge too."""
    box = Image.fromarray(digit).getbbox()
    ink = Image.fromarray(digit).crop(box)
    side = int(random.integers(28, 85))
    picture = Image.new("L", (side, side))
    left, top = (int(random.integers(0, side - length + 1)) for length in ink.size)
    picture.paste(ink, (left, top))
    return "png", saved(either(picture, random), "PNG")


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera that is held so has done to the pixels of a picture, by the number of the EXIF orientation."""


def turned(digit: Digit, random: Random) -> tuple[str, bytes]:
    """JPEG whose pixels lie as the camera was held, and whose EXIF says how."""
    orientation = int(random.integers(1, 9))
    picture = either(sized(digit, int(random.integers(60, 300))), random).convert("RGB")
    turn = TURNS[orientation]
    picture = picture if turn is None else picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return "jpg", saved(picture, "JPEG", quality=int(random.integers(70, 96)), exif=exif)


def brightness(color: Any) -> float:
    """How bright a color is, from 0 to 255."""
    return float(np.dot(color, (0.299, 0.587, 0.114)))


def colored(digit: Digit, random: Random) -> tuple[str, bytes]:
    """PNG or GIF with a palette of two colors and what lies between them, or JPEG in the four colors of printers."""
    ink, ground = random.integers(0, 256, (2, 3))
    while abs(brightness(ink) - brightness(ground)) < 64:
        ink, ground = random.integers(0, 256, (2, 3))
    share = np.asarray(sized(digit, 28 * int(random.integers(1, 9))), dtype=np.float64)[..., None] / 255
    picture = Image.fromarray((share * ink + (1 - share) * ground).astype(np.uint8))
    if (kind := str(random.choice(["PNG", "GIF", "JPEG"]))) == "JPEG":
        return "jpg", saved(picture.convert("CMYK"), kind, quality=90)
    return kind.lower(), saved(picture.quantize(int(random.choice([4, 16, 64]))), kind)


def photographed(digit: Digit, random: Random) -> tuple[str, bytes]:
    """JPEG of a digit on paper, as `paper_camera` takes it."""
    return "jpg", saved(photograph(digit, random), "JPEG", quality=int(random.integers(60, 93)))


FORMS: dict[str, Callable[[Digit, Random], tuple[str, bytes]]] = {
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
"""Form -> what makes the suffix and the bytes of a file from a digit."""


def thin(digit: Digit, random: Random) -> tuple[str, bytes]:
    """The same with a thin pen, as with a ballpoint."""
    return "jpg", saved(photograph(digit, random, thin_ink_of), "JPEG", quality=int(random.integers(60, 93)))


MORE: dict[str, Callable[[Digit, Random], tuple[str, bytes]]] = {"thin pen, photographed": thin}
"""What was added after `predict` was made to take the ten forms."""


def no_digits(digits: Digit, clothes: Dataset, random: Random) -> dict[str, list[bytes]]:
    """Pictures of no digit: letters of a printer, two digits side by side, pieces of clothing, noise."""
    font, letters = ImageFont.load_default(120), []
    for letter in "ABCDEFGHJKLMNPQRTUVWXYabdefghkmnpqrtwxy?#&@%":
        picture = Image.new("L", (160, 200), 255)
        ImageDraw.Draw(picture).text((30, 20), letter, font=font, fill=0)
        letters.append(saved(picture, "PNG"))
    pairs = [np.concatenate([digits[each] for each in random.integers(0, len(digits), 2)], 1) for _ in range(60)]
    worn = [(255 * clothes.test_images[number, 0]).round().byte().numpy() for number in range(60)]
    noise = [random.integers(0, 256, (60, 60), dtype=np.uint8) for _ in range(60)]
    arrays = {"two digits": pairs, "clothing": worn, "noise": noise}
    return {
        "letters": letters,
        **{name: [saved(Image.fromarray(each), "PNG") for each in some] for name, some in arrays.items()},
    }
