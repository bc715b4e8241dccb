"""Pictures of one's own: whatever a file is, it is read or refused in one line, before it takes time or memory.

Oracles: files written byte by byte, and the memory that is taken while they are read.
"""

from __future__ import annotations

import os
import stat
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers import refusal
from twofold.cli.image_file import LARGEST, read_picture
from twofold.errors import DataError

SHAPE = (1, 8, 8)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 0) -> bytes:
    """A PNG with a true header, and whatever comes then."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress(8 * bytes(9)))
LONG = zlib.compress(bytes(100_000_000), 9)

FILES: dict[str, tuple[bytes, str]] = {
    "40000 x 40000": (png(40_000, 40_000, PIXELS), "cannot be read as a picture"),
    "10000 x 10000": (png(10_000, 10_000, PIXELS), "is 10000 x 10000 pixels, the net was trained on 8 x 8"),
    "16384 x 8, of a net's height": (png(16_384, 8, PIXELS), "is 16384 x 8 pixels"),
    "a text that inflates": (png(8, 8, chunk(b"zTXt", b"a\0\0" + LONG), PIXELS), "cannot be read as a picture"),
    "pixels cut": (png(8, 8, chunk(b"IDAT", zlib.compress(os.urandom(72))[:40])), "cannot be read as a picture"),
    "no pixels": (png(8, 8), "cannot be read as a picture"),
    "a size of 0": (png(0, 8, PIXELS), "cannot be read as a picture"),
    "a chunk cut": (png(8, 8, PIXELS)[:45], "cannot be read as a picture"),
    "16 bits": (png(8, 8, chunk(b"IDAT", zlib.compress(8 * bytes(17))), depth=16), "save it with 8 bits a channel"),
    "a GIF's first bytes": (b"GIF89a\x08\0\x08\0", "cannot be read as a picture"),
    "a TIFF's first bytes": (b"II*\0\x08\0\0\0\xff\xff", "cannot be read as a picture"),
    "nothing": (b"", "cannot be read as a picture"),
    "noise": (bytes(range(256)), "cannot be read as a picture"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_fitting_picture_is_refused_before_it_takes_memory(name: str, tmp_path: Path) -> None:
    content, said = FILES[name]
    path = tmp_path / "own.png"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        assert said in refusal(lambda: read_picture(path, SHAPE), DataError)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


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
    assert "cannot be read as a picture" in refusal(lambda: read_picture(path, SHAPE), DataError)
    assert not path.is_symlink() or stat.S_ISLNK(path.lstat().st_mode)


READ = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"]
REFUSED = ["I", "F", "I;16", "LAB"]


@pytest.mark.parametrize("mode", [*READ, *REFUSED])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_every_kind_of_pixels_is_read_or_refused(
    mode: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "own.png"
    path.write_bytes(png(8, 8, PIXELS))
    white = Image.new("L", (8, 8), 255)
    image = white.convert("RGB").convert(mode) if mode in READ and mode != "PA" else Image.new(mode, (8, 8), None)
    if mode == "PA":
        image = white.convert("LA").convert("PA")
    monkeypatch.setattr(Image, "open", lambda path: image)
    if mode in READ:
        assert torch.equal(read_picture(path, shape), torch.ones(1, *shape))
    else:
        assert "save it with 8 bits a channel" in refusal(lambda: read_picture(path, shape), DataError)
