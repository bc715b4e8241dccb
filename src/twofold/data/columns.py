"""Tables as named columns of numbers or texts, and the problems of their values."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from twofold import machine
from twofold.errors import DataError, remark

Column = NDArray[Any]

MAX_CATEGORIES = 100
"""Largest number of distinct texts in a categorical column; a column with more is rejected."""

DENSE = 24
"""Peak memory in bytes per value while a sparse matrix is converted to columns."""

MIN_DISTINCT = 50
"""Minimum number of rows for the remark that a column has a different value in each row."""

MISSING = ("na", "n/a", "null", "none", "?", "-")
"""Texts, in lower case, that mark a missing value in a column of numbers."""

UNNAMED = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""Placeholders for a missing column name, such as the name that pandas gives to an index in a file."""

WITH_COMMA = re.compile(r"[+-]?[0-9][0-9.]*,[0-9][0-9.,]*")
"""A number with a decimal comma, or with commas between thousands."""

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")
"""A date, with or without a time."""

INFINITE = "an infinite number"
DROP, REPAIR, FILL = "remove the column", "repair it or remove the column", "fill it or remove the row"
"""What the user should do about a problem in a column; the end of an error message."""


class Problems:
    """Collects the problems of the values of a table, and raises them as one error.

    Args:
        where: name of the table in the error.

    Attributes:
        rows: row index -> description of the first problem in that row.
        unusual: row index -> description of the first value in that row that is far from all training values. Such a
            value is not a problem.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.rows: dict[int, str] = {}
        self.unusual: dict[int, str] = {}
        self._texts: dict[str, list[str]] = {}  # advice -> problems

    def add(self, text: str, advice: str) -> None:
        """Add a problem of a whole column, with the advice that ends the error message."""
        self._texts.setdefault(advice, []).append(text)

    def add_rows(
        self, name: str, rows: Iterable[int], content: Callable[[int], str], advice: str, end: str = ""
    ) -> None:
        """Add a problem of several rows of the column ``name``; ``content(row)`` describes the wrong value in a row."""
        indices = [int(row) for row in rows]
        if not indices:
            return
        others = f" and in {len(indices) - 1} others" if len(indices) > 1 else ""
        self.add(f"column {name!r} has {content(indices[0])} in row {indices[0] + 1}{others}{end}", advice)
        for row in indices:
            self.rows.setdefault(row, f"column {name!r} has {content(row)}{end}")

    def check(self) -> None:
        """Raise a `DataError` with all problems, if there are any."""
        if self._texts:
            problems = "; ".join(f"{'; '.join(texts)}: {advice}" for advice, texts in self._texts.items())
            raise DataError(f"{self.where}: {problems}")


def as_columns(frame: Any, where: str, wanted: Sequence[str] = ()) -> dict[str, Column]:
    """Return the columns of a table by name.

    Args:
        frame: a DataFrame, a mapping of names to values, or rows: a two-dimensional array, nested lists, or a sparse
            matrix of SciPy.
        where: name of the table in error messages.
        wanted: names of the columns to return, in this order; all columns if empty. If ``frame`` is rows, it must have
            as many columns as ``wanted`` has names; without ``wanted``, its columns are named x0, x1, ...

    Raises:
        DataError: ``frame`` is not a table, is empty, or lacks a column.
    """
    if isinstance(frame, Mapping) or hasattr(frame, "columns"):
        names = list(frame if isinstance(frame, Mapping) else frame.columns)
        require_unique([str(name) for name in names], where)
        columns = {str(name): _raw(frame[name]) for name in names}
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise missing_columns(where, missing, columns)
        columns = {name: columns[name] for name in wanted or columns}
    else:
        columns = _rows(frame, where, wanted)
    if not columns or not all(len(values) for values in columns.values()):
        raise DataError(f"{where} has no {'rows' if columns else 'columns'}: give at least one case")
    if len(counts := {len(values) for values in columns.values()}) > 1:
        raise DataError(f"{where} has columns of {sorted(counts)} values, expected columns of equal length")
    return columns


def _rows(frame: Any, where: str, wanted: Sequence[str]) -> dict[str, Column]:
    if hasattr(frame, "toarray"):  # a sparse matrix of SciPy
        require_memory(DENSE * math.prod(frame.shape), where)
        frame = frame.toarray()
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
    """Raise a `DataError` if two columns have the same name, or names that are equal as text, such as 0 and "0"."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where} has the column {twice[0]!r} twice: rename one of them")


