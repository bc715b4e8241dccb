"""Random numbers of a device, each draw from a seed and a count, so that a training that goes on has the same ones."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

MASK = 2**64 - 1

Event = Literal["read", "update"]
"""What a device draws random numbers for."""
EVENTS: tuple[Event, ...] = ("read", "update")


def mixed(*numbers: int) -> int:
    """A seed of 63 bits from several numbers, all of whose bits change with each bit of theirs (splitmix64)."""
    state = 0
    for number in numbers:
        state = ((state ^ (number & MASK)) + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state >> 1


class Noise:
    """The random numbers of one array of devices.

    How many reads and updates there were lies in the buffer NAME_counts of a module, so that saved nets and checkpoints
    have it: what is drawn for an event depends on the seed and on its number alone.

    Args:
        module: gets the buffer.
        name: of the array.
        seed: of the array.
    """

    def __init__(self, module: nn.Module, name: str, seed: int) -> None:
        self._module = module
        self._name = f"{name}_counts"
        self._seed = seed
        self._known: tuple[tuple[int, int], list[int]] | None = None
        module.register_buffer(self._name, torch.zeros(len(EVENTS), dtype=torch.int64))

    def count(self, event: Event) -> int:
        """How many of these there were."""
        return self._counts()[EVENTS.index(event)]

    def next(self, event: Event) -> torch.Generator:
        """Count one more, and give its generator."""
        buffer: Tensor = getattr(self._module, self._name)
        counts, number = self._counts(), EVENTS.index(event)
        generator = torch.Generator(buffer.device).manual_seed(mixed(self._seed, number, counts[number]))
        counts[number] += 1
        buffer[number] += 1
        self._known = self._state(buffer), counts
        return generator

    def _counts(self) -> list[int]:
        """What the buffer holds, read from it only after somebody else changed it: on a GPU that means to wait."""
        buffer: Tensor = getattr(self._module, self._name)
        if self._known is None or self._known[0] != self._state(buffer):
            self._known = self._state(buffer), buffer.tolist()
        return self._known[1]

    @staticmethod
    def _state(buffer: Tensor) -> tuple[int, int]:
        return buffer.data_ptr(), buffer._version

    def __getstate__(self) -> dict[str, object]:
        """Without what it knows of the buffer, which a copy has elsewhere."""
        return {**vars(self), "_known": None}


def log_normal(size: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Factors above 0 with a mean of 1 and a standard deviation of ``size``: log-normal, since no gain is negative."""
    variance = math.log1p(size**2)
    return torch.exp(math.sqrt(variance) * torch.randn(shape, generator=generator) - variance / 2)
