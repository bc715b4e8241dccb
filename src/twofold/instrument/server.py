"""The end of the hardware: a function from batch to batch that others may call, one client at a time."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import selectors
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import torch

from twofold.checks import typed
from twofold.checks.bounds import counts
from twofold.errors import DeviceError, SettingError
from twofold.instrument.messages import BUSY, Message, pack, unpack
from twofold.instrument.wire import Wire, host_and_port
from twofold.layers.black_box import as_batch, one_line

PIPES = "pipes"
"""The address of a process whose stdin and stdout are the wire."""

MESSAGE_SECONDS, GREETING_SECONDS = 60.0, 1.0
"""Seconds in which a message has to come or go that has begun to, and in which a second client has to say something."""


@typed
def serve(
    function: Callable[..., Any],
    inputs: int,
    units: int,
    address: str = PIPES,
    *,
    name: str | None = None,
    repeatable: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Answer batches until the process is ended (Ctrl-C), or, over pipes, until the other end hangs up.

    One client has the hardware at a time; a second one is refused until the first has gone. A client that is lost and
    connects anew is let in. A request that makes the function fail is answered with the reason, and serving goes on.

    Args:
        function: maps a float32 tensor ``(rows, inputs)`` to ``(rows, units)``: what a `BlackBox` takes.
        inputs: numbers in a row that it takes.
        units: numbers in a row that it gives.
        address: pipes, or ``tcp://127.0.0.1:PORT``; port 0 takes one that is free. Whatever the function prints goes to
            stderr where stdout is the wire.
        name: what the hardware is called.
        repeatable: whether a request that comes twice gets the same answer: the function is then called with the number
            of the request as a second argument, and draws noise and state from that.
        announce: called with the address, once clients can connect.

    Raises:
        SettingError: the address is none, is in use, or can be reached from other machines.
    """
    counts(inputs=inputs, units=units)
    called = name or str(getattr(function, "__name__", type(function).__name__))
    device = _Device(function, inputs, units, called, repeatable)
    with contextlib.suppress(KeyboardInterrupt):
        if address == PIPES:
            with _stdin_and_stdout() as (source, sink):
                _over_pipes(device, source, sink)
            return
        with _listening(address) as listener:
            if announce is not None:
                host, port = listener.getsockname()[:2]
                announce(f"tcp://{f'[{host}]' if ':' in host else host}:{port}")
            _over_tcp(device, listener)


class _Device:
    """Answers messages."""

    def __init__(self, function: Callable[..., Any], inputs: int, units: int, name: str, repeatable: bool) -> None:
        self.function, self.inputs, self.units, self.repeatable = function, inputs, units, repeatable
        said = {"name": name, "inputs": str(inputs), "units": str(units), "repeatable": "yes" if repeatable else "no"}
        self.description = said

    def answer(self, message: Message) -> bytes:
        """The answer to a request."""
        if message.kind == "describe":
            return pack("description", message.number, facts=self.description)
        try:
            return pack("batch", message.number, self._respond(message))
        except Exception as error:
            reason = str(error) if isinstance(error, DeviceError) else f"{type(error).__name__}: {error}"
            return _refusal(message.number, reason)

    @torch.no_grad()
    def _respond(self, message: Message) -> torch.Tensor:
        if message.kind != "batch" or message.batch is None:
            raise DeviceError(f"a request of the kind {message.kind}, expected describe or batch")
        rows, inputs = message.batch.shape
        if inputs != self.inputs:
            raise DeviceError(f"{inputs} numbers in a row, expected {self.inputs}")
        numbered = (message.number,) if self.repeatable else ()
        result = self.function(message.batch.float(), *numbered)
        return as_batch(self.description["name"], result, rows, self.units)


def _refusal(number: int, reason: str) -> bytes:
    return pack("error", number, facts={"reason": one_line(reason)})


def _over_tcp(device: _Device, listener: socket.socket) -> None:
    client: Wire | None = None
    try:
        while True:
            with selectors.DefaultSelector() as ready:
                ready.register(listener, selectors.EVENT_READ)
                if client is not None:
                    ready.register(client.end, selectors.EVENT_READ)
                found = [key.fileobj for key, _ in ready.select()]
            if client is not None and client.end in found and not _answered(client, device.answer, MESSAGE_SECONDS):
                client.close()
                client = None
            if listener in found:
                with contextlib.suppress(OSError):
                    client = _let_in(listener, client)
    finally:
        if client is not None:
            client.close()


def _let_in(listener: socket.socket, client: Wire | None) -> Wire:
    """The client that there is, or else the one that knocks; one that knocks in vain is told so."""
    end, _ = listener.accept()
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    other = Wire(end)
    if client is None:
        return other
    _answered(other, lambda message: _refusal(message.number, BUSY), GREETING_SECONDS)
    other.close()
    return client


def _answered(client: Wire, answer: Callable[[Message], bytes], seconds: float) -> bool:
    """Whether one message was read and answered. One that cannot be read is answered with the reason."""
    try:
        try:
            found = answer(client.receive(seconds))
        except ValueError as error:
            client.send(_refusal(0, f"got {error}"), seconds)
            return False
        client.send(found, seconds)
    except OSError:
        return False
    return True


def _over_pipes(device: _Device, source: BinaryIO, sink: BinaryIO) -> None:
    def read(count: int) -> bytes:
        found = source.read(count)
        if len(found) < count:
            raise EOFError
        return found

    def write(message: bytes) -> None:
        rest = memoryview(message)
        while rest:
            rest = rest[sink.write(rest) :]

    with contextlib.suppress(EOFError, OSError):  # the other end has hung up
        while True:
            try:
                found = device.answer(unpack(read))
            except ValueError as error:
                write(_refusal(0, f"got {error}"))
                return
            write(found)


@contextlib.contextmanager
def _stdin_and_stdout() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Both as streams of bytes; what is printed meanwhile goes to stderr."""
    sys.stdout.flush()
    with open(os.dup(0), "rb") as source, open(os.dup(1), "wb", buffering=0) as sink:  # noqa: PTH123
        os.dup2(2, 1)
        try:
            yield source, sink
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os.dup2(sink.fileno(), 1)


def _listening(address: str) -> socket.socket:
    """A socket that clients of this machine can connect to."""
    host, port = host_and_port(address)
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise SettingError(
            f"address is {address}, expected one of this machine, as tcp://127.0.0.1:{port}: it asks nobody who he is; "
            "from another machine, forward the port (ssh -L)"
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=4)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                f"port {port} is in use: end what uses it, or choose another (0 takes a free one)"
            ) from error
        raise SettingError(f"cannot listen at {address}: {error.strerror or error}; choose another port") from error
