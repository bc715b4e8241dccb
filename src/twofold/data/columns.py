"""Tables as columns by name, and what stands in a column: numbers, or texts, and never nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.errors import DataError

Column = NDArray[Any]


def as_columns(frame: Any, where: str, wanted: Sequence[str] = ()) -> dict[str, Column]:
    """The columns of a table by name.

    Args:
        frame: a DataFrame, a mapping of names to values, or rows: an array or nested lists of two dimensions.
        where: how errors name the table.
        wanted: the columns to take, in their order; all where none are named. Rows, which have no names, must have as
            many. The columns of rows are called x0, x1, ...

    Raises:
        DataError: it is no table, is empty, or lacks a column.
    """
    if isinstance(frame, Mapping) or hasattr(frame, "columns"):
        names = frame if isinstance(frame, Mapping) else frame.columns
        columns = {str(name): np.asarray(frame[name]) for name in names}
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise missing_column(where, missing[0], columns)
        columns = {name: columns[name] for name in wanted or columns}
    else:
        columns = _rows(frame, where, wanted)
    if not columns or not all(len(values) for values in columns.values()):
        raise DataError(f"{where} has no {'rows' if columns else 'columns'}: give at least one case")
    if len(counts := {len(values) for values in columns.values()}) > 1:
        raise DataError(f"{where} has columns of {sorted(counts)} values, expected as many in each")
    return columns


def _rows(frame: Any, where: str, wanted: Sequence[str]) -> dict[str, Column]:
    try:
        rows = np.asarray(frame)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} is no table: give a DataFrame, or rows of as many values each") from error
    if rows.ndim != 2:
        raise DataError(f"{where} has the shape {rows.shape}, expected (rows, columns): reshape it")
    if wanted and rows.shape[1] != len(wanted):
        raise DataError(
            f"{where} has {rows.shape[1]} columns, expected the {len(wanted)} of the training: {shortened(wanted)}"
        )
    names = wanted or [f"x{number}" for number in range(rows.shape[1])]
    return dict(zip(names, rows.T, strict=True))


def missing_column(where: str, name: str, found: Iterable[str]) -> DataError:
    """The error for a column that a table does not have; it suggests the nearest one."""
    names = list(found)
    lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean {lower[near[0]]!r}?" if near else f"it has {shortened(names)}"
    return DataError(f"{where} has no column {name!r}: {hint}")


def shortened(names: Sequence[str], most: int = 10) -> str:
    """The first names of a list, and how many there are more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def is_text(values: Column) -> bool:
    """Whether a column holds texts: more of its values are none of numbers than are."""
    if values.dtype.kind in "biuf":
        return False
    return sum(_number(value) is None and not _nothing(value) for value in values) * 2 > len(values)


def as_numbers(name: str, values: Column, where: str) -> NDArray[np.float64]:
    """The values of a column as numbers.

    Raises:
        DataError: one is missing, not finite or no number; its row, counted from 1, is named.
    """
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    else:
        found = [_number(value) for value in values]
        for row, (number, value) in enumerate(zip(found, values, strict=True), 1):
            if number is None and not _nothing(value):
                raise DataError(
                    f"{where}: column {name!r} has {str(value)!r} in row {row}, expected a number as in other rows: "
                    "repair it, or remove the column"
                )
        numbers = np.array([np.nan if number is None else number for number in found])
    if len(bad := np.flatnonzero(~np.isfinite(numbers))):
        raise _no_value(name, where, bad, "no number" if np.isnan(numbers[bad[0]]) else "an infinite number")
    return numbers


def as_texts(name: str, values: Column, where: str) -> NDArray[np.str_]:
    """The values of a column as texts, without blanks around them.

    Raises:
        DataError: one is missing; its row, counted from 1, is named.
    """
    missing = np.array([_nothing(value) for value in values], dtype=bool)
    if missing.any():
        raise _no_value(name, where, np.flatnonzero(missing), "no value")
    return np.array([text(value) for value in values], dtype=str)


def text(value: Any) -> str:
    """A value as it is read and written: whole numbers without a point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip()


def _no_value(name: str, where: str, bad: NDArray[np.intp], what: str) -> DataError:
    others = f" and in {len(bad) - 1} others" if len(bad) > 1 else ""
    return DataError(f"{where}: column {name!r} has {what} in row {bad[0] + 1}{others}: fill it, or remove the row")


def _nothing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN, pandas' NA or NaT, or a text of blanks."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:  # pandas' NA is neither the same nor another
        return True


def _number(value: Any) -> float | None:
    """A value as a number, or None."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
