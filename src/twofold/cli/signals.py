"""Ctrl-C, SIGTERM and SIGHUP end a command in the same way."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that ask a program to end. Windows lacks the last."""


class Stop:
    """Raises a KeyboardInterrupt when the program is asked to end, while the context lasts.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored.

    Args:
        last: the program ends after the context. A signal that comes still later then ends it at once.

    Attributes:
        number: of the last signal that came; ``None`` before that.
    """

    def __init__(self, last: bool) -> None:
        self.last = last
        self.number: int | None = None
        self.before: dict[int, Any] = {}
        self.again: threading.Timer | None = None
        self.hook = sys.unraisablehook

    @property
    def code(self) -> int:
        """The exit code of a program that was asked to end."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread can have handlers
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._stop)
        self.hook, sys.unraisablehook = sys.unraisablehook, self._swallowed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.unraisablehook = self.hook
        if self.again:
            self.again.cancel()
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_DFL if self.last else handler)

    def ignore(self) -> None:
        """Ignore further signals: the command is at its end."""
        for number in self.before:
            signal.signal(number, signal.SIG_IGN)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        raise KeyboardInterrupt

    def _swallowed(self, error: sys.UnraisableHookArgs) -> None:
        """Python lets no exception out of the deletion of an object: an interrupt that came in one comes again."""
        if self.number is not None and issubclass(error.exc_type, KeyboardInterrupt):
            self.again = threading.Timer(0.01, signal.raise_signal, (self.number,))
            self.again.start()
        else:
            self.hook(error)
