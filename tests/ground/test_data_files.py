"""Data files: a format is read as it is documented, what is damaged is refused, and places are tried in their order.

Oracle: files of the tests' own making. Were one of these to fail, a net would be trained on bytes that are no images.
"""

from __future__ import annotations

import gzip
import os
import pwd
import signal
import socket
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from support.data_files import FAKE, GOOD, cifar_contents, contents_of, digest, idx_bytes, random_idx, refusal, write
from twofold.data import DATASETS, fetch, load
from twofold.data.idx import read_idx
from twofold.data.origins import CIFAR10_FILES, IDX_FILES, ORIGINS
from twofold.errors import DataError, Remark

pytestmark = [pytest.mark.usefixtures("cache"), FAKE]

CACHE_FOLDER = platformdirs.user_cache_dir
FETCHED = sorted(ORIGINS)
"""The data sets that lie in files."""

FILES = [(name, file) for name in FETCHED for file in ORIGINS[name].files]


@pytest.fixture
def in_time() -> Iterator[None]:
    """A test that would hang fails after five seconds."""

    def late(*_: object) -> None:
        raise AssertionError("this never ends")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# Oracle: the file formats --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda b: gzip.compress(b[:20]) + gzip.compress(b[20:])])
def test_an_idx_file_gives_back_what_was_written(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path, 3), array)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "nothing"),
        (b"<html>404</html>", "not an IDX file"),
        (GOOD[:9], "header"),
        (GOOD[:-1], "45 bytes, expected 46"),
        (GOOD + b"\0", "more than the 46 bytes"),
        (gzip.compress(GOOD[:-1]), "45 bytes, expected 46"),
        (gzip.compress(GOOD + b"\0"), "more than the 46 bytes"),
        (gzip.compress(GOOD) + bytes(1 << 17), "more than the 46 bytes"),
        (idx_bytes(np.zeros((2, 3, 5), np.uint8), code=0x0D), "0x0d"),
        (idx_bytes(np.zeros(30, np.uint8)), "1 dimensions, expected 3"),
        (GOOD[:4] + struct.pack(">3I", *3 * [2**32 - 1]) + GOOD[16:], "of memory are free"),
        (GOOD[:4] + struct.pack(">3I", 1000, 1000, 100) + GOOD[16:], "46 bytes, expected 100000016"),
    ],
    ids=[
        *("empty", "page", "header", "cut", "too long", "packed cut", "packed too long", "packed with zeros after it"),
        *("type", "dimensions", "huge", "larger than it is"),
    ],
)
def test_a_damaged_idx_file_is_refused_with_its_name_and_the_way_out(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    message = refusal(DataError, lambda: read_idx(path, 3, "mnist"))
    for part in (word, str(path), "delete it and run `twofold data get mnist`"):
        assert part in message


def test_a_missing_idx_file_is_refused_with_its_name(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refusal(DataError, lambda: read_idx(tmp_path / "none", 3))


def images(*shape: int) -> bytes:
    """The header of images of so many cases, rows and columns."""
    return bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (random_idx(side=20), ["20 x 20 pixels, expected 28 x 28", "it is not mnist"]),
        ({IDX_FILES[1]: idx_bytes(np.zeros(5, np.uint8))}, ["6 images and 5 labels"]),
        ({IDX_FILES[0]: images(4_000_000, 28, 28)}, ["4000000 cases, expected 60000", "it is not mnist"]),
        ({IDX_FILES[0]: images(1, 2**32 - 1, 2**32 - 1)}, ["4294967295 x 4294967295 pixels, expected 28 x 28"]),
        ({IDX_FILES[2]: images(7, 28, 28) + bytes(6 * 784)}, ["4720 bytes, expected 5504", "delete it"]),
    ],
    ids=["size", "labels", "cases", "absurd", "fewer than the header says"],
)
def test_mnist_files_that_cannot_be_mnist_are_refused(
    tmp_path: Path, changes: dict[str, bytes], words: list[str]
) -> None:
    message = refusal(DataError, lambda: load("mnist", write(tmp_path, random_idx() | changes), download=False))
    for word in words:
        assert word in message


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
    ("damage", "word"),
    [(lambda b: b[:-1], "6145 bytes"), (lambda b: b"\x0b" + b[1:], "label 11"), (lambda b: b"", "has 0 bytes")],
)
def test_a_damaged_cifar10_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], word: str) -> None:
    contents = cifar_contents()
    contents["data_batch_2.bin"] = damage(contents["data_batch_2.bin"])
    message = refusal(DataError, lambda: load("cifar10", write(tmp_path, contents), download=False))
    for part in (word, "data_batch_2.bin", "twofold data get cifar10"):
        assert part in message


