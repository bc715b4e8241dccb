"""Connections that carry messages: a socket to a server, or to the stdin and stdout of a subprocess."""

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
"""Seconds that a process at the other end has to end after a connection is closed, before the process is killed."""


def host_and_port(address: str) -> tuple[str, int]:
    """Split an address ``tcp://HOST:PORT``.

    Raises:
        SettingError: The address has another form.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not address.startswith(SCHEME) or not host or port is None or address.count("/") > 2:
        raise SettingError(f"address is {address!r}, expected tcp://HOST:PORT, such as tcp://127.0.0.1:5555")
    return host, port


class Wire:
    """A connection to an instrument or a client. After a timeout, the connection is unusable, since a message may be
    incomplete.

    Args:
        end: Socket of this end of the connection.
        process: Process at the other end, if it was started for this connection.
    """

    def __init__(self, end: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self.end = end
        self.process = process

    def send(self, message: bytes, seconds: float) -> None:
        """Send a message within ``seconds``.

        Raises:
            OSError: The other end disconnected, or is too slow.
        """
        self.end.settimeout(seconds)
        self.end.sendall(message)

    def receive(self, seconds: float, most: int = NUMBERS) -> Message:
        """Receive the next message within ``seconds``, and return it.

        Raises:
            OSError: The other end disconnected, or is too slow.
            ValueError: The message is invalid; see `unpack`.
        """
        deadline = time.monotonic() + seconds

        def read(count: int) -> bytes:
            data = bytearray(count)
            rest = memoryview(data)
            while rest:
                self.end.settimeout(max(deadline - time.monotonic(), 1e-3))
                received = self.end.recv_into(rest)
                if not received:
                    raise ConnectionError("the connection was closed")
                rest = rest[received:]
            return bytes(data)

        return unpack(read, most)

    def close(self) -> None:
        """Close the connection, and wait `ENDING` seconds for the process to end before killing it."""
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)  # takes effect even if another process holds a copy of the socket
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
        address: ``tcp://HOST:PORT``, or a command as a list of words.
        seconds: Timeout for connecting.

    Raises:
        OSError: The server cannot be reached.
        DeviceError: The command cannot be started.
    """
    if isinstance(address, str):
        end = socket.create_connection(host_and_port(address), seconds)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Wire(end)
    if os.name != "posix":
        raise DeviceError("starting an instrument as a process requires Linux or macOS: use tcp://127.0.0.1:5555")
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            # In a new session, so that Ctrl-C reaches only the training process, which then ends the device process
            process = subprocess.Popen(
                list(address), stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
            )
    except OSError as error:
        ours.close()
        raise DeviceError(f"cannot start {address[0]!r}: {error.strerror or error}; check the command") from error
    return Wire(ours, process)
