"""A simulated instrument with a fixed random matrix, read noise and drifting gains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from twofold.checks import check_fields
from twofold.checks.bounds import counts, not_negative
from twofold.errors import unknown

DEVICES: dict[str, Callable[[Tensor], Tensor]] = {"random-relu": torch.relu, "one-bit": torch.sign}
"""Output functions of the simulated devices, applied to their pre-activations."""

PERIOD = 10_000
"""Period of the oscillation of the gains, as a number of requests."""


@dataclass(frozen=True)
class Simulated:
    """Simulated device y = f(g · (W x) + noise), with f from `DEVICES`, a random matrix W and one gain g per unit.

    The random numbers of a request depend only on the seed and the request number, so a repeated request always gets
    the same answer.

    Args:
        device: Name of the device in `DEVICES`.
        inputs: Number of inputs.
        units: Number of outputs.
        noise: Standard deviation of the noise that is added to each pre-activation at each read. Pre-activations have a
            standard deviation of about 1.
        drift: Amplitude of the oscillation of each gain around 1. The oscillations have the period `PERIOD` and random
            phases.
        seed: Seed of the matrix, the phases and the noise.

    Raises:
        SettingError: The device is unknown, or a number is outside its range.
    """

    device: str = "random-relu"
    inputs: int = 500
    units: int = 500
    noise: float = 0.05
    drift: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.device not in DEVICES:
            raise unknown("device", self.device, DEVICES)
        counts(inputs=self.inputs, units=self.units)
        counts(0, seed=self.seed)
        not_negative(noise=self.noise, drift=self.drift)

    @cached_property
    def matrix(self) -> Tensor:
        """The transposed matrix Wᵀ, ``(inputs, units)``."""
        return self._normal((self.inputs, self.units), 0) / math.sqrt(self.inputs)

    @cached_property
    def phases(self) -> Tensor:
        """Initial phase of the gain of each unit in radians, ``(units,)``."""
        return self._normal((self.units,), 0, 1) * math.pi

    def __call__(self, batch: Tensor, number: int) -> Tensor:
        """Return the outputs ``(rows, units)`` for ``batch``, ``(rows, inputs)``, the request with this ``number``."""
        total = batch @ self.matrix
        if self.drift:
            total *= 1 + self.drift * torch.sin(2 * math.pi * number / PERIOD + self.phases)
        if self.noise:
            total += self.noise * self._normal(total.shape, 1, number)
        return DEVICES[self.device](total)

    def _normal(self, shape: tuple[int, ...], *key: int) -> Tensor:
        """Draw standard normal numbers from a generator that is seeded with the seed of the device and ``key``."""
        return torch.from_numpy(np.random.default_rng([self.seed, *key]).standard_normal(shape, np.float32))
