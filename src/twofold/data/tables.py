"""Read tables from CSV and Parquet files."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from numpy.typing import NDArray

from twofold import machine
from twofold.data.columns import (
    REPAIR,
    Column,
    Problems,
    as_columns,
    as_numbers,
    as_texts,
    cleaned,
    missing_columns,
    number_of,
    require_memory,
    require_unique,
)
from twofold.data.data_file import opened
from twofold.data.npz import scaled_alike
from twofold.data.part import Part
from twofold.data.source import PICTURE_ENDINGS, Source
from twofold.errors import DataError, remark
from twofold.machine.extras import needed

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
SEPARATORS = ",;\t"
PIXEL = re.compile(r"(pixel|pix|px)[ _.]?\d+|\d+x\d+")
"""Pattern of the names of columns that hold pixels of pictures, such as pixel0 or 1x1."""
BYTES = 40
"""Peak memory in bytes per byte of a text file while it is read, because each value is a Python string."""

NUMBER, VALUE = 40, 120
"""Peak memory in bytes per number, and per value of another type, of a Parquet file while it is read."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read a table with a label column.

    Raises:
        DataError: the file is not a table, a row is malformed, a column is missing, or a value is missing or invalid.
    """
    assert source.label is not None
    path, fill = Path(source.path), source.missing == "fill"
    problems = Problems(str(path))
    columns, labels = _part(path, source.label, problems)
    if not source.pixels and _are_pixels(columns):
        remark(f"{path} has columns that look like the pixels of pictures: add --as pictures to predict picture files")
    train = Part(_pixels(columns, source, problems) if source.pixels else cleaned(columns, problems, fill), labels)
    problems.check()
    test = None
    if source.test:
        problems = Problems(source.test)
        columns, labels = _part(Path(source.test), source.label, problems)
        test = Part(_pixels(columns, source, problems) if source.pixels else columns, labels)
        problems.check()
    return scaled_alike(train, test)


def _are_pixels(columns: dict[str, Column]) -> bool:
    """Return True if all columns have names of pixels, such as pixel0 or 1x1, and a square number of at least 16."""
    square = len(columns) >= 16 and math.isqrt(len(columns)) ** 2 == len(columns)
    return square and all(PIXEL.fullmatch(name) for name in columns)


def _pixels(columns: dict[str, Column], source: Source, problems: Problems) -> NDArray[Any]:
    """Convert columns to pictures ``(cases, 1, height, width)``: bytes if all are whole from 0 to 255, else float32."""
    width, height = source.size or (math.isqrt(len(columns)),) * 2
    if width * height != len(columns):
        advice = "remove other columns or correct --size" if source.size else "give their width and height with --size"
        raise DataError(
            f"{problems.where} has {len(columns)} columns besides the label, expected {width * height} for pictures of "
            f"{width} x {height}: {advice}"
        )
    values = [as_numbers(name, column, problems, False) for name, column in columns.items()]
    pixels = np.stack(values, 1).reshape(-1, 1, height, width)
    whole = ((pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels))).all()
    return pixels.astype(np.uint8 if whole else np.float32)


def pixel_cases(columns: Mapping[str, Column], shape: tuple[int, int, int], problems: Problems) -> torch.Tensor:
    """Convert columns of pixels to pictures ``(cases, 1, height, width)`` with values from 0 to 1.

    Whole numbers are divided by 255 unless none is above 1, as in training. Unusable values become 0.

    Args:
        columns: one column for each pixel, row by row.
        shape: (channels, height, width) of a picture.
        problems: receives the values that are missing, no numbers, or not between 0 and 255.

    Raises:
        DataError: the number of columns is not that of the pixels.
    """
    if len(columns) != math.prod(shape):
        raise DataError(
            f"{problems.where} has {len(columns)} columns besides the label, expected {math.prod(shape)}, one for each "
            f"pixel of pictures of {shape[2]} x {shape[1]}"
        )
    found = {name: as_numbers(name, column, problems, False) for name, column in columns.items()}
    for name, values in found.items():
        outside = np.flatnonzero((values < 0) | (values > 255))
        problems.add_rows(name, outside, lambda row, values=values: f"{values[row]:g}", REPAIR, ", expected 0 to 255")  # type: ignore[misc]
    pixels = np.nan_to_num(np.stack([*found.values()], 1), posinf=0, neginf=0)
    scale = 255 if (pixels == np.floor(pixels)).all() and (pixels > 1).any() else 1
    return torch.from_numpy((pixels / scale).astype(np.float32)).reshape(-1, *shape)


def is_picture_name(value: Any) -> bool:
    """Return True if a value is a text with the ending of a picture file."""
    return isinstance(value, str) and Path(value.strip()).suffix.lower() in PICTURE_ENDINGS


def is_manifest(path: Path) -> bool:
    """Return True if a file is a table of two columns and one of the first two values is the name of a picture file.

    Raises:
        DataError: the file is not a table.
    """
    if path.suffix.lower() == ".parquet":
        return False
    with _text(path) as file:
        rows = _rows(path, file, {})
        next(rows, None)
        first = next(rows, [])
    return len(first) == 2 and sum(map(is_picture_name, first)) == 1


def _part(path: Path, label: str, problems: Problems) -> tuple[dict[str, Column], NDArray[np.str_]]:
    """Return the columns of a table without the label column, and the labels."""
    columns = read_table(path)
    if label not in columns:
        raise missing_columns(str(path), [label], columns)
    labels = as_texts(label, columns.pop(label), problems, False)
    if not columns:
        raise DataError(f"{path} has no column except {label}, the label: add columns to predict it from")
    return columns, labels


def is_table(path: Path) -> bool:
    """Return True if a path has the file name ending of a table."""
    return path.name.lower().endswith(ENDINGS)


def types() -> str:
    """Return the supported file name endings of tables as a text for messages."""
    return ", ".join(ENDINGS)


def read_table(path: Path, errors: dict[int, str] | None = None) -> dict[str, Column]:
    """Return the columns of a table by name, with the values as they are in the file.

    Args:
        path: a CSV or Parquet file; a CSV file may be packed with gzip.
        errors: receives row index -> error for lines with too few or too many values; the values of these lines become
            missing. If ``None``, such a line raises an error.

    Raises:
        DataError: the file cannot be read, has no column names or no rows, or has the same column name twice.
        SettingError: the file is Parquet and pyarrow is not installed.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    with _text(path) as file:
        rows = _rows(path, file, errors)
        names = [name.strip() for name in next(rows, [])]
        values = list(zip(*rows, strict=True))
    columns = dict(enumerate(values))
    if missing := _missing_header(names, columns):
        raise DataError(
            f"{path} has {missing!r} in its first line, expected the names of the columns: put a line of names above it"
        )
    require_unique(names, str(path))
    if not values:
        raise DataError(f"{path} has no rows: give at least one case below the names of the columns")
    named = {name: np.array(column, dtype=object) for name, column in zip(names, values, strict=True)}
    return as_columns(named, str(path))


