"""Files of a user's own, as the tests write them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
"""What the classes of the digits are called; their order is another than that of the digits."""


def digit_pictures(each: int = 6) -> tuple[np.ndarray, list[str]]:
    """Some digits as bytes ``(cases, 8, 8)``, and what they are called, in the order in which folders are read."""
    raw = load_digits()
    chosen = [case for word in sorted(WORDS) for case in np.flatnonzero(raw.target == WORDS.index(word))[:each]]
    return (raw.images[chosen] * 255 / 16).round().astype(np.uint8), [WORDS[label] for label in raw.target[chosen]]


def class_folders(root: Path, each: int = 6) -> Path:
    """A folder of ten folders with PNGs."""
    count: dict[str, int] = {}
    for picture, word in zip(*digit_pictures(each), strict=True):
        number = count[word] = count.get(word, 0) + 1
        (root / word).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(root / word / f"{number:03}.png")
    return root


def picture(path: Path, size: tuple[int, int] = (8, 8), color: object = 200, mode: str = "L") -> Path:
    """A picture of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)  # type: ignore[arg-type]
    return path


def two_classes(root: Path, mode: str = "L") -> Path:
    """A folder of two classes of four pictures each."""
    for number in range(4):
        picture(root / "dark" / f"{number}.png", color=20 * number, mode=mode)
        picture(root / "light" / f"{number}.png", color=180 + 20 * number, mode=mode)
    return root


def bomb(path: Path, side: int = 60_000) -> Path:
    """A PNG whose few bytes promise a picture that no memory holds."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    return path


ROWS = [
    f"{20 + number},{'red' if number % 3 else 'blue'},{number % 2 + 0.5},{'yes' if number % 2 else 'no'}"
    for number in range(12)
]


def table(path: Path, rows: list[str] | None = None, head: str = "age,color,size,bought") -> Path:
    """A CSV of two columns of numbers, one of texts, and the label ``bought``."""
    path.write_text("\n".join([head, *(ROWS if rows is None else rows)]) + "\n", encoding="utf-8")
    return path
