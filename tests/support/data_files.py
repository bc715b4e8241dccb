"""Data files of the tests' own making: random images in the formats in which data sets are published."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twofold.data.origins import CIFAR10_FILES, IDX_FILES
from twofold.errors import TwofoldError


def refusal(kind: type[TwofoldError], action: Callable[[], object]) -> str:
    """The message with which ``action`` is refused: always one line."""
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def random_idx(seed: int = 0, side: int = 28) -> dict[str, bytes]:
    """Well-formed contents of the four IDX files, of 6 and 4 random images."""
    rng = np.random.default_rng(seed)
    contents = []
    for cases in (6, 4):
        contents.append(idx_bytes(rng.integers(0, 256, (cases, side, side), dtype=np.uint8)))
        contents.append(idx_bytes(rng.integers(0, 10, cases, dtype=np.uint8)))
    return dict(zip(IDX_FILES, contents, strict=True))


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    return folder


def digest(algorithm: str, content: bytes) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def cifar_contents(cases: int = 2) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (6, cases, 3073), dtype=np.uint8)
    records[..., 0] %= 10
    return {file: record.tobytes() for file, record in zip(CIFAR10_FILES, records, strict=True)}


def contents_of(name: str) -> dict[str, bytes]:
    """Small well-formed files of the data set ``name``."""
    return cifar_contents() if name == "cifar10" else random_idx()


GOOD = idx_bytes(np.arange(30, dtype=np.uint8).reshape(2, 3, 5))

FAKE = pytest.mark.filterwarnings("ignore:the data are not the official :twofold.errors.Remark")
"""For tests whose data are not the official ones, and that are about something else."""