def _raw(values: Any) -> Column:
    """Convert values to an array without changing them; the dtype is object unless they are numbers or booleans."""
    column = np.asarray(values)
    return column.astype(object) if column.dtype.kind not in "biuf" else column


def cleaned(columns: dict[str, Column], problems: Problems, fill: bool = True) -> dict[str, Column]:
    """Convert each column of a training part to float64 or to strings; a missing value becomes NaN or "".

    All columns are examined; a column that cannot be used is added to ``problems`` and raises no error. A `Remark`
    names columns with a different value in each row, which may be row numbers.

    Args:
        columns: the raw columns.
        problems: receives the problems: a column without a name or without values, mixed numbers and texts, values that
            are not finite, numbers with commas, too many different texts.
        fill: False if missing values are a problem.
    """
    converted: dict[str, Column] = {}
    distinct = []
    for name, values in columns.items():
        if UNNAMED.fullmatch(name):
            problems.add(
                f"column {name!r} has no name, like the row index that pandas writes",
                "write the table with index=False, or name the column",
            )
        elif _is_absent(values).all():
            problems.add(f"column {name!r} has no values", DROP)
        elif is_text(values):
            converted[name] = _categories(name, values, problems, fill)
        else:
            converted[name] = as_numbers(name, values, problems, fill)
            with np.errstate(over="ignore", invalid="ignore"):
                if not math.isfinite(np.nanstd(converted[name])) and np.isinf(converted[name]).sum() == 0:
                    problems.add(f"the numbers of column {name!r} are too large to be standardized", "rescale them")
        if name in converted and _all_differ(converted[name]):
            distinct.append(name)
    if distinct:
        remark(
            f"{problems.where}: each row has a different value in {shortened([repr(name) for name in distinct])}: "
            "remove row numbers and names, which a net cannot learn from"
        )
    return converted


def _all_differ(values: Column) -> bool:
    """Return True if a column has at least `MIN_DISTINCT` rows, categories or whole numbers, and no value twice."""
    usable = (values == np.round(values)).all() if values.dtype.kind == "f" else len(values) <= MAX_CATEGORIES
    return bool(usable) and len(values) >= MIN_DISTINCT and len(np.unique(values)) == len(values)


def _categories(name: str, values: Column, problems: Problems, fill: bool) -> NDArray[np.str_]:
    """Convert a column to strings; numbers with commas and too many different texts are problems, dates a `Remark`."""
    column = as_texts(name, values, problems, fill)
    texts = [text for text in column.tolist() if text]
    with_comma = [row for row, text in enumerate(column.tolist()) if WITH_COMMA.fullmatch(text)]
    if len(with_comma) == sum(number_of(text) is None for text in texts):
        problems.add_rows(
            name, with_comma, lambda row: repr(str(column[row])), "write numbers without commas, as 1234.5"
        )
    elif (count := len(set(texts))) > MAX_CATEGORIES:
        number = "a different text in each row" if count == len(texts) else f"{count} different texts"
        problems.add(
            f"column {name!r} has {number}, such as {texts[0]!r}, expected numbers or at most {MAX_CATEGORIES} "
            "categories",
            "remove the column or convert it to numbers",
        )
    if all(DATE.fullmatch(text) for text in texts):
        remark(
            f"{problems.where}: column {name!r} has dates, which become categories: convert them to numbers to keep "
            "the order"
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


def missing_columns(where: str, missing: Sequence[str], names: Iterable[str]) -> DataError:
    """Return the error for the ``missing`` columns of a table; its message suggests similar names among ``names``."""
    names = list(names)
    lower = {candidate.lower(): candidate for candidate in names}
    near = [match for name in missing for match in difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.65)]
    hint = (
        f"did you mean {' and '.join(repr(lower[match]) for match in near)}?" if near else f"it has {shortened(names)}"
    )
    several = "s" if len(missing) > 1 else ""
    return DataError(f"{where} has no column{several} {shortened([repr(name) for name in missing])}: {hint}")


