"""Preprocessing of raw pictures and tables for a net; stored with the net."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.checks import check_fields
from twofold.data.columns import Column, as_columns, as_numbers, as_texts, require_memory
from twofold.data.look import Look
from twofold.errors import DataError, SettingError, remark, unknown

KINDS = ("pictures", "table")

FEATURE = 21
"""Peak memory in bytes per feature and case while a table is prepared: two float64, one float32 and one bool."""

MAX_CATEGORIES = 100
"""Largest number of distinct texts in a categorical column; a column with more is rejected."""


@dataclass(frozen=True)
class Preparation:
    """Preprocessing that converts raw data to the cases of a net.

    A numeric column is standardized to (x - mean) / scale. A text column is one-hot encoded.

    Attributes:
        kind: "pictures", with pixels in [0, 1], or "table", with standardized numbers.
        shape: (channels, height, width) of a case; (1, 1, features) for a table.
        names: class names, in the order of the class numbers.
        columns: names of the columns of a table, in order, without the label column.
        mean, scale: mean and standard deviation of each column, fitted on the training part before cases are held out
            for validation; 0 and 1 for a text column, and a scale of 1 for a constant column.
        categories: text column -> its values.
        look: statistics of the training pictures; ``None`` if they were not computed.
    """

    kind: str
    shape: tuple[int, int, int]
    names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    look: Look | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in KINDS:
            raise unknown("kind of preparation", self.kind, KINDS)
        if not len(self.columns) == len(self.mean) == len(self.scale):
            raise SettingError(
                f"the preparation has {len(self.columns)} columns, {len(self.mean)} means and {len(self.scale)} "
                "scales, expected equal numbers"
            )
        if not all(map(math.isfinite, self.mean)) or not all(0 < scale < math.inf for scale in self.scale):
            raise SettingError("the preparation has a mean or scale that is not finite, or a scale that is not above 0")
        features = sum(len(self.categories.get(name, "1")) for name in self.columns)
        if self.kind == "table" and self.shape != (1, 1, features):
            raise SettingError(
                f"the preparation of a table has the shape {self.shape}, expected (1, 1, {features}) for its columns"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as a JSON-compatible mapping; table fields are omitted for pictures."""
        content = asdict(self)
        if self.look is None:
            del content["look"]
        of_pictures = ("kind", "shape", "names", "look")
        return {name: value for name, value in content.items() if self.kind == "table" or name in of_pictures}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the preparation that `to_json` converted to ``content``.

        Raises:
            TypeError: an entry is missing or has another type.
        """
        entries = {**content}  # raises a TypeError if it is not a mapping
        if entries.get("look") is not None:
            entries["look"] = Look.from_json(entries["look"])
        return cls(**entries)

    @classmethod
    def fitted(cls, columns: Mapping[str, Column], names: Sequence[str], where: str = "the table") -> Self:
        """Fit the preparation of a table to a training part.

        Args:
            columns: the columns by name, float64 or strings; see `cleaned`.
            names: class names.
            where: name of the table in error messages.

        Raises:
            DataError: a column has too many distinct texts, or numbers that are too large.
        """
        mean, scale, categories = [], [], {}
        for name, column in columns.items():
            if column.dtype.kind == "U":
                categories[name] = _categories(name, column, where)
            values = np.zeros(1) if name in categories else column
            with np.errstate(over="ignore", invalid="ignore"):
                average, deviation = float(values.mean()), float(values.std())
            if not math.isfinite(deviation):
                raise DataError(f"{where}: the numbers of column {name!r} are too large to be standardized: rescale it")
            mean.append(average)
            scale.append(deviation if values.min() < values.max() and deviation > 0 else 1.0)
        features = sum(len(categories.get(name, "1")) for name in columns)
        return cls("table", (1, 1, features), tuple(names), tuple(columns), tuple(mean), tuple(scale), categories)

    def table(self, frame: Any, where: str = "the table") -> Tensor:
        """Convert a table of raw columns to cases ``(rows, 1, 1, features)``.

        A text that did not occur in training is encoded as zeros and named in a `Remark`.

        Args:
            frame: a DataFrame or a mapping of column names to values, with at least the columns of the preparation; or
                an array of rows, with exactly these columns in this order.
            where: name of the table in error messages.

        Raises:
            DataError: a column is missing, a value is missing, not a number, not finite or too large, or the features
                do not fit into memory.
        """
        columns = as_columns(frame, where, self.columns)
        require_memory(FEATURE * self.shape[2] * len(columns[self.columns[0]]), where)
        parts: list[NDArray[np.float64]] = []
        for name, mean, scale in zip(self.columns, self.mean, self.scale, strict=True):
            if name in self.categories:
                parts.append(self._one_hot(name, as_texts(name, columns[name], where), where))
            else:
                parts.append(_standardized(name, as_numbers(name, columns[name], where), mean, scale, where)[:, None])
        cases = np.concatenate(parts, 1).astype(np.float32)
        return torch.from_numpy(cases)[:, None, None, :].contiguous()

    def _one_hot(self, name: str, texts: NDArray[np.str_], where: str) -> NDArray[np.float64]:
        known: NDArray[np.str_] = np.array(self.categories[name])
        if unseen := sorted(set(texts.tolist()) - set(self.categories[name])):
            remark(
                f"{where}: column {name!r} has values that did not occur in training: {', '.join(unseen[:5])}"
                f"{' and others' if len(unseen) > 5 else ''}; they are encoded as zeros"
            )
        return np.equal(texts[:, None], known[None]).astype(np.float64)


def _standardized(name: str, values: NDArray[np.float64], mean: float, scale: float, where: str) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        numbers = (values - mean) / scale
    if len(bad := np.flatnonzero(abs(numbers) > np.finfo(np.float32).max)):
        raise DataError(
            f"{where}: column {name!r} has {values[bad[0]]:g} in row {bad[0] + 1}, which is too large compared with "
            "the training part: repair it or remove the row"
        )
    return numbers


def numbered(classes: int) -> tuple[str, ...]:
    """Return default class names: the class numbers."""
    return tuple(str(number) for number in range(classes))


def _categories(name: str, texts: NDArray[np.str_], where: str) -> tuple[str, ...]:
    """Return the sorted distinct values of a text column."""
    values = tuple(sorted(set(texts.tolist())))
    if len(values) > MAX_CATEGORIES:
        raise DataError(
            f"{where}: column {name!r} has {len(values)} different texts, such as {values[0]!r}, expected numbers "
            f"or at most {MAX_CATEGORIES} categories: remove the column or convert it to numbers"
        )
    return values
