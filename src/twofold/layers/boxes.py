"""Simulated black boxes: fixed transformations that stand between layers, to measure what not knowing them costs.

Each mixes what it gets with a random square matrix and then does something that backpropagation has a harder and harder
time with: it rectifies, keeps one bit, draws a sample, or saturates. A box has no parameters, may drift, and does not
depend on who asks: its state is in buffers, so that saved nets and checkpoints hold it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from twofold.checks import typed
from twofold.checks.bounds import counts, floating, share

GAIN = 8.0
"""How steep the saturating box is: for normalized input nine units in ten are beyond half of their range."""


class Box(nn.Module, ABC):
    """A random square matrix, and what becomes of its products: y = response(x Mᵀ), M from N(0, 1 / units).

    Args:
        units: numbers that come in, and that go out.
        seed: of the matrix, of its drift, and of what is drawn.

    Attributes:
        matrix: M, ``(units, units)``.
        seed: as above, ``()``.
        draws: how often anything was drawn, ``()``; each draw has a generator of its own, of seed and number, so that
            buffers hold all of the state.
        rows_read: rows that went through the box since it was made; a count for metrics, no state.
    """

    matrix: Tensor
    seed: Tensor
    draws: Tensor

    @typed
    def __init__(self, units: int, seed: int = 0) -> None:
        super().__init__()
        counts(units=units)
        self.rows_read = 0
        self.register_buffer("seed", torch.tensor(seed % 2**63))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self.register_buffer("matrix", torch.empty(units, units))
        self.matrix.copy_(self._noise())

    @typed
    def forward(self, rows: Tensor) -> Tensor:
        """Answer rows ``(batch, units)`` with as many of the same shape. All rows of a call meet the same matrix."""
        floating("rows", rows, "batch", len(self.matrix), on=self.matrix.device)
        self.rows_read += len(rows)
        return self.response(rows @ self.matrix.to(rows.dtype).T)

    @abstractmethod
    def response(self, total: Tensor) -> Tensor:
        """What becomes of the products ``(batch, units)``."""

    @abstractmethod
    def slope(self, total: Tensor) -> Tensor:
        """What an oracle takes for the derivative: that of the response, of its expectation where it is drawn, or what
        does for one where it is 0."""

    @typed
    @torch.no_grad()
    def drift(self, amount: float) -> None:
        """One step of a stationary random walk: M ← √(1 - amount²) M + amount · N(0, 1 / units).

        Args:
            amount: 0 keeps the matrix, 1 draws it anew. After n steps the matrices have a correlation of
                (1 - amount²)^(n / 2).

        Raises:
            SettingError: an amount outside [0, 1].
        """
        share(amount=amount)
        if amount:
            self.matrix.mul_(math.sqrt(1 - amount**2)).add_(self._noise(), alpha=amount)

    def _noise(self) -> Tensor:
        return torch.randn(self.matrix.shape, generator=self._generator()).to(self.matrix) / math.sqrt(len(self.matrix))

    def _generator(self) -> torch.Generator:
        """The generator of the next draw, on the CPU, so that a box is the same on every machine."""
        self.draws.add_(1)
        return torch.Generator().manual_seed((int(self.seed) * 1_000_003 + int(self.draws)) % 2**63)


class RandomReLU(Box):
    """max(0, z)."""

    def response(self, total: Tensor) -> Tensor:
        return total.relu()

    def slope(self, total: Tensor) -> Tensor:
        return (total > 0).to(total.dtype)


class OneBit(Box):
    """1 where z > 0, else 0. The derivative is 0 wherever there is one; the slope is that of (1 + z) / 2 where |z| < 1,
    as is usual for nets of one bit."""

    def response(self, total: Tensor) -> Tensor:
        return (total > 0).to(total.dtype)

    def slope(self, total: Tensor) -> Tensor:
        return (total.abs() < 1).to(total.dtype) / 2


class Sampled(Box):
    """1 with a probability of σ(z), else 0, drawn anew for each row and each call. The slope is that of σ."""

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
    """The boxes of a net, from the input upwards."""
    return (part for part in module.modules() if isinstance(part, Box))


def boxes_behind(kind: str, widths: tuple[int, ...]) -> range:
    """Numbers of the layers, counted from 1, that have a box behind them: each pair of layers has one, but the last
    layer has none. Of six layers these are the second and the fourth. ``none`` is the kind of no box."""
    return range(2, len(widths), 2) if kind in BOXES else range(0)


def boxes_for(kind: str, widths: tuple[int, ...], seed: int) -> dict[int, Box]:
    """The boxes of a net by the number of the layer that they stand behind, each as wide as that layer.

    Args:
        kind: name of the boxes.
        widths: units of each layer.
        seed: of the net; each of its boxes has another one.
    """
    return {number: BOXES[kind](widths[number - 1], seed * 1000 + number) for number in boxes_behind(kind, widths)}
