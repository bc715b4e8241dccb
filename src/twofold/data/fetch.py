"""Find a data set's files on this machine, or download them from their official sources."""

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

from twofold.data.data_file import UNREADABLE, DataFile, is_file, line, packed_size
from twofold.data.origins import ORIGINS, Origin
from twofold.errors import DataError, RunError, remark
from twofold.files import sweep, write_bytes

TIMEOUT = 30.0  # seconds that a mirror may be silent
LEFT = 3600.0  # seconds after which an unfinished file is nobody's


def locate(name: str, data_dir: Path | None = None, download: bool = True) -> list[Path]:
    """Return the paths of a data set's files, in the order of ``ORIGINS[name].files``; packed files are preferred.

    The files are looked for in ``data_dir``, then in ``$TWOFOLD_DATA``, then in the user's cache folder. If no folder
    has all of them and ``download`` is true, they are downloaded, into ``data_dir`` if it is given, else into the cache
    folder.

    Raises:
        DataError: ``$TWOFOLD_DATA`` does not exist, or the files are in none of these folders, and cannot or may not be
            downloaded.
    """
    roots = []
    for root in _roots(data_dir):
        if paths := _lying_in(root, ORIGINS[name]):
            return paths
        roots.append(root)
    target = data_dir or _cache()
    if not download:
        raise DataError(
            f"{name} is not in {', '.join(map(str, roots)) or 'any folder that is known'}: run "
            f"`twofold data get {name}`, or name the folder that has {', '.join(ORIGINS[name].files)} with --data-dir "
            "or TWOFOLD_DATA"
        )
    if target is None:
        raise DataError(
            f"{name} has to be downloaded, and there is no cache folder, as no home folder is known: name a folder "
            "with --data-dir"
        )
    return _download(name, target)


def get(name: str, data_dir: Path | str) -> None:
    """See to it that the files of a data set lie in ``data_dir``: what is not there is downloaded.

    Raises:
        DataError: they cannot be downloaded, or not be written there.
    """
    root = _expanded("--data-dir", data_dir)
    if name in ORIGINS and not _lying_in(root, ORIGINS[name]):
        _download(name, root)


def folder(option: str, place: Path | str) -> Path:
    """Return the folder that an option or a variable of the environment names.

    Raises:
        DataError: there is no such folder.
    """
    path = _expanded(option, place)
    try:
        if path.is_dir():
            return path
        found = "is no folder" if path.exists() else "does not exist"
    except OSError as error:
        found = f"cannot be looked into ({line(error)})"
    raise DataError(f"{option} {place} {found}: name a folder that is there, or make it")


def say(name: str, found: Path, data_dir: Path | None, other: Sequence[str]) -> None:
    """Say, once for each load, if a data set was not in the folder that was named, or is not the official one.

    Args:
        name: the data set.
        found: the folder in which its files were.
        data_dir: the folder that was named.
        other: the files that are not the official ones.
    """
    if data_dir and data_dir not in (found, *found.parents):
        remark(f"{data_dir} has not all files of {name}: they are taken from {found}")
    if other:
        remark(
            f"the data are not the official ones of {name}, byte for byte: {', '.join(other)} in {found}; for the "
            f"official ones delete them and run `twofold data get {name}`"
        )


def _roots(data_dir: Path | None) -> Iterator[Path]:
    """The folders to look in, in their order; that the variable names one is checked when its turn comes."""
    if data_dir:
        yield data_dir
    if place := os.environ.get("TWOFOLD_DATA"):
        yield folder("TWOFOLD_DATA", place)
    if cache := _cache():
        yield cache


def _cache() -> Path | None:
    """The user's cache folder for twofold, whether it exists or not; ``None`` where the user has no home."""
    try:
        return Path(platformdirs.user_cache_dir("twofold")).expanduser()  # the ~ is left in it where nobody has a name
    except (RuntimeError, KeyError, OSError):
        return None


