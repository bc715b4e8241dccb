"""Read tables from CSV and Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.data.columns import (
    Column,
    as_columns,
    as_texts,
    cleaned,
    missing_column,
    number_of,
    require_memory,
    require_unique,
)
from twofold.data.part import Part
from twofold.data.source import Source
from twofold.errors import DataError
from twofold.machine.extras import needed

ENDINGS = (".csv", ".tsv", ".parquet")
SEPARATORS = ",;\t"
BYTES = 40
"""Peak memory in bytes per byte of a text file while it is read: short strings, each a Python object."""

NUMBER, VALUE = 40, 120
"""Peak memory in bytes per number and per other value of a Parquet file while it is read."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read a table with a label column.

    Raises:
        DataError: the file is not a table, a row is malformed, a column is missing, or a value is missing or invalid.
    """
    assert source.label is not None
    path = Path(source.path)
    columns, labels = _part(path, source.label)
    train = Part(cleaned(columns, str(path)), labels)
    return train, Part(*_part(Path(source.test), source.label)) if source.test else None


def _part(path: Path, label: str) -> tuple[dict[str, Column], NDArray[np.str_]]:
    """Return the columns of a table without the label column, and the labels."""
    columns = read_table(path)
    if label not in columns:
        raise missing_column(str(path), label, columns)
    labels = as_texts(label, columns.pop(label), str(path))
    if not columns:
        raise DataError(f"{path} has no column except {label}, the label: add columns to predict it from")
    return columns, labels


def read_table(path: Path) -> dict[str, Column]:
    """Return the columns of a table by name, with the values of the file.

    Raises:
        DataError: the file cannot be read, has no rows or a malformed one, or has a column name twice.
        SettingError: the file is Parquet and pyarrow is not installed.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    require_memory(BYTES * path.stat().st_size, str(path))
    rows = _rows(path)
    names = [name.strip() for name in next(rows, [])]
    require_unique(names, str(path))
    if names and all(number_of(name) is not None for name in names):
        raise DataError(
            f"{path} has numbers in its first line, expected the names of the columns: put a line of names above it"
        )
    values = list(zip(*rows, strict=True))
    if not values:
        raise DataError(f"{path} has no rows: give at least one case below the names of the columns")
    columns = {name: np.array(column, dtype=object) for name, column in zip(names, values, strict=True)}
    return as_columns(columns, str(path))


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a text file, starting with the column names; empty lines are skipped."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            first_line = file.readline()
            separator = max(SEPARATORS, key=first_line.count)
            file.seek(0)
            reader, count = csv.reader(file, delimiter=separator, strict=True), 0
            for row in reader:
                count = count or len(row)
                if row and len(row) != count:
                    raise DataError(
                        f"{path} is malformed in line {reader.line_num}: it has {len(row)} values, expected {count} as "
                        "in the first line: repair the line"
                    )
                if row:
                    yield row
        except csv.Error as error:
            raise DataError(f"{path} is malformed in line {reader.line_num} ({error}): repair the line") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text ({error.reason}): save it as CSV in UTF-8") from error


def _parquet(path: Path) -> dict[str, Column]:
    needed("pyarrow", "tables", f"reading {path}")
    import pyarrow
    from pyarrow import parquet

    try:
        types = parquet.read_schema(path).types
        size = sum(NUMBER if _is_number(kind) else VALUE for kind in types)
        require_memory(size * parquet.read_metadata(path).num_rows, str(path))
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({' '.join(str(error).split())}): write it again") from error
    require_unique(table.column_names, str(path))
    if not table.num_rows:
        raise DataError(f"{path} has no rows: give at least one case")
    return as_columns({name: _values(table.column(name)) for name in table.column_names}, str(path))


def _values(column: Any) -> Column:
    """Return the values of a column: numbers, or Python objects with None for missing values."""
    if _is_number(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    return np.array(column.to_pylist(), dtype=object)


def _is_number(column_type: Any) -> bool:
    """Return True for integer and floating point column types."""
    import pyarrow

    return bool(pyarrow.types.is_integer(column_type) or pyarrow.types.is_floating(column_type))
