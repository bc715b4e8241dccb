"""Where data of one's own came from, and all that is needed to read the same again."""

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

KINDS = ("folder", "npz", "table", "idx")


def resolved(path: Path | str) -> Path:
    """A path written out, without ~ and links.

    Raises:
        DataError: it cannot be.
    """
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be found ({error}): write out the whole path") from error


@dataclass(frozen=True)
class Source:
    """A place of data, and how they are read.

    Attributes:
        path: of the folder or file, absolute.
        kind: folder (of class folders), npz, table (CSV or Parquet) or idx.
        label: the column of the label, for a table.
        size: (width, height) to which pictures are scaled; ``None`` where they have one size.
        test: a second folder or file, which holds the test part.
        test_share: share of each class that is split off as the test part; ``None`` where there is one.
        seed: of the split, and of the order of the training cases.
        skip_unreadable: whether pictures that cannot be read are left out.
    """

    path: str
    kind: str
    label: str | None = None
    size: tuple[int, int] | None = None
    test: str | None = None
    test_share: float | None = None
    seed: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in KINDS:
            raise unknown("kind of data", self.kind, KINDS)
        if self.test_share is not None and not 0 < self.test_share < 1:
            raise SettingError(f"--test-share is {self.test_share:g}, expected a share above 0 and below 1, as 0.2")
        if self.size is not None and min(self.size) < 1:
            raise SettingError(f"--size is {self.size[0]}x{self.size[1]}, expected at least 1 pixel each way")
        if not 0 <= self.seed < 2**32:
            raise SettingError(f"--split-seed is {self.seed}, expected 0 or more and below 2^32")

    @property
    def name(self) -> str:
        """The name of the data: that of the folder, or of the file without its ending; never that of a data set."""
        from twofold.data import DATASETS

        path = Path(self.path)
        name = path.name if self.kind == "folder" else path.name.split(".")[0]
        return f"own-{name}" if name in DATASETS else name

    def at(self, path: Path | str) -> Self:
        """The same data at another place; a test part that is gone is looked for where it lay beside them."""
        place, test = resolved(path), self.test
        if test is not None and not Path(test).exists():
            test = os.path.normpath(place / os.path.relpath(test, self.path))
        return replace(self, path=str(place), test=test)

    def read(self) -> Dataset:
        """Read the data.

        Raises:
            DataError: they are not there, or not as they should be.
        """
        from twofold.data.own import read

        return read(self)

    def to_json(self) -> dict[str, Any]:
        """The source as JSON can hold it; what has its usual value is left away."""
        usual = {each.name: each.default for each in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The source in what `to_json` gave.

        Raises:
            TypeError: an entry is missing, or of another type.
        """
        return cls(**content)
