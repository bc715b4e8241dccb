"""Read and write files. Writing is atomic: a file is written completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from twofold.errors import RunError

UNFINISHED = ".part"
"""Suffix of the temporary files of `replacing`, until they are renamed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the folder of ``path``, and rename that file to ``path`` at the end.

    A file at ``path`` is therefore never incomplete.

    Raises:
        RunError: the disk is full or the folder cannot be written. An older file at ``path`` is kept.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:  # Windows flushes only files that are open for writing
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; any older file is kept: "
            "free some space or choose another folder, then continue with --resume"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: Path, age: float = 0.0) -> None:
    """Remove temporary files that killed processes left in ``folder``.

    Temporary files younger than ``age`` seconds are kept. With 0, all temporary files are removed, so no other process
    may be writing to the folder.
    """
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            if not age or time.time() - path.stat().st_mtime > age:
                path.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically. NaN and infinite numbers raise a ValueError."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: the file does not exist or is not JSON.
    """
    return parse(read_text(path), path)


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 text file.

    Raises:
        RunError: the file does not exist or is not text.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `twofold train`?") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as text ({error}): it is damaged; train again") from error


def parse(text: str, path: Path) -> Any:
    """Parse JSON. NaN and Infinity are not accepted.

    Args:
        text: the JSON.
        path: file that contains the text, for error messages.

    Raises:
        RunError: the text is not JSON.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read as JSON ({error}): it is damaged; train again") from error


def sign(content: Mapping[str, Any], indent: int | None = None, before: str = "") -> str:
    """Return ``content`` as JSON with an additional last member ``digest``.

    The digest is the SHA-256 of ``before`` followed by the JSON text up to the digest.

    Args:
        content: members of the JSON object.
        indent: indentation, as in `json.dumps`.
        before: further text that the digest covers, in front of the JSON text.
    """
    text = json.dumps(content, indent=indent, allow_nan=False)[:-1].rstrip()
    digest = hashlib.sha256((before + text).encode()).hexdigest()
    return (
        f'{text},{" " if indent is None else chr(10) + indent * " "}"digest": "{digest}"{chr(10) if indent else ""}}}'
    )


def check_signature(
    text: str, path: Path, indent: int | None = None, before: str = ""
) -> tuple[dict[str, Any], bool | None]:
    """Parse the output of `sign` and verify its digest.

    Args:
        text: the JSON.
        path: file that contains the text, for error messages.
        indent, before: as passed to `sign`.

    Returns:
        The content without the digest, and True if the digest matches, else False. The second result is ``None`` if
            the text contains no digest, as in files of older versions.

    Raises:
        RunError: the text is not a JSON object.
    """
    content = parse(text, path)
    if not isinstance(content, dict):
        raise RunError(f"{path} is a JSON {type(content).__name__}, expected an object: it is damaged; train again")
    if "digest" not in content:
        return content, None
    del content["digest"]
    try:
        return content, text == sign(content, indent, before)
    except ValueError:  # an infinite number: JSON can parse 1e999 but not write inf
        return content, False


def write_signed(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON with a digest of the content, atomically; see `sign`."""
    write_bytes(path, (sign(content, 2) + "\n").encode())


def read_signed(path: Path) -> tuple[dict[str, Any], bool | None]:
    """Read a file that `write_signed` wrote, and verify its digest.

    Returns:
        The content without the digest; and True if the digest matches, False if not, ``None`` if the file has none.

    Raises:
        RunError: the file does not exist or is not a JSON object.
    """
    return check_signature(read_text(path).removesuffix("\n"), path, 2)
