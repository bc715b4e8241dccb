"""Simulated black boxes: transformations between layers whose derivative is not available to the learning algorithm.

Each box multiplies its input by a random square matrix and applies an elementwise response. The responses, in order of
increasing difficulty for backpropagation, are a ReLU, a step function, a random sample and a saturating tanh. A box has
no parameters, but its matrix may drift. Its whole state is in buffers, so that saved nets and checkpoints contain it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from twofold.checks.bounds import counts, share

GAIN = 8.0
"""Gain of the tanh in `Saturating`: for normalized input, nine in ten outputs have an absolute value above ½."""


class Box(nn.Module, ABC):
    """A random square matrix followed by a response: y = response(x Mᵀ), with M from N(0, 1 / units).

    Args:
        units: number of inputs and of outputs.
        seed: random seed of the matrix, its drift and all samples.

    Attributes:
        matrix: M, ``(units, units)``.
        seed: random seed, ``()``.
        draws: number of random draws so far, ``()``. Each draw uses a new generator, seeded by ``seed`` and ``draws``,
            so that the buffers contain the whole state of the box.
        rows_read: number of input rows processed since the box was created; only for metrics.
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
        """Return the outputs ``(batch, units)`` for inputs ``(batch, units)``."""
        self.rows_read += len(rows)
        return self.response(rows @ self.matrix.to(rows.dtype).T)

    @abstractmethod
    def response(self, total: Tensor) -> Tensor:
        """Return the outputs for the products z = x Mᵀ; both are ``(batch, units)``."""

    @abstractmethod
    def slope(self, total: Tensor) -> Tensor:
        """Return the derivative of the response at the products z = x Mᵀ; both are ``(batch, units)``.

        For a random response, this is the derivative of the expected output. For a step function, this is a surrogate.
        Only the gradient estimators in `nets.crossings.WHITE_BOX` use the derivative.
        """

    @torch.no_grad()
    def drift(self, amount: float) -> None:
        """Change the matrix by one step of a stationary random walk: M ← √(1 - amount²) M + amount · N(0, 1 / units).

        Args:
            amount: size of the step, in [0, 1]. 0 keeps the matrix, 1 replaces the matrix by an independent one. After
                n steps, the correlation with the old matrix is (1 - amount²)^(n / 2).

        Raises:
            SettingError: the amount is outside [0, 1].
        """
        share(amount=amount)
        if amount:
            self.matrix.mul_(math.sqrt(1 - amount**2)).add_(self._noise(), alpha=amount)

    def _noise(self) -> Tensor:
        return torch.randn(self.matrix.shape, generator=self._generator()).to(self.matrix) / math.sqrt(len(self.matrix))

    def _generator(self) -> torch.Generator:
        """Return a new generator for the next draw, on the CPU, so that all devices get the same random numbers."""
        self.draws.add_(1)
        return torch.Generator().manual_seed((int(self.seed) * 1_000_003 + int(self.draws)) % 2**63)


class RandomReLU(Box):
    """Box with the response max(0, z)."""

    def response(self, total: Tensor) -> Tensor:
        return total.relu()

    def slope(self, total: Tensor) -> Tensor:
        return (total > 0).to(total.dtype)


class OneBit(Box):
    """Box with the response 1 where z > 0, else 0.

    Since the derivative is 0 almost everywhere, `slope` returns a surrogate: ½ where |z| < 1, else 0.
    """

    def response(self, total: Tensor) -> Tensor:
        return (total > 0).to(total.dtype)

    def slope(self, total: Tensor) -> Tensor:
        return (total.abs() < 1).to(total.dtype) / 2


class Sampled(Box):
    """Box with the response 1 with probability σ(z), else 0. `slope` returns the derivative of σ.

    Each output is sampled independently in each call.
    """

    def response(self, total: Tensor) -> Tensor:
        drawn = torch.rand(total.shape, generator=self._generator()).to(total.device)
        return (drawn < total.sigmoid()).to(total.dtype)

    def slope(self, total: Tensor) -> Tensor:
        chance = total.sigmoid()
        return chance * (1 - chance)


class Saturating(Box):
    """Box with the response tanh(8 z): almost all outputs are near ±1, where the derivative vanishes."""

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
"""Types of simulated black boxes by name."""


def boxes_in(module: nn.Module) -> Iterator[Box]:
    """Yield the boxes of a net, from the input upwards."""
    return (child for child in module.modules() if isinstance(child, Box))


def boxes_behind(name: str, widths: tuple[int, ...]) -> range:
    """Return the numbers, counted from 1, of the layers that are followed by a box.

    Every second layer except the last layer of the net is followed by a box: in a net of six layers, layers 2 and 4.

    Args:
        name: type of the boxes, a key of `BOXES`, or ``none`` for no boxes.
        widths: number of units of each layer.
    """
    return range(2, len(widths), 2) if name in BOXES else range(0)


def boxes_for(name: str, widths: tuple[int, ...], seed: int) -> dict[int, Box]:
    """Create the boxes of a net; see `boxes_behind` for the positions of the boxes.

    Args:
        name: type of the boxes, a key of `BOXES`, or ``none`` for no boxes.
        widths: number of units of each layer. A box has as many units as the layer that it follows.
        seed: random seed of the net, from which the seed of each box is derived.

    Returns:
        Number of a layer, counted from 1 -> the box that follows this layer.
    """
    return {number: BOXES[name](widths[number - 1], seed * 1000 + number) for number in boxes_behind(name, widths)}
