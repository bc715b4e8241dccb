"""Streams that end no work: what cannot be written is left away, and what cannot be encoded is escaped."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

from twofold.errors import Remark

READER_GONE = (errno.EPIPE, errno.EINVAL)
"""Errors that say that the reader of a pipe wants no more, as `head` does; the second is Windows' word for it."""


class Output:
    """A text stream that takes all that is written to it, whether or not it arrives.

    A training writes its progress for hours, and its answer at the end. The reader of a pipe may be gone by then, or
    the disk full, and what was computed must be saved all the same.

    Args:
        stream: where the text goes.

    Attributes:
        error: why it could not be written, the first time that it could not.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | ValueError | None = None

    @property
    def lost(self) -> str | None:
        """Why someone who reads on does not get everything; ``None`` if they do, or if nobody reads on."""
        if not isinstance(self.error, OSError) or self.error.errno in READER_GONE:
            return None
        return self.error.strerror or str(self.error)

    def write(self, text: str) -> int:
        """Write, with escapes in place of characters that the stream's encoding does not have."""
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Let what was written go to its place."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _give_up(self, error: OSError | ValueError) -> None:
        """From now on write to nowhere, also what is in the stream's buffer still, which Python writes at its end."""
        self.error = self.error or error
        with suppress(OSError, ValueError):  # it has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextmanager
def lasting_output() -> Iterator[Output]:
    """Let stdout, which is yielded, and stderr end no work while the context lasts."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else a file that is opened later takes the place of a closed stream, to which C libraries write
    os.close(number)
    with ExitStack() as stack:

        def last(stream: TextIO | None) -> Output:
            return Output(stream or stack.enter_context(open(os.devnull, "w", encoding="utf-8")))  # noqa: PTH123

        out = stack.enter_context(redirect_stdout(last(sys.stdout)))
        stack.enter_context(redirect_stderr(last(sys.stderr)))
        yield out


def say(text: str) -> None:
    """Print a line of the command itself on stderr. Whatever would break the line, or the terminal, is escaped."""
    whole = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    print(f"twofold: {whole}", file=sys.stderr, flush=True)


@contextmanager
def remarks_as_notes() -> Iterator[None]:
    """Print every `Remark` as a line, each text once; other warnings stay as they are."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *others: Any, **named: Any) -> None:
        if not issubclass(category, Remark):
            usual(message, category, *others, **named)
        elif str(message) not in said:
            said.add(str(message))
            say(f"note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", Remark)
        usual, warnings.showwarning = warnings.showwarning, show
        yield
