"""Output streams that never raise an error, but drop text that cannot be written."""

from __future__ import annotations

import errno
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from twofold.errors import Remark, SettingError, TwofoldError

READER_GONE = (errno.EPIPE, errno.EINVAL)
"""Error numbers of a write to a pipe that the reading process, such as `head`, has closed. Windows uses EINVAL."""


class Output:
    """A text stream that records write errors instead of raising them.

    A closed pipe or a full disk must not stop a training run that prints its progress for hours.

    Args:
        stream: the stream to write to.

    Attributes:
        error: the first write error; ``None`` if there was none.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | ValueError | None = None

    @property
    def lost(self) -> str | None:
        """The reason why output was lost, or ``None`` if nothing was lost or the reading process closed the pipe."""
        if not isinstance(self.error, OSError) or self.error.errno in READER_GONE:
            return None
        return self.error.strerror or str(self.error)

    def write(self, text: str) -> int:
        """Write text, and escape characters that the encoding of the stream does not support."""
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _give_up(self, error: OSError | ValueError) -> None:
        """Record the error and redirect the stream, including its buffered text, to the null device."""
        self.error = self.error or error
        with suppress(OSError, ValueError):  # the stream has no file descriptor
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self.stream.fileno())
            os.close(devnull)


@contextmanager
def lasting_output() -> Iterator[Output]:
    """Make stdout and stderr drop text that cannot be written, instead of raising an error, and yield stdout."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # reserve 0 to 2: a closed stream's number must not be reused by a file, since C libraries write to it
    os.close(number)
    with ExitStack() as stack:

        def wrap(stream: TextIO | None) -> Output:
            return Output(stream or stack.enter_context(open(os.devnull, "w", encoding="utf-8")))  # noqa: PTH123

        out = stack.enter_context(redirect_stdout(wrap(sys.stdout)))
        stack.enter_context(redirect_stderr(wrap(sys.stderr)))
        yield out


def say(text: str) -> None:
    """Print a message to stderr, in one line that starts with ``twofold:``.

    Characters that are not printable are escaped.
    """
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    print(f"twofold: {line}", file=sys.stderr, flush=True)


@contextmanager
def remarks_as_notes() -> Iterator[None]:
    """Print each distinct `Remark` once, as a line that starts with ``twofold: note:``.

    Show other warnings as usual.
    """
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
        if not issubclass(category, Remark):
            original(message, category, *args, **kwargs)
        elif str(message) not in shown:
            shown.add(str(message))
            say(f"note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", Remark)
        original, warnings.showwarning = warnings.showwarning, show
        yield


def expect_writable(option: str, folder: Path) -> None:
    """Check that files can be written to a folder, which need not exist yet.

    Args:
        option: command-line option that sets the folder, for the error message.
        folder: the folder.

    Raises:
        SettingError: files cannot be written to the folder.
    """
    parent = folder
    while not parent.exists():
        parent = parent.parent
    try:
        with TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise SettingError(f"{option} is {folder}, which is not writable: choose another folder") from error


def print_json(facts: Any) -> None:
    """Print a result as one line of JSON."""
    try:
        print(json.dumps(facts, allow_nan=False))
    except ValueError as error:
        raise TwofoldError("the result has numbers that are not finite, which JSON cannot hold: train again") from error
