"""Client of an instrument: a callable that sends a batch to the hardware and returns the output of the hardware."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from twofold.checks import check_arguments
from twofold.checks.bounds import positive, shaped
from twofold.errors import DeviceError, SettingError, remark
from twofold.instrument.messages import BUSY, NUMBERS, Message, pack
from twofold.instrument.wire import Wire, connect, host_and_port
from twofold.layers.black_box import as_batch, one_line

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Pause before the first retry, and longest pause before a retry, in seconds. The pause doubles with each retry."""

STARTING = 60.0
"""Minimum timeout, in seconds, in which a command must start and send a description of the instrument."""


class Description(NamedTuple):
    """Description of an instrument. It is the first message that the instrument sends.

    Attributes:
        name: Name of the hardware.
        inputs: Number of inputs, which is the number of columns of a batch.
        units: Number of outputs, which is the number of columns of an answer.
        repeatable: True if a repeated request gets the same answer.
    """

    name: str
    inputs: int
    units: int
    repeatable: bool


class Refused(Exception):
    """Raised if the instrument has another client."""


class Instrument(nn.Module):
    """Hardware in another process, as a callable: ``BlackBox(Instrument("tcp://127.0.0.1:5555"))``.

    The first call opens the connection. Each call sends a batch as a request with the next request number, waits for
    the answer with this number, and ignores all other answers. If no answer arrives in time or the connection breaks,
    the client reconnects (a command is restarted) and repeats the request. The pauses between attempts grow, and there
    is only one warning. Training waits in the meantime and continues with the same step. Request numbers only increase
    on one connection, so a late answer is never mistaken for the answer to another request.

    The number of the last request is a buffer that is stored in checkpoints but not in ``state_dict``. A resumed
    training run continues with the same request numbers. If the noise of the instrument depends only on the request
    number, the final weights are the same as without the interruption.

    In a process, only the `Instrument` that was called last is connected to an address. If two boxes of a net are the
    same device, pass the same `Instrument` to both, so that both boxes share one sequence of request numbers.

    Args:
        address: ``tcp://HOST:PORT`` of a server, or a command, such as ``["python", "my_device.py"]``, which is started
            and connected through its stdin and stdout.
        timeout: Seconds to wait for an answer before the request is repeated.
        patience: Seconds without an answer after which a call raises an error.

    Raises:
        SettingError: In the constructor, if the address is invalid.
        DeviceError: In a call, if the instrument does not answer, has another client, reports an error, or sends
            an invalid answer.

    Attributes:
        requests: Request number of the last request that was answered.
        description: Description sent by the instrument; ``None`` before it is connected.
    """

    requests: Tensor

    @check_arguments
    def __init__(self, address: str | Sequence[str], timeout: float = 10.0, patience: float = 600.0) -> None:
        super().__init__()
        positive(timeout=timeout, patience=patience)
        if isinstance(address, str):
            host_and_port(address)
        elif not address:
            raise SettingError("address is empty, expected tcp://HOST:PORT or a command as a list of words")
        self.address = address
        self.timeout = timeout
        self.patience = patience
        self.description: Description | None = None
        self._wires: list[Wire] = []  # at most one
        self._sent = 0
        self.register_buffer("requests", torch.zeros((), dtype=torch.int64), persistent=False)
        weakref.finalize(self, _close, self._wires)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unconnected, (self.address, self.timeout, self.patience, int(self.requests))

    @property
    def title(self) -> str:
        """Name of the instrument in error messages."""
        return f"the instrument {self.address if isinstance(self.address, str) else ' '.join(self.address)}"

    @check_arguments
    def forward(self, batch: Tensor) -> Tensor:
        """Return the instrument's outputs ``(rows, units)``, float32 on the CPU, for a batch ``(rows, inputs)``."""
        shaped("batch", batch, "rows", "inputs")
        if batch.numel() * 4 > NUMBERS:
            raise DeviceError(f"{self.title}: a batch of {len(batch)} rows is too large to send: use a smaller batch")
        number = int(self.requests) + 1
        answer = self._answer(pack("batch", number, batch.float()), number, batch)
        self.requests.fill_(number)
        return answer

    def _answer(self, request: bytes, number: int, batch: Tensor) -> Tensor:
        """Send a request until the instrument answers or ``patience`` is exceeded, and return the answer."""
        start, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return self._ask(request, number, batch)
            except (OSError, Refused) as lost:
                self.close()
                reason = one_line(getattr(lost, "strerror", None) or lost)
                hopeless = self.description is None and (isinstance(lost, Refused) or not isinstance(self.address, str))
                waited = time.monotonic() - start
                if hopeless or waited + pause > self.patience:
                    raise DeviceError(self._given_up(reason, number, waited)) from lost
                if pause == FIRST_PAUSE:
                    remark(f"{self.title} does not answer request {number} ({reason}); retrying{self._doubt()}")
            except ValueError as error:
                self.close()
                raise DeviceError(f"{self.title} answers request {number} with {error}") from error
            except BaseException:
                self.close()  # so that a pending answer is not read by the next request
                raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _doubt(self) -> str:
        stateful = self.description is not None and not self.description.repeatable
        return " (a repeated request may change the state of the hardware twice)" if stateful else ""

    def _given_up(self, reason: str, number: int, waited: float) -> str:
        if self.description is None and not isinstance(self.address, str):
            return f"{self.title} ended or timed out before it sent its description ({reason}): run the command by hand"
        return (
            f"{self.title} does not answer request {number} ({reason}) within {waited:.0f} s: check that it runs, that "
            f"it has no other client, and that a timeout of {self.timeout:g} s is enough for an answer"
        )

    def _ask(self, request: bytes, number: int, batch: Tensor) -> Tensor:
        """Send a request once and return the answer of the instrument.

        Raises:
            OSError: The connection is lost.
            Refused: The instrument has another client.
            ValueError: The answer is invalid.
        """
        if self._wires and number <= self._sent:
            self.close()  # training was reset to a checkpoint: an older answer with this number may be pending
        if not self._wires:
            self._close_older()
            self._wires.append(connect(self.address, self.timeout))
            self.description = self._describe()
        known = self.description
        assert known is not None
        if batch.shape[1] != known.inputs:
            raise DeviceError(
                f"{self.title} has {known.inputs} inputs, but the batch has {batch.shape[1]} columns: put a layer of "
                f"{known.inputs} units before it"
            )
        self._sent = number
        self._wires[0].send(request, self.timeout)
        answer = self._receive(number, "batch", 8 * len(batch) * known.units, self.timeout)
        return as_batch(self.title, answer.batch, len(batch), known.units)

    def _close_older(self) -> None:
        """Close the connection of any other `Instrument` in this process, such as an earlier net's, to the address."""
        if isinstance(self.address, str):
            older = _CLIENTS.get(self.address)
            if older is not None and older is not self:
                older.close()
            _CLIENTS[self.address] = self

    def _describe(self) -> Description:
        seconds = self.timeout if isinstance(self.address, str) else max(self.timeout, STARTING)
        self._wires[0].send(pack("describe", 0), seconds)
        facts = self._receive(0, "description", 0, seconds).facts
        try:
            sizes = {name: int(facts[name]) for name in ("inputs", "units")}
            description = Description(one_line(facts["name"]), **sizes, repeatable=facts["repeatable"] == "yes")
        except (KeyError, ValueError) as error:
            raise ValueError(f"a description that has no {one_line(error)}") from error
        if min(sizes.values()) < 1 or (self.description or description)[1:3] != description[1:3]:
            raise ValueError(f"the description of another device: {sizes['inputs']} inputs, {sizes['units']} units")
        return description

    def _receive(self, number: int, kind: str, most: int, seconds: float) -> Message:
        """Return the answer to request ``number``, and ignore answers to other requests."""
        deadline = time.monotonic() + seconds
        while True:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError("timed out: only other requests were answered")
            message = self._wires[0].receive(left, most)
            if message.kind == "error" and message.facts.get("reason") == BUSY:
                raise Refused("it has another client")
            if message.number == number or (message.kind == "error" and not message.number):  # 0: about the connection
                break
        if message.kind == "error":
            raise ValueError(f"an error: {one_line(message.facts.get('reason', ''))}")
        if message.kind != kind:
            raise ValueError(f"a message of kind {one_line(message.kind)!r}, expected {kind!r}")
        return message

    def close(self) -> None:
        """Close the connection, and end the process if the address is a command. The next call reconnects."""
        _close(self._wires)

    def extra_repr(self) -> str:
        return self.title


_CLIENTS: weakref.WeakValueDictionary[str, Instrument] = weakref.WeakValueDictionary()
"""Address -> the `Instrument` of this process that is connected to this address."""


def _close(wires: list[Wire]) -> None:
    while wires:
        wires.pop().close()


def _unconnected(address: str | Sequence[str], timeout: float, patience: float, requests: int) -> Instrument:
    """Return a new `Instrument`, for unpickling, that opens a connection when it is first called."""
    instrument = Instrument(address, timeout, patience)
    instrument.requests.fill_(requests)
    return instrument
