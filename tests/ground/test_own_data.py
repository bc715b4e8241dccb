"""Data of one's own in files: they are read as they were written, and what is wrong with them is said in one line.

Oracles: arrays from which the files were written; NumPy's mean and deviation; the documented contract.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import twofold
from support.data_files import idx_bytes, refusal
from support.own_files import ROWS, bomb, class_folders, digit_pictures, picture, table, two_classes
from twofold import machine
from twofold.data import Dataset, read_data, tables
from twofold.data.own import description
from twofold.data.preparation import Preparation
from twofold.data.source import Source
from twofold.data.split import stratified
from twofold.errors import DataError, Remark, TwofoldError


def cases_of(data: Dataset) -> Counter[tuple[bytes, str]]:
    """Every case of a data set with the name of its class, as often as it is there."""
    parts = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
    return Counter(
        (image.numpy().tobytes(), data.names[label])
        for images, labels in parts
        for image, label in zip(images, labels.tolist(), strict=True)
    )


# ---- what is read ------------------------------------------------------------------------------------------------


def test_a_folder_holds_the_pictures_that_were_written_under_the_names_of_their_folders(tmp_path: Path) -> None:
    pixels, words = digit_pictures()
    data = read_data(class_folders(tmp_path / "mine"))
    expected = Counter(
        ((pixel.astype(np.float32) / 255).tobytes(), word) for pixel, word in zip(pixels, words, strict=True)
    )
    assert cases_of(data) == expected
    assert (data.name, data.names, data.shape) == ("mine", tuple(sorted(set(words))), (1, 8, 8))
    assert data.preparation == Preparation("pictures", (1, 8, 8), data.names)


def test_files_of_every_kind_hold_the_same_data(tmp_path: Path) -> None:
    """The order of the cases is the same, and so are split and fingerprint; arrays in Python are split likewise."""
    pixels, words = digit_pictures()
    numbers = np.array([sorted(set(words)).index(word) for word in words], np.uint8)
    np.savez(tmp_path / "a.npz", X=pixels, y=words)
    np.savez(tmp_path / "b.npz", images=pixels[..., None], labels=numbers[:, None])
    (tmp_path / "c-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
    (tmp_path / "c-labels-idx1-ubyte").write_bytes(idx_bytes(numbers))
    paths = [class_folders(tmp_path / "d"), tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "c-images-idx3-ubyte"]
    found = {read_data(path).fingerprint for path in paths}
    found.add(twofold.as_dataset("e", pixels.astype(np.float32) / 255, words).fingerprint)
    assert len(found) == 1


def test_a_test_part_beside_the_other_is_the_test_part(tmp_path: Path) -> None:
    two_classes(tmp_path / "mine" / "train")
    picture(tmp_path / "mine" / "test" / "light" / "a.png", color=255)
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.random((6, 3, 4)),
        "y_train": np.arange(6) % 2,
        "x_test": np.ones((1, 3, 4)),
        "y_test": [1],
    }
    np.savez(tmp_path / "a.npz", **arrays)
    for name, part in (("train", "train"), ("t10k", "test")):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes((255 * arrays[f"x_{part}"]).astype(np.uint8)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array(arrays[f"y_{part}"], np.uint8)))
    second = table(tmp_path / "second.csv", ["30,red,0.5,yes"])
    found = [
        read_data(tmp_path / "mine"),
        read_data(tmp_path / "mine" / "train", test=tmp_path / "mine" / "test"),
        read_data(tmp_path / "a.npz"),
        read_data(tmp_path / "train-images-idx3-ubyte"),
        read_data(table(tmp_path / "a.csv"), label="bought", test=second),
    ]
    assert [len(data.test_labels) for data in found] == [1] * 5
    assert all(data.test_labels.tolist() == [1] for data in found)
    assert all(data.test_images.eq(1).all() for data in found[:4])
    assert all(data.source and data.source.test_share is None for data in found)


def test_the_split_is_that_share_of_every_class_and_the_seed_decides_it() -> None:
    labels = np.repeat(np.arange(4), [50, 10, 2, 1])
    train, test = stratified(labels, 0.2, 0, "here")
    assert np.bincount(labels[test], minlength=4).tolist() == [10, 2, 1, 0]
    assert sorted([*train, *test]) == list(range(63))
    again, other = stratified(labels, 0.2, 0, "here"), stratified(labels, 0.2, 1, "here")
    assert np.array_equal(again[1], test)
    assert not np.array_equal(np.sort(other[1]), np.sort(test))
    halves = np.repeat([0, 1], 50)
    assert set(halves[stratified(halves, 0.2, 0, "here")[0][-10:]]) == {0, 1}  # the last ones can be held out


def test_a_table_is_standardized_by_its_training_part_and_texts_become_one_number_each(tmp_path: Path) -> None:
    rows = [*ROWS, "90,red,0.5,yes"]
    data = read_data(table(tmp_path / "a.csv", rows), label="bought")
    prepared = data.preparation
    assert prepared is not None
    assert (prepared.columns, prepared.categories) == (("age", "color", "size"), {"color": ("blue", "red")})
    train = data.train_images.flatten(1).double().numpy()
    np.testing.assert_allclose(train[:, [0, 3]].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train[:, [0, 3]].std(0), 1, atol=1e-6)
    assert sorted(map(tuple, train[:, 1:3].tolist())) == sorted([(1.0, 0.0)] * 4 + [(0.0, 1.0)] * (len(train) - 4)) or (
        set(map(tuple, train[:, 1:3].tolist())) == {(1.0, 0.0), (0.0, 1.0)}
    )
    raw = train[:, 0] * prepared.scale[0] + prepared.mean[0]
    held = data.test_images.flatten(1)[:, 0].double().numpy() * prepared.scale[0] + prepared.mean[0]
    np.testing.assert_allclose(sorted([*raw, *held]), [*range(20, 32), 90], atol=1e-4)
    assert not np.isclose(prepared.mean[0], np.mean([*raw, *held]))


def test_a_column_that_never_changes_is_zero_and_not_divided_by_nothing() -> None:
    prepared = Preparation.fitted({"a": np.full(5, 0.1), "b": np.arange(5.0)}, ("x", "y"))
    assert prepared.scale[0] == 1
    assert prepared.table({"a": [0.1], "b": [2.0]}).flatten().tolist() == [0, 0]


def test_a_preparation_and_a_source_survive_json() -> None:
    prepared = Preparation.fitted({"a": np.arange(5.0), "c": np.array(["u", "v"] * 2 + ["u"])}, ("x", "y"))
    assert Preparation.from_json(json.loads(json.dumps(prepared.to_json()))) == prepared
    source = Source("/a", "folder", None, (3, 4), "/b", None, 7, True)
    assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source


def test_a_parquet_file_is_the_table_that_a_csv_is(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = table(tmp_path / "a.csv")
    pandas.read_csv(path).to_parquet(tmp_path / "a.parquet")
    csv, parquet = (read_data(each, label="bought") for each in (path, tmp_path / "a.parquet"))
    assert (csv.fingerprint, csv.preparation) == (parquet.fingerprint, parquet.preparation)
    frame = pandas.read_csv(path)
    arrays = twofold.as_dataset("a", frame.drop(columns="bought"), frame["bought"], table=True)
    assert (csv.fingerprint, csv.preparation) == (arrays.fingerprint, arrays.preparation)


@pytest.mark.parametrize("text", ["\ufeffa;b\n1;x\n2;y\n", 'a,b\n1,"x"\n\n2,y\n', "a\tb\r\n1\tx\r\n2\ty\r\n"])
def test_a_table_of_text_may_have_other_separators_quotes_and_line_ends(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    found = tables.read_table(tmp_path / "a.csv")
    assert {name: values.tolist() for name, values in found.items()} == {"a": ["1", "2"], "b": ["x", "y"]}


def test_pictures_stored_in_color_are_grey_where_all_are_and_three_channels_where_one_is_not(tmp_path: Path) -> None:
    for number in range(4):
        for name in ("dark", "light"):
            picture(tmp_path / "a" / name / f"{number}.png", color=(number,) * 3, mode="RGB")
    assert read_data(tmp_path / "a").shape == (1, 8, 8)
    picture(tmp_path / "a" / "light" / "9.png", color=(9, 8, 7), mode="RGB")
    data = read_data(tmp_path / "a")
    assert data.shape == (3, 8, 8)
    assert cases_of(data)[(np.full((3, 8, 8), 2 / 255, np.float32).tobytes(), "dark")] == 1
    red = np.broadcast_to(np.float32([[[9]], [[8]], [[7]]]) / np.float32(255), (3, 8, 8))
    assert cases_of(data)[(red.tobytes(), "light")] == 1


def test_pictures_of_many_sizes_are_scaled_to_one(tmp_path: Path) -> None:
    picture(two_classes(tmp_path / "a") / "dark" / "9.png", (30, 20), color=51)
    assert read_data(tmp_path / "a", size=(6, 4)).shape == (1, 4, 6)
    assert read_data(tmp_path / "a", size=5).shape == (1, 5, 5)
    assert cases_of(read_data(tmp_path / "a", size=5))[(np.full((1, 5, 5), 0.2, np.float32).tobytes(), "dark")] == 1


def test_pictures_that_cannot_be_read_are_left_out_where_that_is_asked_for_and_named(tmp_path: Path) -> None:
    whole = cases_of(read_data(two_classes(tmp_path / "a")))
    (tmp_path / "a" / "dark" / "x.png").write_bytes(b"no picture")
    with pytest.warns(Remark, match=r"1 of 9 pictures .* dark/x.png"):
        assert cases_of(read_data(tmp_path / "a", skip_unreadable=True)) == whole


def test_files_that_are_no_pictures_and_hidden_ones_are_not_looked_at(tmp_path: Path) -> None:
    whole = cases_of(read_data(two_classes(tmp_path / "a")))
    for name in ("notes.txt", ".hidden.png", "Thumbs.db"):
        (tmp_path / "a" / "dark" / name).write_bytes(b"no picture")
    (tmp_path / "a" / ".cache").mkdir()
    assert cases_of(read_data(tmp_path / "a")) == whole


def test_what_was_read_is_said_in_a_line_with_classes_of_very_different_sizes(tmp_path: Path) -> None:
    rows = [f"{number},{'rare' if number < 4 else 'usual'}" for number in range(40)]
    data = read_data(table(tmp_path / "a.csv", rows, "x,kind"), label="kind", test_share=0.25, seed=3)
    assert description(data) == (
        "a: 40 rows of 1 columns, 2 classes; 30 to train, 10 to test (25 % of each class, split seed 3); class sizes "
        "range from 3 (rare) to 27 (usual) cases: always predicting usual has a test error of 10.0 %"
    )


def test_an_unknown_category_is_none_of_the_known_ones_and_named() -> None:
    prepared = Preparation.fitted({"c": np.array(["u", "v"])}, ("x", "y"))
    with pytest.warns(Remark, match="column 'c' has values that did not occur in training: w"):
        assert prepared.table({"c": ["w", "v"]}).flatten(1).tolist() == [[0, 0], [0, 1]]


# ---- what is refused ---------------------------------------------------------------------------------------------

Make = Callable[[Path], Any]


def csv_of(rows: list[str], head: str = "age,color,size,bought", missing: str = "refuse") -> Make:
    return lambda root: read_data(table(root / "a.csv", rows, head), label="bought", missing=missing)


def folder_with(change: Callable[[Path], object], **options: Any) -> Make:
    def make(root: Path) -> Dataset:
        change(two_classes(root / "a"))
        return read_data(root / "a", **options)

    return make


def npz_of(**arrays: Any) -> Make:
    def make(root: Path) -> Dataset:
        np.savez(root / "a.npz", **arrays)
        return read_data(root / "a.npz", missing="refuse")

    return make


def file_of(name: str, content: bytes, **options: Any) -> Make:
    def make(root: Path) -> Dataset:
        (root / name).write_bytes(content)
        return read_data(root / name, **options)

    return make


def pair(root: Path) -> Dataset:
    (root / "x-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((3, 2, 2), np.uint8)))
    (root / "x-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(2, np.uint8)))
    return read_data(root / "x-images-idx3-ubyte")


def unlike_test(root: Path) -> Dataset:
    return folder_with(lambda a: picture(root / "t" / "other" / "1.png"), test=root / "t")(root)


X, Y = np.zeros((4, 2, 2), np.uint8), [0, 1, 0, 1]

BAD: dict[str, tuple[Make, list[str]]] = {
    "no such path": (lambda root: read_data(root / "none"), ["none does not exist"]),
    "an unknown kind": (file_of("a.docx", b"x"), ["a.docx has an unsupported file type"]),
    "an empty folder": (read_data, ["has no folders in it", "each class into a folder"]),
    "no class folders": (lambda root: read_data(picture(root / "1.png").parent), ["pictures but no folders in it"]),
    "a folder around all": (
        lambda root: read_data(two_classes(root / "mine" / "photos").parent),
        ["mine contains a single folder, photos, with folders in it: give", "mine/photos"],
    ),
    "a class without pictures": (folder_with(lambda a: (a / "new").mkdir()), ["new has no picture"]),
    "no picture": (
        folder_with(lambda a: (a / "dark" / "x.png").write_bytes(b"x")),
        ["dark/x.png cannot be read as a picture", "--skip-unreadable"],
    ),
    "no class is left": (
        folder_with(lambda a: ((a / "new").mkdir(), (a / "new" / "x.png").write_bytes(b"x")), skip_unreadable=True),
        ["no picture of the class new can be read"],
    ),
    "a picture bomb": (folder_with(lambda a: bomb(a / "dark" / "x.png")), ["dark/x.png cannot be read", "bomb"]),
    "many sizes": (folder_with(lambda a: picture(a / "light" / "x.png", (9, 7))), ["9 x 7", "8 x 8", "--size 8x8"]),
    "one class": (lambda root: read_data(picture(root / "a" / "b" / "1.png").parent.parent), ["one class only, b"]),
    "a class that is only tested": (unlike_test, ["the class 'other'", "training part does not have"]),
    "a share of what is there": (
        lambda root: read_data(two_classes(root / "train").parent, test=two_classes(root / "t"), test_share=0.1),
        ["give either --test or --test-share, not both"],
    ),
    "a size for a table": (
        lambda root: read_data(table(root / "a.csv"), label="bought", size=3),
        ["expected 9 for pictures of 3 x 3"],
    ),
    "a label for a folder": (lambda root: read_data(two_classes(root), label="x"), ["--label is for a table"]),
    "another kind to test": (
        lambda root: read_data(two_classes(root / "a"), test=table(root / "b.csv")),
        ["b.csv is a table, expected a folder of pictures like"],
    ),
    "no label": (lambda root: read_data(table(root / "a.csv")), ["name the column of its labels with --label"]),
    "a missing label": (lambda root: read_data(table(root / "a.csv"), label="Bougth"), ["did you mean 'bought'?"]),
    "a broken row": (csv_of([*ROWS[:3], "1,2", *ROWS[3:]]), ["a.csv is malformed in line 5", "2 values, expected 4"]),
    "an open quote": (csv_of([*ROWS, '1,"red,2,yes']), ["a.csv is malformed in line 14"]),
    "a text among numbers": (csv_of([*ROWS, "old,red,1,yes"]), ["column 'age' has 'old' in row 13, expected a number"]),
    "an empty cell": (csv_of([*ROWS[:2], ",red,1,yes", *ROWS[2:]]), ["column 'age' has no number in row 3"]),
    "NaN": (csv_of([*ROWS, "nan,red,1,yes"]), ["column 'age' has no number in row 13"]),
    "infinity": (csv_of([*ROWS, "inf,red,1,yes"]), ["column 'age' has an infinite number in row 13"]),
    "an empty text": (csv_of([*ROWS, "1,,1,yes"]), ["column 'color' has no value in row 13"]),
    "no label in a row": (csv_of([*ROWS, "1,red,1,"]), ["column 'bought' has no value in row 13"]),
    "names in a column": (
        csv_of([f"{n % 7},person {n},1,{'yes' if n % 2 else 'no'}" for n in range(200)]),
        ["column 'color' has a different text in each row", "remove the column"],
    ),
    "numbers to predict": (csv_of([f"1,red,1,{n}.5" for n in range(9)]), ["9 different values in 9 rows"]),
    "one class in a table": (csv_of([row.replace("yes", "no") for row in ROWS]), ["one class only, no"]),
    "a name twice": (csv_of(ROWS, "age,age,size,bought"), ["the column 'age' twice"]),
    "no names": (csv_of(["1,2,3,4"], "1,2,3,4"), ["has '1' in its first line, expected the names"]),
    "no rows": (csv_of([]), ["has no rows"]),
    "nothing": (file_of("a.csv", b"", label="x"), ["has no rows"]),
    "no text": (file_of("a.csv", b"a,b\n\xff\xfe,1\n", label="b"), ["not UTF-8 text"]),
    "numbers too large": (csv_of(["1e300,red,1,yes", "-1e300,red,1,no"] * 3), ["column 'age' are too large"]),
    "no Parquet": (file_of("a.parquet", b"x", label="b"), ["a.parquet cannot be read as Parquet"]),
    "missing arrays": (npz_of(x_train=X), ["has no array 'y_train'", "x_train"]),
    "a missing test array": (npz_of(x_train=X, y_train=Y, x_test=X), ["has no array 'y_test'"]),
    "arrays of other names": (npz_of(a=X), ["has no array 'x_train': it has a"]),
    "pickled objects": (npz_of(x=np.array([{}, []], dtype=object), y=Y), ["a.npz", "pickled objects"]),
    "no archive": (file_of("a.npz", b"x"), ["a.npz cannot be read as arrays"]),
    "labels for others": (npz_of(x=X, y=[0, 1]), ["a.npz, y has the shape (2,)", "the 4 cases"]),
    "a single case": (npz_of(x=1.0, y=Y), ["a.npz, x is a single value", "one entry for each case"]),
    "a single label": (npz_of(x=X, y=1), ["a.npz, y is a single value", "one entry for each case"]),
    "four channels": (npz_of(x=np.zeros((4, 4, 8, 8)), y=Y), ["4 channels, expected 1 or 3"]),
    "NaN in pictures": (npz_of(x=np.where(np.arange(4) == 2, np.nan, X.T).T, y=Y), ["NaN", "first in case 2"]),
    "NaN in rows": (npz_of(x=[[1.0], [np.nan], [1.0], [1.0]], y=Y), ["column 'x0' has no number in row 2"]),
    "bytes as numbers": (npz_of(x=X + 255.0, y=Y), ["expected 0 to 1", "divide bytes by 255"]),
    "no labels": (file_of("x-images-idx3-ubyte", idx_bytes(X)), ["no file of labels", "x-labels-idx1-ubyte"]),
    "half an IDX file": (
        lambda root: (file_of("x-images-idx3-ubyte", idx_bytes(X)), (root / "x-labels-idx1-ubyte").write_bytes(b"\0"))[
            0
        ](root),
        ["x-labels-idx1-ubyte", "give a complete file"],
    ),
    "fewer labels": (pair, ["3 images", "2 labels"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_of_ones_own_are_refused_in_one_line_that_names_the_place(tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    said = refusal(TwofoldError, lambda: make(tmp_path))
    for word in words:
        assert word in said


def test_a_table_whose_columns_changed_is_refused_and_one_with_more_of_them_is_not() -> None:
    prepared = Preparation.fitted({"age": np.arange(3.0), "size": np.arange(3.0)}, ("x", "y"))
    said = refusal(DataError, lambda: prepared.table(np.zeros((2, 3)), "a.csv"))
    assert "a.csv has 3 columns, expected the 2 of the training: age, size" in said
    assert "did you mean 'Age'?" in refusal(DataError, lambda: prepared.table({"Age": [1], "size": [1]}))
    assert prepared.table({"size": [1], "other": [9], "age": [2]}).flatten().tolist() == pytest.approx([1.2247449, 0])


def test_more_pictures_than_memory_holds_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_classes(tmp_path / "a")
    room = 7 * 8 * 8 * 8
    monkeypatch.setattr(machine, "free_memory", lambda device: max(room, 16 * 8 * 8))
    assert read_data(tmp_path / "a").shape == (1, 8, 8)
    monkeypatch.setattr(machine, "free_memory", lambda device: room - 1)
    said = refusal(DataError, lambda: read_data(tmp_path / "a"))
    assert "8 pictures of 8 x 8 take" in said
    assert "--size" in said
    said = refusal(DataError, lambda: read_data(table(tmp_path / "a.csv", ROWS * 30), label="bought"))
    assert "memory" in said


def test_arrays_of_tables_with_names_become_a_data_set() -> None:
    frame = {"age": [20, 30, 40, 50], "color": ["red", "blue", "red", "red"]}
    data = twofold.as_dataset("own", frame, [0, 1, 0, 1], frame, [0, 1, 0, 1], names=["no", "yes"], table=True)
    assert (data.names, data.shape, data.classes) == (("no", "yes"), (1, 1, 3), 2)
    expected = (np.array(frame["age"]) - 35) / np.std(frame["age"])
    np.testing.assert_allclose(data.train_images[:, 0, 0, 0], expected, rtol=1e-6)
    assert torch.equal(data.train_images, data.test_images)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["a"]}, "1 names for 2 classes"),
        ({"test_share": 1.0}, "test_share is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"train_labels": [0, 1]}, "4 cases and 2 labels"),
        ({"train_labels": [0, 1, 2, 3], "classes": 4}, "one case of each class"),
        ({"train_labels": ["a", "b", "a", "b"], "names": ["a", "c"]}, "the class 'b'"),
    ],
)
def test_arrays_that_cannot_be_split_or_named_are_refused(change: dict[str, Any], words: str) -> None:
    given = {"train_images": np.zeros((4, 3)), "train_labels": [0, 1, 0, 1], "classes": 2}
    assert words in refusal(TwofoldError, lambda: twofold.as_dataset("own", **(given | change)))
