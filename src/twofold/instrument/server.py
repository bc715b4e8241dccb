"""Server of an instrument: calls a function with each batch that a client sends."""

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

from twofold.checks import check_arguments
from twofold.checks.bounds import counts
from twofold.errors import DeviceError, SettingError
from twofold.instrument.messages import BUSY, Message, pack, unpack
from twofold.instrument.wire import Wire, host_and_port
from twofold.layers.black_box import as_batch, one_line

PIPES = "pipes"
"""Address for a connection through this process's stdin and stdout."""

MESSAGE_SECONDS, GREETING_SECONDS = 60.0, 1.0
"""Timeouts in seconds: for receiving a message, and for the first message of a client that will be refused."""


@check_arguments
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
    """Make a function available to a client, such as an `Instrument`, which sends batches and receives the outputs.

    The call returns when the process is interrupted (Ctrl-C) or, with pipes, when the client disconnects. Only one
    client is connected at a time; other clients are refused until this client disconnects. A client that lost its
    connection can reconnect. If the function raises an exception, the client receives the message of the exception and
    the server keeps running.

    Args:
        function: Maps a float32 tensor ``(rows, inputs)`` to ``(rows, units)``, like the function of a `BlackBox`.
        inputs: Number of inputs of the function.
        units: Number of outputs of the function.
        address: ``"pipes"`` (default), or ``tcp://127.0.0.1:PORT``; port 0 selects a free port. With pipes, everything
            that the function prints goes to stderr.
        name: Name of the hardware; by default the name of the function.
        repeatable: If True, the function is called with the request number as a second argument. The function must
            derive its noise and state from this number, so that a repeated request gets the same answer.
        announce: Function that is called with the address once clients can connect. Not used with pipes.

    Raises:
        SettingError: The address is invalid, in use, or reachable from other machines.
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
    """The served function, which answers messages."""

    def __init__(self, function: Callable[..., Any], inputs: int, units: int, name: str, repeatable: bool) -> None:
        self.function, self.inputs, self.units, self.repeatable = function, inputs, units, repeatable
        facts = {"name": name, "inputs": str(inputs), "units": str(units), "repeatable": "yes" if repeatable else "no"}
        self.description = facts

    def answer(self, message: Message) -> bytes:
        """Return the answer to a request."""
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
            raise DeviceError(f"unknown kind of request {message.kind!r}, expected describe or batch")
        rows, inputs = message.batch.shape
        if inputs != self.inputs:
            raise DeviceError(f"the batch has {inputs} columns, expected {self.inputs}")
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
                readable = [key.fileobj for key, _ in ready.select()]
            if client is not None and client.end in readable and not _answered(client, device.answer, MESSAGE_SECONDS):
                client.close()
                client = None
            if listener in readable:
                with contextlib.suppress(OSError):
                    client = _accept(listener, client)
    finally:
        if client is not None:
            client.close()


def _accept(listener: socket.socket, client: Wire | None) -> Wire:
    """Accept a new client, or refuse the new client if ``client`` is still connected; return the connected client."""
    end, _ = listener.accept()
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    newcomer = Wire(end)
    if client is None:
        return newcomer
    _answered(newcomer, lambda message: _refusal(message.number, BUSY), GREETING_SECONDS)
    newcomer.close()
    return client


def _answered(client: Wire, answer: Callable[[Message], bytes], seconds: float) -> bool:
    """Read a message of ``client`` and answer it, with an error if it is invalid; return True on success."""
    try:
        try:
            reply = answer(client.receive(seconds))
        except ValueError as error:
            client.send(_refusal(0, f"got {error}"), seconds)
            return False
        client.send(reply, seconds)
    except OSError:
        return False
    return True


def _over_pipes(device: _Device, source: BinaryIO, sink: BinaryIO) -> None:
    def read(count: int) -> bytes:
        data = source.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def write(message: bytes) -> None:
        rest = memoryview(message)
        while rest:
            rest = rest[sink.write(rest) :]

    with contextlib.suppress(EOFError, OSError):  # the client has disconnected
        while True:
            try:
                reply = device.answer(unpack(read))
            except ValueError as error:
                write(_refusal(0, f"got {error}"))
                return
            write(reply)


@contextlib.contextmanager
def _stdin_and_stdout() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield stdin and stdout as binary streams, and redirect everything that is printed to stderr."""
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
    """Return a listening socket, reachable from this machine only."""
    host, port = host_and_port(address)
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise SettingError(
            f"address is {address}, expected a local one such as tcp://127.0.0.1:{port}, since clients are not "
            "authenticated: to connect from another machine, forward the port (ssh -L)"
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=4)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                f"port {port} is in use: end the process that uses it, or choose another (0 selects a free port)"
            ) from error
        raise SettingError(f"cannot listen at {address}: {error.strerror or error}; choose another port") from error
