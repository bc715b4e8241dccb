"""The end of the training: an instrument as a callable from batch to batch."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from twofold.checks import typed
from twofold.checks.bounds import positive, shaped
from twofold.errors import DeviceError, SettingError, remark
from twofold.instrument.messages import BUSY, NUMBERS, Message, pack
from twofold.instrument.wire import Wire, connect, host_and_port
from twofold.layers.black_box import as_batch, one_line

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds before the first new attempt, and at most before a later one; each pause is twice the one before."""

STARTING = 60.0
"""Seconds that a command has at least to start and to describe itself."""


class Description(NamedTuple):
    """What an instrument says of itself.

    Attributes:
        name: its name.
        inputs: numbers in a row that it takes.
        units: numbers in a row that it gives.
        repeatable: whether a request that is repeated gets the same answer.
    """

    name: str
    inputs: int
    units: int
    repeatable: bool


class Refused(Exception):
    """The instrument has another client."""


class Instrument(nn.Module):
    """Hardware in another process, as a callable from batch to batch: ``BlackBox(Instrument("tcp://127.0.0.1:5555"))``.

    It connects at the first call. A call sends a request with the next number and waits for the answer of that number;
    whatever else arrives is left aside. Where no answer comes in time, or the connection breaks, it connects anew (a
    command is started anew) and repeats the request, after pauses that grow, and says so once: the training
    pauses, and goes on with the very step that it was at. Numbers only rise on one connection, so that an answer that
    comes late is never taken for that of another request.

    The number of requests so far is a buffer that checkpoints hold and ``state_dict`` leaves out. A resumed training
    asks with the numbers with which it would have asked, and where the instrument draws its noise by number, it ends
    with the same weights.

    In one process the newest instrument at an address has it; an older one that is asked again has it again. Where two
    boxes of a net are one device, give both the same object, so that their requests have numbers of one row.

    Args:
        address: ``tcp://HOST:PORT`` of a server, or a command, such as ``["python", "my_device.py"]``, whose stdin and
            stdout are the wire.
        timeout: seconds in which the instrument has to answer.
        patience: seconds without an answer after which the training stops.

    Raises:
        SettingError: here, the address is none.
        DeviceError: in a call, the instrument does not answer, has another client, reports an error, or gives something
            else than an answer. The message says which.

    Attributes:
        requests: the number of the last request that was answered.
        description: what the instrument says of itself, once it is connected.
    """

    requests: Tensor

    @typed
    def __init__(self, address: str | Sequence[str], timeout: float = 10.0, patience: float = 600.0) -> None:
        super().__init__()
        positive(timeout=timeout, patience=patience)
        if isinstance(address, str):
            host_and_port(address)
        elif not address:
            raise SettingError("address is empty, expected the words of a command")
        self.address = address
        self.timeout = timeout
        self.patience = patience
        self.description: Description | None = None
        self._wires: list[Wire] = []  # one or none
        self._sent = 0
        self.register_buffer("requests", torch.zeros((), dtype=torch.int64), persistent=False)
        weakref.finalize(self, _hang_up, self._wires)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unconnected, (self.address, self.timeout, self.patience, int(self.requests))

    @property
    def title(self) -> str:
        """What it is called in errors."""
        return f"the instrument {self.address if isinstance(self.address, str) else ' '.join(self.address)}"

    @typed
    def forward(self, batch: Tensor) -> Tensor:
        """What the instrument makes of a batch ``(rows, inputs)``: ``(rows, units)``, float32, on the CPU."""
        shaped("batch", batch, "rows", "inputs")
        if batch.numel() * 4 > NUMBERS:
            raise DeviceError(f"{self.title}: a batch of {len(batch)} rows is too large to be sent: make it smaller")
        number = int(self.requests) + 1
        answer = self._answer(pack("batch", number, batch.float()), number, batch)
        self.requests.fill_(number)
        return answer

    def _answer(self, request: bytes, number: int, batch: Tensor) -> Tensor:
        """Ask until there is an answer, or patience is at its end."""
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
                    remark(f"{self.title} does not answer ({reason}) at request {number}; waiting{self._doubt()}")
            except ValueError as error:
                self.close()
                raise DeviceError(f"{self.title} answers request {number} with {error}") from error
            except BaseException:
                self.close()  # whatever is under way must not meet the next request
                raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _doubt(self) -> str:
        once = self.description is not None and not self.description.repeatable
        return " (a request that it gets twice may change its state twice)" if once else ""

    def _given_up(self, reason: str, number: int, waited: float) -> str:
        if self.description is None and not isinstance(self.address, str):
            return f"{self.title} ended, or said nothing ({reason}), before it described itself: run it by hand"
        return (
            f"{self.title} does not answer request {number} ({reason}), {waited:.0f} s after it was asked first: see "
            f"that it runs, nobody else uses it, and {self.timeout:g} s are enough for an answer"
        )

    def _ask(self, request: bytes, number: int, batch: Tensor) -> Tensor:
        """One attempt.

        Raises:
            OSError: it is lost.
            Refused: the instrument has another client.
            ValueError: the answer is none.
        """
        if self._wires and number <= self._sent:
            self.close()  # a training went back to a checkpoint: an answer to the number may be under way already
        if not self._wires:
            self._take_seat()
            self._wires.append(connect(self.address, self.timeout))
            self.description = self._describe()
        known = self.description
        assert known is not None
        if batch.shape[1] != known.inputs:
            raise DeviceError(
                f"{self.title} takes {known.inputs} numbers a row and is given {batch.shape[1]}: put a layer of "
                f"{known.inputs} units before it"
            )
        self._sent = number
        self._wires[0].send(request, self.timeout)
        answer = self._receive(number, "batch", 8 * len(batch) * known.units, self.timeout)
        return as_batch(self.title, answer.batch, len(batch), known.units)

    def _take_seat(self) -> None:
        """Hang up for an older one of this process, such as that of the net of a training before."""
        if isinstance(self.address, str):
            older = _SEATS.get(self.address)
            if older is not None and older is not self:
                older.close()
            _SEATS[self.address] = self

    def _describe(self) -> Description:
        seconds = self.timeout if isinstance(self.address, str) else max(self.timeout, STARTING)
        self._wires[0].send(pack("describe", 0), seconds)
        facts = self._receive(0, "description", 0, seconds).facts
        try:
            numbers = {each: int(facts[each]) for each in ("inputs", "units")}
            found = Description(one_line(facts["name"]), **numbers, repeatable=facts["repeatable"] == "yes")
        except (KeyError, ValueError) as error:
            raise ValueError(f"a description without {one_line(error)}") from error
        if min(numbers.values()) < 1 or (self.description or found)[1:3] != found[1:3]:
            raise ValueError(f"the description of another device: {numbers['inputs']} inputs, {numbers['units']} units")
        return found

    def _receive(self, number: int, kind: str, most: int, seconds: float) -> Message:
        """The answer to a request; answers to others are left aside."""
        deadline = time.monotonic() + seconds
        while True:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError("timed out: it answered other requests only")
            found = self._wires[0].receive(left, most)
            if found.kind == "error" and found.facts.get("reason") == BUSY:
                raise Refused("it has another client")
            if found.number == number or (found.kind == "error" and not found.number):  # 0: of the connection itself
                break
        if found.kind == "error":
            raise ValueError(f"an error: {one_line(found.facts.get('reason', ''))}")
        if found.kind != kind:
            raise ValueError(f"a message of the kind {one_line(found.kind)!r}, expected {kind!r}")
        return found

    def close(self) -> None:
        """Hang up, and end the process where it is one. The next call connects anew."""
        _hang_up(self._wires)

    def extra_repr(self) -> str:
        return self.title


_SEATS: weakref.WeakValueDictionary[str, Instrument] = weakref.WeakValueDictionary()
"""The one of this process that is the client at each address."""


def _hang_up(wires: list[Wire]) -> None:
    while wires:
        wires.pop().close()


def _unconnected(address: str | Sequence[str], timeout: float, patience: float, requests: int) -> Instrument:
    """A copy, which connects by itself."""
    found = Instrument(address, timeout, patience)
    found.requests.fill_(requests)
    return found
