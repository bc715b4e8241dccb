"""Read untrusted data files. Unpacking stops at the size in the header or the largest size of the data set."""

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
"""Exceptions that reading a file or a gzip stream can raise."""


class DataFile:
    """An open data file that is unpacked while it is read.

    Args:
        stream: the file's bytes, raw or gzip.
        size: size of the file in bytes, before unpacking.
        path: path of the file, used in errors. The file name identifies the file within its data set.
        name: the data set that the file belongs to; empty for a user's own file.
    """

    def __init__(self, stream: BinaryIO, size: int, path: Path, name: str) -> None:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        self.path, self.name, self.size = path, name, size
        self._stream = gzip.GzipFile(fileobj=stream) if packed else stream
        origin, file = ORIGINS.get(name), path.name.removesuffix(".gz")
        self.shape = origin.shapes.get(file) if origin else None
        """The shape of the official file's values, without the header; ``None`` if unknown."""
        algorithm, _, self._published = (origin.digests.get(file, "") if origin else "").partition(":")
        self._digest = hashlib.new(algorithm or "sha256", usedforsecurity=False)
        self._count = 0

    def read(self, most: int) -> bytearray:
        """Return the next ``most`` bytes, or fewer at the end of the file."""
        content = bytearray()
        while len(content) < most and (chunk := self._stream.read(min(CHUNK, most - len(content)))):
            content += chunk
        self._digest.update(content)
        self._count += len(content)
        return content

    def rest(self, most: int, part_name: str) -> bytearray:
        """Return all remaining bytes.

        Args:
            most: largest number of remaining bytes in a valid file.
            part_name: name of this part of the file in errors.

        Raises:
            DataError: more than ``most`` bytes remain, or ``most`` bytes do not fit into memory.
        """
        expected = self._count + most
        free = machine.free_memory(torch.device("cpu"))
        if most > free:
            raise self.damaged(f"needs {most / 1e9:.1f} GB for {part_name}, and {free / 1e9:.1f} GB of memory are free")
        if self.size > packed_size(expected) or len(content := self.read(most + 1)) > most:
            raise self.damaged(f"has more than the {expected} bytes of {part_name}")
        return content

    @property
    def official(self) -> bool:
        """True if the digest of the bytes read so far is the published one; False if no digest is published."""
        return self._digest.hexdigest() == self._published

    def described(self, cases: int) -> str:
        """Return the file name, followed by ``cases`` if the official file has another number of cases."""
        different = self.shape is not None and cases != self.shape[0]
        return self.path.name + (f" ({cases} of {self.shape[0]} cases)" if self.shape and different else "")

    def damaged(self, problem: str) -> DataError:
        """Return the error for a malformed file: the path, ``problem``, and what the user should do."""
        return DataError(f"{self.path} {problem}: {_advice(self.name)}")


def _advice(name: str, exists: bool = True) -> str:
    """Return what to do about a damaged or missing file of the data set ``name``; "" means a user's own data."""
    if not name:
        return "give a complete file"
    return f"{'delete it and ' if exists else ''}run `twofold data get {name}`"


@contextmanager
def opened(path: Path, name: str) -> Iterator[DataFile]:
    """Open a file of the data set ``name``, or a user's own file if ``name`` is empty.

    Raises:
        DataError: the file does not exist, cannot be read, or is a damaged gzip file.
    """
    try:
        is_file(path)
        with path.open("rb") as stream:
            yield DataFile(stream, os.fstat(stream.fileno()).st_size, path, name)
    except UNREADABLE as error:
        advice = _advice(name, not isinstance(error, FileNotFoundError))
        raise DataError(f"{path} cannot be read ({one_line(error)}): {advice}") from error


def is_file(path: Path) -> bool:
    """Return True if ``path`` is a regular file, False if nothing exists there.

    Raises:
        DataError: ``path`` is a folder, a pipe or another special file, or its type cannot be determined.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be accessed ({one_line(error)}): choose another folder") from error
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in FILE_TYPES if test(mode)), "not a regular file")
        raise DataError(f"{path} is {kind}, expected a file: move it away")
    return True


FILE_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""Tests of the mode of a directory entry that is not a regular file -> its name in error messages."""


def packed_size(unpacked: int) -> int:
    """Return an upper bound in bytes on the size of a gzip file or archive with ``unpacked`` bytes of content."""
    return unpacked + unpacked // 1000 + (1 << 16)


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line."""
    return " ".join(str(error).split()) or type(error).__name__
