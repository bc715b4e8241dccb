"""The other ends of a wire, for tests: servers that answer as they should, or in ways of their own."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from twofold.instrument import serve
from twofold.instrument.messages import Message, pack
from twofold.instrument.wire import Wire

INPUTS, UNITS = 3, 2
SERVE = (sys.executable, "-m", "twofold", "instrument", "serve")
FACTS = {"name": "toy", "inputs": str(INPUTS), "units": str(UNITS), "repeatable": "yes"}

Script = Callable[[Wire], object]
"""What a server does with one connection."""


@contextmanager
def scripted(*scripts: Script) -> Iterator[str]:
    """The address of a server that does with each connection in turn what a script says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            for script in scripts:
                end, _ = listener.accept()
                wire = Wire(end)
                with suppress(OSError):
                    script(wire)
                wire.close()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)
        assert not thread.is_alive(), "not every connection was made"


def described(wire: Wire, facts: dict[str, str] = FACTS) -> Message:
    """Describe a toy, and give the first request."""
    wire.send(pack("description", wire.receive(5).number, facts=facts), 5)
    return wire.receive(5)


def answering(*answers: bytes | Callable[[Message], bytes]) -> Script:
    """Describe a toy, and answer its first request with all of these."""

    def script(wire: Wire) -> None:
        request = described(wire)
        for answer in answers:
            wire.send(answer if isinstance(answer, bytes) else answer(request), 5)
        wire.receive(5)  # the client ends it

    return script


def numbers(value: float, rows: int = 4, units: int = UNITS) -> Tensor:
    return torch.full((rows, units), value)


def right(request: Message) -> bytes:
    return pack("batch", request.number, numbers(1.0))


def served(function: Callable[..., Any], inputs: int = INPUTS, units: int = UNITS, **options: Any) -> str:
    """The address of a server in a thread, which is there until the tests end."""
    addresses: queue.Queue[str] = queue.Queue()
    options |= {"announce": addresses.put}
    where = (function, inputs, units, "tcp://127.0.0.1:0")
    threading.Thread(target=serve, args=where, kwargs=options, daemon=True).start()
    return addresses.get(timeout=10)


@contextmanager
def process(*words: str, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A simulated instrument in a process of its own, and its port."""
    command = [*SERVE, "--port", str(port), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            said = started.stdout.readline()
            yield started, int(said.split(":")[2].split()[0])
        finally:
            started.kill()


def piped(*words: str) -> Sequence[str]:
    """The command of a simulated instrument over pipes."""
    return [*SERVE, "--pipes", *words]
