"""Data of one's own that are odd, but are met: names that are numbers or none, doubles, values beyond all others.

Oracles: the documented contract; arrays from which the files were written; pandas' own files.
"""

from __future__ import annotations

import shutil
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import twofold
from support.data_files import idx_bytes, refusal
from support.own_files import ROWS, picture, table, two_classes
from twofold import machine
from twofold.data import Dataset, class_folders, look, read_data, tables
from twofold.data.preparation import Preparation
from twofold.data.source import Source
from twofold.data.split import ordered
from twofold.errors import Remark, TwofoldError

X = np.arange(16, dtype=np.uint8).reshape(4, 2, 2)


def npz_of(root: Path, **arrays: Any) -> Dataset:
    np.savez(root / "a.npz", **arrays)
    return read_data(root / "a.npz")


def parquet_of(root: Path, name: str) -> Dataset:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"x": range(8), "y": ["a", "b"] * 4}, index=range(3, 11))
    frame.rename_axis(index=name or None).to_parquet(root / "a.parquet", index=True)
    return read_data(root / "a.parquet", label="y")


def frame_with_a_name_twice(root: Path) -> Dataset:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[1, 2], [3, 4]] * 2, columns=["a", "a"])
    return twofold.as_dataset("own", frame, [0, 1, 0, 1], table=True)


def several_idx(root: Path) -> Dataset:
    for name in ("digits-train", "digits-test", "letters-train", "letters-test"):
        (root / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(X))
        (root / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1] * 2, np.uint8)))
    return read_data(root)


# ---- what is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["3", "nan", "1", "20"], ("1", "20", "3", "nan")),
        (["inf", "2", "10"], ("10", "2", "inf")),
        (["1_0", "9"], ("1_0", "9")),
        (["10", "9", "-1", "10"], ("-1", "9", "10")),
        (["10", "9", "b"], ("10", "9", "b")),
    ],
)
def test_classes_are_in_the_order_of_their_values_or_else_of_their_names_however_they_come(
    labels: list[str], expected: tuple[str, ...]
) -> None:
    turns = [labels[number:] + labels[:number] for number in range(len(labels))]
    assert {ordered(words) for turn in turns for words in (turn, turn[::-1])} == {expected}


def test_pictures_in_folders_within_a_class_folder_are_of_that_class_and_what_is_hidden_or_left_over_of_none(
    tmp_path: Path,
) -> None:
    plain, deeper = two_classes(tmp_path / "a"), two_classes(tmp_path / "b")
    (deeper / "dark" / "2021" / "may").mkdir(parents=True)
    (deeper / "dark" / "3.png").rename(deeper / "dark" / "2021" / "may" / "3.png")
    for hidden in (".thumbnails/1.png", "__MACOSX/dark/1.png", "light/.cache/1.png", "light/__MACOSX/1.png"):
        picture(deeper / hidden, color=7)
    (deeper / "light" / "round").symlink_to(deeper / "light", target_is_directory=True)
    assert read_data(deeper).fingerprint == read_data(plain).fingerprint


