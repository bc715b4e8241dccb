"""Simulated black boxes: fixed transformations between layers, used to measure the cost of not knowing them.

Each box multiplies its input by a random square matrix and applies a response. In order of increasing difficulty for
backpropagation, the response rectifies, keeps one bit, draws a sample, or saturates. A box has no parameters and may
drift. Its whole state is in buffers, so that saved nets and checkpoints contain it, and does not depend on the caller.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from twofold.checks.bounds import counts, share

GAIN = 8.0
"""Gain of the saturating box: for normalized input, nine in ten units are beyond half of their range."""


class Box(nn.Module, ABC):
    """A random square matrix followed by a response: y = response(x Mᵀ), with M from N(0, 1 / units).

    Args:
        units: number of inputs and of outputs.
        seed: seed of the matrix, of its drift, and of all samples.

    Attributes:
        matrix: M, ``(units, units)``.
        seed: as above, ``()``.
        draws: number of random draws so far, ``()``. Each draw has its own generator, seeded by seed and number, so
            that the buffers hold the whole state.
        rows_read: rows processed since the box was created; a count for metrics, not part of the state.
    """

    matrix: Tensor
    seed: Tensor
    draws: Tensor

    def __init__(self, units: int, seed: int = 0) -> None:
        super().__init__()
        counts(units=units)
        self.rows_read = 0
        self.register_buffer("seed", torch.tensor(seed % 2**63))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self.register_buffer("matrix", torch.empty(units, units))
        self.matrix.copy_(self._noise())

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs ``(batch, units)`` for rows ``(batch, units)``. All rows of a call use the same matrix."""
        self.rows_read += len(rows)
        return self.response(rows @ self.matrix.to(rows.dtype).T)

    @abstractmethod
    def response(self, total: Tensor) -> Tensor:
        """Return the outputs for the products ``(batch, units)``."""

    @abstractmethod
    def slope(self, total: Tensor) -> Tensor:
        """Return the derivative that an oracle uses, ``(batch, units)``.

        It is the derivative of the response, or of its expectation if it is sampled, or a surrogate where the
        derivative is 0.
        """

    @torch.no_grad()
    def drift(self, amount: float) -> None:
        """Make one step of a stationary random walk: M ← √(1 - amount²) M + amount · N(0, 1 / units).

        Args:
            amount: 0 keeps the matrix, 1 replaces it by a new draw. The correlation with the matrix of n steps ago is
                (1 - amount²)^(n / 2).

        Raises:
            SettingError: the amount is outside [0, 1].
        """
        share(amount=amount)
        if amount:
            self.matrix.mul_(math.sqrt(1 - amount**2)).add_(self._noise(), alpha=amount)

    def _noise(self) -> Tensor:
        return torch.randn(self.matrix.shape, generator=self._generator()).to(self.matrix) / math.sqrt(len(self.matrix))

    def _generator(self) -> torch.Generator:
        """Return the generator of the next draw, on the CPU, so that a box is the same on every machine."""
        self.draws.add_(1)
        return torch.Generator().manual_seed((int(self.seed) * 1_000_003 + int(self.draws)) % 2**63)


class RandomReLU(Box):
    """max(0, z)."""

    def response(self, total: Tensor) -> Tensor:
        return total.relu()

    def slope(self, total: Tensor) -> Tensor:
        return (total > 0).to(total.dtype)


class OneBit(Box):
    """1 where z > 0, else 0.

    The derivative is 0 almost everywhere. The slope is that of (1 + z) / 2 where |z| < 1, as is usual for one-bit nets.
    """

    def response(self, total: Tensor) -> Tensor:
        return (total > 0).to(total.dtype)

    def slope(self, total: Tensor) -> Tensor:
        return (total.abs() < 1).to(total.dtype) / 2


class Sampled(Box):
    """1 with probability σ(z), else 0, sampled independently for each row and each call. The slope is that of σ."""

    def response(self, total: Tensor) -> Tensor:
        drawn = torch.rand(total.shape, generator=self._generator()).to(total.device)
        return (drawn < total.sigmoid()).to(total.dtype)

    def slope(self, total: Tensor) -> Tensor:
        chance = total.sigmoid()
        return chance * (1 - chance)


class Saturating(Box):
    """tanh(8 z): almost all units are at one end of their range, where the derivative vanishes."""

    def response(self, total: Tensor) -> Tensor:
        return (GAIN * total).tanh()

    def slope(self, total: Tensor) -> Tensor:
        return GAIN * (1 - self.response(total).square())


BOXES: dict[str, type[Box]] = {
    "random_relu": RandomReLU,
    "one_bit": OneBit,
    "sampled": Sampled,
    "saturating": Saturating,
}
"""Boxes by name."""


def boxes_in(module: nn.Module) -> Iterator[Box]:
    """Yield the boxes of a net, from the input upwards."""
    return (child for child in module.modules() if isinstance(child, Box))


def boxes_behind(name: str, widths: tuple[int, ...]) -> range:
    """Return the numbers of the layers, counted from 1, that are followed by a box.

    Every second layer has a box, but not the last layer. Of six layers these are the second and the fourth. The name
    ``none`` means no boxes.
    """
    return range(2, len(widths), 2) if name in BOXES else range(0)


def boxes_for(name: str, widths: tuple[int, ...], seed: int) -> dict[int, Box]:
    """Create the boxes of a net, keyed by the number of the layer that they follow; each is as wide as that layer.

    Args:
        name: name of the boxes.
        widths: units of each layer.
        seed: seed of the net; each of its boxes has a different seed derived from it.
    """
    return {number: BOXES[name](widths[number - 1], seed * 1000 + number) for number in boxes_behind(name, widths)}
