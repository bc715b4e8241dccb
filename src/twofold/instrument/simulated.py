"""A simulated instrument: a fixed random matrix, noise at every read, and gains that drift."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from twofold.checks import check_fields, typed
from twofold.checks.bounds import counts, not_negative
from twofold.errors import unknown

DEVICES: dict[str, Callable[[Tensor], Tensor]] = {"random-relu": torch.relu, "one-bit": torch.sign}
"""What the simulated devices make of their total inputs."""

PERIOD = 10_000
"""Requests after which a drifting gain is back where it was."""


@dataclass(frozen=True)
class Simulated:
    """y = f(g · (W x) + noise), where f is the one of `DEVICES`, W is random, and g is a gain of each unit.

    What it draws for a request follows from its seed and the number of the request alone, so that a request that is
    repeated gets the same answer, whatever happened in between.

    Args:
        device: name of the device.
        inputs: numbers in a row that it takes.
        units: numbers in a row that it gives.
        noise: standard deviation of what is added to each total input at each read; the total inputs have about 1.
        drift: the most that a gain moves away from 1, and back, within `PERIOD` requests; each unit has a phase of its
            own.
        seed: of all of that.

    Raises:
        SettingError: there is no such device, or a number is outside its range.
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
        """Wᵀ, ``(inputs, units)``."""
        return self._normal((self.inputs, self.units), 0) / math.sqrt(self.inputs)

    @cached_property
    def phases(self) -> Tensor:
        """Where in its period the gain of each unit begins, ``(units,)``."""
        return self._normal((self.units,), 0, 1) * math.pi

    @typed
    def __call__(self, batch: Tensor, number: int) -> Tensor:
        """The answer ``(rows, units)`` to the request of this number, a batch ``(rows, inputs)``."""
        total = batch @ self.matrix
        if self.drift:
            total *= 1 + self.drift * torch.sin(2 * math.pi * number / PERIOD + self.phases)
        if self.noise:
            total += self.noise * self._normal(total.shape, 1, number)
        return DEVICES[self.device](total)

    def _normal(self, shape: tuple[int, ...], *what: int) -> Tensor:
        """Numbers that are drawn anew for each seed and each ``what``."""
        return torch.from_numpy(np.random.default_rng([self.seed, *what]).standard_normal(shape, np.float32))