@pytest.mark.parametrize(
    ("first", "second"), [("1", "1.0"), ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")), ("-2", "-2.00")]
)
def test_labels_that_are_written_in_two_ways_are_one_class(tmp_path: Path, first: str, second: str) -> None:
    rows = [f"{number},{(first, second, '7')[number % 3]}" for number in range(12)]
    assert set(read_data(table(tmp_path / "a.csv", rows, "x,y"), label="y").names) == {first, "7"}


def test_a_folder_to_test_on_may_have_its_accents_written_in_another_way(tmp_path: Path) -> None:
    for part, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("caf\u00e9", "tea"):
            picture(tmp_path / part / unicodedata.normalize(form, name) / "1.png")  # type: ignore[arg-type]
    assert read_data(tmp_path).names == ("caf\u00e9", "tea")


@pytest.mark.parametrize("most", [1, 2])
def test_whole_numbers_are_divided_unless_none_is_above_1(tmp_path: Path, most: int) -> None:
    pictures = np.array([0, 1, 0, most]).repeat(4).reshape(4, 2, 2)
    for kind in (np.int64, np.uint8):
        data = npz_of(tmp_path, x_train=pictures.astype(kind), y_train=[0, 1, 0, 1], x_test=X[:1] // 9, y_test=[0])
        assert float(data.train_images.max()) == pytest.approx(1 if most == 1 else most / 255)


def test_a_test_part_that_was_moved_with_the_rest_is_found_beside_it(tmp_path: Path) -> None:
    two_classes(tmp_path / "old" / "a")
    two_classes(tmp_path / "old" / "b")
    source = read_data(tmp_path / "old" / "a", test=tmp_path / "old" / "b").source
    assert isinstance(source, Source)
    whole = source.read().fingerprint
    shutil.move(tmp_path / "old", tmp_path / "new")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    there = source.at(tmp_path / "link" / "a")
    assert (there.path, there.test) == (str(tmp_path / "new" / "a"), str(tmp_path / "new" / "b"))
    assert there.read().fingerprint == whole


# ---- what is refused ---------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "NaN as a label": (
        lambda root: read_data(table(root / "a.csv", [*ROWS, "1,red,1,nan"]), label="bought"),
        ["column 'bought' has no value in row 13"],
    ),
    "NaN as a category": (
        lambda root: read_data(table(root / "a.csv", [*ROWS, "1,NaN,1,no"]), label="bought", missing="refuse"),
        ["column 'color' has no value in row 13"],
    ),
    "a number with _": (
        lambda root: read_data(table(root / "a.csv", [*ROWS, "1_000,red,1,no"]), label="bought"),
        ["column 'age' has '1_000' in row 13"],
    ),
    "decimal commas": (
        lambda root: read_data(table(root / "a.csv", [f"{n};{n},5;{n % 2}" for n in range(9)], "x;y;z"), label="z"),
        ["column 'y' has '0,5' in row 1 and in 8 others: write numbers without commas"],
    ),
    "commas between thousands, where there are some": (
        lambda root: read_data(
            table(root / "a.csv", [f'{n},"{800 + n if n < 4 else f"1,{n:03}.5"}",{n % 2}' for n in range(9)], "x,y,z"),
            label="z",
        ),
        ["column 'y' has '1,004.5' in row 5 and in 4 others: write numbers without commas"],
    ),
    "the number of the row": (
        lambda root: read_data(table(root / "a.csv", [f"{n},{n},{n % 2}" for n in range(9)], ",x,y"), label="y"),
        ["a.csv: column '' has no name", "index=False"],
    ),
    "the number of the row, written again": (
        lambda root: read_data(table(root / "a.csv", [f"{n},{n % 2}" for n in range(9)], "Unnamed: 0,y"), label="y"),
        ["column 'Unnamed: 0' has no name"],
    ),
    "a separator at the end of each line": (
        lambda root: read_data(table(root / "a.csv", [f"{n},{n % 2}," for n in range(9)], "x,y,"), label="y"),
        ["column '' has no name"],
    ),
    "an index in Parquet": (lambda root: parquet_of(root, ""), ["column '__index_level_0__' has no name"]),
    "a name twice in a frame": (frame_with_a_name_twice, ["has the column 'a' twice"]),
    "names that are written alike": (
        lambda root: twofold.as_dataset("own", {0: [1, 2, 3, 4], "0": [4, 3, 2, 1]}, [0, 1, 0, 1], table=True),
        ["has the column '0' twice"],
    ),
    "a whole number beyond all floats": (
        lambda root: twofold.as_dataset("own", {"a": [1, 2, 10**400, 4]}, [0, 1, 0, 1], table=True),
        ["column 'a' has an infinite number in row 3"],
    ),
    "a class that the names lack": (
        lambda root: twofold.as_dataset("own", X / 255, ["a", "b", "a", "b"], names=["a", "c"]),
        ["the training part has the class 'b'", "not in names="],
    ),
    "numbers to predict": (
        lambda root: npz_of(root, x=np.zeros((38, 2, 2)), y=np.random.default_rng(0).random(38)),
        ["the labels have 38 different values in 38 cases"],
    ),
    "labels of bytes": (lambda root: npz_of(root, x=X, y=np.array([b"a", b"b"] * 2)), ["a.npz, y holds |S1"]),
    "labels of dates": (
        lambda root: npz_of(root, x=X, y=np.array(["2020-01-01", "2021-01-01"] * 2, "datetime64[D]")),
        ["a.npz, y holds datetime64"],
    ),
    "an empty label": (lambda root: npz_of(root, x=X, y=["a", "b", " ", "b"]), ["y has an empty label in case 2"]),
    "several data sets in IDX": (
        several_idx,
        ["several data sets, digits-train-images-idx3-ubyte and letters-t", "name the file of images to train on"],
    ),
    "a value beyond all others": (
        lambda root: Preparation.fitted({"a": np.arange(3.0)}, ("x", "y")).table({"a": [1.0, 1e300]}),
        ["column 'a' has 1e+300 in row 2", "too large"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_odd_data_are_refused_in_one_line_that_names_the_place(tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    said = refusal(TwofoldError, lambda: make(tmp_path))
    for word in words:
        assert word in said


def test_it_is_said_that_dates_become_categories(tmp_path: Path) -> None:
    days = [f"2026-11-{1 + number % 3:02}{' 08:00' if number % 2 else ''}" for number in range(12)]
    path = table(tmp_path / "a.csv", [f"{day},{n % 2}" for n, day in enumerate(days)], "day,y")
    with pytest.warns(Remark, match=r"a\.csv: column 'day' has dates, which become categories"):
        data = read_data(path, label="y")
    assert data.shape == (1, 1, 6)


def test_where_parquet_cannot_be_read_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = refusal(TwofoldError, lambda: read_data(tmp_path / "a.parquet", label="y"))
    assert said.endswith("a.parquet needs pyarrow, which is not installed: pip install 'twofold[tables]'")


# ---- memory ------------------------------------------------------------------------------------------------------


def test_tables_that_memory_cannot_hold_are_refused_before_they_are_read_or_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path / "a.csv", ROWS * 3)
    frame = {"c": [f"v{number}" for number in range(90)]}
    prepared = Preparation.fitted({"c": np.array(frame["c"])}, ("x", "y"))
    parquet_of(tmp_path, "row")
    monkeypatch.setattr(machine, "free_memory", lambda device: 1000)
    for make in (
        lambda: read_data(path, label="bought"),
        lambda: read_data(tmp_path / "a.parquet", label="y"),
        lambda: prepared.table(frame),
    ):
        assert "of memory" in refusal(TwofoldError, make)


def peak(action: Callable[[], object]) -> int:
    """Bytes that NumPy and Python take at most, beyond what they had."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_file_of_text_and_a_folder_take_no_more_memory_than_they_are_checked_for(tmp_path: Path) -> None:
    rows = [",".join([*(str(10 + (row + column) % 90) for column in range(40)), str(row % 2)]) for row in range(2000)]
    path = table(tmp_path / "a.csv", rows, ",".join([*(f"c{column}" for column in range(40)), "y"]))
    assert peak(lambda: read_data(path, label="y")) < tables.BYTES * path.stat().st_size
    rng = np.random.default_rng(0)
    for number in range(10):
        for name in ("a", "b"):
            file = picture(tmp_path / "p" / name / f"{number}.png")
            Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(file)
    assert peak(lambda: read_data(tmp_path / "p")) < class_folders.BYTES * 20 * 200 * 200 * 3


def test_of_large_pictures_fewer_are_looked_at_and_of_those_without_a_plain_ground_only_the_edges() -> None:
    noise, plain = torch.rand(1000, 1, 100, 100), torch.zeros(1000, 1, 100, 100)
    plain[:, :, 40:60, 45:55] = 1
    assert peak(lambda: look.look_of(noise)) < 8 * noise.numel() / 5
    assert peak(lambda: look.look_of(plain)) < 40 * look.PIXELS
    assert look.look_of(plain) is not None