def shortened(names: Sequence[str], most: int = 10) -> str:
    """Join the first ``most`` names to a text that ends with the number of omitted names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def is_text(values: Column) -> bool:
    """Return True if, missing values aside, more than half of the values of a column are not numbers."""
    if values.dtype.kind in "biuf":
        return False
    present = values[~_is_absent(values)]
    return sum(number_of(value) is None for value in present) * 2 > len(present)


def _is_absent(values: Column) -> NDArray[np.bool_]:
    """Return the mask of the missing values of a column of numbers, including the texts in `MISSING`."""
    if values.dtype.kind in "biuf":
        return is_missing(values)
    marks = [isinstance(value, str) and value.strip().lower() in MISSING for value in values]
    return np.asarray(is_missing(values) | np.array(marks, dtype=bool))


def as_numbers(name: str, values: Column, problems: Problems, fill: bool) -> NDArray[np.float64]:
    """Convert a column to float64, with NaN for a missing value; other texts and infinite numbers are problems.

    Args:
        name: name of the column in problems.
        values: the raw values.
        problems: receives the problems.
        fill: False if missing values are a problem.
    """
    absent = _is_absent(values)
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    else:
        converted = [number_of(value) for value in values]
        wrong = [row for row, number in enumerate(converted) if number is None and not absent[row]]
        problems.add_rows(name, wrong, lambda row: repr(str(values[row])), REPAIR, ", expected a number")
        numbers = np.array([np.nan if number is None else number for number in converted])
    problems.add_rows(name, np.flatnonzero(np.isinf(numbers)), lambda row: INFINITE, FILL)
    if not fill:
        problems.add_rows(name, np.flatnonzero(absent), lambda row: "no number", FILL)
    return numbers


def as_texts(name: str, values: Column, problems: Problems, fill: bool) -> NDArray[np.str_]:
    """Convert a column to strings without surrounding whitespace, with "" for a missing value.

    Args:
        name: name of the column in problems.
        values: the raw values.
        problems: receives the rows of missing values if ``fill`` is False.
        fill: False if missing values are a problem.
    """
    absent = is_missing(values)
    if not fill:
        problems.add_rows(name, np.flatnonzero(absent), lambda row: "no value", FILL)
    return np.array(["" if gone else as_text(value) for value, gone in zip(values, absent, strict=True)], dtype=str)


def as_text(value: Any) -> str:
    """Return a value as a string: integers without a decimal point, and accented letters normalized (NFC)."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return re.sub(r"^([+-]?[0-9]+)\.0*$", r"\1", unicodedata.normalize("NFC", str(value)).strip())


def is_missing(values: Column) -> NDArray[np.bool_]:
    """Return the mask of the missing values of a column: None, NaN, pandas' NA or NaT, and blank or "nan" strings."""
    if values.dtype.kind in "biu":
        return np.zeros(len(values), dtype=bool)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return np.array([is_missing_value(value) for value in values], dtype=bool)


def is_missing_value(value: Any) -> bool:
    """Return True for a missing value; see `is_missing`."""
    if isinstance(value, str):
        return not value.strip() or math.isnan(number_of(value) or 0)
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:  # pandas' NA has no truth value
        return True


def number_of(value: Any) -> float | None:
    """Return a value as a float, or None if it is not a number; a string with underscores is not a number."""
    if isinstance(value, str) and "_" in value:
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of float
        return math.inf
    except (TypeError, ValueError):
        return None
