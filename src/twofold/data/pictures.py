"""Picture files, whatever they are, as upright pictures of 8 bits without transparency, and as what a net takes."""

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
from twofold.data.look import SEEN, Look, box_of, mass_of, stroke_of
from twofold.data.preparation import Preparation
from twofold.errors import DataError, SettingError

LARGEST = 1 << 26
"""Bytes of a file that is looked into, and pixels of a picture that is decoded."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "AVIF")
"""Kinds of files that are read, of those that Pillow knows: pictures of pixels, which need no other program."""

ENDINGS = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".ico"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".avif", ".avifs"),
    *(".heic", ".heif"),
}
"""Of the files in a folder that are taken for pictures; where one cannot be read, as HEIC, that is said."""

LEFTOVERS = ("__MACOSX",)
"""Folders that archives bring along, and in which no picture is one."""

BYTES = 16
"""That a pixel takes, while it is decoded, at most."""

EXACT = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Kinds of pixels, as Pillow calls them, of which each channel has at most 8 bits and an agreed white."""

ANEW, SMALLER = "save or copy it anew", "scale it down"
"""What to do about a picture that is broken, and one that is too large."""

THIN = 0.75
"""Share of the training images' thinnest strokes, below which strokes are thickened."""


def shown(path: Path) -> list[Path]:
    """What is in a folder, in the order of the names, but for what is hidden or left over."""
    return sorted(each for each in path.iterdir() if not each.name.startswith(".") and each.name not in LEFTOVERS)


def pictures_below(path: Path) -> list[Path]:
    """The files in a folder, and in folders within it but for links, whose names end like those of pictures."""
    found: list[Path] = []
    for each in shown(path):
        if each.is_dir() and not each.is_symlink():  # which may lead back up
            found += pictures_below(each)
        elif each.suffix.lower() in ENDINGS:
            found.append(each)
    return found


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
        if not file.st_size:
            raise _unreadable(path, "it is empty", ANEW)
        if file.st_size > LARGEST:
            raise _unreadable(path, f"it has {file.st_size / 1e6:.0f} MB", SMALLER)
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
        raise _unreadable(path, " ".join(str(error).split()) or type(error).__name__, ANEW) from error


def _unreadable(path: Path, why: str, advice: str = "give a PNG, JPEG, GIF, BMP, TIFF or WebP") -> DataError:
    return DataError(f"{path} cannot be read as a picture ({why}): {advice}")


def _opened(path: Path) -> tuple[Image.Image, tuple[str, ...]]:
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        pixels = image.width * image.height
        if pixels > LARGEST or BYTES * pixels > machine.free_memory(torch.device("cpu")):
            raise _unreadable(path, f"it is {image.width} x {image.height} pixels, too many to hold", SMALLER)
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


def prepare(picture: Path | Image.Image, preparation: Preparation) -> tuple[Tensor, tuple[str, ...]]:
    """Bring a picture to what a net was trained on, ``(1, channels, height, width)``, and say what was done to it.

    What the training images have in common (`Look`) decides. Where things are drawn on a plain ground with a longer
    side that is always the same, what is drawn is told from the ground, brought to that size and to that place, as
    light or dark as in training. Other pictures are only scaled, and inverted where their ground is the training's ink.
    A picture that is already so is left as it is, bit by bit.

    Args:
        picture: a file in any format of `FORMATS`, or a picture of kind L or RGB, such as `decoded` gives.
        preparation: of the data that the net was trained on, kind pictures.

    Raises:
        DataError: it is no file that can be read as a picture, or nothing is drawn on it.
        SettingError: the preparation is no preparation of pictures.
    """
    channels, height, width = preparation.shape
    if preparation.kind != "pictures" or channels not in (1, 3):
        raise SettingError("the net was trained on no pictures of one or three channels: choose another")
    name = str(picture) if isinstance(picture, Path) else "the picture"
    image, said = read_picture(picture) if isinstance(picture, Path) else (picture, ())
    done, look = list(said), preparation.look
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
    red, *others = image.split()
    return all(ImageChops.difference(red, other).getbbox() is None for other in others)


def _scaled(image: Image.Image, shape: tuple[int, int, int], look: Look | None, done: list[str]) -> NDArray[np.float32]:
    """A picture of this shape, as pictures of one's own are scaled to train on them."""
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
    """Whether at the edge of a picture more is near the training images' ground than near their ink."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground, ink = ((abs(edge - level) <= 2 * SEEN).sum() for level in (look.ground, look.ink))
    return bool(ground >= ink)


def _fits(pixels: NDArray[np.float32], look: Look, box: int) -> bool:
    """Whether a picture of the right size is drawn as the training images are, within a tenth of the box."""
    levels = look.levels(pixels)
    if not _has_ground(pixels, look) or levels.max() < 1 - 3 * SEEN:
        return False
    top, left, bottom, right = box_of(levels)
    middle = mass_of(levels) if look.by_mass else ((top + bottom) / 2, (left + right) / 2)
    away = max(abs(found - usual) for found, usual in zip(middle, look.center, strict=True))
    room = max(1.5, box / 10)
    return away <= room and abs(max(bottom - top, right - left) - box) <= room


def _redrawn(
    image: Image.Image, size: tuple[int, int], look: Look, box: int, done: list[str], name: str
) -> NDArray[np.float32]:
    """What is drawn on a picture, drawn anew (height, width) as the training images are."""
    from twofold.data.ink import ink_of, thickened

    ink = ink_of(image)
    if not ink.contrast:
        raise DataError(f"{name} has nothing on it that could be told from its ground: give another picture")
    if ink.dark != (look.ink < look.ground):
        done.append("inverted")
    if ink.uneven:
        done.append("background removed")
    if ink.contrast < 0.5:
        done.append("contrast raised")
    done.append("centered")
    levels = ink.levels
    if stroke_of(levels) * _scale(levels.shape, size, box) < THIN * look.stroke[0]:
        levels = thickened(levels, look.stroke[1] / (_scale(levels.shape, size, box) * max(levels.shape)))
        done.append("strokes thickened")
    scale = _scale(levels.shape, size, box)
    rows, columns = (max(1, round(length * scale)) for length in levels.shape)
    way = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    small = Image.fromarray(levels.astype(np.float32)).resize((columns, rows), way)
    drawn: NDArray[np.float32] = np.clip(np.asarray(small), 0, 1)
    drawn = drawn / drawn.max()
    middle = mass_of(drawn) if look.by_mass else (rows / 2, columns / 2)
    top, left = (
        min(max(round(place - own), 0), most - length)
        for place, own, most, length in zip(look.center, middle, size, drawn.shape, strict=True)
    )
    pixels = np.full(size, look.ground, dtype=np.float32)
    pixels[top : top + rows, left : left + columns] += (look.ink - look.ground) * drawn
    return pixels


def _scale(drawn: tuple[int, ...], size: tuple[int, int], box: int) -> float:
    """By what lengths are multiplied for the longer side to be as long as the box, or less, so that both sides fit."""
    return min(box / max(drawn), *(most / length for most, length in zip(size, drawn, strict=True)))
