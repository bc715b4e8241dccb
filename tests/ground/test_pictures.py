"""Pictures of one's own: whatever a file is, it is decoded or refused in one line, before it takes time or memory.

Oracles: files written byte by byte, the pixels that were written into a file, and the memory that is taken.
"""

from __future__ import annotations

import os
import stat
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.helpers import refusal
from support.own_files import two_classes
from twofold.data import read_data
from twofold.data.pictures import FORMATS, LARGEST, decoded, read_picture
from twofold.data.source import PICTURE_ENDINGS
from twofold.errors import DataError
from twofold.training.prediction import pictures_at


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 0) -> bytes:
    """A PNG with a true header, and whatever comes then."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def icon(content: bytes) -> bytes:
    """An icon that says that it has 16 x 16 pixels, and holds a PNG."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 8, len(content), 22) + content


PIXELS = chunk(b"IDAT", zlib.compress(8 * bytes(9)))
LONG = zlib.compress(bytes(100_000_000), 9)

FILES: dict[str, bytes] = {
    "40000 x 40000": png(40_000, 40_000, PIXELS),
    "9000 x 9000": png(9000, 9000, PIXELS),
    "10000 x 10000 in an icon": icon(png(10_000, 10_000, PIXELS)),
    "16384 x 8, of which 8 x 8 are there": png(16_384, 8, PIXELS),
    "a text that inflates": png(8, 8, chunk(b"zTXt", b"a\0\0" + LONG), PIXELS),
    "pixels cut": png(8, 8, chunk(b"IDAT", zlib.compress(os.urandom(72))[:40])),
    "no pixels": png(8, 8),
    "a size of 0": png(0, 8, PIXELS),
    "a chunk cut": png(8, 8, PIXELS)[:45],
    "a GIF's first bytes": b"GIF89a\x08\0\x08\0",
    "a TIFF's first bytes": b"II*\0\x08\0\0\0\xff\xff",
    "a HEIC's first bytes": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "a program for a printer": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "nothing": b"",
    "noise": bytes(range(256)),
}
WHY = {
    "9000 x 9000": "it is 9000 x 9000 pixels, too many to decode): scale it down",
    "a HEIC's first bytes": "unsupported file type",
    "a program for a printer": "unsupported file type",
    "nothing": "it is empty): save or copy it again",
}
"""What is said of some of them."""


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_whole_picture_is_refused_before_it_takes_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "own.png"
    path.write_bytes(FILES[name])
    Image.init()  # of Pillow, once
    tracemalloc.start()
    try:
        said = refusal(lambda: decoded(path), DataError)
        assert said.startswith(f"{path} cannot be read as a picture ({WHY.get(name, '')}")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_picture_that_would_not_fit_into_memory_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.png"
    path.write_bytes(png(8, 8, PIXELS))
    assert decoded(path).size == (8, 8)
    monkeypatch.setattr("twofold.machine.free_memory", lambda device: 1000)
    assert "8 x 8 pixels, too many to decode" in refusal(lambda: decoded(path), DataError)


def fifo(path: Path) -> None:
    """Whoever opens it waits for a writer."""
    os.mkfifo(path)


def huge(path: Path) -> None:
    """A file that takes no room, and would take memory."""
    with path.open("wb") as file:
        file.write(png(8, 8, PIXELS)[:33])
        file.truncate(LARGEST + 1)


