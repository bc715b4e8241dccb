"""What is done to raw pictures or tables so that a net can take them; it travels with the net."""

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
"""Bytes that a feature of a case takes while a table is prepared: twice as float64, as float32, and as a flag."""

MOST_VALUES = 100
"""Different texts of a column from which on they are no categories, but names or remarks."""


@dataclass(frozen=True)
class Preparation:
    """How raw data become the cases of a net.

    A column of numbers becomes (x - mean) / scale; a column of texts becomes one number for each of its values, 1 for
    the one that it has and 0 for all others.

    Attributes:
        kind: pictures, whose pixels are in [0, 1], or table, whose numbers are standardized.
        shape: (channels, height, width) of a case; of a table (1, 1, features).
        names: of the classes, in the order of their numbers.
        columns: names of the columns of a table, in their order, without the label's.
        mean, scale: of each column, fitted on the training part alone, before cases of it are held out for validation;
            0 and 1 for a column of texts, and a scale of 1 for one that never changes.
        categories: column -> its values, for each column of texts.
        look: what the pictures of the training part have in common; ``None`` where nobody has looked.
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
                "scales, expected as many of each"
            )
        if not all(map(math.isfinite, self.mean)) or not all(0 < scale < math.inf for scale in self.scale):
            raise SettingError("the preparation has a mean or a scale that is not finite, or no scale above 0")
        features = sum(len(self.categories.get(name, "1")) for name in self.columns)
        if self.kind == "table" and self.shape != (1, 1, features):
            raise SettingError(
                f"the preparation of a table has the shape {self.shape}, expected (1, 1, {features}) for its columns"
            )

    def to_json(self) -> dict[str, Any]:
        """The preparation as JSON can hold it; what only tables have is left away for pictures."""
        content = asdict(self)
        if self.look is None:
            del content["look"]
        pictured = ("kind", "shape", "names", "look")
        return {name: value for name, value in content.items() if self.kind == "table" or name in pictured}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The preparation in what `to_json` gave.

        Raises:
            TypeError: an entry is missing, or of another type.
        """
        known = {**content}  # a TypeError where it is no mapping
        if known.get("look") is not None:
            known["look"] = Look.from_json(known["look"])
        return cls(**known)

    @classmethod
    def fitted(cls, columns: Mapping[str, Column], names: Sequence[str], where: str = "the table") -> Self:
        """The preparation of tables, fitted on a training part.

        Args:
            columns: its columns, `cleaned`: numbers or texts.
            names: of the classes.
            where: how errors name the table.

        Raises:
            DataError: a column has too many different texts, or numbers that are too large.
        """
        mean, scale, categories = [], [], {}
        for name, column in columns.items():
            if column.dtype.kind == "U":
                categories[name] = _categories(name, column, where)
            values = np.zeros(1) if name in categories else column
            with np.errstate(over="ignore", invalid="ignore"):
                middle, deviation = float(values.mean()), float(values.std())
            if not math.isfinite(deviation):
                raise DataError(f"{where}: the numbers of column {name!r} are too large to be standardized: rescale it")
            mean.append(middle)
            scale.append(deviation if values.min() < values.max() and deviation > 0 else 1.0)
        features = sum(len(categories.get(name, "1")) for name in columns)
        return cls("table", (1, 1, features), tuple(names), tuple(columns), tuple(mean), tuple(scale), categories)

    def table(self, frame: Any, where: str = "the table") -> Tensor:
        """Bring a table of raw columns to cases ``(rows, 1, 1, features)``.

        A text that its column did not have in training becomes zeros, and is named in a `Remark`.

        Args:
            frame: a DataFrame, or a mapping of column names to values, with at least the columns of the preparation;
                or an array of rows, with exactly these in their order.
            where: how errors name the table.

        Raises:
            DataError: a column is missing, a number is no number or too large, or a value is missing or not finite;
                or memory is too small for the features.
        """
        found = as_columns(frame, where, self.columns)
        require_memory(FEATURE * self.shape[2] * len(found[self.columns[0]]), where)
        parts: list[NDArray[np.float64]] = []
        for name, mean, scale in zip(self.columns, self.mean, self.scale, strict=True):
            if name in self.categories:
                parts.append(self._one_hot(name, as_texts(name, found[name], where), where))
            else:
                parts.append(_standardized(name, as_numbers(name, found[name], where), mean, scale, where)[:, None])
        cases = np.concatenate(parts, 1).astype(np.float32)
        return torch.from_numpy(cases)[:, None, None, :].contiguous()

    def _one_hot(self, name: str, texts: NDArray[np.str_], where: str) -> NDArray[np.float64]:
        known: NDArray[np.str_] = np.array(self.categories[name])
        if new := sorted(set(texts.tolist()) - set(self.categories[name])):
            remark(
                f"{where}: column {name!r} has values that training did not have: {', '.join(new[:5])}"
                f"{' and others' if len(new) > 5 else ''}; they count as none of the known ones"
            )
        return np.equal(texts[:, None], known[None]).astype(np.float64)


def _standardized(name: str, values: NDArray[np.float64], mean: float, scale: float, where: str) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        numbers = (values - mean) / scale
    if len(bad := np.flatnonzero(abs(numbers) > np.finfo(np.float32).max)):
        raise DataError(
            f"{where}: column {name!r} has {values[bad[0]]:g} in row {bad[0] + 1}, which is too large beside the "
            "numbers of the training: repair it, or remove the row"
        )
    return numbers


def numbered(classes: int) -> tuple[str, ...]:
    """The names of classes that have none: their numbers."""
    return tuple(str(number) for number in range(classes))


def _categories(name: str, texts: NDArray[np.str_], where: str) -> tuple[str, ...]:
    """The values of a column of texts, in order."""
    values = tuple(sorted(set(texts.tolist())))
    if len(values) > MOST_VALUES:
        raise DataError(
            f"{where}: column {name!r} has {len(values)} different texts, as {values[0]!r}, expected numbers or at "
            f"most {MOST_VALUES} categories: remove the column, or make numbers of it"
        )
    return values
