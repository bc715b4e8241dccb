"""Downloads: what a mirror sends is kept only where it is what was published, and a broken mirror costs nothing.

Oracle: a mirror on loopback that serves, damages or cuts off files of the tests' own making.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from rich.console import Console

from data_files import GOOD, cifar_contents, digest, random_idx, refusal, write
from twofold.data import digits, fetch, load
from twofold.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")


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