@pytest.mark.parametrize(
    "make", [Path.mkdir, fifo, huge, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_what_is_no_regular_file_of_a_pictures_size_is_not_opened(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "own.png"
    make(path)
    assert "cannot be read as a picture" in refusal(lambda: decoded(path), DataError)
    assert not path.is_symlink() or stat.S_ISLNK(path.lstat().st_mode)


READ = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"]
DEEP: dict[str, tuple[Any, str]] = {
    "I;16": (np.uint16(65_535), "16 bits to 8"),
    "I": (np.int32(65_535), "16 bits to 8"),
    "F": (np.float32(1), "floating point to 8 bits"),
    "F to 255": (np.float32(255), "floating point to 8 bits"),
}
REFUSED: dict[str, Any] = {
    "I beyond 16 bits": np.int32(65_536),
    "I below 0": np.int32(-1),
    "F beyond 255": np.float32(256),
    "F below 0": np.float32(-0.1),
    "F that is NaN": np.float32("nan"),
}


def given(image: Image.Image, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that Pillow reads as this picture."""
    path.write_bytes(png(8, 8, PIXELS))
    monkeypatch.setattr(Image, "open", lambda path, formats: image)
    return path


@pytest.mark.parametrize("mode", [*READ, *DEEP])
def test_white_of_every_kind_of_pixels_is_white(mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    what: tuple[str, ...] = ()
    if mode in DEEP:
        value, said = DEEP[mode]
        image, what = Image.fromarray(np.full((8, 8), value)), (said,)
    else:
        white = Image.new("L", (8, 8), 255)
        image = white.convert("LA").convert("PA") if mode == "PA" else white.convert("RGB").convert(mode)
    found, done = read_picture(given(image, tmp_path / "own.png", monkeypatch))
    assert found.mode in ("L", "RGB")
    assert np.array_equal(np.unique(np.asarray(found)), [255])
    assert done == what


@pytest.mark.parametrize("kind", [*REFUSED, "LAB"])
def test_pixels_without_an_agreed_white_are_refused(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = Image.new("LAB", (8, 8)) if kind == "LAB" else Image.fromarray(np.full((8, 8), REFUSED[kind]))
    path = given(image, tmp_path / "own.png", monkeypatch)
    assert "save it " in refusal(lambda: decoded(path), DataError)


DRAWN = Image.fromarray(np.pad(np.full((4, 2), 255, np.uint8), ((2, 2), (1, 5))))
"""A bar left of the middle, 255 on 0."""


@pytest.mark.parametrize(
    ("color", "white_bar", "said"),
    [(0, False, "transparency on white"), (255, True, "transparency on black"), (90, False, "transparency on white")],
)
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_the_transparency_alone_draws_is_seen(
    color: int, white_bar: bool, said: str, mode: str, tmp_path: Path
) -> None:
    image = Image.new("L", DRAWN.size, color).convert(mode)
    image.putalpha(DRAWN)
    image.save(tmp_path / "own.png")
    found, done = read_picture(tmp_path / "own.png")
    assert done == (said,)
    bar, ground = color, 0 if white_bar else 255
    expected = np.where(np.asarray(DRAWN) > 0, bar, ground)
    assert np.array_equal(np.asarray(found.convert("L")), expected)


def test_holes_in_a_picture_take_the_color_of_what_is_around_them(tmp_path: Path) -> None:
    image = Image.new("RGB", DRAWN.size, (200, 220, 240))
    image.putalpha(DRAWN.point(lambda value: 255 - value))
    image.save(tmp_path / "own.png")
    found, done = read_picture(tmp_path / "own.png")
    assert np.array_equal(np.unique(np.asarray(found).reshape(-1, 3), axis=0), [(200, 220, 240)])
    assert done == ("transparency on ground of its own color",)


def test_a_picture_that_is_opaque_is_left_as_it_is(tmp_path: Path) -> None:
    DRAWN.convert("RGBA").save(tmp_path / "own.png")
    found, done = read_picture(tmp_path / "own.png")
    assert np.array_equal(np.asarray(found)[..., 0], np.asarray(DRAWN))
    assert done == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_as_the_camera_saw_it(orientation: int, tmp_path: Path) -> None:
    rows = np.asarray(DRAWN).copy()
    rows[0, :] = 255  # no two turns of it are the same
    lying = {  # what the EXIF standard says of where the scene's top row and left column are
        **{1: rows, 2: rows[:, ::-1], 3: rows[::-1, ::-1], 4: rows[::-1]},
        **{5: rows.T, 6: np.rot90(rows, 1), 7: rows[::-1, ::-1].T, 8: np.rot90(rows, -1)},
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(lying[orientation])).save(tmp_path / "own.png", exif=exif)
    found, done = read_picture(tmp_path / "own.png")
    assert np.array_equal(np.asarray(found), rows)
    assert done == (() if orientation == 1 else ("turned upright",))


@pytest.mark.parametrize("kind", ["gif", "tiff"])
def test_of_several_pictures_in_a_file_the_first_is_taken_and_said(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"own.{kind}"
    black = Image.new("L", DRAWN.size)
    DRAWN.save(path, save_all=True, append_images=[black, black])
    found, done = read_picture(path)
    assert np.array_equal(np.asarray(found.convert("L")), np.asarray(DRAWN))
    assert done == ("first of several pictures",)


@pytest.mark.parametrize("name", ["9.heic", "9.HEIF", "9.apng", "9.pfm"])
def test_the_same_files_are_pictures_to_train_on_and_to_answer_and_none_is_left_out_in_silence(
    name: str, tmp_path: Path
) -> None:
    assert {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS} <= PICTURE_ENDINGS
    root = two_classes(tmp_path / "mine")
    (root / "dark" / name).write_bytes(b"what a telephone makes")
    assert root / "dark" / name in pictures_at([root])
    said = refusal(lambda: read_data(root), DataError)
    assert f"{name} cannot be read as a picture" in said
    assert "--skip-unreadable" in said
