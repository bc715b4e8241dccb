"""Where data of one's own came from, and all that is needed to read the same again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from twofold.checks import check_fields
from twofold.errors import SettingError, unknown

if TYPE_CHECKING:
    from twofold.data.dataset import Dataset

KINDS = ("folder", "npz", "table", "idx")


@dataclass(frozen=True)
class Source:
    """A place of data, and how they are read.

    Attributes:
        path: of the folder or file, absolute.
        kind: folder (of class folders), npz, table (CSV or Parquet) or idx.
        label: the column of the label, for a table.
        size: (width, height) to which pictures are scaled; ``None`` where they have one size.
        test: the folder or file that holds the test part; ``None`` where it lies beside or in the other, or is split
            off.
        test_share: share of each class that is split off as the test part, where there is none.
        seed: of the split, and of the order of the training cases.
        skip_unreadable: whether pictures that cannot be read are left out.
    """

    path: str
    kind: str
    label: str | None = None
    size: tuple[int, int] | None = None
    test: str | None = None
    test_share: float = 0.2
    seed: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in KINDS:
            raise unknown("kind of data", self.kind, KINDS)
        if not 0 < self.test_share < 1:
            raise SettingError(f"--test-share is {self.test_share:g}, expected a share above 0 and below 1, as 0.2")
        if self.size is not None and min(self.size) < 1:
            raise SettingError(f"--size is {self.size[0]}x{self.size[1]}, expected at least 1 pixel each way")
        if not 0 <= self.seed < 2**32:
            raise SettingError(f"--split-seed is {self.seed}, expected 0 or more and below 2^32")

    @property
    def name(self) -> str:
        """The name of the data: that of the folder, or of the file without its ending."""
        path = Path(self.path)
        return path.name if self.kind == "folder" else path.name.split(".")[0]

    def at(self, path: Path | str) -> Self:
        """The same data at another place."""
        return replace(self, path=str(Path(path).absolute()))

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
