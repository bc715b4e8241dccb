"""Read picture files as upright 8-bit pictures without transparency, and prepare pictures for a trained net."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError
from torch import Tensor

from twofold import machine
from twofold.data.look import INK_THRESHOLD, Look, box_of, mass_of, stroke_of
from twofold.data.preparation import Preparation
from twofold.data.source import PICTURE_ENDINGS
from twofold.errors import DataError, SettingError

LARGEST = 1 << 26
"""Largest size of a file that is opened, in bytes, and of a picture that is decoded, in pixels."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "AVIF")
"""Supported file formats, by Pillow's names: raster formats that need no external program."""

IGNORED_FOLDERS = ("__MACOSX",)
"""Folders that archiving programs add and that contain no real pictures."""

BYTES = 16
"""Peak memory in bytes per pixel while a picture is decoded."""

EXACT = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pixel modes, by Pillow's names, with at most 8 bits per channel and a defined white."""

RESAVE, SHRINK = "save or copy it again", "scale it down"
"""What the user should do about a damaged picture, and about a picture that is too large."""

MIN_STROKE = 0.75
"""Strokes are thickened if they are thinner than this fraction of the thinnest training strokes."""


def visible_entries(path: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name, without hidden files and `IGNORED_FOLDERS`."""
    entries = (entry for entry in path.iterdir() if not entry.name.startswith("."))
    return sorted(entry for entry in entries if entry.name not in IGNORED_FOLDERS)


def pictures_below(path: Path) -> list[Path]:
    """Return the files with a picture's file name ending in a folder and its subfolders, except in linked folders."""
    files: list[Path] = []
    for entry in visible_entries(path):
        if entry.is_dir() and not entry.is_symlink():  # a link may lead back up
            files += pictures_below(entry)
        elif entry.suffix.lower() in PICTURE_ENDINGS:
            files.append(entry)
    return files


def decoded(path: Path) -> Image.Image:
    """Return the first picture of a file in mode L or RGB, upright and without transparency; see `read_picture`."""
    return read_picture(path)[0]


def read_picture(path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    """Decode the first picture of a file, and describe the conversions that were applied to it.

    File type, file size and the size in the header are checked before decoding. Pixels of 16 bits are rounded to 8. If
    most pixels are opaque, a transparent picture is composited on their median color. Otherwise it is composited on
    black or white, whichever is farther from the opaque pixels, because the drawing may differ from its ground in
    transparency alone.

    Returns:
        The picture in mode L or RGB, upright and without transparency, and descriptions of the conversions, such as
        "turned upright".

    Raises:
        DataError: the file does not exist, is not a picture, is too large, or its pixels have no defined white.
    """
    try:
        file = path.stat()
        if not stat.S_ISREG(file.st_mode):
            raise _unreadable(path, "it is not a regular file")
        if not file.st_size:
            raise _unreadable(path, "it is empty", RESAVE)
        if file.st_size > LARGEST:
            raise _unreadable(path, f"it has {file.st_size / 1e6:.0f} MB", SHRINK)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # irrelevant warnings of Pillow
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # for pictures inside a file, as in icons
            return _opened(path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: give the path of a picture") from error
    except UnidentifiedImageError as error:
        raise _unreadable(path, "unsupported file type") from error
    except Exception as error:  # Pillow's decoders raise exceptions of any type
        raise _unreadable(path, " ".join(str(error).split()) or type(error).__name__, RESAVE) from error


def _unreadable(path: Path, why: str, advice: str = "give a PNG, JPEG, GIF, BMP, TIFF or WebP") -> DataError:
    return DataError(f"{path} cannot be read as a picture ({why}): {advice}")


def _opened(path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        pixels = image.width * image.height
        if pixels > LARGEST or BYTES * pixels > machine.free_memory(torch.device("cpu")):
            raise _unreadable(path, f"it is {image.width} x {image.height} pixels, too many to decode", SHRINK)
        done = ["first of several pictures"] if getattr(image, "is_animated", False) else []
        image.load()
        upright = _upright(image)
        if upright is not image:
            done.append("turned upright")
        plain, steps = _eight_bits(path, upright)
        done += steps
        if plain.has_transparency_data:
            plain, steps = _flattened(plain.convert("RGBA"))
            done += steps
        grey = plain.mode in ("1", "L")
        return plain.convert("L" if grey else "RGB"), tuple(done)


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture upright by its EXIF orientation; a picture without readable orientation is returned unchanged."""
    try:
        turned = image.getexif().get(0x0112, 1) in range(2, 9)
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # damaged EXIF data raise exceptions of any type
        return image


def _eight_bits(path: Path, image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Convert pixels of more than 8 bits to 8 bits, and describe the conversions."""
    if image.mode in EXACT:
        return image, []
    if not image.mode.startswith(("I", "F")):
        raise DataError(f"{path} has the pixel mode {image.mode}: save it as RGB with 8 bits per channel")
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    integer = image.mode.startswith("I")
    most = 65_535 if integer else 1 if high <= 1 else 255
    if not (low >= 0 and high <= most):  # also for NaN
        expected = "0 to 65535" if integer else "0 to 1 or 0 to 255"
        raise DataError(
            f"{path} has pixels from {low:g} to {high:g}, expected {expected}: save it with 8 bits per channel"
        )
    if integer:
        return Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8)), ["16 bits to 8"]
    return Image.fromarray((values * np.float32(255 / most) + 0.5).astype(np.uint8)), ["floating point to 8 bits"]


def _flattened(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Remove the transparency of an RGBA picture, and describe the conversions."""
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB"), []
    pixels: Any = np.asarray(image.reduce(1 + max(image.size) // 1000))
    color, alpha = pixels[..., :3], pixels[..., 3]
    opaque = alpha > 127
    if opaque.mean() > 0.5:
        ground = tuple(int(value) for value in np.median(color[opaque], axis=0))
        name = "ground of its own color"
    else:
        luminance = color @ np.array((0.299, 0.587, 0.114))
        bright = (luminance * alpha).sum() > 127.5 * alpha.sum(dtype=np.float64)
        ground, name = ((0, 0, 0), "black") if bright else ((255, 255, 255), "white")
    composite = Image.new("RGBA", image.size, (*ground, 255))
    composite.alpha_composite(image)
    return composite.convert("RGB"), [f"transparency on {name}"]


def prepare(picture: Path | Image.Image, preparation: Preparation) -> tuple[Tensor, tuple[str, ...]]:
    """Convert a picture to the input of a net, and describe the conversions.

    The conversion depends on the statistics of the training images (`Look`). If the training images are drawings of
    equal size on a plain ground, the drawing is separated from its ground, scaled and moved to the size and position of
    the training drawings, and its ground and ink get the levels of the training images. Otherwise the picture is only
    scaled, and inverted if its ground matches the training ink. Pictures that already match the training images are
    passed through unchanged.

    Args:
        picture: a file in any format of `FORMATS`, or a picture in mode L or RGB.
        preparation: preparation, of the kind "pictures", of the training data of the net.

    Returns:
        The image ``(1, channels, height, width)``, and descriptions of the conversions.

    Raises:
        DataError: the file cannot be read as a picture, or the picture is empty.
        SettingError: the preparation is not one of pictures.
    """
    channels, height, width = preparation.shape
    if preparation.kind != "pictures" or channels not in (1, 3):
        raise SettingError("the net was not trained on pictures of one or three channels: choose another net")
    name = str(picture) if isinstance(picture, Path) else "the picture"
    image, steps = read_picture(picture) if isinstance(picture, Path) else (picture, ())
    done, look = list(steps), preparation.look
    if channels == 1 and image.mode == "RGB" and _is_grey(image):
        image = image.convert("L")
    if look is None or look.box is None:
        pixels = _scaled(image, preparation.shape, look, done)
    elif image.mode == "L" and image.size == (width, height) and _fits(_pixels(image), look, look.box):
        pixels = _pixels(image)
    else:
        pixels = _redrawn(image, (height, width), look, look.box, done, name)
    if image.size != (width, height):
        done.append(f"{image.width} x {image.height} -> {width} x {height}")
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)[None].contiguous(), tuple(done)


def _pixels(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _is_grey(image: Image.Image) -> bool:
    red, *channels = image.split()
    return all(ImageChops.difference(red, channel).getbbox() is None for channel in channels)


def _scaled(image: Image.Image, shape: tuple[int, int, int], look: Look | None, done: list[str]) -> NDArray[np.float32]:
    """Scale a picture to ``shape`` as in training; invert it if its ground is near the level of the training ink."""
    channels, height, width = shape
    if channels == 1 and image.mode != "L":
        done.append("made grey")
    plain = image.convert("L" if channels == 1 else "RGB")
    if plain.size != (width, height):
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    pixels = _pixels(plain)
    if look is None or _has_ground(pixels, look):
        return pixels
    done.append("inverted")
    return 1 - pixels


def _has_ground(pixels: NDArray[np.float32], look: Look) -> bool:
    """Return True if more pixels at the edge of a picture are near the training ground than near the training ink."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground, ink = ((abs(edge - level) <= 2 * INK_THRESHOLD).sum() for level in (look.ground, look.ink))
    return bool(ground >= ink)


def _fits(pixels: NDArray[np.float32], look: Look, box: int) -> bool:
    """Return True if a picture has about the ground, ink, drawing size and center of the training pictures."""
    levels = look.levels(pixels)
    if not _has_ground(pixels, look) or levels.max() < 1 - 3 * INK_THRESHOLD:
        return False
    top, left, bottom, right = box_of(levels)
    middle = mass_of(levels) if look.by_mass else ((top + bottom) / 2, (left + right) / 2)
    distance = max(abs(actual - expected) for actual, expected in zip(middle, look.center, strict=True))
    tolerance = max(1.5, box / 10)
    return distance <= tolerance and abs(max(bottom - top, right - left) - box) <= tolerance


def _redrawn(
    image: Image.Image, size: tuple[int, int], look: Look, box: int, done: list[str], name: str
) -> NDArray[np.float32]:
    """Redraw the drawing on a picture, ``(height, width)``, with the size, position and levels of the training ones."""
    from twofold.data.ink import ink_of, thickened

    ink = ink_of(image)
    if not ink.contrast:
        raise DataError(f"{name} is empty, nothing on it differs from its ground: give another picture")
    if ink.dark != (look.ink < look.ground):
        done.append("inverted")
    if ink.uneven:
        done.append("background removed")
    if ink.contrast < 0.5:
        done.append("contrast raised")
    done.append("centered")
    levels = ink.levels
    if stroke_of(levels) * _scale(levels.shape, size, box) < MIN_STROKE * look.stroke[0]:
        levels = thickened(levels, look.stroke[1] / (_scale(levels.shape, size, box) * max(levels.shape)))
        done.append("strokes thickened")
    scale = _scale(levels.shape, size, box)
    rows, columns = (max(1, round(length * scale)) for length in levels.shape)
    resampling = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    small = Image.fromarray(levels.astype(np.float32)).resize((columns, rows), resampling)
    drawn: NDArray[np.float32] = np.clip(np.asarray(small), 0, 1)
    drawn = drawn / drawn.max()
    middle = mass_of(drawn) if look.by_mass else (rows / 2, columns / 2)
    top, left = (
        min(max(round(target - center), 0), most - length)
        for target, center, most, length in zip(look.center, middle, size, drawn.shape, strict=True)
    )
    pixels = np.full(size, look.ground, dtype=np.float32)
    pixels[top : top + rows, left : left + columns] += (look.ink - look.ground) * drawn
    return pixels


def _scale(drawn: tuple[int, ...], size: tuple[int, int], box: int) -> float:
    """Return the factor that scales the longer side of a drawing to ``box``, or less so that it fits into ``size``."""
    return min(box / max(drawn), *(most / length for most, length in zip(size, drawn, strict=True)))
