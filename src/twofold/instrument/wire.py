"""What messages go over: a socket to a server, or one that is a subprocess's stdin and stdout."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from twofold.errors import DeviceError, SettingError
from twofold.instrument.messages import NUMBERS, Message, unpack

SCHEME = "tcp://"

ENDING = 5.0
"""Seconds that a process has to end after its connection, before it is killed."""


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of ``tcp://HOST:PORT``.

    Raises:
        SettingError: it is no such address.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not address.startswith(SCHEME) or not host or port is None or address.count("/") > 2:
        raise SettingError(f"address is {address!r}, expected one as tcp://127.0.0.1:5555")
    return host, port


class Wire:
    """One connection. Each message is sent and received whole and before a deadline, or the connection is lost.

    Args:
        end: of the connection.
        process: that the other end belongs to, where it was started for this.
    """

    def __init__(self, end: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self.end = end
        self.process = process

    def send(self, message: bytes, seconds: float) -> None:
        """Send a message.

        Raises:
            OSError: here and below, the other end is gone, or too slow.
        """
        self.end.settimeout(seconds)
        self.end.sendall(message)

    def receive(self, seconds: float, most: int = NUMBERS) -> Message:
        """The next message.

        Raises:
            ValueError: it is none; see `unpack`.
        """
        deadline = time.monotonic() + seconds

        def read(count: int) -> bytes:
            found = bytearray(count)
            rest = memoryview(found)
            while rest:
                self.end.settimeout(max(deadline - time.monotonic(), 1e-3))
                got = self.end.recv_into(rest)
                if not got:
                    raise ConnectionError("the connection was closed")
                rest = rest[got:]
            return bytes(found)

        return unpack(read, most)

    def close(self) -> None:
        """End the connection, and the process, which is given time to end by itself."""
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)  # closed for the other end, whoever has a copy of this one
        self.end.close()
        if self.process is not None:
            try:
                self.process.wait(ENDING)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def connect(address: str | Sequence[str], seconds: float) -> Wire:
    """Connect to a server, or start a process.

    Args:
        address: ``tcp://HOST:PORT``, or the words of a command.
        seconds: for the connection.

    Raises:
        OSError: there is no such server now.
        DeviceError: the command cannot be started.
    """
    if isinstance(address, str):
        end = socket.create_connection(host_and_port(address), seconds)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Wire(end)
    if os.name != "posix":
        raise DeviceError("an instrument that is started as a process needs Linux or macOS: use tcp://127.0.0.1:5555")
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            # in a session of its own: Ctrl-C is for the training, which then ends the process
            process = subprocess.Popen(
                list(address), stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
            )
    except OSError as error:
        ours.close()
        raise DeviceError(f"cannot start {address[0]!r}: {error.strerror or error}; check the command") from error
    return Wire(ours, process)
