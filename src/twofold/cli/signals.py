"""Handle Ctrl-C, SIGTERM and SIGHUP in the same way."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""Names of the signals that request a program to terminate. Windows does not have SIGHUP."""


class Stop:
    """Context manager that raises `KeyboardInterrupt` when the program receives a signal to terminate.

    Signals that the program ignores, such as SIGHUP under nohup, remain ignored.

    Args:
        last: True if the program ends after the context. Signals after the context then terminate it at once.

    Attributes:
        number: number of the last signal received; ``None`` if there was none.
    """

    def __init__(self, last: bool) -> None:
        self.last = last
        self.number: int | None = None
        self.before: dict[int, Any] = {}
        self.again: threading.Timer | None = None
        self.hook = sys.unraisablehook

    @property
    def code(self) -> int:
        """Exit code of a program that was stopped by the signal: 128 + the number of the signal."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only the main thread can set handlers
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._stop)
        self.hook, sys.unraisablehook = sys.unraisablehook, self._swallowed
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.unraisablehook = self.hook
        if self.again:
            self.again.cancel()
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_DFL if self.last else handler)

    def ignore(self) -> None:
        """Ignore further signals while the command ends."""
        for number in self.before:
            signal.signal(number, signal.SIG_IGN)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        raise KeyboardInterrupt

    def _swallowed(self, error: sys.UnraisableHookArgs) -> None:
        """Send the signal again if Python discarded its KeyboardInterrupt, as happens in ``__del__``."""
        if self.number is not None and issubclass(error.exc_type, KeyboardInterrupt):
            self.again = threading.Timer(0.01, signal.raise_signal, (self.number,))
            self.again.start()
        else:
            self.hook(error)
