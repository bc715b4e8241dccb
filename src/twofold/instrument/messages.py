"""Messages between a client (the training process) and an instrument, in the safetensors format.

A message has the format of a safetensors file: 8 bytes with the length of the header (little-endian), a JSON header,
and the tensor data. The header states where the data end, so messages follow one another in a stream without further
framing. All other fields are strings in the header's ``__metadata__``:

    protocol   ``1``
    kind       ``describe``, ``description``, ``batch`` or ``error``
    number     number of the request, repeated in the answer
    ...        in a description: name, inputs, units, repeatable (yes or no); in an error: reason

A ``batch`` has one tensor, called ``batch``, of shape ``(rows, columns)``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

PROTOCOL = "1"
"""Protocol version, which must be the same for client and server."""

HEADER = 1 << 16
"""Maximum size of a header, in bytes."""

NUMBERS = 1 << 28
"""Maximum size of the tensor data, in bytes: 256 MiB."""

BUSY = "busy"
"""Reason in the error sent to a client that connects while another client is connected."""


class Message(NamedTuple):
    """A message of the protocol.

    Attributes:
        kind: ``describe``, ``description``, ``batch`` or ``error``.
        number: Request number; an answer has the number of the request that it answers.
        facts: All other fields of ``__metadata__``, such as ``reason``.
        batch: Tensor ``(rows, columns)``, or ``None`` for a message without a tensor.
    """

    kind: str
    number: int
    facts: dict[str, str]
    batch: Tensor | None


def pack(kind: str, number: int, batch: Tensor | None = None, facts: Mapping[str, str] | None = None) -> bytes:
    """Return a message as bytes; for the arguments see `Message`."""
    tensors = {} if batch is None else {"batch": batch.detach().cpu().contiguous()}
    return save(tensors, {"protocol": PROTOCOL, "kind": kind, "number": str(number), **(facts or {})})


def unpack(read: Callable[[int], bytes], most: int = NUMBERS) -> Message:
    """Read a message from a stream.

    Args:
        read: Function that reads and returns exactly the given number of bytes.
        most: Maximum size of the tensor data, in bytes. If the header states a larger size, the data are not read.

    Raises:
        ValueError: The bytes are not a message, or the message is too large or has another protocol version.
    """
    start = read(8)
    length = int.from_bytes(start, "little")
    if length > HEADER:
        raise ValueError(f"garbage: {start!r} is not the beginning of a message of this protocol")
    text = read(length)
    try:
        header = json.loads(text)
        facts = {str(name): str(value) for name, value in header.pop("__metadata__").items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if not isinstance(end, int) or end < 0:
            raise ValueError(f"tensor data that end at {end}")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"garbage: the header is invalid ({type(error).__name__})") from error
    if facts.get("protocol") != PROTOCOL:
        raise ValueError(
            f"protocol version {facts.get('protocol')}, expected {PROTOCOL}: update the older of the two programs"
        )
    if end > most:
        raise ValueError(f"too much data: {end:,} bytes, expected at most {most:,}")
    numbers = read(end)
    try:
        tensors = load(start + text + numbers)
        number = int(facts.pop("number"))
        kind = facts.pop("kind")
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"garbage: the message is invalid ({type(error).__name__})") from error
    if kind == "batch" and (tensors.keys() != {"batch"} or tensors["batch"].ndim != 2):
        raise ValueError("garbage: expected one tensor, batch, of shape (rows, columns)")
    return Message(kind, number, facts, tensors.get("batch"))
