"""Random numbers of a simulated device, from a seed and a counter, so that resumed runs get the same numbers."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

MASK = 2**64 - 1

Event = Literal["read", "update"]
"""Events for which a device draws random numbers."""
EVENTS: tuple[Event, ...] = ("read", "update")


def mixed(*numbers: int) -> int:
    """Return a seed of 63 bits, a hash of several integers (splitmix64)."""
    state = 0
    for number in numbers:
        state = ((state ^ (number & MASK)) + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state >> 1


class Noise:
    """Random number generators of one array of devices.

    The random numbers for an event, such as a read, depend only on the seed and on the number of earlier events of the
    same type. The numbers of past reads and updates are the buffer NAME_counts of a module. Saved nets and checkpoints
    therefore contain these numbers.

    Args:
        module: Module in which the buffer is registered.
        name: Name of the array, NAME in the name of the buffer.
        seed: Seed of the array.
    """

    def __init__(self, module: nn.Module, name: str, seed: int) -> None:
        self._module = module
        self._name = f"{name}_counts"
        self._seed = seed
        self._known: tuple[tuple[int, int], list[int]] | None = None
        module.register_buffer(self._name, torch.zeros(len(EVENTS), dtype=torch.int64))

    def count(self, event: Event) -> int:
        """Return the number of past events of the type ``event``."""
        return self._counts()[EVENTS.index(event)]

    def next(self, event: Event) -> torch.Generator:
        """Return the random number generator for the next event of the type ``event``, and count this event."""
        buffer: Tensor = getattr(self._module, self._name)
        counts, number = self._counts(), EVENTS.index(event)
        generator = torch.Generator(buffer.device).manual_seed(mixed(self._seed, number, counts[number]))
        counts[number] += 1
        buffer[number] += 1
        self._known = self._state(buffer), counts
        return generator

    def _counts(self) -> list[int]:
        """Return the number of past reads and the number of past updates.

        The buffer NAME_counts is read again only if other code has changed this buffer, to avoid synchronizing a GPU.
        """
        buffer: Tensor = getattr(self._module, self._name)
        if self._known is None or self._known[0] != self._state(buffer):
            self._known = self._state(buffer), buffer.tolist()
        return self._known[1]

    @staticmethod
    def _state(buffer: Tensor) -> tuple[int, int]:
        return buffer.data_ptr(), buffer._version

    def __getstate__(self) -> dict[str, object]:
        """Return the attributes for pickling and copying, without the cached state of the buffer."""
        return {**vars(self), "_known": None}


def log_normal(size: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw positive factors from a log-normal distribution with mean 1 and standard deviation ``size``."""
    variance = math.log1p(size**2)
    return torch.exp(math.sqrt(variance) * torch.randn(shape, generator=generator) - variance / 2)
