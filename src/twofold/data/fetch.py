"""Locate the files of a data set on this machine, or download them from their official sources."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import tarfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.progress import Progress

from twofold.data.data_file import UNREADABLE, DataFile, is_file, one_line, packed_size
from twofold.data.origins import ORIGINS, Origin
from twofold.errors import DataError, RunError, remark
from twofold.files import sweep, write_bytes

TIMEOUT = 30.0  # seconds without an answer after which a mirror is given up
STALE_AFTER = 3600.0  # seconds after which an unfinished download is abandoned


def locate(name: str, data_dir: Path | None = None, download: bool = True) -> list[Path]:
    """Return the paths of a data set's files, in the order of ``ORIGINS[name].files``.

    If a file exists both packed and unpacked, the path is that of the packed file.

    The folders ``data_dir``, ``$TWOFOLD_DATA`` and the user's cache folder are searched in this order. If none contains
    all files and ``download`` is true, the files are downloaded into ``data_dir`` or, without one, the cache folder.

    Raises:
        DataError: ``$TWOFOLD_DATA`` does not exist, or no folder contains the files and they cannot or must not be
            downloaded.
    """
    roots = []
    for root in _search_folders(data_dir):
        if paths := _files_in(root, ORIGINS[name]):
            return paths
        roots.append(root)
    target = data_dir or _cache()
    if not download:
        raise DataError(
            f"{name} is not in {', '.join(map(str, roots)) or 'any known folder'}: run `twofold data get {name}`, "
            f"or name the folder with {', '.join(ORIGINS[name].files)} in --data-dir or TWOFOLD_DATA"
        )
    if target is None:
        raise DataError(
            f"{name} has to be downloaded, but there is no cache folder because the home folder is unknown: "
            "name a folder with --data-dir"
        )
    return _download(name, target)


def get(name: str, data_dir: Path | str) -> None:
    """Download the files of a data set to ``data_dir``, except those that are already there.

    Raises:
        DataError: the files cannot be downloaded or written.
    """
    root = _expanded("--data-dir", data_dir)
    if name in ORIGINS and not _files_in(root, ORIGINS[name]):
        _download(name, root)


def folder(option: str, place: Path | str) -> Path:
    """Return ``place``, the value of an option or of an environment variable, as the path of an existing folder.

    Raises:
        DataError: the folder does not exist.
    """
    path = _expanded(option, place)
    try:
        if path.is_dir():
            return path
        problem = "is not a folder" if path.exists() else "does not exist"
    except OSError as error:
        problem = f"cannot be accessed ({one_line(error)})"
    raise DataError(f"{option} {place} {problem}: name an existing folder, or create it")


def report_source(name: str, source: Path, data_dir: Path | None, unofficial: Sequence[str]) -> None:
    """Issue a remark if a data set was not read from ``data_dir``, and another if files are not the official ones.

    Args:
        name: the data set.
        source: the folder from which its files were read.
        data_dir: the folder that the user asked for; ``None`` if none.
        unofficial: names of the files that differ from the official ones.
    """
    if data_dir and data_dir not in (source, *source.parents):
        remark(f"{data_dir} does not contain all files of {name}: reading them from {source}")
    if unofficial:
        remark(
            f"the data are not the official {name}, byte for byte: {', '.join(unofficial)} in {source}; to get the "
            f"official files, delete these and run `twofold data get {name}`"
        )


def _search_folders(data_dir: Path | None) -> Iterator[Path]:
    """Yield the folders to search, in order. ``$TWOFOLD_DATA`` is only checked when the search reaches it."""
    if data_dir:
        yield data_dir
    if place := os.environ.get("TWOFOLD_DATA"):
        yield folder("TWOFOLD_DATA", place)
    if cache := _cache():
        yield cache


def _cache() -> Path | None:
    """Return the path of the user's cache folder for twofold, existing or not; ``None`` without a home folder."""
    try:
        return Path(platformdirs.user_cache_dir("twofold")).expanduser()  # contains ~ if the user has no name
    except (RuntimeError, KeyError, OSError):
        return None


