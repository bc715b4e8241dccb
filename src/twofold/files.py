"""Write files whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twofold.errors import RunError

UNFINISHED = ".part"
"""How the names of files end that are being written."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to ``path``; it is renamed at the end, so that ``path`` is never half-written.

    Raises:
        RunError: the disk is full or the folder cannot be written. A file that was already at ``path`` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; what was there before is kept: "
            "free some space or choose another folder, then go on with --resume"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left unfinished in ``folder``; nobody else may be writing there."""
    for left in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            left.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content``, whole or not at all; see ``replacing``."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all. NaN is not JSON and is refused."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: there is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist: is {path.parent} a run folder made by `twofold train`?") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as JSON ({error}): it is damaged; train again") from error
