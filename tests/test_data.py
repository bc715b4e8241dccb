"""Data sets: what is loaded is what was published, what is wrong is refused in one line, and jitter only shifts.

Were one of these to fail, a paper would report figures on other images, other labels or another split than it says.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from twofold.data import DATASETS, Dataset, as_dataset, digits, fetch, jitter, load
from twofold.data.idx import read_idx
from twofold.errors import DataError, SettingError, TwofoldError


def refusal(kind: type[TwofoldError], action: Callable[[], object]) -> str:
    """The message with which ``action`` is refused: always one line."""
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def random_idx(seed: int = 0, side: int = 28) -> dict[str, bytes]:
    """Well-formed contents of the four IDX files, of 6 and 4 random images."""
    rng = np.random.default_rng(seed)
    contents = []
    for cases in (6, 4):
        contents.append(idx_bytes(rng.integers(0, 256, (cases, side, side), dtype=np.uint8)))
        contents.append(idx_bytes(rng.integers(0, 10, cases, dtype=np.uint8)))
    return dict(zip(fetch.IDX_FILES, contents, strict=True))


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    return folder


def digest(algorithm: str, content: bytes) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, no data folder in the environment, and no way to a real mirror."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(fetch.platformdirs, "user_cache_dir", lambda _: str(folder))
    monkeypatch.delenv("TWOFOLD_DATA", raising=False)
    closed = {name: replace(origin, mirrors=("http://127.0.0.1:9/",)) for name, origin in fetch.ORIGINS.items()}
    monkeypatch.setattr(fetch, "ORIGINS", closed)
    return folder


def tiny(**changes: object) -> Dataset:
    parts: dict[str, object] = {
        "name": "tiny",
        "train_images": torch.linspace(0, 1, 5 * 2 * 3 * 4).view(5, 2, 3, 4),
        "train_labels": torch.tensor([0, 1, 2, 0, 1]),
        "test_images": torch.full((2, 2, 3, 4), 0.5),
        "test_labels": torch.tensor([2, 0]),
        "classes": 3,
        "official": False,
    }
    return Dataset(**(parts | changes))  # type: ignore[arg-type]


# Oracle: what was published ------------------------------------------------------------------------------------------

MNIST_ROOT = os.environ.get("TWOFOLD_DATA", "")


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    try:
        return load("mnist", MNIST_ROOT or None, download=False)
    except DataError as error:
        pytest.skip(f"needs MNIST: {error}")


def test_mnist_is_the_published_one(mnist: Dataset) -> None:
    assert mnist.official
    assert mnist.shape == (1, 28, 28)
    assert mnist.pixels == 784
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.train_labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.train_images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_images.std().item() == pytest.approx(0.3081, abs=5e-5)


def test_one_changed_pixel_makes_mnist_unofficial_but_it_is_loaded(mnist: Dataset, tmp_path: Path) -> None:
    pixels = (mnist.test_images * 255).round().to(torch.uint8)[:, 0].numpy()
    contents = random_idx()
    names = fetch.IDX_FILES
    published = idx_bytes(pixels)
    assert fetch.is_official(fetch.ORIGINS["mnist"], names[2], b"", published)
    pixels[77, 14, 14] ^= 1
    contents[names[2]] = idx_bytes(pixels)
    contents[names[3]] = idx_bytes(mnist.test_labels.to(torch.uint8).numpy())
    changed = load("mnist", write(tmp_path / "data", contents), download=False)
    assert not changed.official
    assert (changed.test_images != mnist.test_images).sum() == 1


def test_digits_are_all_of_scikit_learns_each_once() -> None:
    data = load("digits")
    raw = sklearn.datasets.load_digits()
    ours = torch.cat([data.train_images, data.test_images]).flatten(1).numpy() * 16
    labels = torch.cat([data.train_labels, data.test_labels]).numpy()
    assert sorted(map(tuple, np.c_[ours, labels])) == sorted(map(tuple, np.c_[raw.data, raw.target]))
    assert data.official


def test_digits_are_split_in_the_same_stratified_way_forever() -> None:
    data = load("digits")
    shares = data.test_labels.bincount() / torch.cat([data.train_labels, data.test_labels]).bincount()
    assert (len(data.train_labels), len(data.test_labels)) == (1438, 359)
    assert shares.sub(0.2).abs().max() < 0.005
    assert data.train_labels[-300:].bincount(minlength=10).min() >= 20  # shuffled: the end can be held out
    assert data.fingerprint == "801e5be85953e5a2fed91dada0b7cfc91894bffbe373d04a24acec7057264efb"


# Oracle: an independent, slow reference ------------------------------------------------------------------------------


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """``image (channels, height, width)`` moved, zeros shifted in, pixel by pixel."""
    moved = np.zeros_like(image)
    _, height, width = image.shape
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                moved[:, y, x] = image[:, y - down, x - right]
    return moved


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    reach=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_jitter_gives_every_image_one_of_the_allowed_shifts(
    shape: tuple[int, int, int, int], reach: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(shape, generator=generator) + 0.1
    before = images.clone()
    result = jitter(images, reach, generator)
    assert torch.equal(images, before)
    assert result.shape == images.shape
    reaches = range(-reach, reach + 1)
    for image, moved in zip(images.numpy(), result.numpy(), strict=True):
        assert any(np.array_equal(moved, shifted(image, down, right)) for down in reaches for right in reaches)


def test_jitter_takes_every_position_equally_often_and_each_image_its_own() -> None:
    images = torch.zeros(25_000, 1, 5, 5)
    images[:, 0, 2, 2] = 1
    landed = jitter(images, 2, torch.Generator().manual_seed(3)).sum(0).flatten()
    assert landed.sum() == 25_000
    chi_squared = ((landed - 1000) ** 2 / 1000).sum().item()
    assert chi_squared < 52  # 24 degrees of freedom: exceeded by chance once in a thousand


def test_jitter_repeats_with_the_seed_and_reach_zero_changes_and_draws_nothing() -> None:
    images = torch.rand(50, 1, 8, 8)
    once, again = (jitter(images, 2, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(once, again)
    generator = torch.Generator().manual_seed(7)
    assert jitter(images, 0, generator) is images
    assert torch.equal(jitter(images, 2, generator), once)


# Oracle: the documented contract of a data set -----------------------------------------------------------------------


def test_holding_out_takes_the_last_training_images_and_leaves_the_test_images_out() -> None:
    data = tiny(official=True)
    held = data.hold_out(2)
    assert torch.equal(held.train_images, data.train_images[:3])
    assert torch.equal(held.train_labels, data.train_labels[:3])
    assert torch.equal(held.test_images, data.train_images[3:])
    assert torch.equal(held.test_labels, data.train_labels[3:])
    assert (held.name, held.official, held.classes) == ("tiny", True, 3)


@pytest.mark.parametrize("count", [0, -1, 5])
def test_holding_out_nothing_or_everything_is_refused(count: int) -> None:
    assert "from 1 to 4" in refusal(SettingError, lambda: tiny().hold_out(count))


def test_the_fingerprint_changes_with_every_part_and_only_with_the_content() -> None:
    data = tiny()
    assert data.fingerprint == tiny(name="other", official=True).fingerprint == data.to("cpu").fingerprint
    others = [
        tiny(train_images=data.train_images.flip(0)),
        tiny(train_labels=data.train_labels.flip(0)),
        tiny(test_images=data.test_images * 0.5),
        tiny(test_labels=data.test_labels.flip(0)),
        tiny(train_images=data.train_images.view(5, 2, 4, 3), test_images=data.test_images.view(2, 2, 4, 3)),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_shape_and_pixels_are_those_of_one_image_and_memory_is_contiguous() -> None:
    last = tiny().train_images.permute(0, 2, 3, 1)
    data = tiny(train_images=last, test_images=torch.zeros(2, 3, 4, 2))
    assert data.shape == (3, 4, 2)
    assert data.pixels == 24
    assert data.train_images.is_contiguous()
    assert torch.equal(data.train_images, last)


@pytest.mark.parametrize(("shape", "expected"), [((4,), (1, 1, 4)), ((2, 3), (1, 2, 3)), ((3, 2, 2), (3, 2, 2))])
def test_arrays_of_every_documented_shape_become_images(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((6, *shape))
    labels = np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)
    images.flags.writeable = False
    data = as_dataset("own", images, labels, torch.from_numpy(images[:2].copy()), labels[:2], classes=3)
    assert data.shape == expected
    assert not data.official
    np.testing.assert_array_equal(data.train_images.numpy().reshape(images.shape), images.astype(np.float32))
    assert data.train_labels.tolist() == labels.tolist()


def poisoned(value: float) -> torch.Tensor:
    images = torch.zeros(5, 2, 3, 4)
    images[[2, 4], 1, 0, 0] = value
    return images


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_images": torch.zeros(5, 24)}, ["train", "(5, 24)", "(cases, channels, height, width)"]),
        ({"train_labels": torch.zeros(5, 1).long()}, ["train", "(5, 1)", "(cases,)"]),
        ({"train_labels": torch.zeros(4).long()}, ["train", "5 images", "4 labels"]),
        ({"test_images": torch.zeros(0, 2, 3, 4), "test_labels": torch.zeros(0).long()}, ["test", "(0, 2, 3, 4)"]),
        ({"test_images": torch.zeros(2, 2, 4, 4)}, ["(2, 3, 4)", "(2, 4, 4)"]),
        ({"train_images": torch.zeros(5, 2, 3, 4).double()}, ["train", "float64", "float32"]),
        ({"test_labels": torch.zeros(2)}, ["test", "float32", "int64"]),
        ({"train_images": poisoned(math.nan)}, ["train", "2 of 5", "image 2"]),
        ({"train_images": poisoned(-math.inf)}, ["train", "2 of 5", "image 2"]),
        ({"train_images": poisoned(255)}, ["train", "0 to 255", "divide", "255"]),
        ({"train_images": poisoned(-0.5)}, ["train", "-0.5 to 0"]),
        ({"train_labels": torch.tensor([0, 1, 3, 7, 0])}, ["train", "label 3", "image 2", "0 to 2"]),
        ({"test_labels": torch.tensor([0, -1])}, ["test", "label -1", "image 1"]),
        ({"classes": 1}, ["classes is 1"]),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(changes: dict[str, object], words: list[str]) -> None:
    message = refusal(DataError, lambda: tiny(**changes))
    for word in ["'tiny'", *words]:
        assert word in message


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.full((2, 4), 255, np.uint8), [0, 1], ["0 to 1", "divide"]),
        (np.zeros((2, 4)), [0.0, 1.0], ["train labels", "float64", "whole numbers"]),
        ([[1.0], [1.0, 2.0]], [0, 1], ["train images", "one tensor"]),
        (np.zeros((2, 4), complex), [0, 1], ["complex"]),
        (np.array([["a"], ["b"]]), [0, 1], ["train images", "one tensor"]),
    ],
)
def test_own_arrays_that_cannot_be_meant_are_refused_in_one_line(
    images: object, labels: object, words: list[str]
) -> None:
    message = refusal(DataError, lambda: as_dataset("own", images, labels, np.zeros((1, 4)), [0], classes=2))
    for word in ["'own'", *words]:
        assert word in message


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean 'mnist'" in refusal(SettingError, lambda: load("mnits"))


def test_a_jitter_of_less_than_nothing_is_refused_in_one_line() -> None:
    assert "or more" in refusal(SettingError, lambda: jitter(torch.zeros(1, 1, 2, 2), -1, torch.Generator()))


# Oracle: the file formats --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_an_idx_file_gives_back_what_was_written(tmp_path: Path, packed: bool) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path, 3), array)


GOOD = idx_bytes(np.arange(30, dtype=np.uint8).reshape(2, 3, 5))
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


def cifar_contents(cases: int = 2) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (6, cases, 3073), dtype=np.uint8)
    records[..., 0] %= 10
    return {file: record.tobytes() for file, record in zip(fetch.CIFAR10_FILES, records, strict=True)}


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


# Oracle: what a mirror sends, on loopback ----------------------------------------------------------------------------

Serve = Callable[[dict[str, bytes]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a mirror for some files; a content beginning with b'CUT' is promised longer than it is sent."""
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def start(contents: dict[str, bytes]) -> str:
        class Mirror(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = contents.get(self.path.lstrip("/"))
                self.send_response(404 if content is None else 200)
                content = content or b""
                cut = content.startswith(b"CUT")
                self.send_header("Content-Length", str(len(content) + 1000 * cut))
                self.end_headers()
                self.wfile.write(content.removeprefix(b"CUT"))

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Mirror)
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def publish(monkeypatch: pytest.MonkeyPatch, name: str, mirrors: list[str], digests: dict[str, str]) -> None:
    monkeypatch.setitem(fetch.ORIGINS, name, replace(fetch.ORIGINS[name], mirrors=tuple(mirrors), digests=digests))


