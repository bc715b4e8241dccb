"""Arrays in an .npz file, never with pickled objects."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from twofold import machine
from twofold.data.columns import as_columns, cleaned, shortened, text
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
"""What the arrays may be called, in any case: cases and labels to train on, then those to test on."""


def read(source: Source) -> tuple[Part, Part | None]:
    """Read an .npz file: pictures ``(cases, height, width)`` or with channels in front or behind, or rows of numbers.

    Whole numbers up to 255 are divided by 255, unless none is above 1. Rows ``(cases, features)`` are a table.

    Raises:
        DataError: it is no .npz file, lacks an array, or has one that cannot be meant.
    """
    train, test = _parts(Path(source.path))
    if source.test:
        test = _parts(Path(source.test))[0]
    whole = [part.cases for part in (train, test) if part and _are_bytes(part.cases)]
    if any(cases.max(initial=0) > 1 for cases in whole):
        return train, test
    return _as_levels(train), test and _as_levels(test)


def _are_bytes(cases: Cases) -> TypeGuard[NDArray[np.uint8]]:
    return isinstance(cases, np.ndarray) and cases.dtype == np.uint8


def _as_levels(part: Part) -> Part:
    """Pictures of 0 and 1 alone, which nobody means as bytes, as numbers that are not divided."""
    return part._replace(cases=part.cases.astype(np.float32)) if _are_bytes(part.cases) else part


def _parts(path: Path) -> tuple[Part, Part | None]:
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(each.file_size for each in packed.infolist())
        if size * 5 > (free := machine.free_memory(torch.device("cpu"))):
            raise DataError(f"{path} unpacks to {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free")
        with np.load(path, allow_pickle=False) as arrays:
            return _named(path, {name.lower(): name for name in arrays.files}, arrays)
    except DataError:
        raise
    except Exception as error:  # of whatever kind damaged archives and headers lead to
        why = "it holds pickled objects" if "allow_pickle" in str(error) else " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as arrays of numbers ({why}): write it with numpy.savez") from error


def _named(path: Path, found: dict[str, str], arrays: Any) -> tuple[Part, Part | None]:
    for names in NAMES:
        if names[0] in found:
            break
    else:
        names = NAMES[0]
    tested = [name for name in names[2:] if name in found]
    for name in (*names[:2], *(names[2:] if tested else ())):
        if name not in found:
            raise DataError(
                f"{path} has no array {name!r}: it has {shortened(sorted(found.values())) or 'none'}, expected "
                "x_train, y_train, x_test and y_test, or x and y"
            )
    parts = [
        _part(f"{path}, {found[cases]}", arrays[found[cases]], f"{path}, {found[labels]}", arrays[found[labels]])
        for cases, labels in ((names[:2], names[2:]) if tested else (names[:2],))
    ]
    return parts[0], parts[1] if tested else None


def _part(where: str, cases: NDArray[Any], where_labels: str, labels: NDArray[Any]) -> Part:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (len(cases),) if cases.ndim else True:
        raise DataError(
            f"{where_labels} has the shape {labels.shape}, expected one label for each of the {len(cases)} cases: "
            "give their numbers or names, as .argmax(1) gives for one-hot labels"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"{where_labels} has NaN or infinite labels: remove these cases")
    if labels.dtype.kind not in "biufU":
        raise DataError(
            f"{where_labels} holds {labels.dtype}, expected whole numbers or texts (for bytes: .astype(str))"
        )
    names = np.array([text(label) for label in labels.tolist()])
    if len(empty := np.flatnonzero(names == "")):
        raise DataError(f"{where_labels} has an empty label in case {empty[0]}: name its class, or remove the case")
    return Part(_cases(where, cases), names)


def _cases(where: str, cases: NDArray[Any]) -> Cases:
    if cases.dtype.kind not in "biuf":
        raise DataError(f"{where} holds {cases.dtype}, expected numbers")
    if cases.ndim == 2:
        return cleaned(as_columns(cases, where), where)
    if cases.ndim not in (3, 4):
        raise DataError(f"{where} has the shape {cases.shape}, expected (cases, height, width) or (cases, features)")
    if cases.ndim == 3:
        cases = cases[:, None]
    elif cases.shape[3] in (1, 3) and cases.shape[1] not in (1, 3):
        cases = cases.transpose(0, 3, 1, 2)
    if cases.shape[1] not in (1, 3):
        raise DataError(
            f"{where} has {cases.shape[1]} channels, expected 1 or 3: give rows, (cases, features), instead"
        )
    if cases.dtype.kind == "f" and not (finite := np.isfinite(cases).all((1, 2, 3))).all():
        raise DataError(
            f"{where} has NaN or infinite pixels, first in case {int(finite.argmin())}: repair or remove them"
        )
    if cases.dtype.kind in "iu" and cases.size and cases.min() >= 0 and cases.max() <= 255:
        cases = cases.astype(np.uint8)
    return cases
