"""Read a user's own data from a folder or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from twofold.checks import check_arguments
from twofold.data import idx_pairs, npz, tables
from twofold.data.dataset import Dataset
from twofold.data.part import Part, assembled
from twofold.data.source import Source, resolved
from twofold.errors import DataError, SettingError


def _read_folder(source: Source) -> tuple[Part, Part | None]:
    from twofold.data import class_folders  # which imports Pillow

    return class_folders.read(source)


def _read_manifest(source: Source) -> tuple[Part, Part | None]:
    from twofold.data import class_folders

    return class_folders.read_manifest(source)


READERS: dict[str, Callable[[Source], tuple[Part, Part | None]]] = {
    "folder": _read_folder,
    "manifest": _read_manifest,
    "npz": npz.read,
    "table": tables.read,
    "idx": idx_pairs.read,
}
"""Kind of data -> function that returns the training part, and the test part or ``None``."""

IMBALANCE = 3
"""Ratio of the size of the largest class to that of the smallest above which `description` reports class sizes."""


@check_arguments
def read_data(
    path: Path,
    *,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    test: Path | None = None,
    test_share: float | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    missing: str = "fill",
    pixels: bool = False,
) -> Dataset:
    """Read your own data from a folder or a file.

    The path may be

    - a folder of class folders, each with the pictures of one class, or of the folders ``train`` and ``test`` that
      contain class folders;
    - an ``.npz`` with the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or only ``x`` and ``y``;
    - a table, ``.csv``, ``.tsv``, ``.csv.gz``, ``.tsv.gz`` or ``.parquet``, with named columns, one of which has the
      labels;
    - a manifest, which is a ``.csv`` or ``.tsv`` with two named columns: picture files and labels;
    - an IDX file of images, raw or gzip, with the file of its labels in the same folder.

    If the data have no test part, the share ``test_share`` of the cases of each class is split off. Training cases are
    shuffled. Numeric columns are standardized with the mean and scale of the training part; text columns are one-hot
    encoded.

    Args:
        path: folder or file, as described above.
        label: name of the label column of a table, or of a manifest.
        size: width and height to which pictures are scaled, or one number for both; required if the sizes of the
            pictures differ. For a table of pixels, the width and height of the pictures in its rows.
        test: a second folder or file of the same kind, used as the test part.
        test_share: share of the cases of each class that is split off; 0.2 if ``None``.
        seed: seed of the split and of the order of the training cases.
        skip_unreadable: skip pictures that cannot be read and name them in a `Remark`.
        missing: "fill" to replace missing values of a table, "refuse" to raise an error; see `Preparation`.
        pixels: treat each row of a table as a picture whose pixels, row by row, are in the columns. Pictures have the
            given ``size``, or are square without one.

    Raises:
        DataError: the data do not exist or are not as described. The message names the file and the place in it.
        SettingError: an option does not apply to this kind of data, or conflicts with another.
    """
    place = resolved(path)
    kind = kind_of(place)
    options = {
        "--label": (label is not None, ("table", "manifest")),
        "--size": (size is not None, ("folder", "manifest", "table")),
        "--as pictures": (pixels, ("table",)),
        "--skip-unreadable": (skip_unreadable, ("folder", "manifest")),
    }
    for option, (given, kinds) in options.items():
        if given and kind not in kinds:
            expected = " or ".join(KIND_NAMES[name] for name in kinds)
            raise SettingError(f"{option} is for {expected}, but {place} is {KIND_NAMES[kind]}: omit it")
    if label is None and kind == "table":
        raise SettingError(f"{place} is a table: name the column of its labels with --label")
    if test is not None and test_share is not None:
        raise SettingError("give either --test or --test-share, not both")
    second = None if test is None else resolved(test)
    if second is not None and (test_kind := kind_of(second, "--test ")) != kind:
        raise DataError(f"--test {second} is {KIND_NAMES[test_kind]}, expected {KIND_NAMES[kind]} like {place}")
    sides, other = (size, size) if isinstance(size, int) else size, None if second is None else str(second)
    pixels = pixels or (kind == "table" and size is not None)
    return read(Source(str(place), kind, label, sides, other, test_share, seed, skip_unreadable, missing, pixels))


KIND_NAMES = {
    "folder": "a folder of pictures",
    "manifest": "a list of picture files",
    "npz": "an .npz file",
    "table": "a table",
    "idx": "an IDX file",
}
"""Kind of data -> its name in messages."""


def kind_of(path: Path, option: str = "") -> str:
    """Return the kind of the data at a path. Error messages begin with ``option``, which may be empty.

    Raises:
        DataError: the path does not exist or its type is not supported.
    """
    try:
        if path.is_dir():
            return "idx" if idx_pairs.has_idx(path) else "folder"
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{option}{path} cannot be accessed ({error.strerror}): check the path") from error
    if not exists:
        raise DataError(f"{option}{path} does not exist: check the path")
    ending = path.suffix.lower()
    if ending == ".npz":
        return "npz"
    if tables.is_table(path):
        return "manifest" if tables.is_manifest(path) else "table"
    if idx_pairs.is_idx(path):
        return "idx"
    raise DataError(
        f"{option}{path} has an unsupported file type (supported: a folder of class folders, an .npz, a table "
        f"({tables.types()}) or an IDX file)"
    )


def read(source: Source) -> Dataset:
    """Read the data of a source.

    Raises:
        DataError: the data do not exist or are malformed.
    """
    path = Path(source.path)
    if not path.exists():
        raise DataError(f"{path} does not exist: check the path")
    try:
        train, test = READERS[source.kind](source)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read ({error.strerror or error}): repair it") from error
    return assembled(source.name, train, test, source)


def description(data: Dataset) -> str:
    """Describe a data set in one line: cases, sizes, classes, split, and the class sizes if they are imbalanced."""
    source, (channels, height, width) = data.source, data.shape
    table = data.preparation is not None and data.preparation.kind == "table"
    if table:
        assert data.preparation is not None
        columns = len(data.preparation.columns)
        content = f"rows of {columns} columns"
        content += f", {data.pixels} features" if data.pixels != columns else ""
    else:
        content = f"pictures of {width} x {height}, {'grey' if channels == 1 else f'{channels} channels'}"
    train, test = len(data.train_labels), len(data.test_labels)
    line = f"{data.name}: {train + test} {content}, {data.classes} classes; {train} to train, {test} to test"
    if source and source.test_share is not None:
        line += f" ({100 * source.test_share:g} % of each class, split seed {source.seed})"
    counts = torch.bincount(data.train_labels, minlength=data.classes)
    if int(counts.max()) > IMBALANCE * int(counts.min()):
        most, least = int(counts.argmax()), int(counts.argmin())
        missed = 100 * float((data.test_labels != most).float().mean())
        line += (
            f"; class sizes range from {int(counts[least])} ({data.names[least]}) to {int(counts[most])} "
            f"({data.names[most]}) cases: always predicting {data.names[most]} has a test error of {missed:.1f} %"
        )
    return line
