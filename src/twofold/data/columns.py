"""Tables as columns by name, and what stands in a column: numbers, or texts, and never nothing."""

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
"""What a column is called to which nobody gave a name, as the index that pandas writes into a file."""

WITH_COMMA = re.compile(r"[+-]?[0-9][0-9.]*,[0-9][0-9.,]*")
"""A number that somebody wrote with a decimal comma, or with commas between thousands."""

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")
"""A date, with the time or without."""


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
        names = list(frame if isinstance(frame, Mapping) else frame.columns)
        refuse_doubles([str(name) for name in names], where)
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
    return {name: _raw(values) for name, values in zip(names, rows.T, strict=True)}


def refuse_doubles(names: Sequence[str], where: str) -> None:
    """Refuse a table two columns of which have the same name, or names that are written alike, as 0 and "0"."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where} has the column {twice[0]!r} twice: give each a name of its own")


def _raw(values: Any) -> Column:
    """Values as they were given; texts as objects, of which nobody has said yet whether they are numbers."""
    column = np.asarray(values)
    return column.astype(object) if column.dtype.kind not in "biuf" else column


def cleaned(columns: dict[str, Column], where: str) -> dict[str, Column]:
    """Columns to train on: those of numbers as float64, and those of texts as texts.

    Raises:
        DataError: a column has no name or holds both, or a value is missing, not finite or a number with a comma; its
            row, counted from 1, is named.
    """
    if nameless := [name for name in columns if UNNAMED.fullmatch(name)]:
        raise DataError(
            f"{where} has a column without a name ({nameless[0]!r}), as pandas writes the number of the "
            "row: write the table with index=False, or name the column"
        )
    return {
        name: _texts(name, values, where) if is_text(values) else as_numbers(name, values, where)
        for name, values in columns.items()
    }


def _texts(name: str, values: Column, where: str) -> NDArray[np.str_]:
    """A column of texts, which are refused where they mean numbers; of dates it is said what becomes of them."""
    texts = as_texts(name, values, where)
    found: list[str] = texts.tolist()
    with_comma = [row for row, each in enumerate(found) if WITH_COMMA.fullmatch(each)]
    if len(with_comma) == sum(number_of(each) is None for each in found):
        first = with_comma[0]
        raise DataError(
            f"{where}: column {name!r} has {found[first]!r} in row {first + 1}: write numbers without commas, as 1234.5"
        )
    if all(DATE.fullmatch(each) for each in found):
        remark(
            f"{where}: column {name!r} has dates, which become categories: make numbers of them if their order counts"
        )
    return texts


def require_memory(needed: int, where: str) -> None:
    """Refuse a table that takes more bytes than are free."""
    free = machine.free_memory(torch.device("cpu"))
    if needed > free:
        raise DataError(
            f"{where} takes about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: give fewer rows, "
            "or fewer columns and categories"
        )


def missing_column(where: str, name: str, found: Iterable[str]) -> DataError:
    """The error for a column that a table does not have; it suggests the nearest one."""
    names = list(found)
    lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.65)
    hint = f"did you mean {lower[near[0]]!r}?" if near else f"it has {shortened(names)}"
    return DataError(f"{where} has no column {name!r}: {hint}")


def shortened(names: Sequence[str], most: int = 10) -> str:
    """The first names of a list, and how many there are more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def is_text(values: Column) -> bool:
    """Whether a column holds texts: more of its values are none of numbers than are."""
    if values.dtype.kind in "biuf":
        return False
    return sum(number_of(value) is None and not _nothing(value) for value in values) * 2 > len(values)


def as_numbers(name: str, values: Column, where: str) -> NDArray[np.float64]:
    """The values of a column as numbers.

    Raises:
        DataError: one is missing, not finite or no number; its row, counted from 1, is named.
    """
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    else:
        found = [number_of(value) for value in values]
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
    """A value as it is read and written: whole numbers without a point, and letters with accents in one way (NFC)."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return re.sub(r"^([+-]?[0-9]+)\.0*$", r"\1", unicodedata.normalize("NFC", str(value)).strip())


def _no_value(name: str, where: str, bad: NDArray[np.intp], what: str) -> DataError:
    others = f" and in {len(bad) - 1} others" if len(bad) > 1 else ""
    return DataError(f"{where}: column {name!r} has {what} in row {bad[0] + 1}{others}: fill it, or remove the row")


def _nothing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN, pandas' NA or NaT, or a text of blanks or that is read as NaN."""
    if isinstance(value, str):
        return not value.strip() or math.isnan(number_of(value) or 0)
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:  # pandas' NA is neither the same nor another
        return True


def number_of(value: Any) -> float | None:
    """A value as a number, or None; a text with _ is none, though Python reads it as one."""
    if isinstance(value, str) and "_" in value:
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.inf
    except (TypeError, ValueError):
        return None
