"""Messages between a training and an instrument: the bytes of safetensors, one after the other in a stream.

A message is what a file of safetensors is: 8 bytes (how long the header is, the lowest first), a header in JSON, and
the numbers. The header says where the numbers end, so that a stream needs no frame around it, and its
``__metadata__``, strings by name, is where everything else stands:

    protocol   ``1``
    kind       ``describe``, ``description``, ``batch`` or ``error``
    number     of the request; an answer repeats it
    ...        of a description: name, inputs, units, repeatable (yes or no); of an error: reason

The numbers of a ``batch`` are one tensor of that name, ``(rows, numbers)``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

PROTOCOL = "1"
"""The version that both ends have to speak."""

HEADER = 1 << 16
"""The most bytes of a header that are read."""

NUMBERS = 1 << 28
"""The most bytes of numbers that are read, 256 MiB."""

BUSY = "busy"
"""The reason of an error for a client that comes while there is another one."""


class Message(NamedTuple):
    """A message.

    Attributes:
        kind: what it is.
        number: of the request.
        facts: whatever else its metadata say.
        batch: ``(rows, numbers)``, where it has one.
    """

    kind: str
    number: int
    facts: dict[str, str]
    batch: Tensor | None


def pack(kind: str, number: int, batch: Tensor | None = None, facts: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a message."""
    tensors = {} if batch is None else {"batch": batch.detach().cpu().contiguous()}
    return save(tensors, {"protocol": PROTOCOL, "kind": kind, "number": str(number), **(facts or {})})


def unpack(read: Callable[[int], bytes], most: int = NUMBERS) -> Message:
    """Read a message.

    Args:
        read: gives exactly so many of the next bytes of the stream.
        most: bytes of numbers that it may have. No more memory than that is asked for, whatever the other end says.

    Raises:
        ValueError: these bytes are no message, or one that is too large or of another version, which the text says.
    """
    start = read(8)
    length = int.from_bytes(start, "little")
    if length > HEADER:
        raise ValueError(f"garbage: it begins with {start!r}, which is no message of this protocol")
    text = read(length)
    try:
        header = json.loads(text)
        said = {str(name): str(value) for name, value in header.pop("__metadata__").items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if not isinstance(end, int) or end < 0:
            raise ValueError(f"numbers that end at {end}")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"garbage: a header that cannot be read ({type(error).__name__})") from error
    if said.get("protocol") != PROTOCOL:
        raise ValueError(f"version {said.get('protocol')} of the protocol, this end speaks {PROTOCOL}: update one end")
    if end > most:
        raise ValueError(f"too much: {end:,} bytes of numbers, at most {most:,} are taken")
    numbers = read(end)
    try:
        tensors = load(start + text + numbers)
        number = int(said.pop("number"))
        kind = said.pop("kind")
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"garbage: {type(error).__name__} in what should be a message") from error
    if kind == "batch" and (tensors.keys() != {"batch"} or tensors["batch"].ndim != 2):
        raise ValueError("garbage: a batch has to have one tensor, batch, of rows and columns")
    return Message(kind, number, said, tensors.get("batch"))