def packed_idx() -> tuple[dict[str, bytes], dict[str, bytes]]:
    contents = random_idx()
    return contents, {f"{file}.gz": gzip.compress(content) for file, content in contents.items()}


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_when_the_first_mirror_is_broken_the_second_is_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    contents, packed = packed_idx()
    digests = {file: digest("sha256", content) for file, content in contents.items()}
    publish(monkeypatch, "mnist", [serve({}), serve(packed)], digests)
    data = load("mnist")
    assert data.official
    pixels = (data.train_images * 255).round().to(torch.uint8)
    assert pixels.numpy().tobytes() == contents[fetch.IDX_FILES[0]][16:]
    assert files_below(cache) == sorted(f"mnist/{file}" for file in packed)
    assert capfd.readouterr() == ("", "")  # no progress bar where nobody sees it
    publish(monkeypatch, "mnist", [], digests)
    assert load("mnist").fingerprint == data.fingerprint  # the second time no mirror is needed


def test_a_terminal_sees_the_progress_of_a_download(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    contents, packed = packed_idx()
    publish(monkeypatch, "mnist", [serve(packed)], {k: digest("sha256", content) for k, content in contents.items()})
    screen = io.StringIO()
    monkeypatch.setattr(fetch, "Console", lambda stderr: Console(file=screen, force_terminal=stderr, width=120))
    load("mnist")
    for file in packed:
        assert file in screen.getvalue()


@pytest.mark.parametrize(
    "bad",
    [gzip.compress(GOOD), b"<html>no such file</html>", b"\x1f\x8bdamaged", b"CUT" + gzip.compress(GOOD)],
    ids=["wrong", "page", "damaged", "interrupted"],
)
def test_wrong_damaged_and_interrupted_downloads_are_refused_and_nothing_is_left(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bad: bytes
) -> None:
    contents, packed = packed_idx()
    first = fetch.IDX_FILES[0]
    mirror = serve(packed | {f"{first}.gz": bad})
    publish(monkeypatch, "mnist", [mirror], {file: digest("sha256", content) for file, content in contents.items()})
    message = refusal(DataError, lambda: load("mnist", tmp_path / "mine"))
    for part in (f"{mirror}{first}.gz", str(tmp_path / "mine" / "mnist"), "--data-dir", "TWOFOLD_DATA"):
        assert part in message
    assert files_below(tmp_path) == []


def test_files_known_by_the_digest_of_their_packed_form_stay_packed_and_official(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    contents, packed = packed_idx()
    digests = {file: digest("md5", content) for file, content in packed.items()}
    publish(monkeypatch, "fashion-mnist", [serve(packed)], digests)
    assert load("fashion-mnist").official
    assert load("fashion-mnist", download=False).official
    for file in packed:
        (cache / "fashion-mnist" / file).unlink()
    write(cache / "fashion-mnist", contents)
    assert not load("fashion-mnist", download=False).official  # the same images, but nothing published can prove it


def archive(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in contents.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_the_six_files_are_taken_out_of_the_cifar10_archive(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents = cifar_contents()
    packed = archive({f"cifar-10-batches-bin/{k}": v for k, v in contents.items()} | {"../evil": b"x", "/evil": b"x"})
    name = "cifar-10-binary.tar.gz"
    digests = {file: digest("sha1", content) for file, content in contents.items()} | {name: digest("md5", packed)}
    publish(monkeypatch, "cifar10", [serve({name: packed})], digests)
    assert load("cifar10", tmp_path).official
    assert files_below(tmp_path) == sorted(f"cifar10/{file}" for file in contents)
    (tmp_path / "cifar10" / "test_batch.bin").write_bytes(contents["data_batch_1.bin"])
    assert not load("cifar10", tmp_path).official


def test_a_cifar10_archive_with_another_digest_is_refused_unopened(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror = serve({"cifar-10-binary.tar.gz": archive({})})
    publish(monkeypatch, "cifar10", [mirror], dict(fetch.ORIGINS["cifar10"].digests))
    assert "other bytes" in refusal(DataError, lambda: load("cifar10", tmp_path))
    assert files_below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents, packed = packed_idx()
    digests = {file: digest("sha256", content) for file, content in contents.items()}
    publish(monkeypatch, "mnist", [serve(packed)], digests)
    (tmp_path / "file").write_text("not a folder")
    assert "--data-dir" in refusal(DataError, lambda: load("mnist", tmp_path / "file"))


def test_digits_need_no_file_and_no_network(tmp_path: Path) -> None:
    assert digits.load().fingerprint == load("digits", tmp_path, download=True).fingerprint
    assert files_below(tmp_path) == []
