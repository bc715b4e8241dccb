"""Tables: their preparation, all of their problems at once, pixels in columns, lists of pictures, packed files.

Oracles: scikit-learn's ColumnTransformer; the arrays from which the files were written; the documented contract.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import twofold
from support.data_files import refusal
from support.own_files import ROWS, digit_pictures, table
from twofold.data import read_data
from twofold.data.preparation import Preparation
from twofold.data.tables import read_table
from twofold.errors import DataError, Remark, SettingError

RNG = np.random.default_rng(0)


def mixed(cases: int, holes: bool) -> dict[str, np.ndarray[Any, Any]]:
    """A table with two columns of numbers and one of texts, with missing values or without."""
    frame: dict[str, Any] = {
        "age": RNG.normal(40, 9, cases),
        "color": RNG.choice(["blue", "green", "red"], cases).astype(object),
        "size": RNG.integers(0, 9, cases).astype(float),
    }
    if holes:
        frame["age"][::5] = np.nan
        frame["color"][::7] = None
    return frame


# ---- preparation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holes", [False, True], ids=["complete", "with missing values"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore::twofold.errors.Remark")
def test_the_features_are_those_of_the_column_transformer_of_scikit_learn(holes: bool, kind: Any) -> None:
    frame, new = mixed(60, holes), mixed(20, holes)
    for columns in (frame, new):
        columns["age"] = columns["age"].astype(kind)
    labels = np.arange(60) % 2
    data = twofold.as_dataset("own", frame, labels, new, np.arange(20) % 2, table=True)
    numbers = np.stack([frame["age"], frame["size"]], 1).astype(float)
    texts = np.where(frame["color"] == None, "", frame["color"])[:, None]  # noqa: E711
    peer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1]),
            ("texts", OneHotEncoder(sparse_output=False), [2]),
        ]
    )
    peer.fit(np.concatenate([numbers.astype(object), texts], 1))
    raw = np.stack([new["age"].astype(float), new["size"]], 1).astype(object)
    expected = peer.transform(np.concatenate([raw, np.where(new["color"] == None, "", new["color"])[:, None]], 1))  # noqa: E711
    features = data.test_images[:, 0, 0].numpy()
    marks = 1 if holes else 0
    ours = np.concatenate([features[:, [0, -1]], features[:, 1 + marks : -1]], 1)
    np.testing.assert_allclose(ours, expected.astype(float), atol=1e-5)
    if holes:
        np.testing.assert_array_equal(features[:, 1], np.isnan(new["age"]))
    assert data.preparation is not None
    assert Preparation.from_json(json.loads(json.dumps(data.preparation.to_json()))) == data.preparation


def test_missing_values_are_said_and_refused_where_that_is_asked_for(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", [*ROWS * 3, ",red,1,yes", "30,,?,no", "31,red,NA,no"])
    with pytest.warns(Remark, match=r"missing training values in .*'age' .*a missing number is replaced by the median"):
        data = read_data(path, label="bought", test_share=0.1, seed=2)
    assert data.train_images.isfinite().all()
    assert data.preparation is not None
    message = refusal(DataError, lambda: read_data(path, label="bought", missing="refuse"))
    assert "column 'age' has no number in row 37" in message
    assert "column 'color' has no value in row 38" in message
    assert "column 'size' has no number in row 38 and in 1 others" in message
    wrong = lambda: twofold.as_dataset("own", {"a": [1]}, [0], table=True, missing="drop")  # noqa: E731
    assert "unknown value of missing 'drop'" in refusal(SettingError, wrong)


def test_a_preparation_of_an_older_run_refuses_missing_values() -> None:
    stored = Preparation.fitted({"a": np.arange(5.0)}, ("x", "y")).to_json()
    for name in ("medians", "indicators"):
        del stored[name]
    older = Preparation.from_json(stored)
    assert older.table({"a": [2.0]}).item() == 0
    assert "column 'a' has no number in row 2" in refusal(DataError, lambda: older.table({"a": [2.0, None]}))


def test_a_sparse_matrix_is_the_table_that_it_stands_for() -> None:
    rows = RNG.integers(0, 3, (40, 5)).astype(np.float32)
    labels = np.arange(40) % 2
    dense = twofold.as_dataset("own", rows, labels, table=True)
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        assert twofold.as_dataset("own", kind(rows), labels, table=True).fingerprint == dense.fingerprint


# ---- all problems at once ----------------------------------------------------------------------------------------


def test_all_problems_of_a_table_come_in_one_line(tmp_path: Path) -> None:
    rows = [f"{n},Person {n},{n % 50},T{n // 2},,{'old' if n == 7 else n % 40},{n % 2}" for n in range(300)]
    path = table(tmp_path / "a.csv", rows, "id,name,age,ticket,empty,years,bought")
    with pytest.warns(Remark, match="each row has a different value in 'id'"):
        message = refusal(DataError, lambda: read_data(path, label="bought"))
    for words in (
        "column 'name' has a different text in each row, such as 'Person 0'",
        "column 'ticket' has 150 different texts",
        "column 'empty' has no values: remove the column",
        "column 'years' has 'old' in row 8, expected a number",
    ):
        assert words in message
    assert message.count("remove the column or convert it to numbers") == 1


@pytest.mark.parametrize("missing", ["", "NaN"])
def test_a_column_of_few_texts_and_many_missing_values_has_categories(tmp_path: Path, missing: str) -> None:
    rows = [f"{n % 9},{f'C{n % 3}' if n % 4 == 0 else missing},{n % 2}" for n in range(48)]
    with pytest.warns(Remark, match="missing training values in 'cabin'"):
        data = read_data(table(tmp_path / "a.csv", rows, "x,cabin,y"), label="y")
    assert data.preparation is not None
    assert data.preparation.categories["cabin"] == ("", "C0", "C1", "C2")


# ---- files -------------------------------------------------------------------------------------------------------


def pixel_rows() -> tuple[list[str], np.ndarray[Any, Any], list[str]]:
    pixels, words = digit_pictures()
    return (
        [",".join([word, *map(str, picture.ravel())]) for picture, word in zip(pixels, words, strict=True)],
        pixels,
        words,
    )


def test_pixels_in_columns_are_pictures_where_that_is_asked_for(tmp_path: Path) -> None:
    rows, pixels, words = pixel_rows()
    path = table(tmp_path / "own.csv", rows, ",".join(["label", *(f"pixel{number}" for number in range(64))]))
    np.savez(tmp_path / "own.npz", x=pixels, y=words)
    expected = read_data(tmp_path / "own.npz").fingerprint
    assert read_data(path, label="label", pixels=True).fingerprint == expected
    assert read_data(path, label="label", size=8).fingerprint == expected
    assert read_data(path, label="label", size=(16, 4)).shape == (1, 4, 16)
    message = refusal(DataError, lambda: read_data(path, label="label", size=9))
    assert "64 columns besides the label, expected 81 for pictures of 9 x 9" in message
    with pytest.warns(Remark, match="look like the pixels of pictures: add --as pictures"):
        assert read_data(path, label="label").shape == (1, 1, 64)


def test_a_list_of_pictures_is_the_folder_that_it_names(tmp_path: Path) -> None:
    pixels, words = digit_pictures()
    lines = []
    for number, (pixel, word) in enumerate(zip(pixels, words, strict=True)):
        Image.fromarray(pixel).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{word}")
    np.savez(tmp_path / "own.npz", x=pixels, y=words)
    path = table(tmp_path / "own.csv", lines, "file,label")
    assert read_data(path).fingerprint == read_data(tmp_path / "own.npz").fingerprint
    assert read_data(path, label="label", size=4).shape == (1, 4, 4)
    table(path, [*lines, "gone.png,one"], "file,label")
    assert f"gone.png, which does not exist, in row {len(lines) + 1}" in refusal(DataError, lambda: read_data(path))
    with pytest.warns(Remark, match="skipped 1 of 61 pictures"):
        assert len(read_data(path, skip_unreadable=True).train_labels) == 50
    table(path, lines, "0.png,one")
    assert "'0.png' in its first line" in refusal(DataError, lambda: read_data(path))


@pytest.mark.parametrize("head", ["5.1,3.5,setosa", "1,2,3", "red,blue,7"])
def test_a_file_without_a_header_is_noticed(tmp_path: Path, head: str) -> None:
    values = head.split(",")
    path = table(tmp_path / "a.csv", [",".join(values), "1,2,3", "4,5,6"], head)
    assert "in its first line, expected the names of the columns" in refusal(DataError, lambda: read_table(path))


@pytest.mark.parametrize("head", ["2019,2020,y", "0,1,y", "a,b,c"])
def test_names_that_are_numbers_are_names(tmp_path: Path, head: str) -> None:
    assert list(read_table(table(tmp_path / "a.csv", ["1,0,3", "0,1,2019"], head))) == head.split(",")


@pytest.mark.parametrize("ending", [".csv.gz", ".tsv.gz", ".CSV.GZ"])
def test_a_packed_table_is_the_table(tmp_path: Path, ending: str) -> None:
    path = table(tmp_path / "a.csv")
    (tmp_path / f"a{ending}").write_bytes(gzip.compress(path.read_bytes()))
    packed, plain = (read_data(file, label="bought") for file in (tmp_path / f"a{ending}", path))
    assert (packed.name, packed.fingerprint) == (plain.name, plain.fingerprint)
    (tmp_path / f"a{ending}").write_bytes(gzip.compress(path.read_bytes())[:30])
    assert "cannot be read" in refusal(DataError, lambda: read_data(tmp_path / f"a{ending}", label="bought"))