# Oracle: what lies in the place of a file ----------------------------------------------------------------------------


def flipped(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[14] ^= 0xFF
    return bytes(packed)


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(here)


FAULTS: dict[str, tuple[Callable[[Path, bytes], object], str]] = {
    "a pipe": (lambda path, _: os.mkfifo(path), "is a pipe, expected a file"),
    "a folder": (lambda path, _: path.mkdir(), "is a folder, expected a file"),
    "a device": (lambda path, _: path.symlink_to("/dev/zero"), "is a device, expected a file"),
    "a socket": (lambda path, _: a_socket(path), "is a socket, expected a file"),
    "a link to itself": (lambda path, _: path.symlink_to(path.name), "cannot be accessed"),
    "a cut gzip": (lambda path, content: path.write_bytes(gzip.compress(content)[:-9]), "cannot be read"),
    "a damaged gzip": (lambda path, content: path.write_bytes(flipped(content)), "cannot be read"),
    "a gzip of another length": (lambda path, content: path.write_bytes(gzip.compress(content)[:-4] + b"size"), "read"),
    "a gzip and more": (lambda path, content: path.write_bytes(gzip.compress(content) + b"trailing"), "cannot be read"),
    "a cut file": (lambda path, content: path.write_bytes(content[:-1]), "bytes, expected"),
    "nothing": (lambda path, _: path.write_bytes(b""), "delete it"),
}
"""What can lie where a data file should, how it comes there, and what must be said of it."""


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", FETCHED)
@pytest.mark.usefixtures("in_time")
def test_what_is_no_data_file_is_refused_in_one_line_and_hangs_nothing(
    tmp_path: Path, name: str, fault: str, suffix: str
) -> None:
    contents = contents_of(name)
    place = write(tmp_path / name, contents)
    file = sorted(contents)[len(fault) % len(contents)]
    (place / file).unlink()
    put, word = FAULTS[fault]
    put(place / f"{file}{suffix}", contents[file])
    message = refusal(DataError, lambda: load(name, tmp_path, download=False))
    assert word in message
    assert str(place / f"{file}{suffix}") in message


def bomb(name: str, file: str) -> bytes:
    """A small gzip file: the beginning of the official one, as its header says it, and 300 MB of zeros."""
    shape = ORIGINS[name].shapes[file]
    head = b"" if name == "cifar10" else bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return gzip.compress(head) + 30 * ZEROS


ZEROS = gzip.compress(bytes(10_000_000), 1)


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.usefixtures("in_time")
def test_no_more_is_unpacked_than_the_official_file_has(tmp_path: Path, name: str, file: str) -> None:
    """A file of 2 MB is 300 MB when it is unpacked, and could be 3 GB."""
    write(tmp_path / name, contents_of(name))
    (tmp_path / name / f"{file}.gz").write_bytes(bomb(name, file))
    tracemalloc.start()
    message = refusal(DataError, lambda: load(name, tmp_path, download=False))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"{file}.gz has more than the" in message
    assert taken < 1.2 * ORIGINS[name].most(file) + 5e6


# Oracle: what is official --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_that_is_not_the_official_one_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    contents = contents_of(name)
    digests = {each: digest("sha256", content) for each, content in contents.items()}
    monkeypatch.setitem(ORIGINS, name, replace(ORIGINS[name], digests=digests))
    place = write(tmp_path / name, contents)
    assert load(name, tmp_path, download=False).official
    changed = bytearray(contents[file])
    changed[-1] ^= 1  # a pixel, or a label, which stays below 10
    (place / file).write_bytes(changed)
    with pytest.warns(Remark) as said:
        assert not load(name, tmp_path, download=False).official
    [line] = [str(one.message) for one in said]
    assert "\n" not in line
    for word in (f" {file} (", " cases)", str(place), f"twofold data get {name}"):
        assert word in line
    for other in set(contents) - {file}:
        assert f" {other}" not in line


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("mnist", random_idx(), r"train-images-idx3-ubyte \(6 of 60000 cases\), .*ubyte \(4 of 10000 cases\)"),
        ("fashion-mnist", random_idx(), r"train-images-idx3-ubyte \(6 of 60000 cases\), .*ubyte \(4 of 10000 cases\)"),
        ("cifar10", cifar_contents(3), rf"{CIFAR10_FILES[0]} \(3 of 10000 cases\)"),
    ],
)
def test_a_data_set_cut_by_whole_records_says_how_many_there_are(
    tmp_path: Path, name: str, contents: dict[str, bytes], words: str
) -> None:
    write(tmp_path / name, contents)
    with pytest.warns(Remark, match=words):
        load(name, tmp_path, download=False)