def _missing_header(names: Sequence[str], columns: Mapping[int, Sequence[str]]) -> str | None:
    """Return a supposed column name that must be a value, because the file has no line of names; else ``None``.

    A file has no line of names if all names are numbers, if a name is that of a picture file, or if a name that is not
    a number also occurs as a value in the same column.
    """
    if pictures := [name for name in names if is_picture_name(name)]:
        return pictures[0]
    texts = {number: name for number, name in enumerate(names) if number_of(name) is None}
    if names and not texts:
        return names[0]
    repeated = (name for number, name in texts.items() if name and name in map(str.strip, columns.get(number, ())))
    return next(repeated, None)


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """Open a text file, which may be packed with gzip.

    Raises:
        DataError: the file is damaged, not UTF-8, or too large for memory.
    """
    if path.suffix.lower() != ".gz":
        require_memory(BYTES * path.stat().st_size, str(path))
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
        return
    most = machine.free_memory(torch.device("cpu")) // BYTES
    with opened(path, "") as packed:
        content = packed.read(most + 1)
    require_memory(BYTES * len(content), str(path))
    yield io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")


def _rows(path: Path, file: TextIO, errors: dict[int, str] | None) -> Iterator[list[str]]:
    """Yield the rows of a text file, starting with the column names; empty lines are skipped."""
    try:
        first_line = file.readline()
        separator = max(SEPARATORS, key=first_line.count)
        file.seek(0)
        reader, count, number = csv.reader(file, delimiter=separator, strict=True), 0, -2
        for values in reader:
            row, count, number = values, count or len(values), number + bool(values)
            if row and len(row) != count:
                problem = f"it has {len(row)} values, expected {count} as in the first line"
                if errors is None:
                    raise DataError(f"{path} is malformed in line {reader.line_num}: {problem}: repair the line")
                errors[number] = f"line {reader.line_num} is malformed: {problem}"
                row = [""] * count
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
    """Return the values of a column of pyarrow: numbers, or Python objects with None for missing values."""
    if _is_number(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    return np.array(column.to_pylist(), dtype=object)


def _is_number(column_type: Any) -> bool:
    """Return True if a column type of pyarrow is an integer or floating-point type."""
    import pyarrow

    return bool(pyarrow.types.is_integer(column_type) or pyarrow.types.is_floating(column_type))
