"""The training's end of the wire, against instruments that answer in every way but the right one.

Oracle: the protocol as docs/instruments.md has it, spoken by servers of the test's own.
"""

from __future__ import annotations

import copy
import json
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.helpers import refusal
from support.peers import FACTS, INPUTS, Script, answering, described, numbers, right, scripted
from twofold.errors import DeviceError, Remark, SettingError
from twofold.instrument import Instrument
from twofold.instrument.messages import HEADER, Message, pack, unpack
from twofold.instrument.wire import Wire

BATCH = torch.rand(4, INPUTS)


def header(**parts: Any) -> bytes:
    """A message of a header alone."""
    said = {"__metadata__": {"protocol": "1", "kind": "batch", "number": "1"}, **parts}
    text = json.dumps(said).encode()
    return len(text).to_bytes(8, "little") + text


def told(**changes: str) -> Script:
    """A description with changes; what is empty is left away."""
    facts = {name: value for name, value in {**FACTS, **changes}.items() if value}
    return lambda wire: described(wire, facts)


def entry(end: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, end]}


BAD: dict[str, tuple[Script, str]] = {
    "garbage": (
        answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "answers request 1 with garbage: b'HTTP",
    ),
    "no JSON": (
        answering((9).to_bytes(8, "little") + b"not json!"),
        "garbage: the header is invalid (JSONDecodeError)",
    ),
    "no metadata": (answering((2).to_bytes(8, "little") + b"{}"), "garbage: the header is invalid"),
    "deep JSON": (answering((60000).to_bytes(8, "little") + b"[" * 60000), "garbage: the header is invalid"),
    "too much": (
        answering(header(batch=entry(10**15))),
        "too much data: 1,000,000,000,000,000 bytes, expected at most 64",
    ),
    "numbers that end nowhere": (answering(header(batch=entry("x"))), "garbage: the header is invalid"),
    "numbers that end before they begin": (answering(header(batch=entry(-1))), "garbage: the header is invalid"),
    "other numbers than it says": (
        answering(header(batch=entry(8)) + b"12345678"),
        "garbage: the message is invalid (SafetensorError)",
    ),
    "another tensor": (answering(header(other=entry(32)) + bytes(32)), "garbage: expected one tensor, batch"),
    "another version": (
        answering(lambda m: right(m).replace(b'"protocol":"1"', b'"protocol":"2"')),
        "protocol version 2, expected 1",
    ),
    "another kind": (answering(lambda m: pack("what\x1b[2J", m.number)), "kind 'what?[2J', expected 'batch'"),
    "an error": (answering(lambda m: pack("error", m.number, facts={"reason": "no\nlight"})), "an error: no light"),
    "an error of the connection": (answering(pack("error", 0, facts={"reason": "hot"})), "an error: hot"),
    "too few rows": (
        answering(lambda m: pack("batch", m.number, numbers(1.0, 3))),
        "(3, 2) for 4 input rows, expected (4, 2)",
    ),
    "other units": (answering(lambda m: pack("batch", m.number, numbers(1.0, 4, 3))), "(4, 3) for 4 input rows"),
    "NaN": (answering(lambda m: pack("batch", m.number, numbers(torch.nan))), "NaN, infinite or too large"),
    "no inputs": (told(inputs=""), "a description that has no 'inputs'"),
    "words for units": (told(units="many"), "a description that has no"),
    "no units": (told(units="0"), "another device: 3 inputs, 0 units"),
    "other inputs": (told(inputs="5"), "has 5 inputs, but the batch has 3 columns"),
    "another client": (
        lambda wire: wire.send(pack("error", wire.receive(5).number, facts={"reason": "busy"}), 5),
        "does not answer request 1 (it has another client)",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_answer_is_named_in_one_line(what: str) -> None:
    script, said = BAD[what]
    with scripted(script) as address:
        instrument = Instrument(address, timeout=5)
        line = refusal(lambda: instrument(BATCH), DeviceError)
    assert f"the instrument {address} " in line
    assert said in line
    assert line.isprintable()
    assert int(instrument.requests) == 0


def late(request: Message) -> bytes:
    return pack("batch", request.number - 1, numbers(7.0))


def test_an_answer_to_another_request_is_left_aside() -> None:
    early = pack("batch", 2, numbers(8.0))
    with scripted(
        answering(late, early, lambda m: pack("error", m.number + 3, facts={"reason": "x"}), right)
    ) as address:
        instrument = Instrument(address, timeout=5)
        assert torch.equal(instrument(BATCH), numbers(1.0))
        instrument.close()


def test_where_only_other_requests_are_answered_patience_ends() -> None:
    with scripted(answering(late, late), answering(late)) as address:
        instrument = Instrument(address, timeout=0.2, patience=0.3)
        with pytest.warns(Remark, match=r"does not answer request 1 \(timed out\); retrying$"):
            line = refusal(lambda: instrument(BATCH), DeviceError)
    assert "does not answer request 1 (timed out) within 0 s" in line
    assert "a timeout of 0.2 s is enough" in line


def dripping(wire: Wire) -> None:
    """An answer that comes byte by byte, and never to its end."""
    message = right(described(wire))
    for at in range(len(message) - 1):
        wire.send(message[at : at + 1], 1)
        time.sleep(0.005)


def cut(wire: Wire) -> None:
    wire.send(right(described(wire))[:-3], 5)


LOST: dict[str, Script] = {
    "hangs": lambda wire: (described(wire), wire.receive(5)),
    "hangs before it describes itself": lambda wire: (wire.receive(5), wire.receive(5)),
    "drips": dripping,
    "is cut off": cut,
    "is cut off before it describes itself": lambda wire: wire.receive(5),
}


@pytest.mark.parametrize("how", LOST)
def test_an_instrument_that_is_lost_is_waited_for_and_the_request_repeated(how: str) -> None:
    seen: list[Message] = []

    def back(wire: Wire) -> None:
        seen.append(described(wire))
        wire.send(right(seen[0]), 5)
        wire.receive(5)

    def whole(wire: Wire) -> None:
        request = described(wire)
        wire.send(right(request), 5)
        wire.receive(5)

    with scripted(whole, LOST[how], back) as address:
        instrument = Instrument(address, timeout=0.3, patience=5)
        instrument(BATCH)
        instrument.close()
        why = r"\(timed out\)" if how in ("hangs", "drips") else ""
        with pytest.warns(Remark, match=rf"does not answer request 2 .*{why}; retrying$") as said:
            assert torch.equal(instrument(BATCH + 1), numbers(1.0))
        instrument.close()
    assert len(said) == 1
    assert seen[0].number == 2
    assert seen[0].batch is not None
    assert torch.equal(seen[0].batch, BATCH + 1)
    assert int(instrument.requests) == 2


def test_where_a_request_may_not_be_repeated_safely_the_line_says_so() -> None:
    facts = {**FACTS, "repeatable": "no"}
    with scripted(lambda wire: described(wire, facts), answering(right)) as address:
        instrument = Instrument(address, timeout=5)
        with pytest.warns(Remark, match=r"retrying \(a repeated request may change the state of the hardware twice\)$"):
            instrument(BATCH)
        instrument.close()


def test_another_device_in_the_place_of_the_first_is_refused() -> None:
    with scripted(answering(right), told(units="5")) as address:
        instrument = Instrument(address, timeout=5)
        instrument(BATCH)
        instrument.close()
        assert "another device: 3 inputs, 5 units" in refusal(lambda: instrument(BATCH), DeviceError)


def test_numbers_only_rise_on_one_connection() -> None:
    """Else the answer to a request from before a training went back to its checkpoint could be taken."""
    asked: list[int] = []

    def twice(wire: Wire) -> None:
        request = described(wire)
        asked.append(request.number)
        wire.send(right(request), 5)
        wire.send(pack("batch", request.number, numbers(7.0)), 5)  # again: it would meet the repeated number
        with suppress(OSError):
            asked.append(-wire.receive(5).number)

    with scripted(twice, answering(right)) as address:
        instrument = Instrument(address, timeout=5)
        instrument(BATCH)
        instrument.requests.fill_(0)
        assert torch.equal(instrument(BATCH), numbers(1.0))
        instrument.close()
    assert asked == [1]


def test_a_call_that_is_interrupted_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(lambda wire: (described(wire), wire.receive(5)), answering(right)) as address:
        instrument, receive = Instrument(address, timeout=5), Instrument._receive

        def interrupted(self: Instrument, number: int, kind: str, *bounds: Any) -> Message:
            if kind == "batch":
                raise KeyboardInterrupt
            return receive(self, number, kind, *bounds)

        with monkeypatch.context() as patch:
            patch.setattr(Instrument, "_receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                instrument(BATCH)
        assert not instrument._wires
        assert torch.equal(instrument(BATCH), numbers(1.0))
        instrument.close()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_connects_by_itself_and_goes_on_counting(again: Callable[[Instrument], Instrument]) -> None:
    with scripted(answering(right), answering(right)) as address:
        instrument = Instrument(address, 5, 7)
        instrument(BATCH)
        other = again(instrument)
        instrument.close()
        assert (other.address, other.timeout, other.patience, int(other.requests)) == (address, 5, 7, 1)
        other(BATCH)
        other.close()
    assert int(instrument.requests) == 1


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:5", "tcp://", "tcp://host", "tcp://h:x", "tcp://h:99999", "tcp://h:1/x", []]
)
def test_an_address_that_is_none_is_refused(address: Any) -> None:
    assert "address is" in refusal(lambda: Instrument(address), SettingError)


def test_commands_that_are_no_instruments_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.instrument.client.STARTING", 0.2)
    for command, said in (
        (["no-such-device"], "cannot start 'no-such-device': No such file"),
        (["false"], "the instrument false ended or timed out before it sent its description"),
        (["sh", "-c", "cat > /dev/null; echo garbage"], "ended or timed out"),
        (["sh", "-c", "echo too much of something else; exec cat > /dev/null"], "garbage: b'too much'"),
    ):
        assert said in refusal(lambda command=command: Instrument(command, timeout=0.2)(BATCH), DeviceError)


def reader(data: bytes, asked: list[int]) -> Callable[[int], bytes]:
    rest = memoryview(data)

    def read(count: int) -> bytes:
        nonlocal rest
        asked.append(count)
        found, rest = rest[:count], rest[count:]
        if len(found) < count:
            raise EOFError
        return bytes(found)

    return read


WHOLE = pack("batch", 3, numbers(1.0), {"name": "x"})


@given(st.binary(max_size=40), st.integers(0, len(WHOLE)), st.booleans())
def test_whatever_comes_is_a_message_or_one_error_and_no_more_is_read_than_is_bounded(
    noise: bytes, at: int, insert: bool
) -> None:
    data, asked = WHOLE[:at] + noise + WHOLE[at if insert else at + len(noise) :], list[int]()
    with suppress(ValueError, EOFError):
        found = unpack(reader(data, asked), 64)
        assert isinstance(found, Message)
        assert found.batch is None or found.batch.nbytes <= 64
    assert max(asked) <= HEADER
    assert unpack(reader(WHOLE, asked)).facts == {"protocol": "1", "name": "x"}


def test_a_batch_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.instrument.client.NUMBERS", 40)
    assert "too large to send" in refusal(lambda: Instrument("tcp://127.0.0.1:1")(BATCH), DeviceError)
