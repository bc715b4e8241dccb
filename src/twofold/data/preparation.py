"""Preprocessing of raw pictures and tables for a net. It is stored with the net."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.checks import check_fields
from twofold.data.columns import FILL, Column, Problems, as_columns, as_numbers, as_texts, require_memory, shortened
from twofold.data.look import Look
from twofold.errors import SettingError, remark, unknown

KINDS = ("pictures", "table")

MARGIN = 0.5
"""Distance from the range of the training values beyond which a value is unusual, as a share of the width of the
range."""

FEATURE = 21
"""Peak memory in bytes per feature and case while a table is prepared: two float64, one float32 and one bool."""


@dataclass(frozen=True)
class Preparation:
    """Preprocessing that converts raw data to the cases of a net.

    A missing number is replaced by the median of the column. Then each numeric column is standardized to (x - mean) /
    scale. A numeric column with missing values in the training part is followed by an indicator feature, which is 1
    where the value is missing. A text column is one-hot encoded; a missing text is the category "".

    The result is the same as that of scikit-learn's ``ColumnTransformer`` with ``SimpleImputer``, ``StandardScaler``
    and ``OneHotEncoder``. The fitted state of these classes can only be stored as a pickle, which is not safe to load.
    This class therefore holds the fitted numbers itself, which can be stored as JSON and exported to ONNX.

    Attributes:
        kind: "pictures", with pixels in [0, 1], or "table", with standardized numbers.
        shape: (channels, height, width) of a case; (1, 1, features) for a table.
        names: class names, in the order of the class numbers.
        columns: names of the columns of a table, in order, without the label column.
        mean, scale: mean and standard deviation of each column, fitted on the training part before cases are held out
            for validation; 0 and 1 for a text column, and a scale of 1 for a constant column.
        categories: text column -> the distinct texts of the column.
        look: statistics of the training pictures; ``None`` if they were not computed.
        medians: median of each column, 0 for a text column; empty if missing values are refused.
        indicators: numeric columns that are followed by an indicator feature.
        lows, highs: smallest and largest training value of each column, 0 for a text column; empty in older versions.
    """

    kind: str
    shape: tuple[int, int, int]
    names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    look: Look | None = None
    medians: tuple[float, ...] = ()
    indicators: tuple[str, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()

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
        for values in (self.medians, self.lows, self.highs):
            if len(values) not in (0, len(self.columns)) or not all(map(math.isfinite, values)):
                raise SettingError(
                    "the preparation has missing or infinite medians or ranges, expected none or one for each column"
                )
        features = _feature_count(self.columns, self.categories, self.indicators)
        if self.kind == "table" and self.shape != (1, 1, features):
            raise SettingError(
                f"the preparation of a table has the shape {self.shape}, expected (1, 1, {features}) for its columns"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as a JSON-compatible mapping, for pictures without the fields of tables."""
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
    def fitted(
        cls, columns: Mapping[str, Column], names: Sequence[str], where: str = "the table", fill: bool = True
    ) -> Self:
        """Fit the preparation of a table to a training part.

        A `Remark` names columns with missing values.

        Args:
            columns: the columns by name, float64 or strings; see `cleaned`.
            names: class names.
            where: name of the table in remarks.
            fill: replace missing values; if False, `table` raises an error for missing values.
        """
        mean, scale, medians, lows, highs, categories, filled = [], [], [], [], [], {}, {}
        for name, column in columns.items():
            if column.dtype.kind == "U":
                categories[name] = tuple(sorted(set(column.tolist())))
                absent, values = column == "", np.zeros(1)
            else:
                absent, values = np.isnan(column), column
            if absent.any():
                filled[name] = f"{name!r} ({int(absent.sum())} of {len(absent)} rows)"
            present = values[~absent] if name not in categories else values
            median = float(np.median(present)) if len(present) else 0.0
            values = np.where(np.isnan(values), median, values)
            deviation = float(values.std())
            medians.append(median)
            lows.append(float(values.min()))
            highs.append(float(values.max()))
            mean.append(float(values.mean()))
            scale.append(deviation if values.min() < values.max() and deviation > 0 else 1.0)
        indicators = tuple(name for name in filled if name not in categories)
        if filled:
            remark(
                f"{where}: missing training values in {shortened(list(filled.values()))}: a missing number is replaced "
                "by the median of its column, with a feature that marks it; a missing text is a category"
            )
        shape = (1, 1, _feature_count(columns, categories, indicators))
        return cls(
            "table",
            shape,
            tuple(names),
            tuple(columns),
            tuple(mean),
            tuple(scale),
            categories,
            medians=tuple(medians) if fill else (),
            indicators=indicators,
            lows=tuple(lows),
            highs=tuple(highs),
        )

    def table(self, frame: Any, where: str = "the table") -> Tensor:
        """Convert a table of raw columns to cases ``(rows, 1, 1, features)``.

        A text that did not occur in training is encoded as zeros and named in a `Remark`.

        Args:
            frame: a DataFrame or a mapping of column names to values, with at least the columns of the preparation; or
                an array of rows, with exactly these columns in this order.
            where: name of the table in error messages.

        Raises:
            DataError: a column is missing, the features do not fit into memory, or a value is not a number, not finite,
                too large, or missing in a preparation fitted with ``fill=False``. The message lists the problems of all
                values.
        """
        cases, problems = self.table_with_problems(frame, where)
        problems.check()
        return cases

    def table_with_problems(self, frame: Any, where: str = "the table") -> tuple[Tensor, Problems]:
        """Convert a table as `table` does, but return the problems of values instead of raising an error.

        Unusable values become 0. The problems include unusual values, see `Problems`.

        Raises:
            DataError: columns are missing, or the features do not fit into memory.
        """
        features, problems = self.encoded(frame, where)
        for index, position in self._numeric():
            values = features[:, position]
            with np.errstate(over="ignore"):
                numbers = (values - self.mean[index]) / self.scale[index]
            usable = abs(numbers) <= np.finfo(np.float32).max
            large = np.flatnonzero(~usable & np.isfinite(values))
            end = ", which is too large compared with the training part"
            content = lambda row, values=values: f"{values[row]:g}"  # noqa: E731
            problems.add_rows(self.columns[index], large, content, FILL, end)
            features[:, position] = np.where(usable, numbers, 0.0)
        return torch.from_numpy(features.astype(np.float32))[:, None, None, :].contiguous(), problems

    def encoded(self, frame: Any, where: str = "the table") -> tuple[NDArray[np.float64], Problems]:
        """Convert a table to features ``(rows, features)`` that are not yet standardized.

        Returns:
            The features, and the problems and unusual values of the table. Unusable values are the median, or infinite.

        Raises:
            DataError: columns are missing, or the features do not fit into memory.
        """
        columns, problems, fill = as_columns(frame, where, self.columns), Problems(where), bool(self.medians)
        require_memory(FEATURE * self.shape[2] * len(columns[self.columns[0]]), where)
        parts: list[NDArray[np.float64]] = []
        for index, name in enumerate(self.columns):
            if name in self.categories:
                texts = as_texts(name, columns[name], problems, fill)
                parts.append(self._one_hot(name, texts, where))
                continue
            values = as_numbers(name, columns[name], problems, fill)
            absent = np.isnan(values)
            values = np.where(absent, self.medians[index] if fill else 0.0, values)
            self._find_unusual(index, values, problems)
            parts.append(values[:, None])
            if name in self.indicators:
                parts.append(absent[:, None].astype(np.float64))
        return np.concatenate(parts, 1), problems

    def with_ranges_of(self, features: NDArray[np.float64]) -> Self:
        """Return the preparation with ranges of training values that include those of further encoded rows."""
        lows, highs = list(self.lows), list(self.highs)
        for index, position in self._numeric():
            lows[index] = min(lows[index], float(features[:, position].min()))
            highs[index] = max(highs[index], float(features[:, position].max()))
        return replace(self, lows=tuple(lows), highs=tuple(highs))

    def _numeric(self) -> Iterator[tuple[int, int]]:
        """Yield the index of each numeric column and the position of its feature."""
        position = 0
        for index, name in enumerate(self.columns):
            if name not in self.categories:
                yield index, position
            position += _feature_count([name], self.categories, [name] if name in self.indicators else [])

    def _find_unusual(self, index: int, values: NDArray[np.float64], problems: Problems) -> None:
        """Add the rows whose value is far outside the training range (see `MARGIN`) to ``problems.unusual``."""
        if not self.lows:
            return
        low, high, name = self.lows[index], self.highs[index], self.columns[index]
        margin = max(MARGIN * (high - low), self.scale[index])
        for row in np.flatnonzero((values < low - margin) | (values > high + margin)).tolist():
            text = f"column {name!r} is {values[row]:g}, the training values range from {low:g} to {high:g}"
            problems.unusual.setdefault(row, text)

    def _one_hot(self, name: str, texts: NDArray[np.str_], where: str) -> NDArray[np.float64]:
        known: NDArray[np.str_] = np.array(self.categories[name])
        if unseen := sorted(set(texts.tolist()) - set(self.categories[name])):
            remark(
                f"{where}: column {name!r} has values that did not occur in training: "
                f"{', '.join(text or '(missing)' for text in unseen[:5])}{' and others' if len(unseen) > 5 else ''}; "
                "they are encoded as zeros"
            )
        return np.equal(texts[:, None], known[None]).astype(np.float64)


def _feature_count(columns: Iterable[str], categories: Mapping[str, Sequence[str]], indicators: Sequence[str]) -> int:
    return sum(len(categories.get(name, "1")) for name in columns) + len(indicators)


def numbered(classes: int) -> tuple[str, ...]:
    """Return default class names: "0", "1", ..."""
    return tuple(str(number) for number in range(classes))
