"""Tables in CSV and Parquet files."""

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
    refuse_doubles,
    require_memory,
)
from twofold.data.part import Part
from twofold.data.source import Source
from twofold.errors import DataError
from twofold.machine.extras import needed

ENDINGS = (".csv", ".tsv", ".parquet")
SEPARATORS = ",;\t"
BYTES = 40
"""Of memory that a byte of a file of text takes while it is read, at most: short texts, each a Python object."""

NUMBER, VALUE = 40, 120
"""Of memory that a number and any other value of a Parquet file take while it is read, at most."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read a table, one column of which is the label.

    Raises:
        DataError: it is no table, a row is broken, a column is missing, or a value is missing or no number.
    """
    assert source.label is not None
    path = Path(source.path)
    columns, labels = _part(path, source.label)
    train = Part(cleaned(columns, str(path)), labels)
    return train, Part(*_part(Path(source.test), source.label)) if source.test else None


def _part(path: Path, label: str) -> tuple[dict[str, Column], NDArray[np.str_]]:
    """The columns of a table but for that of the label, and the labels."""
    columns = read_table(path)
    if label not in columns:
        raise missing_column(str(path), label, columns)
    labels = as_texts(label, columns.pop(label), str(path))
    if not columns:
        raise DataError(f"{path} has no column but {label}, the label's: add those to tell it from")
    return columns, labels


def read_table(path: Path) -> dict[str, Column]:
    """The columns of a table by name, as they stand in the file.

    Raises:
        DataError: it cannot be read, has no rows or a broken one, or a name twice.
        SettingError: Parquet cannot be read on this machine.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    require_memory(BYTES * path.stat().st_size, str(path))
    rows = _rows(path)
    names = [name.strip() for name in next(rows, [])]
    refuse_doubles(names, str(path))
    if names and all(number_of(name) is not None for name in names):
        raise DataError(
            f"{path} has numbers in its first line, expected the names of the columns: put a line of names above it"
        )
    values = list(zip(*rows, strict=True))
    if not values:
        raise DataError(f"{path} has no rows: give at least one case below the names of the columns")
    return as_columns({name: np.array(each, dtype=object) for name, each in zip(names, values, strict=True)}, str(path))


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a file of text, the names of the columns first; empty lines are left out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            head = file.readline()
            separator = max(SEPARATORS, key=head.count)
            file.seek(0)
            reader, count = csv.reader(file, delimiter=separator, strict=True), 0
            for row in reader:
                count = count or len(row)
                if row and len(row) != count:
                    raise DataError(
                        f"{path} is broken in line {reader.line_num}: it has {len(row)} values, expected {count} as in "
                        "the first line: repair the line"
                    )
                if row:
                    yield row
        except csv.Error as error:
            raise DataError(f"{path} is broken in line {reader.line_num} ({error}): repair the line") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no text in UTF-8 ({error.reason}): save it as CSV in UTF-8") from error


def _parquet(path: Path) -> dict[str, Column]:
    needed("pyarrow", "tables", f"reading {path}")
    import pyarrow
    from pyarrow import parquet

    try:
        kinds = parquet.read_schema(path).types
        size = sum(NUMBER if _is_number(kind) else VALUE for kind in kinds)
        require_memory(size * parquet.read_metadata(path).num_rows, str(path))
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({' '.join(str(error).split())}): write it anew") from error
    refuse_doubles(table.column_names, str(path))
    if not table.num_rows:
        raise DataError(f"{path} has no rows: give at least one case")
    return as_columns({name: _values(table.column(name)) for name in table.column_names}, str(path))


def _values(column: Any) -> Column:
    """The values of a column: numbers, or Python objects, where None stands for nothing."""
    if _is_number(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    return np.array(column.to_pylist(), dtype=object)


def _is_number(kind: Any) -> bool:
    """Whether a type of a column is one of numbers."""
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind))
