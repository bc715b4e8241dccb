"""Read arrays from an .npz file, never unpickling objects."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from twofold import machine
from twofold.data.columns import Problems, as_columns, as_text, cleaned, shortened
from twofold.data.part import Cases, Part
from twofold.data.source import Source
from twofold.errors import DataError

NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x", "y", "", ""),
    ("images", "labels", "", ""),
    ("data", "target", "", ""),
)
"""Accepted names, in upper or lower case, of four arrays: training cases, training labels, test cases, test labels."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read an .npz file of pictures or of rows of a table.

    Pictures have the shape ``(cases, height, width)``, or have channels before or after height and width. Integers up
    to 255 are divided by 255, unless all are 0 or 1. An array ``(cases, features)`` is a table.

    Raises:
        DataError: the file is not an .npz file, lacks an array, or has an array of the wrong shape or type.
    """
    fill = source.missing == "fill"
    train, test = _parts(Path(source.path), fill)
    if source.test:
        test = _parts(Path(source.test), fill)[0]
    return scaled_alike(train, test)


def scaled_alike(train: Part, test: Part | None) -> tuple[Part, Part | None]:
    """Convert bytes to float32, so that they are not divided by 255, if no byte of either part is above 1."""
    pixels = [part.cases for part in (train, test) if part and _are_bytes(part.cases)]
    if any(cases.max(initial=0) > 1 for cases in pixels):
        return train, test
    return _as_levels(train), test and _as_levels(test)


def _are_bytes(cases: Cases) -> TypeGuard[NDArray[np.uint8]]:
    return isinstance(cases, np.ndarray) and cases.dtype == np.uint8


def _as_levels(part: Part) -> Part:
    """Convert bytes to float32 without dividing by 255; other cases are unchanged."""
    return part._replace(cases=part.cases.astype(np.float32)) if _are_bytes(part.cases) else part


def _parts(path: Path, fill: bool) -> tuple[Part, Part | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size * 5 > (free := machine.free_memory(torch.device("cpu"))):
            raise DataError(f"{path} unpacks to {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free")
        with np.load(path, allow_pickle=False) as arrays:
            return _named(path, {name.lower(): name for name in arrays.files}, arrays, fill)
    except DataError:
        raise
    except Exception as error:  # damaged archives and headers raise exceptions of any type
        why = "it contains pickled objects" if "allow_pickle" in str(error) else " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as arrays of numbers ({why}): write it with numpy.savez") from error


def _named(path: Path, arrays_by_name: dict[str, str], arrays: Any, fill: bool) -> tuple[Part, Part | None]:
    """Return the training part and the test part or ``None``; ``arrays_by_name`` maps lower-case to real names."""
    for names in NAMES:
        if names[0] in arrays_by_name:
            break
    else:
        names = NAMES[0]
    tested = [name for name in names[2:] if name in arrays_by_name]
    for name in (*names[:2], *(names[2:] if tested else ())):
        if name not in arrays_by_name:
            raise DataError(
                f"{path} has no array {name!r}: it has {shortened(sorted(arrays_by_name.values())) or 'none'}, "
                "expected x_train, y_train, x_test and y_test, or x and y"
            )
    pairs = [[arrays_by_name[name] for name in pair] for pair in ((names[:2], names[2:]) if tested else (names[:2],))]
    parts = [
        _part(f"{path}, {cases}", arrays[cases], f"{path}, {labels}", arrays[labels], fill) for cases, labels in pairs
    ]
    return parts[0], parts[1] if tested else None


def _part(where: str, cases: NDArray[Any], where_labels: str, labels: NDArray[Any], fill: bool) -> Part:
    """Check the cases and labels of a part; error messages call them ``where`` and ``where_labels``."""
    for name, array in ((where, cases), (where_labels, labels)):
        if array.ndim == 0:
            raise DataError(f"{name} is a single value, expected an array with one entry for each case")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (len(cases),):
        raise DataError(
            f"{where_labels} has the shape {labels.shape}, expected one label for each of the {len(cases)} cases: "
            "give class numbers or names (for one-hot labels, use .argmax(1))"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"{where_labels} has NaN or infinite labels: remove these cases")
    if labels.dtype.kind not in "biufU":
        raise DataError(
            f"{where_labels} holds {labels.dtype}, expected whole numbers or strings (for bytes, use .astype(str))"
        )
    names = np.array([as_text(label) for label in labels.tolist()])
    if len(empty := np.flatnonzero(names == "")):
        raise DataError(f"{where_labels} has an empty label in case {empty[0]}: name its class or remove the case")
    return Part(_cases(where, cases, fill), names)


def _cases(where: str, cases: NDArray[Any], fill: bool) -> Cases:
    """Convert rows to columns, and pictures to ``(cases, channels, height, width)``."""
    if cases.dtype.kind not in "biuf":
        raise DataError(f"{where} holds {cases.dtype}, expected numbers")
    if cases.ndim == 2:
        problems = Problems(where)
        columns = cleaned(as_columns(cases, where), problems, fill)
        problems.check()
        return columns
    if cases.ndim not in (3, 4):
        raise DataError(f"{where} has the shape {cases.shape}, expected (cases, height, width) or (cases, features)")
    if cases.ndim == 3:
        cases = cases[:, None]
    elif cases.shape[3] in (1, 3) and cases.shape[1] not in (1, 3):
        cases = cases.transpose(0, 3, 1, 2)
    if cases.shape[1] not in (1, 3):
        raise DataError(f"{where} has {cases.shape[1]} channels, expected 1 or 3: give rows (cases, features) instead")
    if cases.dtype.kind == "f" and not (finite := np.isfinite(cases).all((1, 2, 3))).all():
        raise DataError(
            f"{where} has NaN or infinite pixels, first in case {int(finite.argmin())}: repair or remove them"
        )
    if cases.dtype.kind in "iu" and cases.size and cases.min() >= 0 and cases.max() <= 255:
        cases = cases.astype(np.uint8)
    return cases