def _expanded(option: str, place: Path | str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise DataError(f"{option} {place} cannot be resolved ({one_line(error)}): write the full path") from error


def _files_in(root: Path, origin: Origin) -> list[Path]:
    """Return the paths of a data set's files in the first of ``origin.folders`` below ``root`` that contains all files.

    The list is empty if no folder contains all files.
    """
    for subfolder in origin.folders:
        paths = [_packed_or_plain(root / subfolder, file) for file in origin.files]
        if all(is_file(path) for path in paths):
            return paths
    return []


def _packed_or_plain(place: Path, file: str) -> Path:
    """Return the path of the packed file in the folder ``place``, or of the unpacked file if none is packed."""
    packed = place / f"{file}.gz"
    return packed if is_file(packed) else place / file


def _download(name: str, root: Path) -> list[Path]:
    """Download the missing files of a data set to ``root``, and return the paths of all files.

    The digest of each file is checked before the file is written; the write is atomic.
    """
    origin, place = ORIGINS[name], root / ORIGINS[name].folders[0]
    _require_writable(place)
    sweep(place, STALE_AFTER)
    for download in origin.downloads:
        archive = download.endswith(".tar.gz")
        if not archive and is_file(_packed_or_plain(place, download.removesuffix(".gz"))):
            continue
        packed = _from_mirrors(name, download, place)
        for file, content in (_members(origin, packed) if archive else {download: packed}).items():
            try:
                write_bytes(place / file, content)
            except RunError as error:
                raise _unwritable(place / file, one_line(error.__cause__ or error)) from error
    return [_packed_or_plain(place, file) for file in origin.files]


def _require_writable(place: Path) -> None:
    """Raise a `DataError` if files cannot be written to the folder ``place``; called before a download starts."""
    try:
        parent = next(path for path in (place, *place.absolute().parents) if path.exists())
    except OSError as error:
        raise _unwritable(place, one_line(error)) from error
    if not parent.is_dir():
        raise _unwritable(place, f"{parent} is not a folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _unwritable(place, f"{parent} is read-only")


def _unwritable(path: Path, why: str) -> DataError:
    return DataError(f"cannot write {path} ({why}): free some space, or name another folder with --data-dir")


def _from_mirrors(name: str, download: str, place: Path) -> bytes:
    """Return the bytes of the file ``download`` from the first mirror whose file has the published digest."""
    origin, archive = ORIGINS[name], download.endswith(".tar.gz")
    limit = packed_size(origin.most(*(origin.files if archive else [download.removesuffix(".gz")])))
    tried = []
    for mirror in origin.mirrors:
        try:
            packed = _get(mirror + download, limit)
            if _is_official(name, download, packed):
                return packed
            tried.append(f"{mirror}{download} (sent other bytes than the official ones)")
        except (*UNREADABLE, http.client.HTTPException) as error:
            tried.append(f"{mirror}{download} ({one_line(error)})")
    raise DataError(
        f"{name} cannot be downloaded, tried {', '.join(tried)}: get {download} by other means and put "
        f"{'the files in it' if archive else 'it'} into {place}, or name a folder that has the data with --data-dir or "
        "TWOFOLD_DATA"
    )


def _get(url: str, limit: int) -> bytes:
    """Download ``url`` into memory, with a progress bar on stderr if stderr is a terminal.

    Raises:
        OSError: the file has more than ``limit`` bytes, or cannot be downloaded.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "twofold"})
    console = Console(stderr=True)
    content = io.BytesIO()
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT) as answer,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        total = answer.length  # from the header; None if it is not given
        task = progress.add_task(url.rsplit("/", 1)[-1], total=total)
        while (total or 0) <= limit and content.tell() <= limit and (chunk := answer.read(1 << 16)):
            content.write(chunk)
            progress.advance(task, len(chunk))
    if max(total or 0, content.tell()) > limit:
        raise OSError(f"sends more than {limit} bytes, the limit for the official file")
    return content.getvalue()


def _is_official(name: str, download: str, packed: bytes) -> bool:
    """Return True if the bytes ``packed``, or the file unpacked from them, have the published digest."""
    origin = ORIGINS[name]
    if download in origin.digests:
        algorithm, _, published = origin.digests[download].partition(":")
        return hashlib.new(algorithm, packed, usedforsecurity=False).hexdigest() == published
    file = DataFile(io.BytesIO(packed), len(packed), Path(download), name)
    file.read(origin.most(download.removesuffix(".gz")) + 1)
    return file.official


def _members(origin: Origin, packed: bytes) -> dict[str, bytes]:
    """Return file name -> content for the files of a data set, unpacked from a verified archive in memory."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        contents = {}
        for file in origin.files:
            member = archive.extractfile(f"cifar-10-batches-bin/{file}")
            assert member is not None  # the archive's digest has been checked
            contents[file] = member.read()
        return contents