# Oracle: where files are looked for ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* does not contain all files of mnist:twofold.errors.Remark")
def test_the_given_folder_goes_before_the_environment_and_that_before_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "given", tmp_path / "environment", cache]
    for place in places:
        place.mkdir()
    monkeypatch.setenv("TWOFOLD_DATA", str(places[1]))
    prints = []
    for seed in (2, 1, 0):  # the cache is filled first, the given folder last: each new one must win
        write(places[seed] / "mnist", random_idx(seed))
        prints.append(load("mnist", places[0], download=False).fingerprint)
    expected = [load("mnist", place / "mnist", download=False).fingerprint for place in reversed(places)]
    assert prints == expected
    assert len(set(prints)) == 3


@pytest.mark.parametrize("name", FETCHED)
def test_a_folder_that_lacks_the_data_is_named_when_others_are_used(tmp_path: Path, cache: Path, name: str) -> None:
    write(cache / name, contents_of(name))
    (tmp_path / "given").mkdir()
    with pytest.warns(Remark, match=rf"given does not contain all files of {name}: reading them from {cache / name}"):
        load(name, tmp_path / "given")


@pytest.mark.parametrize("name", sorted(DATASETS))
@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("nowhere", "does not exist"),
        ("a-file", "is not a folder"),
        ("~nobody-of-that-name/data", "cannot be resolved"),
        (300 * "x", "cannot be accessed"),
    ],
    ids=["nowhere", "a file", "no home", "long"],
)
def test_a_data_folder_that_does_not_exist_is_told_and_no_other_is_used(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    if name in FETCHED:
        write(cache / name, contents_of(name))
    message = refusal(DataError, lambda: load(name, place))
    assert message.startswith(f"--data-dir {place} {found}")
    if name in FETCHED:
        monkeypatch.setenv("TWOFOLD_DATA", place)
        assert refusal(DataError, lambda: load(name)).startswith(f"TWOFOLD_DATA {place} {found}")


def test_mnist_files_directly_in_a_folder_are_not_taken_for_fashion_mnist(tmp_path: Path) -> None:
    write(tmp_path, random_idx())
    assert len(load("mnist", tmp_path, download=False).train_labels) == 6
    assert "fashion-mnist is not in" in refusal(DataError, lambda: load("fashion-mnist", tmp_path, download=False))


@pytest.mark.parametrize("name", FETCHED)
def test_missing_data_say_where_was_looked_and_how_to_get_them(name: str, tmp_path: Path, cache: Path) -> None:
    message = refusal(DataError, lambda: load(name, tmp_path, download=False))
    for part in (str(tmp_path), str(cache), f"twofold data get {name}", "--data-dir", "TWOFOLD_DATA"):
        assert part in message


@pytest.mark.parametrize("how", ["nameless", "RuntimeError", "KeyError"])
@pytest.mark.parametrize("name", FETCHED)
def test_without_a_home_folder_data_are_found_where_they_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    def nobody(*_: object) -> str:
        raise KeyError("uid not found") if how != "RuntimeError" else RuntimeError("no home")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch.platformdirs, "user_cache_dir", CACHE_FOLDER if how == "nameless" else nobody)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    write(tmp_path / "data" / name, contents_of(name))
    assert load(name, tmp_path / "data").name == name
    for download in (True, False):
        assert "--data-dir" in refusal(DataError, lambda download=download: load(name, download=download))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
