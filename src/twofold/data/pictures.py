"""Picture files, whatever they are, as upright pictures of 8 bits without transparency."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from twofold import machine
from twofold.errors import DataError

LARGEST = 1 << 26
"""Bytes of a file that is looked into, and pixels of a picture that is decoded."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "AVIF")
"""Kinds of files that are read, of those that Pillow knows: pictures of pixels, which need no other program."""

BYTES = 16
"""That a pixel takes, while it is decoded, at most."""

EXACT = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Kinds of pixels, as Pillow calls them, of which each channel has at most 8 bits and an agreed white."""

ADVICE = "give a PNG, JPEG, GIF, BMP, TIFF or WebP"


def decoded(path: Path) -> Image.Image:
    """Decode a picture: the first one in the file, of kind L or RGB, upright, transparency laid on a ground.

    See `read_picture`, which also says what was done.
    """
    return read_picture(path)[0]


def read_picture(path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode a picture as `decoded` does, and say what was done to it, in plain words.

    The kind and the size of the file and the size in its header are checked before anything is decoded. Pixels of 16
    bits are rounded. The ground below transparency is that of the opaque pixels where these are most of the
    picture, and else black or white, whichever is farther from them: it may be the transparency alone that draws.

    Raises:
        DataError: there is no such file, it is not a picture, it is too large or its pixels have no agreed white.
    """
    try:
        file = path.stat()
        if not stat.S_ISREG(file.st_mode):
            raise _unreadable(path, "it is no regular file")
        if not 0 < file.st_size <= LARGEST:
            raise _unreadable(path, f"it has {file.st_size / 1e6:.0f} MB" if file.st_size else "it is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about what does not matter
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # of a picture within a picture, as in icons
            return _opened(path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: give the path of a picture") from error
    except UnidentifiedImageError as error:
        raise _unreadable(path, "it is of no kind that is known here") from error
    except Exception as error:  # Pillow raises what its decoders meet, of every kind
        raise _unreadable(path, " ".join(str(error).split()) or type(error).__name__) from error


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(f"{path} cannot be read as a picture ({why}): {ADVICE}")


def _opened(path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        pixels = image.width * image.height
        if pixels > LARGEST or BYTES * pixels > machine.free_memory(torch.device("cpu")):
            raise _unreadable(path, f"it is {image.width} x {image.height} pixels, too many to hold")
        said = ["first of several pictures"] if getattr(image, "is_animated", False) else []
        image.load()
        upright = _upright(image)
        if upright is not image:
            said.append("turned upright")
        plain, what = _eight_bits(path, upright)
        said += what
        if plain.has_transparency_data:
            plain, what = _on_a_ground(plain.convert("RGBA"))
            said += what
        grey = plain.mode in ("1", "L")
        return plain.convert("L" if grey else "RGB"), tuple(said)


def _upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF says that it was seen; as it lies where there is none that can be read."""
    try:
        turned = image.getexif().get(0x0112, 1) in range(2, 9)
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # of whatever kind a damaged EXIF leads to
        return image


def _eight_bits(path: Path, image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Pixels of more than 8 bits brought to 8, and what was done."""
    if image.mode in EXACT:
        return image, []
    if not image.mode.startswith(("I", "F")):
        raise DataError(f"{path} has pixels of the kind {image.mode}: save it as RGB with 8 bits a channel")
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    whole = image.mode.startswith("I")
    most = 65_535 if whole else 1 if high <= 1 else 255
    if not (low >= 0 and high <= most):  # also for NaN
        expected = "0 to 65535" if whole else "0 to 1 or 0 to 255"
        raise DataError(
            f"{path} has pixels from {low:g} to {high:g}, expected {expected}: save it with 8 bits a channel"
        )
    if whole:
        return Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8)), ["16 bits to 8"]
    return Image.fromarray((values * np.float32(255 / most) + 0.5).astype(np.uint8)), ["floating point to 8 bits"]


def _on_a_ground(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """A picture of the kind RGBA without its transparency, and what was done."""
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB"), []
    pixels: Any = np.asarray(image.reduce(1 + max(image.size) // 1000))
    color, alpha = pixels[..., :3], pixels[..., 3]
    opaque = alpha > 127
    if opaque.mean() > 0.5:
        ground = tuple(int(value) for value in np.median(color[opaque], axis=0))
        name = "ground of its own color"
    else:
        seen = color @ np.array((0.299, 0.587, 0.114))
        bright = (seen * alpha).sum() > 127.5 * alpha.sum(dtype=np.float64)
        ground, name = ((0, 0, 0), "black") if bright else ((255, 255, 255), "white")
    below = Image.new("RGBA", image.size, (*ground, 255))
    below.alpha_composite(image)
    return below.convert("RGB"), [f"transparency on {name}"]
