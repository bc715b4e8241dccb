"""Downloads: what a mirror sends is kept only where it is what was published, and a broken mirror costs nothing.

Oracle: a mirror on loopback that serves, damages or cuts off files of the tests' own making.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from rich.console import Console

from support.data_files import GOOD, cifar_contents, digest, random_idx, refusal, write
from twofold.data import digits, fetch, get, load
from twofold.data.origins import IDX_FILES, ORIGINS
from twofold.errors import DataError, Remark

pytestmark = pytest.mark.usefixtures("cache")


Serve = Callable[[dict[str, bytes]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a mirror for some files; one that begins with LENGTH, a word and a line break promises that length."""
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def start(contents: dict[str, bytes]) -> str:
        class Mirror(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = contents.get(self.path.lstrip("/"))
                self.send_response(404 if content is None else 200)
                content, length = content or b"", str(len(content or b""))
                if content.startswith(b"LENGTH "):
                    promised, _, content = content.partition(b"\n")
                    length = promised.split()[1].decode()
                self.send_header("Content-Length", length)
                self.end_headers()
                with suppress(ConnectionError):  # who has heard enough hangs up
                    self.wfile.write(content)

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
    """From now on these are the mirrors of a data set and the digests of its official files, which are small."""
    cases = 2 if name == "cifar10" else 6
    shapes = {file: (min(shape[0], cases), *shape[1:]) for file, shape in ORIGINS[name].shapes.items()}
    changed = replace(ORIGINS[name], shapes=shapes, mirrors=tuple(mirrors), digests=digests)
    monkeypatch.setitem(ORIGINS, name, changed)


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
    assert pixels.numpy().tobytes() == contents[IDX_FILES[0]][16:]
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


BAD: dict[str, tuple[bytes, str]] = {
    "other bytes": (gzip.compress(GOOD), "other bytes"),
    "a page": (b"<html>no such file</html>", "other bytes"),
    "damaged": (b"\x1f\x8bdamaged", "Compressed file ended"),
    "nothing": (b"", "other bytes"),
    "interrupted": (b"LENGTH 1000\n" + gzip.compress(GOOD), "other bytes"),
    "a length that is none": (b"LENGTH much\n" + gzip.compress(GOOD), "other bytes"),
    "too long": (bytes(1_000_000), "sends more than"),
    "promised too long": (b"LENGTH 1000000000000\n", "sends more than"),
    "too long, of no length": (b"LENGTH ?\n" + bytes(1_000_000), "sends more than"),
    "a bomb": (12 * gzip.compress(bytes(5_000_000), 9), "other bytes"),
}
"""What a mirror can send in the place of a file or of an archive, and what must be said of it."""


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", sorted(ORIGINS))
def test_what_a_mirror_sends_in_the_place_of_a_file_is_refused_and_nothing_is_left(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, bad: str
) -> None:
    content, word = BAD[bad]
    first = ORIGINS[name].downloads[0]
    mirror = serve({first: content})
    archived = first.endswith(".tar.gz")
    known = [first] if archived else ORIGINS[name].files
    publish(monkeypatch, name, [mirror], {file: digest("sha256", b"official") for file in known})
    tracemalloc.start()
    message = refusal(DataError, lambda: get(name, tmp_path / "mine"))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    why = "other bytes" if archived and not word.startswith("sends") else word  # an archive is not opened
    for part in (f"{mirror}{first} (", why, str(tmp_path / "mine" / name), "--data-dir", "TWOFOLD_DATA"):
        assert part in message
    assert files_below(tmp_path) == []
    assert taken < 3e6


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_files_are_official_by_what_is_in_them_packed_or_not(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, cache: Path, name: str
) -> None:
    contents, packed = packed_idx()
    publish(monkeypatch, name, [serve(packed)], {file: digest("sha256", content) for file, content in contents.items()})
    assert load(name).official
    for file in packed:
        (cache / name / file).unlink()
    write(cache / name, contents)
    assert load(name, download=False).official


def test_a_folder_that_is_named_gets_the_files_whatever_lies_in_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    contents, packed = packed_idx()
    publish(monkeypatch, "mnist", [serve(packed)], {k: digest("sha256", content) for k, content in contents.items()})
    write(cache / "mnist", contents)
    write(tmp_path / "environment" / "mnist", contents)
    monkeypatch.setenv("TWOFOLD_DATA", str(tmp_path / "environment"))
    assert get("mnist", tmp_path / "new" / "folder").official
    assert files_below(tmp_path / "new") == sorted(f"folder/mnist/{file}" for file in packed)
    publish(monkeypatch, "mnist", [], ORIGINS["mnist"].digests)
    assert get("mnist", tmp_path / "new" / "folder").official  # what is there is not downloaded again


def test_training_data_that_are_nowhere_are_downloaded_to_the_folder_that_is_named(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contents, packed = packed_idx()
    publish(monkeypatch, "mnist", [serve(packed)], {k: digest("sha256", content) for k, content in contents.items()})
    assert load("mnist", tmp_path).official
    assert files_below(tmp_path) == sorted(f"mnist/{file}" for file in packed)


def test_what_a_killed_download_left_is_swept_when_it_is_old(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    contents, packed = packed_idx()
    publish(monkeypatch, "mnist", [serve(packed)], {k: digest("sha256", content) for k, content in contents.items()})
    write(cache / "mnist", {".old.0123.part": b"left", ".young.0123.part": b"being written", "old.part": b"not ours"})
    for name in (".old.0123.part", "old.part"):
        os.utime(cache / "mnist" / name, (0, 0))
    load("mnist")
    assert files_below(cache / "mnist") == sorted([".young.0123.part", "old.part", *packed])


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
    with pytest.warns(Remark, match="test_batch.bin"):
        assert not load("cifar10", tmp_path).official


def test_a_cifar10_archive_with_another_digest_is_refused_unopened(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror = serve({"cifar-10-binary.tar.gz": archive({})})
    publish(monkeypatch, "cifar10", [mirror], dict(ORIGINS["cifar10"].digests))
    assert "other bytes" in refusal(DataError, lambda: load("cifar10", tmp_path))
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("name", sorted(ORIGINS))
@pytest.mark.parametrize("named", [True, False])
def test_a_folder_that_cannot_be_written_is_named_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, name: str, named: bool
) -> None:
    monkeypatch.setattr(fetch, "_get", lambda url, limit: pytest.fail(f"{url} was asked for"))
    place = tmp_path / "mine" if named else cache
    place.write_text("not a folder")
    message = refusal(DataError, lambda: get(name, place if named else None))
    for word in (f"cannot write {place / name} ({place} is not a folder)", "--data-dir"):
        assert word in message
    place.unlink()
    monkeypatch.setattr(fetch.os, "access", lambda path, _: path != tmp_path)
    message = refusal(DataError, lambda: get(name, place if named else None))
    assert f"cannot write {place / name} ({tmp_path} is read-only)" in message


def test_digits_need_no_file_and_no_network(tmp_path: Path) -> None:
    assert digits.load().fingerprint == load("digits", tmp_path, download=True).fingerprint
    assert files_below(tmp_path) == []
