"""Tables as named columns of numbers or texts, without missing values."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from twofold import machine
from twofold.errors import DataError, remark

Column = NDArray[Any]

UNNAMED = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""Names of columns without a name, such as the index that pandas writes into a file."""

WITH_COMMA = re.compile(r"[+-]?[0-9][0-9.]*,[0-9][0-9.,]*")
"""A number with a decimal comma, or with commas between thousands."""

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")
"""A date, with or without a time."""


def as_columns(frame: Any, where: str, wanted: Sequence[str] = ()) -> dict[str, Column]:
    """Return the columns of a table by name.

    Args:
        frame: a DataFrame, a mapping of names to values, or rows: a two-dimensional array or nested lists.
        where: name of the table in error messages.
        wanted: names of the columns to return, in this order; all columns if empty. Rows have no column names, so their
            number of columns must match. Without ``wanted``, the columns of rows are named x0, x1, ...

    Raises:
        DataError: ``frame`` is not a table, is empty, or misses a column.
    """
    if isinstance(frame, Mapping) or hasattr(frame, "columns"):
        names = list(frame if isinstance(frame, Mapping) else frame.columns)
        require_unique([str(name) for name in names], where)
        columns = {str(name): _raw(frame[name]) for name in names}
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise missing_column(where, missing[0], columns)
        columns = {name: columns[name] for name in wanted or columns}
    else:
        columns = _rows(frame, where, wanted)
    if not columns or not all(len(values) for values in columns.values()):
        raise DataError(f"{where} has no {'rows' if columns else 'columns'}: give at least one case")
    if len(counts := {len(values) for values in columns.values()}) > 1:
        raise DataError(f"{where} has columns of {sorted(counts)} values, expected columns of equal length")
    return columns


def _rows(frame: Any, where: str, wanted: Sequence[str]) -> dict[str, Column]:
    try:
        rows = np.asarray(frame)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} is not a table: give a DataFrame, or rows of equal length") from error
    if rows.ndim != 2:
        raise DataError(f"{where} has the shape {rows.shape}, expected (rows, columns): reshape it")
    if wanted and rows.shape[1] != len(wanted):
        raise DataError(
            f"{where} has {rows.shape[1]} columns, expected the {len(wanted)} of the training: {shortened(wanted)}"
        )
    names = wanted or [f"x{number}" for number in range(rows.shape[1])]
    return {name: _raw(values) for name, values in zip(names, rows.T, strict=True)}


def require_unique(names: Sequence[str], where: str) -> None:
    """Raise a `DataError` if two columns have the same name, or names with the same text, such as 0 and "0"."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where} has the column {twice[0]!r} twice: rename one of them")


def _raw(values: Any) -> Column:
    """Return the values unchanged; anything but numbers has the dtype object and is interpreted later."""
    column = np.asarray(values)
    return column.astype(object) if column.dtype.kind not in "biuf" else column


def cleaned(columns: dict[str, Column], where: str) -> dict[str, Column]:
    """Convert the columns of a training part to float64 or to strings.

    Raises:
        DataError: a column has no name or mixes numbers and texts, or a value is missing, not finite or a number with a
            comma. The message names the row, counted from 1.
    """
    if nameless := [name for name in columns if UNNAMED.fullmatch(name)]:
        raise DataError(
            f"{where} has a column without a name ({nameless[0]!r}), like the row index that pandas writes: "
            "write the table with index=False, or name the column"
        )
    return {
        name: _texts(name, values, where) if is_text(values) else as_numbers(name, values, where)
        for name, values in columns.items()
    }


def _texts(name: str, values: Column, where: str) -> NDArray[np.str_]:
    """Convert a column to strings. Numbers with commas are an error; dates give a warning."""
    column = as_texts(name, values, where)
    texts: list[str] = column.tolist()
    with_comma = [row for row, value in enumerate(texts) if WITH_COMMA.fullmatch(value)]
    if len(with_comma) == sum(number_of(value) is None for value in texts):
        first = with_comma[0]
        raise DataError(
            f"{where}: column {name!r} has {texts[first]!r} in row {first + 1}: write numbers without commas, as 1234.5"
        )
    if all(DATE.fullmatch(value) for value in texts):
        remark(
            f"{where}: column {name!r} has dates, which become categories: convert them to numbers to keep the order"
        )
    return column


def require_memory(needed: int, where: str) -> None:
    """Raise a `DataError` if a table needs more bytes of memory than are free."""
    free = machine.free_memory(torch.device("cpu"))
    if needed > free:
        raise DataError(
            f"{where} takes about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: give fewer rows, "
            "columns or categories"
        )


def missing_column(where: str, name: str, names: Iterable[str]) -> DataError:
    """Return the error for a column that is not among ``names``; it suggests the closest name."""
    names = list(names)
    lower = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.65)
    hint = f"did you mean {lower[near[0]]!r}?" if near else f"it has {shortened(names)}"
    return DataError(f"{where} has no column {name!r}: {hint}")


def shortened(names: Sequence[str], most: int = 10) -> str:
    """Join the first ``most`` names and count the rest."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def is_text(values: Column) -> bool:
    """Return True if more than half of the values of a column are neither numbers nor missing."""
    if values.dtype.kind in "biuf":
        return False
    return sum(number_of(value) is None and not _is_missing(value) for value in values) * 2 > len(values)


def as_numbers(name: str, values: Column, where: str) -> NDArray[np.float64]:
    """Convert a column to float64.

    Raises:
        DataError: a value is missing, not finite or not a number. The message names its row, counted from 1.
    """
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    else:
        converted = [number_of(value) for value in values]
        for row, (number, value) in enumerate(zip(converted, values, strict=True), 1):
            if number is None and not _is_missing(value):
                raise DataError(
                    f"{where}: column {name!r} has {str(value)!r} in row {row}, expected a number as in other rows: "
                    "repair it or remove the column"
                )
        numbers = np.array([np.nan if number is None else number for number in converted])
    if len(bad := np.flatnonzero(~np.isfinite(numbers))):
        raise _bad_value(name, where, bad, "no number" if np.isnan(numbers[bad[0]]) else "an infinite number")
    return numbers


def as_texts(name: str, values: Column, where: str) -> NDArray[np.str_]:
    """Convert a column to strings without surrounding whitespace.

    Raises:
        DataError: a value is missing. The message names its row, counted from 1.
    """
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    if missing.any():
        raise _bad_value(name, where, np.flatnonzero(missing), "no value")
    return np.array([as_text(value) for value in values], dtype=str)


def as_text(value: Any) -> str:
    """Return a value as a string: integers without a decimal point, and accented letters normalized (NFC)."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return re.sub(r"^([+-]?[0-9]+)\.0*$", r"\1", unicodedata.normalize("NFC", str(value)).strip())


def _bad_value(name: str, where: str, rows: NDArray[np.intp], problem: str) -> DataError:
    others = f" and in {len(rows) - 1} others" if len(rows) > 1 else ""
    return DataError(f"{where}: column {name!r} has {problem} in row {rows[0] + 1}{others}: fill it or remove the row")


def _is_missing(value: Any) -> bool:
    """Return True for None, NaN, pandas' NA or NaT, a blank string, or a string that is read as NaN."""
    if isinstance(value, str):
        return not value.strip() or math.isnan(number_of(value) or 0)
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:  # pandas' NA has no truth value
        return True


def number_of(value: Any) -> float | None:
    """Return a value as a float, or None. Strings with underscores are rejected, although Python would accept them."""
    if isinstance(value, str) and "_" in value:
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of float
        return math.inf
    except (TypeError, ValueError):
        return None
