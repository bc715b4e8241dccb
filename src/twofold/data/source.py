"""The location of a user's own data and the options needed to read them again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from twofold.checks import check_fields
from twofold.errors import DataError, SettingError, unknown

if TYPE_CHECKING:
    from twofold.data.dataset import Dataset

KINDS = ("folder", "manifest", "npz", "table", "idx")
MISSING = ("fill", "refuse")

PICTURE_ENDINGS = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".ico"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".avif", ".avifs"),
    *(".heic", ".heif"),
}
"""Endings of the picture files in a folder. Files of unsupported formats, such as HEIC, raise an error."""


def resolved(path: Path | str) -> Path:
    """Return an absolute path, with ~ expanded and links resolved.

    Raises:
        DataError: the path cannot be resolved.
    """
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be resolved ({error}): write the full path") from error


@dataclass(frozen=True)
class Source:
    """The location of data and the options with which they are read.

    Attributes:
        path: absolute path of the folder or file.
        kind: "folder" of class folders, "manifest" (CSV of picture files and labels), "npz", "table" (CSV or Parquet)
            or "idx".
        label: name of the label column of a table or a manifest.
        size: (width, height) to which pictures are scaled; ``None`` if they are not scaled.
        test: path of a second folder or file with the test part.
        test_share: share of the cases of each class that is split off as the test part; ``None`` if the data have a
            test part.
        seed: seed of the split and of the order of the training cases.
        skip_unreadable: skip pictures that cannot be read.
        missing: "fill" to replace missing values of a table, "refuse" to raise an error.
        pixels: treat each row of a table as a picture whose pixels, row by row, are in the columns.
    """

    path: str
    kind: str
    label: str | None = None
    size: tuple[int, int] | None = None
    test: str | None = None
    test_share: float | None = None
    seed: int = 0
    skip_unreadable: bool = False
    missing: str = "fill"
    pixels: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in KINDS:
            raise unknown("kind of data", self.kind, KINDS)
        if self.missing not in MISSING:
            raise unknown("value of missing", self.missing, MISSING)
        if self.test_share is not None and not 0 < self.test_share < 1:
            raise SettingError(
                f"--test-share is {self.test_share:g}, expected more than 0 and less than 1, such as 0.2"
            )
        if self.size is not None and min(self.size) < 1:
            raise SettingError(f"--size is {self.size[0]}x{self.size[1]}, expected at least 1 pixel each way")
        if not 0 <= self.seed < 2**32:
            raise SettingError(f"--split-seed is {self.seed}, expected 0 or more and below 2^32")

    @property
    def name(self) -> str:
        """Name of the folder, or of the file without its ending.

        A name that is also the name of a built-in data set gets the prefix "own-".
        """
        from twofold.data import DATASETS

        path = Path(self.path)
        name = path.name if self.kind == "folder" else path.name.split(".")[0]
        return f"own-{name}" if name in DATASETS else name

    def at(self, path: Path | str) -> Self:
        """Return a source with the data at another path.

        If `test` no longer exists, the new source has its test part at the same path relative to the new ``path``.
        """
        place, test = resolved(path), self.test
        if test is not None and not Path(test).exists():
            test = os.path.normpath(place / os.path.relpath(test, self.path))
        return replace(self, path=str(place), test=test)

    def read(self) -> Dataset:
        """Read the data.

        Raises:
            DataError: the data do not exist or are malformed.
        """
        from twofold.data.own import read

        return read(self)

    def to_json(self) -> dict[str, Any]:
        """Return the source as a JSON-compatible mapping; default values are omitted."""
        defaults = {entry.name: entry.default for entry in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the source that `to_json` converted to ``content``.

        Raises:
            TypeError: an entry is missing or has another type.
        """
        return cls(**content)
