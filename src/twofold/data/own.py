"""Data of one's own, read from a folder or a file: what lies at a path, and how it becomes a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from twofold.checks import typed
from twofold.data import idx_pairs, npz, tables
from twofold.data.dataset import Dataset
from twofold.data.part import Part, assembled
from twofold.data.source import Source, resolved
from twofold.errors import DataError, SettingError


def _read_folder(source: Source) -> tuple[Part, Part | None]:
    from twofold.data import class_folders  # which loads Pillow

    return class_folders.read(source)


READERS: dict[str, Callable[[Source], tuple[Part, Part | None]]] = {
    "folder": _read_folder,
    "npz": npz.read,
    "table": tables.read,
    "idx": idx_pairs.read,
}
"""Kind of data -> reads the training part, and the test part where there is one."""

UNEQUAL = 3
"""How many times as large as the smallest class the largest is where that is worth saying."""


@typed
def read_data(
    path: Path,
    *,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    test: Path | None = None,
    test_share: float | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
) -> Dataset:
    """Read data of your own.

    The path may be

    - a folder of class folders, each with the pictures of one class, or of the folders ``train`` and ``test`` that
      hold such folders;
    - an ``.npz`` with the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or ``x`` and ``y`` alone;
    - a table, ``.csv``, ``.tsv`` or ``.parquet``, whose columns have names; one of them is the label;
    - an IDX file of images, beside which the one of its labels lies, packed with gzip or not.

    Where no test part is there or named, the share ``test_share`` of each class is split off. Training cases come in
    an order that the seed decides. Columns of numbers are standardized, as fitted on the training part alone, and
    columns of texts become one number for each of their values.

    Args:
        path: see above.
        label: the column with the label, for a table.
        size: width and height to which pictures are scaled, or one number for both; needed where they differ.
        test: a second folder or file of the same kind, for the test part.
        test_share: share of the cases that are split off, by default 0.2.
        seed: of the split and of the order.
        skip_unreadable: leave out pictures that cannot be read, and name them in a `Remark`.

    Raises:
        DataError: the data are not there, or not as described; the message names the file and the place in it.
        SettingError: an option that does not go with the others or with this kind of data.
    """
    sides = (size, size) if isinstance(size, int) else size
    return source_of(path, label, sides, test, test_share, seed, skip_unreadable).read()


def source_of(
    path: Path | str,
    label: str | None = None,
    size: tuple[int, int] | None = None,
    test: Path | str | None = None,
    test_share: float | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
) -> Source:
    """The source that lies at a path, with the options of `read_data`.

    Raises:
        DataError: nothing lies there, or nothing of a known kind.
        SettingError: an option that does not go with the others or with this kind of data.
    """
    place = resolved(path)
    kind = kind_of(place)
    wrong = {
        "--label": (label, kind != "table"),
        "--size": (size, kind != "folder"),
        "--skip-unreadable": (skip_unreadable or None, kind != "folder"),
    }
    for option, (value, is_wrong) in wrong.items():
        if value is not None and is_wrong:
            needs = "a table" if option == "--label" else "a folder of pictures"
            raise SettingError(f"{option} is for {needs}, but {place} is {WORDS[kind]}: leave it away")
    if label is None and kind == "table":
        raise SettingError(f"{place} is a table: name the column of its labels with --label")
    if test is not None and test_share is not None:
        raise SettingError("--test and --test-share: where the test part is named none is split off; leave one away")
    second = None if test is None else resolved(test)
    if second is not None and (found := kind_of(second, "--test ")) != kind:
        raise DataError(f"--test {second} is {WORDS[found]}, but the training part is {WORDS[kind]}: give one like it")
    return Source(
        str(place), kind, label, size, None if second is None else str(second), test_share, seed, skip_unreadable
    )


WORDS = {"folder": "a folder of pictures", "npz": "an .npz file", "table": "a table", "idx": "an IDX file"}
"""How a kind of data is said."""


def kind_of(path: Path, option: str = "") -> str:
    """What lies at a path, which an option may have named.

    Raises:
        DataError: nothing does, or nothing of a known kind.
    """
    try:
        if path.is_dir():
            return "idx" if idx_pairs.lie_in(path) else "folder"
        there = path.exists()
    except OSError as error:
        raise DataError(f"{option}{path} cannot be looked for ({error.strerror}): check the path") from error
    if not there:
        raise DataError(f"{option}{path} does not exist: check the path")
    ending = path.suffix.lower()
    if ending == ".npz":
        return "npz"
    if ending in tables.ENDINGS:
        return "table"
    if idx_pairs.is_idx(path):
        return "idx"
    raise DataError(
        f"{option}{path} is of no kind that is known here: give a folder of class folders, an .npz, a table "
        f"({', '.join(tables.ENDINGS)}) or an IDX file"
    )


def read(source: Source) -> Dataset:
    """Read data of one's own.

    Raises:
        DataError: they are not there, or not as they should be.
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
    """What was read, in a line: cases, classes, sizes, split, and classes of very different sizes."""
    source, (channels, height, width) = data.source, data.shape
    table = data.preparation is not None and data.preparation.kind == "table"
    if table:
        assert data.preparation is not None
        columns = len(data.preparation.columns)
        what = f"rows of {columns} columns"
        what += f", {data.pixels} features" if data.pixels != columns else ""
    else:
        what = f"pictures of {width} x {height}, {'grey' if channels == 1 else f'{channels} channels'}"
    seen, held = len(data.train_labels), len(data.test_labels)
    line = f"{data.name}: {seen + held} {what}, {data.classes} classes; {seen} to train, {held} to test"
    if source and source.test_share is not None:
        line += f" ({100 * source.test_share:g} % of each class, split seed {source.seed})"
    counts = torch.bincount(data.train_labels, minlength=data.classes)
    if int(counts.max()) > UNEQUAL * int(counts.min()):
        most, least = int(counts.argmax()), int(counts.argmin())
        missed = 100 * float((data.test_labels != most).float().mean())
        line += (
            f"; classes have from {int(counts[least])} ({data.names[least]}) to {int(counts[most])} "
            f"({data.names[most]}) cases: to say {data.names[most]} of all is wrong for {missed:.1f} % of the tests"
        )
    return line
