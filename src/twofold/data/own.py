"""Data of one's own, read from a folder or a file."""

from __future__ import annotations

from collections.abc import Callable

from twofold.data.dataset import Dataset
from twofold.data.source import Source
from twofold.errors import DataError

READERS: dict[str, Callable[[Source], Dataset]] = {}


def read(source: Source) -> Dataset:
    """Read data of one's own.

    Raises:
        DataError: they are not there, or not as they should be.
    """
    if source.kind not in READERS:
        raise DataError(f"{source.path}: no data of the kind {source.kind} can be read")
    return READERS[source.kind](source)
