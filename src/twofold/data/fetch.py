"""Find a data set's files on this machine, or download them from their official sources."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import tarfile
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.progress import Progress

from twofold.errors import DataError, RunError
from twofold.files import write_bytes

TIMEOUT = 30.0  # seconds that a mirror may be silent


@dataclass(frozen=True)
class Origin:
    """The places of a data set's files, on this machine and on the network, and the digests of the official files.

    Attributes:
        files: names of the unpacked files; each may also be present as ``.gz``.
        folders: subfolders of a data folder in which they may lie; downloads go to the first.
        mirrors: addresses to which the name of a download is appended.
        downloads: names of the files to download: each as ``.gz``, or one ``.tar.gz`` that holds all.
        digests: file name -> ``algorithm:hex``. The digest of an unpacked file is kept under its own name; where only
            the digest of the packed file is published, it is kept under the name with ``.gz``.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    downloads: tuple[str, ...]
    digests: Mapping[str, str]


IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR10_FILES = (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin")

ORIGINS: dict[str, Origin] = {
    "mnist": Origin(
        files=IDX_FILES,
        folders=("mnist", ".", "MNIST/raw"),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        downloads=tuple(f"{file}.gz" for file in IDX_FILES),
        digests={
            "train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Origin(
        files=IDX_FILES,
        folders=("fashion-mnist", "FashionMNIST/raw"),  # never the data folder itself: MNIST's files have these names
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        downloads=tuple(f"{file}.gz" for file in IDX_FILES),
        digests={  # published by the authors, for the packed files only
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": Origin(
        files=CIFAR10_FILES,
        folders=("cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "."),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        downloads=("cifar-10-binary.tar.gz",),
        digests={  # the archive's as published by its authors, the files' as published by Apache MXNet
            "cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530",
            "data_batch_1.bin": "sha1:aadd24acce27caa71bf4b10992e9e7b2d74c2540",
            "data_batch_2.bin": "sha1:c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
            "data_batch_3.bin": "sha1:1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
            "data_batch_4.bin": "sha1:aab85764eb3584312d3c7f65fd2fd016e36a258e",
            "data_batch_5.bin": "sha1:26e2849e66a845b7f1e4614ae70f4889ae604628",
            "test_batch.bin": "sha1:67eb016db431130d61cd03c7ad570b013799c88c",
        },
    ),
}


def locate(name: str, data_dir: Path | str | None = None, download: bool = True) -> list[Path]:
    """Return the paths of a data set's files, in the order of ``ORIGINS[name].files``; packed files are preferred.

    The files are looked for in ``data_dir``, then in ``$TWOFOLD_DATA``, then in the user's cache folder. If no folder
    has all of them and ``download`` is true, they are downloaded, into ``data_dir`` if it is given, else into the cache
    folder.

    Raises:
        DataError: the files are in none of these folders, and cannot or may not be downloaded.
    """
    origin = ORIGINS[name]
    cache = Path(platformdirs.user_cache_dir("twofold"))
    given = [Path(place).expanduser() for place in (data_dir, os.environ.get("TWOFOLD_DATA")) if place]
    roots = [*given, cache]
    for root in roots:
        for folder in origin.folders:
            paths = [_either(root / folder, file) for file in origin.files]
            if all(path.is_file() for path in paths):
                return paths
    if not download:
        raise DataError(
            f"{name} is not in {', '.join(map(str, roots))}: run `twofold data get {name}`, or name the folder that "
            f"has {', '.join(origin.files)} with --data-dir or TWOFOLD_DATA"
        )
    target = (Path(data_dir).expanduser() if data_dir else cache) / origin.folders[0]
    _download(name, target)
    return [_either(target, file) for file in origin.files]


def read(path: Path, name: str = "NAME") -> tuple[bytes, bool]:
    """Return the unpacked content of a file of the data set ``name``, and whether it is verified as official.

    Raises:
        DataError: the file cannot be read, or is a damaged gzip file.
    """
    try:
        packed = path.read_bytes()
        content = _unpack(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, f"cannot be read ({_line(error)})", name) from error
    file = path.name.removesuffix(".gz")
    return content, name in ORIGINS and is_official(ORIGINS[name], file, packed, content)


def is_official(origin: Origin, file: str, packed: bytes, content: bytes) -> bool:
    """Whether ``file`` has its published digest; False if no digest is published that could be checked."""
    for known, data in ((file, content), (f"{file}.gz", packed)):
        if known in origin.digests:
            algorithm, _, digest = origin.digests[known].partition(":")
            return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() == digest
    return False


def damaged(path: Path, what: str, name: str) -> DataError:
    """Return the error for a file that is not as it should be, with advice on what to do."""
    return DataError(f"{path} {what}: delete it and run `twofold data get {name}`")


def _either(folder: Path, file: str) -> Path:
    """Return the packed file, whose digest can always be checked, or the unpacked file if there is no packed one."""
    packed = folder / f"{file}.gz"
    return packed if packed.is_file() else folder / file


def _unpack(packed: bytes) -> bytes:
    return gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _download(name: str, folder: Path) -> None:
    """Download those files of a data set that are not yet in ``folder``; each is verified first, and written whole."""
    origin = ORIGINS[name]
    for download in origin.downloads:
        archive = download.endswith(".tar.gz")
        if not archive and _either(folder, download.removesuffix(".gz")).is_file():
            continue
        packed = _from_mirrors(name, download, folder)
        for file, content in (_members(origin, packed) if archive else {download: packed}).items():
            try:
                write_bytes(folder / file, content)
            except RunError as error:
                raise DataError(
                    f"cannot write {folder / file} ({_line(error.__cause__ or error)}): free some space, or name "
                    "another folder with --data-dir"
                ) from error


def _from_mirrors(name: str, download: str, folder: Path) -> bytes:
    """Return the bytes of ``download`` from the first mirror that sends the official ones."""
    origin = ORIGINS[name]
    tried = []
    for mirror in origin.mirrors:
        try:
            packed = _get(mirror + download)
            if download.endswith(".tar.gz"):
                official = is_official(origin, download, packed, packed)
            else:
                official = is_official(origin, download.removesuffix(".gz"), packed, _unpack(packed))
            if official:
                return packed
            tried.append(f"{mirror}{download} (sent other bytes than the official ones)")
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            tried.append(f"{mirror}{download} ({_line(error)})")
    raise DataError(
        f"{name} cannot be downloaded, tried {', '.join(tried)}: get {download} by other means and put "
        f"{'the files in it' if download.endswith('.tar.gz') else 'it'} into {folder}, or name a folder that has the "
        "data with --data-dir or TWOFOLD_DATA"
    )


def _get(url: str) -> bytes:
    """Download ``url`` into memory, with a progress bar on stderr if that is a terminal."""
    request = urllib.request.Request(url, headers={"User-Agent": "twofold"})
    console = Console(stderr=True)
    content = io.BytesIO()
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT) as answer,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        total = answer.headers.get("Content-Length")
        task = progress.add_task(url.rsplit("/", 1)[-1], total=float(total) if total else None)
        while chunk := answer.read(1 << 16):
            content.write(chunk)
            progress.advance(task, len(chunk))
    return content.getvalue()


def _members(origin: Origin, packed: bytes) -> dict[str, bytes]:
    """Return the files of a verified archive by name, so that paths in the archive do not decide where to write."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        found = {}
        for file in origin.files:
            member = archive.extractfile(f"cifar-10-batches-bin/{file}")
            assert member is not None  # the archive's digest has been checked
            found[file] = member.read()
        return found
