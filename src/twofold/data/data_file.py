"""Data files, read without trust: no more is unpacked than the header asks for and the data set can have."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch

from twofold import machine
from twofold.data.origins import ORIGINS
from twofold.errors import DataError

CHUNK = 1 << 20  # bytes that are unpacked at once

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file or a packed stream can raise."""


class DataFile:
    """An open data file, unpacked while it is read.

    Args:
        stream: its bytes, packed with gzip or not.
        size: how many they are.
        path: where it lies; named in errors. The name of the file says which of the data set's it is.
        name: the data set that it belongs to; empty for a file of one's own.
    """

    def __init__(self, stream: BinaryIO, size: int, path: Path, name: str) -> None:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        self.path, self.name, self.size = path, name, size
        self._stream = gzip.GzipFile(fileobj=stream) if packed else stream
        origin, file = ORIGINS.get(name), path.name.removesuffix(".gz")
        self.shape = origin.shapes.get(file) if origin else None
        """The shape of the official file, without its header; ``None`` where it is not known."""
        algorithm, _, self._published = (origin.digests.get(file, "") if origin else "").partition(":")
        self._digest = hashlib.new(algorithm or "sha256", usedforsecurity=False)
        self._taken = 0

    def read(self, most: int) -> bytearray:
        """Return the next bytes: ``most``, or fewer where the file ends."""
        content = bytearray()
        while len(content) < most and (chunk := self._stream.read(min(CHUNK, most - len(content)))):
            content += chunk
        self._digest.update(content)
        self._taken += len(content)
        return content

    def rest(self, most: int, what: str) -> bytearray:
        """Return all that follows.

        Raises:
            DataError: ``what`` has ``most`` bytes, and there are more, or so many cannot be held in memory.
        """
        expected = self._taken + most
        free = machine.free_memory(torch.device("cpu"))
        if most > free:
            raise self.damaged(f"asks for {most / 1e9:.1f} GB for {what}, and {free / 1e9:.1f} GB of memory are free")
        if self.size > packed_size(expected) or len(content := self.read(most + 1)) > most:
            raise self.damaged(f"has more than the {expected} bytes of {what}")
        return content

    @property
    def official(self) -> bool:
        """Whether what was read is, byte for byte, the published file; False if no digest of it is published."""
        return self._digest.hexdigest() == self._published

    def found(self, cases: int) -> str:
        """Its name, and how many ``cases`` were found in it if that is not the official number."""
        different = self.shape is not None and cases != self.shape[0]
        return self.path.name + (f" ({cases} of {self.shape[0]} cases)" if self.shape and different else "")

    def damaged(self, what: str) -> DataError:
        """Return the error for a file that is not as it should be, with advice on what to do."""
        return DataError(f"{self.path} {what}: {_advice(self.name)}")


def _advice(name: str, there: bool = True) -> str:
    """What to do about a file of a data set, or of nobody's."""
    if not name:
        return "give a whole one"
    return f"{'delete it and ' if there else ''}run `twofold data get {name}`"


@contextmanager
def opened(path: Path, name: str) -> Iterator[DataFile]:
    """Open a file of the data set ``name``.

    Raises:
        DataError: there is no such file, or it cannot be read, or is a damaged gzip file.
    """
    try:
        is_file(path)
        with path.open("rb") as stream:
            yield DataFile(stream, os.fstat(stream.fileno()).st_size, path, name)
    except UNREADABLE as error:
        advice = _advice(name, not isinstance(error, FileNotFoundError))
        raise DataError(f"{path} cannot be read ({line(error)}): {advice}") from error


def is_file(path: Path) -> bool:
    """Whether a file lies at ``path``.

    Raises:
        DataError: something else does, which to open might never end; or it cannot be told.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be looked for ({line(error)}): choose another folder") from error
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in KINDS if test(mode)), "no regular file")
        raise DataError(f"{path} is {kind}, expected a file: move it away")
    return True


KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What can lie in the place of a file."""


def packed_size(unpacked: int) -> int:
    """The most bytes that a gzip file of so much content can need, headers and an archive's own bytes included."""
    return unpacked + unpacked // 1000 + (1 << 16)


def line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