def _expanded(option: str, place: Path | str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise DataError(f"{option} {place} cannot be found ({line(error)}): write out the whole path") from error


def _lying_in(root: Path, origin: Origin) -> list[Path]:
    """The files of a data set, if all of them are in one of the subfolders of ``root`` in which they may lie."""
    for below in origin.folders:
        paths = [_either(root / below, file) for file in origin.files]
        if all(is_file(path) for path in paths):
            return paths
    return []


def _either(place: Path, file: str) -> Path:
    """Return the packed file, or the unpacked file if there is no packed one."""
    packed = place / f"{file}.gz"
    return packed if is_file(packed) else place / file


def _download(name: str, root: Path) -> list[Path]:
    """Download those files of a data set that are not yet in ``root``, and return the paths of all.

    Each is verified first, and written whole.
    """
    origin, place = ORIGINS[name], root / ORIGINS[name].folders[0]
    _require_writable(place)
    sweep(place, LEFT)
    for download in origin.downloads:
        archive = download.endswith(".tar.gz")
        if not archive and is_file(_either(place, download.removesuffix(".gz"))):
            continue
        packed = _from_mirrors(name, download, place)
        for file, content in (_members(origin, packed) if archive else {download: packed}).items():
            try:
                write_bytes(place / file, content)
            except RunError as error:
                raise _unwritable(place / file, line(error.__cause__ or error)) from error
    return [_either(place, file) for file in origin.files]


def _require_writable(place: Path) -> None:
    """Refuse a download that could not be kept, before it begins."""
    try:
        there = next(each for each in (place, *place.absolute().parents) if each.exists())
    except OSError as error:
        raise _unwritable(place, line(error)) from error
    if not there.is_dir():
        raise _unwritable(place, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(place, f"{there} is read-only")


def _unwritable(path: Path, why: str) -> DataError:
    return DataError(f"cannot write {path} ({why}): free some space, or name another folder with --data-dir")


def _from_mirrors(name: str, download: str, place: Path) -> bytes:
    """Return the bytes of ``download`` from the first mirror that sends the official ones."""
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
            tried.append(f"{mirror}{download} ({line(error)})")
    raise DataError(
        f"{name} cannot be downloaded, tried {', '.join(tried)}: get {download} by other means and put "
        f"{'the files in it' if archive else 'it'} into {place}, or name a folder that has the data with --data-dir or "
        "TWOFOLD_DATA"
    )


def _get(url: str, limit: int) -> bytes:
    """Download ``url`` into memory, with a progress bar on stderr if that is a terminal.

    Raises:
        OSError: it has more than ``limit`` bytes, or cannot be downloaded.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "twofold"})
    console = Console(stderr=True)
    content = io.BytesIO()
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT) as answer,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        total = answer.length  # as promised in the header; None where nothing is
        task = progress.add_task(url.rsplit("/", 1)[-1], total=total)
        while (total or 0) <= limit and content.tell() <= limit and (chunk := answer.read(1 << 16)):
            content.write(chunk)
            progress.advance(task, len(chunk))
    if max(total or 0, content.tell()) > limit:
        raise OSError(f"sends more than {limit} bytes, which the official file cannot have")
    return content.getvalue()


def _is_official(name: str, download: str, packed: bytes) -> bool:
    """Whether a download has its published digest: an archive itself, every other file when it is unpacked."""
    origin = ORIGINS[name]
    if download in origin.digests:
        algorithm, _, published = origin.digests[download].partition(":")
        return hashlib.new(algorithm, packed, usedforsecurity=False).hexdigest() == published
    file = DataFile(io.BytesIO(packed), len(packed), Path(download), name)
    file.read(origin.most(download.removesuffix(".gz")) + 1)
    return file.official


def _members(origin: Origin, packed: bytes) -> dict[str, bytes]:
    """Return the files of a verified archive by name, so that paths in the archive do not decide where to write."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        found = {}
        for file in origin.files:
            member = archive.extractfile(f"cifar-10-batches-bin/{file}")
            assert member is not None  # the archive's digest has been checked
            found[file] = member.read()
        return found
