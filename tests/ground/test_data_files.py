"""Data files: a format is read as it is documented, what is damaged is refused, and places are tried in their order.

Oracle: files of the tests' own making. Were one of these to fail, a net would be trained on bytes that are no images.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_files import GOOD, cifar_contents, idx_bytes, random_idx, refusal, write
from twofold.data import DATASETS, fetch, load
from twofold.data.idx import read_idx
from twofold.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")


# Oracle: the file formats --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_an_idx_file_gives_back_what_was_written(tmp_path: Path, packed: bool) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path, 3), array)


FLIPPED = bytearray(gzip.compress(GOOD, mtime=0))
FLIPPED[14] ^= 0xFF


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "nothing"),
        (b"<html>404</html>", "no IDX file"),
        (GOOD[:9], "header"),
        (GOOD[:-1], "45 bytes, expected 46"),
        (GOOD + b"\0", "47 bytes, expected 46"),
        (idx_bytes(np.zeros((2, 3, 5), np.uint8), code=0x0D), "0x0d"),
        (idx_bytes(np.zeros(30, np.uint8)), "1 dimensions, expected 3"),
        (gzip.compress(GOOD)[:-9], "cannot be read"),
        (bytes(FLIPPED), "cannot be read"),
        (gzip.compress(GOOD) + b"trailing", "cannot be read"),
    ],
    ids=["empty", "page", "header", "truncated", "trailing", "type", "dimensions", "cut gz", "bad gz", "trailing gz"],
)
def test_a_damaged_idx_file_is_refused_with_its_name_and_the_way_out(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    message = refusal(DataError, lambda: read_idx(path, 3, "mnist"))
    for part in (word, str(path), "delete it and run `twofold data get mnist`"):
        assert part in message


def test_a_missing_idx_file_is_refused_with_its_name(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refusal(DataError, lambda: read_idx(tmp_path / "none", 3))


def test_images_of_another_size_or_without_labels_are_refused(tmp_path: Path) -> None:
    small = write(tmp_path / "small", random_idx(side=20))
    assert "20 x 20" in refusal(DataError, lambda: load("mnist", small, download=False))
    short = write(tmp_path / "short", random_idx() | {fetch.IDX_FILES[1]: idx_bytes(np.zeros(5, np.uint8))})
    assert "6 images and 5 labels" in refusal(DataError, lambda: load("mnist", short, download=False))


@pytest.mark.parametrize("below", ["cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "."])
def test_cifar10_planes_rows_and_batches_are_in_the_documented_order(tmp_path: Path, below: str) -> None:
    contents = cifar_contents()
    write(tmp_path / below, contents)
    data = load("cifar10", tmp_path, download=False)
    assert (len(data.train_labels), data.shape, data.official) == (10, (3, 32, 32), False)
    third, test = contents["data_batch_3.bin"], contents["test_batch.bin"]
    assert data.train_labels[5] == third[3073]
    assert data.train_images[5, 2, 7, 9] == np.float32(third[3073 + 1 + 2 * 1024 + 7 * 32 + 9]) / np.float32(255)
    assert data.test_labels[0] == test[0]


@pytest.mark.parametrize(
    ("damage", "word"), [(lambda b: b[:-1], "6145 bytes"), (lambda b: b"\x0b" + b[1:], "label 11")]
)
def test_a_damaged_cifar10_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], word: str) -> None:
    contents = cifar_contents()
    contents["data_batch_2.bin"] = damage(contents["data_batch_2.bin"])
    message = refusal(DataError, lambda: load("cifar10", write(tmp_path, contents), download=False))
    for part in (word, "data_batch_2.bin", "twofold data get cifar10"):
        assert part in message


# Oracle: where files are looked for ----------------------------------------------------------------------------------


def test_the_given_folder_goes_before_the_environment_and_that_before_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "given", tmp_path / "environment", cache]
    monkeypatch.setenv("TWOFOLD_DATA", str(places[1]))
    prints = []
    for seed in (2, 1, 0):  # the cache is filled first, the given folder last: each new one must win
        write(places[seed] / "mnist", random_idx(seed))
        prints.append(load("mnist", places[0], download=False).fingerprint)
    expected = [load("mnist", place / "mnist", download=False).fingerprint for place in reversed(places)]
    assert prints == expected
    assert len(set(prints)) == 3


def test_mnist_files_directly_in_a_folder_are_not_taken_for_fashion_mnist(tmp_path: Path) -> None:
    write(tmp_path, random_idx())
    assert len(load("mnist", tmp_path, download=False).train_labels) == 6
    assert "fashion-mnist is not in" in refusal(DataError, lambda: load("fashion-mnist", tmp_path, download=False))


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"digits"}))
def test_missing_data_say_where_was_looked_and_how_to_get_them(name: str, tmp_path: Path, cache: Path) -> None:
    message = refusal(DataError, lambda: load(name, tmp_path, download=False))
    for part in (str(tmp_path), str(cache), f"twofold data get {name}", "--data-dir", "TWOFOLD_DATA"):
        assert part in message
